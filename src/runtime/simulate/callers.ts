import type { Clock, Timer } from '../../core/clock.ts';
import type { Mode } from '../../core/mode.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { SimulatedBackend } from './backend.ts';
import type { CallsScript } from './script.ts';

/** What one call of a user felt. */
export interface Felt {
  readonly waitedMs: number;
  /** It waited for a whole deadline on the way. */
  readonly deadline: boolean;
  /** A backend failed it, so that the next one had to answer. */
  readonly fellBack: boolean;
}

export interface CallersOptions {
  readonly calls: CallsScript;
  /** No call begins from then on. */
  readonly untilMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly modeOf: (service: Called) => Mode;
  /** The machine behind a kind of backend of a service, with the longest wait for one call to it. */
  readonly backendOf: (service: Called, kind: Mode['backend']) => CalledBackend | undefined;
  /** Those that services may call at the moment: the weather of the others is felt by nobody. */
  readonly used: () => readonly SimulatedBackend[];
  readonly onFelt: (felt: Felt) => void;
}

/** The services whose calls are simulated. */
export type Called = 'cache' | 'sessions';

export interface CalledBackend {
  readonly machine: string;
  readonly backend: SimulatedBackend;
  readonly deadlineMs: number;
  readonly slowCallMs: number;
  readonly observe: (outcome: Outcome) => void;
}

interface Call {
  readonly startedAt: number;
  readonly service: Called;
  readonly write: boolean;
  /** Backends that are still to be asked, one after another. */
  readonly rest: Mode['backend'][];
  open: number;
  endsAt: number;
  deadline: boolean;
  fellBack: boolean;
}

interface Waiting {
  readonly call: Call;
  readonly machine: string;
  readonly timer: Timer;
}

/** In fair weather calls are counted in bundles this long; each still has its own outcome. */
const BUNDLE_MS = 250;

/**
 * Users that call the cache and the sessions at a steady rate. Each call asks what its service would:
 * a read the backends of the mode in order, a session's write all shared ones at once. Outcomes go to
 * the detector as those of real calls do; calls on their way to a backend that is taken out of use end
 * at once, unobserved.
 */
export class Callers {
  readonly #options: CallersOptions;
  readonly #waiting = new Set<Waiting>();

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  start(): void {
    this.#arrive();
  }

  /** A machine's dependency was taken out of use. */
  disengaged(machine: string): void {
    for (const waiting of this.#waiting) {
      if (waiting.machine !== machine) continue;
      this.#settle(waiting);
      this.#ended(waiting.call, false, this.#options.clock.now());
    }
  }

  /** Counts calls that still wait as they stand. */
  stop(): void {
    for (const waiting of this.#waiting) {
      this.#settle(waiting);
      const { call } = waiting;
      call.rest.length = 0;
      this.#ended(call, true, this.#options.clock.now());
    }
  }

  #settle(waiting: Waiting): void {
    this.#options.clock.clearTimeout(waiting.timer);
    this.#waiting.delete(waiting);
  }

  #arrive(): void {
    const { clock, used, calls, untilMs } = this.#options;
    const now = clock.now();
    if (now >= untilMs) return;
    const rate = calls.changes.findLast(({ atMs }) => atMs <= now)?.ratePerSecond ?? calls.ratePerSecond;
    const nextRateMs = (calls.changes.find(({ atMs }) => atMs > now)?.atMs ?? Infinity) - now;
    if (rate === 0) {
      if (nextRateMs < Infinity) clock.setTimeout(() => this.#arrive(), nextRateMs);
      return;
    }
    const fairMs = Math.min(
      nextRateMs,
      untilMs - now,
      ...used().map(({ segment }) => (segment.is === 'up' ? segment.untilMs - now : 0)),
    );
    const bundle = Math.max(1, Math.floor((Math.min(BUNDLE_MS, fairMs) * rate) / 1000));
    for (let i = 0; i < bundle; i += 1) this.#call();
    clock.setTimeout(() => this.#arrive(), Math.min(nextRateMs, (bundle * 1000) / rate));
  }

  #call(): void {
    const { clock, random, calls, modeOf } = this.#options;
    const service = random() < calls.sessions ? 'sessions' : 'cache';
    const write = random() < calls.writes;
    const rest = [...modeOf(service).usable];
    const now = clock.now();
    const call: Call = { startedAt: now, service, write, rest, open: 0, endsAt: now, deadline: false, fellBack: false };
    // A session's write goes through to every shared backend at once.
    const together =
      service === 'sessions' && write ? rest.splice(0).filter((kind) => kind !== 'memory') : rest.splice(0, 1);
    call.open = Math.max(1, together.length);
    if (together.length === 0) this.#ended(call, true, now);
    for (const kind of together) this.#ask(call, kind);
  }

  #ask(call: Call, kind: Mode['backend']): void {
    const { clock, backendOf } = this.#options;
    const called = backendOf(call.service, kind);
    const now = clock.now();
    if (!called) return this.#ended(call, true, now);
    const { machine, backend, deadlineMs, slowCallMs, observe } = called;
    // Its connections are broken, so there is no client to send anything.
    if (backend.segment.breaks) return this.#ended(call, false, now);
    const { kind: outcome, endsAtMs, code } = backend.ask(call.write ? 'write' : 'read', deadlineMs);
    const durationMs = endsAtMs - now;
    if (outcome === 'ok' && durationMs <= slowCallMs) {
      observe({ kind: 'ok', durationMs, voided: false });
      return this.#ended(call, true, endsAtMs);
    }
    const timer = clock.setTimeout(() => {
      this.#waiting.delete(waiting);
      if (outcome === 'timeout') call.deadline = true;
      observe({ kind: outcome, durationMs, voided: false, ...(code === '' ? {} : { code }) });
      this.#ended(call, outcome === 'ok', endsAtMs);
    }, durationMs);
    const waiting: Waiting = { call, machine, timer };
    this.#waiting.add(waiting);
  }

  #ended(call: Call, answered: boolean, atMs: number): void {
    call.endsAt = Math.max(call.endsAt, atMs);
    if (!answered) call.fellBack = true;
    const next = answered ? undefined : call.rest.shift();
    if (next !== undefined) return this.#ask(call, next);
    call.open -= 1;
    if (call.open > 0) return;
    const { deadline, fellBack, endsAt, startedAt } = call;
    this.#options.onFelt({ waitedMs: endsAt - startedAt, deadline, fellBack });
  }
}
