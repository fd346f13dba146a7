import type { Config } from '../../config/schema.ts';
import { OPERATOR_EVENTS } from '../events.ts';
import { sectionOf } from '../section.ts';
import { classify, errorOf } from './errors.ts';
import type { RecordedTransition } from './read-record.ts';

/** A script as its file holds it: durations are texts. */
export interface ScriptFile {
  readonly title: string;
  readonly description: string;
  readonly seed: number;
  readonly duration: string;
  readonly calls: {
    readonly ratePerSecond: number;
    readonly changes: readonly { at: string; ratePerSecond: number }[];
  };
  readonly redis: readonly object[];
  readonly postgres: readonly object[];
  readonly machines: Readonly<Record<string, readonly object[]>>;
  readonly operator: readonly object[];
  readonly reconcile: readonly object[];
}

interface Change {
  readonly atMs: number;
  readonly entry: Readonly<Record<string, unknown>>;
}

/** What a script is put together from. */
interface Parts {
  readonly weather: Map<string, Change[]>;
  readonly rates: { readonly atMs: number; readonly ratePerSecond: number }[];
  readonly operator: object[];
  readonly reconcile: object[];
  /** Recoveries so far, by machine. */
  readonly attempts: Map<string, number>;
}

/** One transition on the script's time, with the one before it of the same machine. */
interface Step extends RecordedTransition {
  readonly before: RecordedTransition | undefined;
  /** As recorded, before anything was stretched. */
  readonly spentMs: number;
}

/** What one transition says: the weather, and how long before it that must have begun to be noticed by then. */
interface Evidence {
  readonly leadMs: number;
  readonly entry?: Change['entry'];
  /** Simulated callers from the weather's begin to the transition. */
  readonly ratePerSecond?: number;
}

/** What follows the last transition, so that the simulation, a little later than the record, can end too. */
const TAIL_MS = 5000;

/** A record that begins in the middle of a run is preceded by this. */
const LEAD_IN_MS = 5000;

/** Enough to fill the window with calls of one kind before the probes have spoken. */
const BUSY_RATE = 200;

/** A broken connection is confirmed by a probe at once, or this long after the last one. */
const CONFIRM_MS = 60;

/**
 * Makes a script out of a real run: each transition, with its event and reason, says what the weather
 * was and, by the thresholds that led there, from when on at the latest.
 *
 * Where a transition followed the one before it sooner than the thresholds can be sure to notice (a call
 * may fail a millisecond after a recovery, a probe comes every 250 ms), the time between is stretched:
 * order is kept before time.
 *
 * @param recorded - in order of time
 * @param config - of the run, or as near to it as is known
 */
export function scriptOf(recorded: readonly RecordedTransition[], config: Config, title: string): ScriptFile {
  const parts: Parts = { weather: new Map(), rates: [], operator: [], reconcile: [], attempts: new Map() };
  const last = new Map<string, RecordedTransition>();
  const lastRaw = new Map<string, number>();
  let stretchedMs = recorded.some((each, i) => startsLate(each, recorded.slice(0, i))) ? LEAD_IN_MS : 0;
  for (const each of recorded) {
    const { machine } = each;
    const before = last.get(machine) ?? leadIn(each, parts);
    const spentMs = each.atMs - (lastRaw.get(machine) ?? 0);
    const evidence = evidenceOf(each, before, spentMs, config);
    // A hold-down that ended just before the recorded probe may end just after the simulated one: one probe later.
    const slackMs = before?.event === 'reconcile.finished' ? sectionOf(config, machine).probe.everyMs : 0;
    const earliestMs = (before?.atMs ?? -Infinity) + evidence.leadMs + slackMs + 2;
    stretchedMs += Math.max(0, earliestMs - (each.atMs + stretchedMs));
    const step: Step = { ...each, atMs: each.atMs + stretchedMs, before, spentMs };
    add(step, evidence, parts);
    last.set(machine, step);
    lastRaw.set(machine, each.atMs);
  }
  const lastMs = Math.max(0, ...[...last.values()].map(({ atMs }) => atMs));
  const weather = [...parts.weather].map(([machine, changes]) => [machine, inOrder(changes)] as const);
  const { redis = [], postgres = [], ...machines } = Object.fromEntries(weather);
  return {
    title,
    description: 'Made from a recorded run.',
    seed: 1,
    duration: time(lastMs + TAIL_MS),
    // Without a sign of calls none are made: probes alone then lead to the recorded events.
    calls: {
      ratePerSecond: 0,
      changes: parts.rates
        .toSorted((a, b) => a.atMs - b.atMs)
        .map(({ atMs, ratePerSecond }) => ({ at: time(atMs), ratePerSecond })),
    },
    redis,
    postgres,
    machines,
    operator: parts.operator,
    reconcile: parts.reconcile,
  };
}

