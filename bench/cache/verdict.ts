import type { Bar } from './bars.ts';
import { type StaleRead, staleReads } from './judge.ts';
import type { Harvest, Marks, Read, Waited } from './records.ts';

/** Keys of instance a whose fate the run follows one by one. */
export interface Sentinels {
  /** Set anew in the fault. */
  readonly set: readonly string[];
  readonly deleted: readonly string[];
  /** Written last before the fault, after the snapshot. */
  readonly untouched: readonly string[];
}

export interface FaultRun {
  readonly fault: string;
  readonly oneSided: boolean;
  readonly marks: Marks;
  readonly sentinels: Sentinels;
  /** Version that the fault's writes gave. */
  readonly version: number;
  readonly a: Harvest;
  readonly b: Harvest;
  readonly fresh: Harvest;
}

/** What came of one fault. */
export interface Verdict {
  readonly row: Readonly<Record<string, string | number>>;
  readonly bars: readonly Bar[];
  /** Stale reads that no bar allows, to be shown. */
  readonly stale: readonly StaleRead[];
  /** Operations that waited for Redis, to be shown. */
  readonly waited: readonly Waited[];
}

/** An invalidation may be under way so long, with and without Redis. */
const COHERENT_MS = 250;

/** Judges one run by the bars of the outage. */
export function judgeRun(run: FaultRun): Verdict {
  const { a, b, fresh, marks, oneSided } = run;
  const { faultAt, healedAt, endAt } = marks;
  const acks = [...a.acks, ...b.acks];
  const own = [...a.reads.filter((read) => owns('a', read)), ...b.reads.filter((read) => owns('b', read))];
  const others = [...a.reads.filter((read) => owns('b', read)), ...b.reads.filter((read) => owns('a', read))];

  const availableAt = Math.max(availableAgain(a, marks), oneSided ? 0 : availableAgain(b, marks));
  const writer = staleReads(acks, own, 0).filter(({ at }) => at > faultAt);
  const other = staleReads(acks, others, COHERENT_MS);
  const before = other.filter(({ at }) => at <= faultAt);
  const during = other.filter(({ at }) => at > faultAt && at <= availableAt);
  const undeclared = during.filter(({ declared }) => !declared);
  const after = staleReads(acks, others, 0).filter(
    ({ at, overdueMs }) => at > availableAt && at - overdueMs < availableAt,
  );
  const freshStale = staleReads(acks, fresh.reads, 0);
  const early = freshStale.filter(({ at }) => at <= availableAt).length;
  const otherMs = after.length === 0 ? 0 : Math.max(...after.map(({ at }) => at)) - availableAt;
  const late = staleReads(acks, [...others, ...fresh.reads], COHERENT_MS).filter(
    ({ at }) => at > availableAt + COHERENT_MS,
  );

  const inRedis = inRedisAt(run);
  const inRedisMs = inRedis && Math.max(0, inRedis - Math.max(availableAt, firstReadAt(fresh)));
  const used = usedAgain(a, marks);
  const ops = [a.operations, b.operations];
  const sum = (of: (operations: Harvest['operations']) => number): number => of(ops[0]!) + of(ops[1]!);
  const max = (of: (operations: Harvest['operations']) => number): number => Math.max(of(ops[0]!), of(ops[1]!));
  const rejected = mergeCounts(ops.map((one) => one.rejected));
  const count = sum((one) => one.count);
  const waited = ops.flatMap((one) => one.waited);
  const tripMs = tripped(a, marks);
  const row = {
    fault: run.fault,
    ops: count,
    rejected:
      Object.entries(rejected)
        .map(([code, n]) => `${code} ${n}`)
        .join(', ') || 0,
    hung: sum(({ hung }) => hung),
    'max ms': tenth(max(({ maxMs }) => maxMs)),
    'p99 before ms': tenth(max(({ p99Before }) => p99Before)),
    'p99 ms': tenth(max(({ p99 }) => p99)),
    'loop lag ms': tenth(max(({ loopLagMs }) => loopLagMs)),
    'trip ms': tripMs ?? 'never',
    waited: waited.length,
    'writer stale': writer.length,
    'other stale before': before.length,
    'during, as hit': undeclared.length,
    'during, declared': during.length - undeclared.length,
    'other v1 ms': Math.round(otherMs),
    'fresh v1 early/late': `${early}/${freshStale.length - early}`,
    'stale at last': late.length,
    'in Redis ms': inRedisMs === undefined ? 'never' : Math.round(inRedisMs),
    'available ms': Number.isFinite(availableAt) ? Math.round(availableAt - healedAt) : 'never',
    'used after recovering ms': used ?? 'never',
    'missed own': missed(run, endAt),
  };
  const bars: Bar[] = [
    { what: 'bar 1: rejected', figure: Object.values(rejected).reduce((x, y) => x + y, 0), atMost: 0 },
    { what: 'bar 1: hung over 1 s', figure: sum(({ hung }) => hung), atMost: 0 },
    { what: 'bar 1: greatest latency, ms', figure: max(({ maxMs }) => maxMs), atMost: 150 },
    { what: 'bar 1: p99, ms', figure: max(({ p99 }) => p99), atMost: 10 },
    {
      what: 'bar 1: operations that waited for Redis after the first trip',
      figure: tripMs === undefined ? undefined : waited.length,
      atMost: 0,
    },
    { what: 'bar 1: answers of another key', figure: sum(({ crossed }) => crossed), atMost: 0 },
    { what: 'bar 2: stale reads of the writer', figure: writer.length, atMost: 0 },
    { what: 'bar 2: last v1 on the other instance, ms after available', figure: otherMs, atMost: COHERENT_MS },
    { what: 'bar 2: v1 on a fresh instance', figure: freshStale.length, atMost: 0 },
    { what: 'bar 2: v2 in Redis, ms after available', figure: inRedisMs, atMost: 1000 },
    { what: 'bar 2: Redis used, ms after its probes satisfied the machine', figure: used, atMost: 500 },
    { what: `bar 2: stale anywhere ${COHERENT_MS} ms after available`, figure: late.length, atMost: 0 },
    {
      what: `bar 6: hits on the other instance older than ${COHERENT_MS} ms, before the fault`,
      figure: before.length,
      atMost: 0,
    },
    { what: `bar 6: the same in the fault`, figure: undeclared.length, atMost: 0 },
  ];
  return { row, bars, stale: [...writer, ...before, ...undeclared, ...freshStale, ...late], waited };
}

