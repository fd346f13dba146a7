import { randomInt } from 'node:crypto';

import { eventually } from '../support/eventually.ts';
import { type Judgement, VIOLATIONS, type ViolationKind, checkHistory } from './checker.ts';
import { runClients } from './clients.ts';
import { type Operation, type Outcome, Recorder, bySession } from './history.ts';
import { type StoreName, settled, startInstances } from './instances.ts';
import { haunt } from './nemesis.ts';
import {
  FAULT_KINDS,
  type Fault,
  type FaultKind,
  LINKS,
  type Link,
  createSchedule,
  describeFault,
} from './schedule.ts';

/** One run: instances, clients, nemesis, checker. */
export interface HistoryRun {
  readonly store: StoreName;
  readonly durationMs: number;
  /** Default: a random one. Fixes the schedule and what each client does; the interleaving stays the machine's. */
  readonly seed?: number;
  /** In place of the schedule that the seed gives. */
  readonly schedule?: readonly Fault[];
  /** Default: all. */
  readonly kinds?: readonly FaultKind[];
  /** Default: both. */
  readonly links?: readonly Link[];
  /** Default 3. */
  readonly instances?: number;
  /** Default 12. */
  readonly clients?: number;
  /** Default 2. */
  readonly tabs?: number;
  /** Program in place of the sources'. */
  readonly main?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Gets each line of the log; default: none is written. */
  readonly log?: (line: string) => void;
}

export interface HistoryResult {
  readonly seed: number;
  /** Those that began, with the instant on the scale of the operations' times. */
  readonly faults: readonly (Fault & { readonly beganMs: number })[];
  readonly operations: readonly Operation[];
  readonly judgement: Judgement;
  /** Whether every instance was back on both backends within 20 s after the last fault. */
  readonly recovered: boolean;
  /** Operations by outcome; `broken` are those of the unknown that were answered, with a status nobody expects. */
  readonly outcomes: Readonly<Record<Outcome | 'broken', number>>;
  /** Sessions that are right only because a write answered with 503 did take effect. */
  readonly refusedYetDone: number;
  /** What servers printed to standard error, which should be nothing. */
  readonly stderr: string;
}

const SETTLE = { withinMs: 20_000, everyMs: 50 };

/**
 * Runs clients against instances while the nemesis breaks things, then lets everything heal, reads each session once
 * more and checks the history.
 *
 * @throws {Error} where the instances do not start
 */
export async function runHistory(run: HistoryRun): Promise<HistoryResult> {
  const { durationMs, seed = randomInt(2 ** 31), instances: count = 3, log = () => undefined } = run;
  const schedule =
    run.schedule ??
    createSchedule({ seed, durationMs, instances: count, kinds: run.kinds ?? FAULT_KINDS, links: run.links ?? LINKS });
  log(`${run.store}: seed ${seed}, ${count} instances, ${schedule.length} faults in ${durationMs / 1000} s`);
  await using target = await startInstances({
    store: run.store,
    count,
    ...(run.main ? { main: run.main } : {}),
    ...(run.env ? { env: run.env } : {}),
  });
  await eventually(() => settled(target), { ...SETTLE, what: 'all instances on both backends' });

  const faults: (Fault & { readonly beganMs: number })[] = [];
  const begun = (fault: Fault): void => {
    faults.push({ ...fault, beganMs: performance.now() });
    log(describeFault(fault));
  };
  const recorder = new Recorder(() => performance.now());
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), durationMs);
  const workload = { seed, clients: run.clients ?? 12, tabs: run.tabs ?? 2 };
  const [lookAgain] = await Promise.all([
    runClients(target, recorder, workload, over.signal),
    haunt(target, schedule, over.signal, begun),
  ]).finally(() => {
    clearTimeout(timer);
    over.abort();
  });
  // What comes back late must show, and what never comes back too.
  const recovered = await eventually(() => settled(target), { ...SETTLE, what: 'all instances back' }).catch(
    () => false,
  );
  await lookAgain();

  const { operations } = recorder;
  const judgement = checkHistory(operations);
  return {
    seed,
    faults,
    operations,
    judgement,
    recovered,
    outcomes: outcomesOf(operations),
    refusedYetDone: checkHistory(operations.map(takeAtItsWord)).wrongSessions - judgement.wrongSessions,
    stderr: target.all.map(({ server }) => server.stderr).join(''),
  };
}

