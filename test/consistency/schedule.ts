import { seededRandom, seedFor } from '../../src/core/random.ts';

/**
 * What the nemesis can do.
 *
 * - `cut`: connections closed, new ones refused. `silence`: open, and nothing passes. `one-way`: requests pass, the
 *   answers are lost, so that the server does what nobody hears of.
 * - `freeze`: Redis stopped, later woken, with all that lay in its sockets.
 * - `kill-empty`, `old-snapshot`: Redis killed; back without its data, or with that of some time before.
 * - `stop`: PostgreSQL shut down at once, later started again.
 * - `pause`: an instance stopped for longer than its lease, while its clients go on elsewhere.
 * - `clock`: the wall clock of an instance steps an hour forward or back, and later back again.
 * - `split`: one instance loses Redis while another loses PostgreSQL.
 */
export const FAULT_KINDS = [
  'cut',
  'silence',
  'one-way',
  'freeze',
  'kill-empty',
  'old-snapshot',
  'stop',
  'pause',
  'clock',
  'split',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** What an instance is connected to. */
export const LINKS = ['redis', 'postgres'] as const;
export type Link = (typeof LINKS)[number];

/** One fault of a schedule, beginning `atMs` after the start of the run. */
export interface Fault {
  readonly atMs: number;
  readonly forMs: number;
  readonly kind: FaultKind;
  /** Of `cut`, `silence` and `one-way`. */
  readonly link?: Link;
  /** Indices of the instances that it hits; empty for a fault of a server. */
  readonly instances: readonly number[];
}

export interface ScheduleOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly instances: number;
  readonly kinds: readonly FaultKind[];
  /** What `cut`, `silence` and `one-way` may hit. */
  readonly links: readonly Link[];
}

/** Before the first fault, so that there is something to lose. */
const WARM_UP_MS = 2_000;
/** At the end, so that what comes back late is still seen. */
const COOL_DOWN_MS = 3_000;

/**
 * Draws the faults of a run, one after another; every kind comes before any comes again. Depends on nothing but its
 * options, so that a seed says all.
 */
export function createSchedule(options: ScheduleOptions): Fault[] {
  const random = seededRandom(seedFor(options.seed, 'schedule'));
  const within = (from: number, to: number): number => Math.round(from + random() * (to - from));
  const faults: Fault[] = [];
  let deck: FaultKind[] = [];
  for (let atMs = WARM_UP_MS; ;) {
    if (deck.length === 0) deck = shuffled(options.kinds, random);
    const kind = deck.pop()!;
    // Longer than any lease, and than the time in which a silent link is noticed.
    const forMs = kind === 'pause' ? within(4_000, 6_000) : within(1_500, 4_500);
    if (atMs + forMs > options.durationMs - COOL_DOWN_MS) return faults;
    faults.push({ atMs, forMs, kind, ...placeOf(kind, options, random) });
    // From less than Redis' least stay in degraded to well after the recovery.
    atMs += forMs + within(300, 3_000);
  }
}

/** A line for people: the seed gives the same again. */
export function describeFault({ atMs, forMs, kind, link, instances }: Fault): string {
  const where = [link, instances.length > 0 ? `instances ${instances.join(', ')}` : ''].filter(Boolean).join(', ');
  return `${(atMs / 1000).toFixed(1).padStart(6)} s  for ${(forMs / 1000).toFixed(1)} s  ${kind}${where ? ` (${where})` : ''}`;
}

function placeOf(kind: FaultKind, options: ScheduleOptions, random: () => number): Pick<Fault, 'link' | 'instances'> {
  const { instances: count, links } = options;
  const all = Array.from({ length: count }, (_, i) => i);
  const order = shuffled(all, random);
  if (kind === 'pause' || kind === 'clock') return { instances: order.slice(0, 1) };
  if (kind === 'split') return { instances: order.slice(0, 2) };
  if (kind !== 'cut' && kind !== 'silence' && kind !== 'one-way') return { instances: [] };
  // One instance alone is the hardest case, so it is the most frequent one.
  const hit = random() < 0.6 ? 1 : 1 + Math.floor(random() * count);
  const [first = 'redis', second = first] = links;
  return { link: random() < 0.65 ? first : second, instances: order.slice(0, hit).toSorted() };
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}