/** Whether a machine's first transition needs one before it, which the record no longer holds. */
function startsLate({ machine, event, from }: RecordedTransition, earlier: readonly RecordedTransition[]): boolean {
  if (earlier.some((each) => each.machine === machine)) return false;
  return (
    event.startsWith('reconcile.') || event.startsWith('calls.') || event === `${machine}.lost` || from.includes('.')
  );
}

/** Puts a record that begins late where its first transition can happen. */
function leadIn(first: RecordedTransition, { weather, attempts }: Parts): RecordedTransition | undefined {
  if (!startsLate(first, [])) return undefined;
  const isDown = first.from.includes('.');
  // The lead-in itself recovers once, unless that recovery is where the record begins.
  if (!isDown && !first.event.startsWith('reconcile.')) attempts.set(first.machine, 1);
  weather.set(first.machine, [{ atMs: 0, entry: isDown ? { is: 'down' } : { is: 'up' } }]);
  return { ...first, event: isDown ? 'probe.failed' : 'reconcile.finished', atMs: LEAD_IN_MS / 2 };
}

function evidenceOf(
  { event, code, machine }: RecordedTransition,
  before: RecordedTransition | undefined,
  spentMs: number,
  config: Config,
): Evidence {
  const { probe, detect } = sectionOf(config, machine);
  const callMs = machine === 'postgres' ? config.postgres.deadlineMs : config.redis.deadlineMs;
  const isUsed = before?.event === 'reconcile.finished';
  const fillMs = (2 * detect.minimumCalls * 1000) / BUSY_RATE;
  if (OPERATOR_EVENTS.includes(event) || event.startsWith('reconcile.')) return { leadMs: 0 };
  if (event === 'probe.passed') {
    const neededMs = (detect.successesToRecover - 1) * probe.everyMs + probe.backoffMaxMs;
    // A refused password is tried slowly, and the longer it is refused, the more so.
    const patientMs = before?.event === 'probe.refused' ? Math.min(probe.refusedBackoffMaxMs, spentMs) : 0;
    return { leadMs: Math.max(neededMs, patientMs), entry: { is: 'up' } };
  }
  if (event === 'calls.slow') {
    const latencyMs = (detect.slowCallMs + callMs) / 2;
    const entry = { is: 'slow', latency: time(latencyMs) };
    return { leadMs: latencyMs + fillMs, entry, ratePerSecond: BUSY_RATE };
  }
  if (event === 'calls.failing') {
    return { leadMs: callMs + fillMs, entry: { is: 'gray', share: 1 }, ratePerSecond: BUSY_RATE };
  }
  if (event === 'probe.slowed') {
    const latencyMs = (detect.slowCallMs + probe.deadlineMs) / 2;
    const entry = { is: 'slow', latency: time(latencyMs) };
    if (isUsed) return { leadMs: (detect.slowProbesToTrip + 1) * (latencyMs + probe.everyMs), entry };
    return { leadMs: probe.backoffMaxMs + 2 * latencyMs, entry };
  }
  const entry = weatherFor(code, machine);
  const isSilent = entry['is'] === 'frozen';
  if (!isUsed) {
    // While it is reconciled a break would end that first; silence leaves it to the probe.
    const isRecovering = before?.event === 'probe.passed';
    const leadMs = (isRecovering ? probe.everyMs : probe.backoffMaxMs) + probe.deadlineMs;
    return { leadMs, entry: isRecovering && entry['is'] === 'down' ? { is: 'frozen' } : entry };
  }
  if (isSilent && event === `${machine}.lost`) {
    // A few calls are what accuses a backend that is silent; many would fill the window first.
    const leadMs = callMs + probe.deadlineMs + CONFIRM_MS;
    return { leadMs, entry, ratePerSecond: Math.max(1, Math.floor((detect.minimumCalls * 500) / leadMs)) };
  }
  if (isSilent) return { leadMs: (detect.failuresToTrip + 1) * (probe.deadlineMs + probe.everyMs), entry };
  if (entry['is'] === 'loading') return { leadMs: (detect.failuresToTrip + 1) * probe.everyMs, entry };
  return { leadMs: entry['is'] === 'readOnly' ? probe.everyMs + CONFIRM_MS : CONFIRM_MS, entry };
}