/** The first of them as text, for whoever looks for the cause. */
export function describeWaited(waited: readonly Waited[], most = 10): string[] {
  return waited.slice(0, most).map(({ turn, afterTripMs, latencyMs, stalledMs }) => {
    return `${turn}: ${tenth(latencyMs)} ms, begun ${tenth(afterTripMs)} ms after the trip; the event loop stood still for ${tenth(stalledMs)} ms of it`;
  });
}

function owns(name: string, { key }: Read): boolean {
  return key.split(':')[1] === name;
}

/** When the instance was `available` for good after the fault; now where it never left. */
function availableAgain({ changes }: Harvest, { faultAt, healedAt }: Marks): number {
  const since = changes.filter(({ at }) => at > faultAt);
  if (since.length === 0) return healedAt;
  const back = since.find(({ to, at }) => to === 'available' && at > healedAt) ?? since.at(-1)!;
  return back.to === 'available' ? back.at : Infinity;
}

function tripped({ changes }: Harvest, { faultAt }: Marks): number | undefined {
  const at = changes.find((change) => change.at >= faultAt && change.to.startsWith('degraded'))?.at;
  return at === undefined ? undefined : Math.round(at - faultAt);
}

/** Since the machine began to recover, which is when its probes had passed often enough: until Redis answered a read. */
function usedAgain({ changes, reads }: Harvest, { healedAt }: Marks): number | undefined {
  const recovering = changes.findLast(({ to, at }) => to === 'recovering' && at > healedAt - 1000)?.at;
  if (recovering === undefined) return undefined;
  const read = reads.find(({ at, source }) => at > recovering && source === 'redis');
  return read && Math.round(read.at - recovering);
}

/** When the fresh instance, which has nothing of its own, had seen every value that was set in the fault. */
function inRedisAt({ sentinels, version, fresh }: FaultRun): number | undefined {
  const firsts = sentinels.set.map((key) => fresh.reads.find((read) => read.key === key && read.n === version)?.at);
  return firsts.includes(undefined) ? undefined : Math.max(...(firsts as number[]));
}

function firstReadAt({ reads }: Harvest): number {
  return reads[0]?.at ?? Infinity;
}

/** Values set in the fault that their writer had forgotten at the end: allowed of a cache, but no good sign. */
function missed({ sentinels, a }: FaultRun, endAt: number): number {
  return sentinels.set.filter((key) => a.reads.findLast((read) => read.key === key && read.at <= endAt)?.n === 0)
    .length;
}

function mergeCounts(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const merged: Record<string, number> = {};
  for (const [code, n] of all.flatMap((one) => Object.entries(one))) merged[code] = (merged[code] ?? 0) + n;
  return merged;
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}