/** What a person reads after a run. */
export function describeResult(result: HistoryResult): string[] {
  const { judgement, outcomes, recovered, refusedYetDone, stderr } = result;
  const { operations, sessions, wrongSessions, violations, byKind } = judgement;
  const { ok, refused, unknown, broken } = outcomes;
  return [
    `${operations} operations (${ok} ok, ${refused} refused, ${unknown} unknown, ${broken} broken) in ${sessions} sessions`,
    ...Object.entries(byKind).map(([kind, number]) => `  ${number} × ${kind}: ${VIOLATIONS[kind as ViolationKind]}`),
    ...describeBlame(result),
    ...(refusedYetDone > 0
      ? [`  note: ${refusedYetDone} sessions in which a write that was refused with 503 took effect`]
      : []),
    ...(recovered ? [] : ['  an instance was not back on both backends 20 s after the last fault']),
    ...(stderr ? [`  standard error:\n${stderr}`] : []),
    violations.length === 0 ? 'no violation' : `${violations.length} violations in ${wrongSessions} sessions`,
  ];
}

/** The first sessions with a violation, in full. */
export function describeViolations({ judgement, operations }: HistoryResult, atMost = 3): string[] {
  const wrong = [...Map.groupBy(judgement.violations, ({ session }) => session)].slice(0, atMost);
  return wrong.flatMap(([session, violations]) => {
    const kinds = [...new Set(violations.map(({ kind }) => kind))].join(', ');
    return ['', `session ${session}: ${kinds}`, ...describeSession(operations, session)];
  });
}

/** After which fault wrong answers came: the last one that had begun, though an earlier one may have laid the ground. */
function describeBlame({ faults, judgement }: HistoryResult): string[] {
  const blamed = Map.groupBy(judgement.violations, ({ operation }) =>
    faults.findLast(({ beganMs }) => beganMs < operation.completedMs),
  );
  return [undefined, ...faults].flatMap((fault) => {
    const violations = blamed.get(fault) ?? [];
    const kinds = Map.groupBy(violations, ({ kind }) => kind);
    const counts = [...kinds].map(([kind, { length }]) => `${length} ${kind}`).join(', ');
    return violations.length === 0 ? [] : [`  after ${fault ? describeFault(fault).trim() : 'no fault'}: ${counts}`];
  });
}

function describeSession(operations: readonly Operation[], session: number): string[] {
  const own = bySession(operations).get(session) ?? [];
  const from = own[0]?.invokedMs ?? 0;
  const ms = (at: number): string => (at - from).toFixed(1).padStart(9);
  return own.map(
    ({ kind, instance, invokedMs, completedMs, outcome, seen, status }) =>
      `${ms(invokedMs)} …${ms(completedMs)} ms  instance ${instance}  ${kind.padEnd(6)} ${status} ${outcome} ${seen ?? ''}`,
  );
}

/** As if a 503 meant that nothing was done, which is what a client would like to believe. */
function takeAtItsWord(operation: Operation): Operation {
  return operation.outcome === 'refused' ? { ...operation, mayHaveHappened: false } : operation;
}

function outcomesOf(operations: readonly Operation[]): HistoryResult['outcomes'] {
  const outcomes = { ok: 0, refused: 0, unknown: 0, broken: 0 };
  for (const { outcome, status } of operations)
    outcomes[outcome === 'unknown' && status !== 0 ? 'broken' : outcome] += 1;
  return outcomes;
}