function add(step: Step, { leadMs, entry, ratePerSecond }: Evidence, parts: Parts): void {
  const { machine, event, code, atMs, before, spentMs } = step;
  if (OPERATOR_EVENTS.includes(event)) parts.operator.push({ at: time(atMs), machine, event });
  // How long this recovery took: a whole one as recorded, one that was cut short longer than that.
  if (before?.event === 'probe.passed' || event.startsWith('reconcile.')) {
    const attempt = (parts.attempts.get(machine) ?? 0) + 1;
    parts.attempts.set(machine, attempt);
    const takes = time(event.startsWith('reconcile.') ? Math.max(1, spentMs - 4) : leadMs + spentMs + 1000);
    parts.reconcile.push({ attempt, machine, takes, ...(event === 'reconcile.failed' ? { code } : {}) });
  }
  if (!entry) return;
  const changes = parts.weather.get(machine) ?? [];
  parts.weather.set(machine, changes);
  const beganMs = before ? Math.max(before.atMs + 1, atMs - leadMs) : 0;
  changes.push({ atMs: beganMs, entry });
  if (ratePerSecond !== undefined) {
    parts.rates.push({ atMs: beganMs, ratePerSecond }, { atMs: atMs + 1, ratePerSecond: 0 });
  }
}

/** The weather in which a code is met. */
function weatherFor(code: string, machine: string): Readonly<Record<string, unknown>> {
  const postgres = machine === 'postgres';
  const { kind, code: known } = classify(errorOf(code, postgres), postgres);
  if (kind === 'timeout' || known !== code) return { is: 'frozen' };
  if (kind === 'writeRefused') return { is: 'readOnly', code };
  if (kind === 'refused') return { is: 'refused', code };
  // What the server says itself comes over open connections; the rest means that there are none.
  if (/^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|[0-9][0-9A-Z]{4})$/.test(code)) return { is: 'loading', code };
  return { is: 'down', ...(code === 'CONNECTION_CLOSED' ? {} : { code }) };
}

/** Ascending, the later of two at one time; equal neighbours are one. */
function inOrder(changes: readonly Change[]): readonly object[] {
  const kept: { ms: number; entry: Change['entry'] }[] = [];
  for (const { atMs, entry } of changes) {
    const ms = Math.max(0, Math.round(atMs));
    while ((kept.at(-1)?.ms ?? -1) >= ms) kept.pop();
    if (JSON.stringify(kept.at(-1)?.entry) !== JSON.stringify(entry)) kept.push({ ms, entry });
  }
  return kept.map(({ ms, entry }) => ({ at: time(ms), ...entry }));
}

function time(ms: number): string {
  return `${Math.max(0, Math.round(ms))}ms`;
}
