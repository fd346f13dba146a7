import { type Backoff, nextBackoffMs } from '../core/backoff.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { type HoldDownPolicy, NO_HOLD_DOWN, holdDownLeftMs, isFlapping, nextHoldDown } from '../core/hold-down.ts';
import type { LoopLag } from '../core/loop-lag.ts';
import type { Outcome, OutcomeKind } from '../core/outcome.ts';
import { SlidingWindow } from '../core/window.ts';
import type { EventType, MachineEvent } from './events.ts';
import { reasonFor } from './reasons.ts';

/** The numbers of the detector; all from the machine's section of the configuration. */
export interface DetectorPolicy {
  readonly everyMs: number;
  readonly backoff: Backoff;
  /** Backoff in states tagged `patient`. */
  readonly patientBackoff: Backoff;
  readonly windowMs: number;
  readonly minimumCalls: number;
  readonly failureRatio: number;
  readonly slowCallMs: number;
  readonly slowCallRatio: number;
  readonly loopLagMs: number;
  readonly holdDown: HoldDownPolicy;
}

export interface DetectorOptions {
  readonly policy: DetectorPolicy;
  /** One full probe that ends by its own deadline. */
  readonly probe: (signal: AbortSignal) => Promise<{ readonly latencyMs: number }>;
  readonly classify: (error: unknown) => { readonly kind: OutcomeKind; readonly code: string };
  /** The event for a loss that a probe has confirmed. */
  readonly lostEvent: EventType;
  readonly send: (event: MachineEvent) => void;
  readonly loopLag: LoopLag;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Least time between two confirming probes: a storm of failing calls must not become one of probes. */
const CONFIRM_EVERY_MS = 50;

/**
 * Each backoff counts its own: a first refusal is tried again soon however long Redis was
 * unreachable before, and a reset between two refusals does not make the third a first one.
 */
const NO_WAITS: Readonly<Record<'backoff' | 'patientBackoff', number>> = { backoff: 0, patientBackoff: 0 };

/** The probe event for each way in which a probe can fail. */
const FAILED_PROBE: Readonly<Record<Exclude<OutcomeKind, 'ok'>, EventType>> = {
  application: 'probe.failed',
  timeout: 'probe.failed',
  lost: 'probe.failed',
  refused: 'probe.refused',
  writeRefused: 'probe.writeRefused',
};

/**
 * Turns probes and the outcomes of every call into a machine's events.
 *
 * One probe runs at a time. While the dependency is used it runs every `everyMs`, otherwise with
 * backoff and jitter, which only a passed probe resets. An outcome that accuses the backend
 * (`suspect`) starts a probe at once; if that fails too, the loss is confirmed and sent as
 * `lostEvent`, else it is forgotten. Failure and slow-call ratios are counted over a sliding window.
 *
 * Samples from a time in which our own event loop was blocked are voided: five late replies after
 * an 800 ms pause of ours say nothing about the backend.
 */
export class Detector {
  readonly #options: DetectorOptions;
  #policy: DetectorPolicy;
  #window: SlidingWindow;
  readonly #stopping = new AbortController();
  #tags: ReadonlySet<string> = new Set();
  #timer: Timer | undefined;
  #nextProbeAt: number | null = null;
  #probing = false;
  #lastProbeAt = Number.NEGATIVE_INFINITY;
  #lastProbeSlow = false;
  #suspect: string | undefined;
  /** Waits since the last passed probe. */
  #waits = NO_WAITS;
  #count: { readonly type: EventType; readonly count: number } | undefined;
  #holdDown = NO_HOLD_DOWN;

  constructor(options: DetectorOptions) {
    this.#options = options;
    this.#policy = options.policy;
    this.#window = new SlidingWindow(options.policy.windowMs);
  }

  /** Monotonic milliseconds of the next planned probe; `null` while one runs or none is planned. */
  get nextProbeAt(): number | null {
    return this.#nextProbeAt;
  }

  get flapping(): boolean {
    return isFlapping(this.#holdDown, this.#policy.holdDown, this.#options.clock.now());
  }

  /** Begins with a probe at once. */
  start(): void {
    this.#schedule(0);
  }

  /** No probe starts after this; one that runs is aborted and its result dropped. */
  stop(): void {
    this.#stopping.abort();
    this.#cancel();
  }

  /** Other numbers from now on; what was counted under the old ones is forgotten. */
  setPolicy(policy: DetectorPolicy): void {
    this.#policy = policy;
    this.#window = new SlidingWindow(policy.windowMs);
  }

  /** Takes the state that the machine is in now, by its tags. */
  follow(tags: ReadonlySet<string>): void {
    const { clock } = this.#options;
    const policy = this.#policy;
    const wasUsed = this.#tags.has('usable') || this.#tags.has('recovering');
    const isUsed = tags.has('usable') || tags.has('recovering');
    const wasUnprobed = this.#tags.has('unprobed');
    this.#tags = tags;
    if (wasUsed && !isUsed) {
      this.#holdDown = nextHoldDown(this.#holdDown, policy.holdDown, clock.now());
    }
    if (tags.has('usable')) this.#window.clear();
    if (tags.has('unprobed')) this.#cancel();
    else if (wasUnprobed) this.#schedule(0);
  }

  /** Takes the outcome of one call. */
  observe(outcome: Outcome): void {
    const { clock } = this.#options;
    const policy = this.#policy;
    const { kind, durationMs, voided, code } = outcome;
    const failed = kind !== 'ok' && kind !== 'application';
    const slow = durationMs > policy.slowCallMs;
    if (!failed && !slow) {
      this.#window.add(clock.now(), false, false);
      return;
    }
    if (voided || this.#lagged(clock.now() - durationMs)) return;
    this.#window.add(clock.now(), failed, slow);
    if (failed) this.suspect(code ?? kind);
    this.#judgeWindow();
  }

  /** Something accuses the backend (a broken connection, a failed call): one probe decides, at once. */
  suspect(code: string): void {
    this.#suspect = code;
    if (this.#tags.has('usable') || this.#tags.has('recovering')) this.#schedule(this.#confirmDelayMs());
  }

  #confirmDelayMs(): number {
    return Math.max(0, this.#lastProbeAt + CONFIRM_EVERY_MS - this.#options.clock.now());
  }

  #judgeWindow(): void {
    if (!this.#tags.has('usable')) return;
    const { clock } = this.#options;
    const policy = this.#policy;
    const { calls, failed, slow } = this.#window.totals(clock.now());
    if (calls < policy.minimumCalls) return;
    const failing = failed / calls >= policy.failureRatio;
    // Calls that miss their deadline while probes pass slowly are slow, not lost.
    if (failing && !this.#lastProbeSlow) this.#send('calls.failing');
    else if (failing || slow / calls >= policy.slowCallRatio) this.#send('calls.slow');
  }

  #lagged(startedAt: number): boolean {
    return this.#options.loopLag.since(startedAt) > this.#policy.loopLagMs;
  }

  async #run(): Promise<void> {
    if (this.#probing || this.#stopping.signal.aborted) return;
    this.#probing = true;
    this.#nextProbeAt = null;
    const { clock, probe } = this.#options;
    const policy = this.#policy;
    const startedAt = clock.now();
    let waitMs = policy.everyMs;
    try {
      const { latencyMs } = await probe(this.#stopping.signal);
      if (!this.#stopping.signal.aborted) this.#passed(latencyMs, startedAt);
    } catch (error) {
      if (!this.#stopping.signal.aborted) waitMs = this.#failed(error, startedAt);
    } finally {
      this.#lastProbeAt = clock.now();
      this.#probing = false;
      if (!this.#tags.has('unprobed')) this.#schedule(this.#suspect === undefined ? waitMs : CONFIRM_EVERY_MS);
    }
  }

  #passed(latencyMs: number, startedAt: number): void {
    this.#waits = NO_WAITS;
    this.#suspect = undefined;
    const slow = latencyMs > this.#policy.slowCallMs;
    if (slow && this.#lagged(startedAt)) return;
    this.#lastProbeSlow = slow;
    this.#send(slow ? 'probe.slowed' : 'probe.passed');
  }

  /** @returns milliseconds until the next probe */
  #failed(error: unknown, startedAt: number): number {
    const { classify, random, lostEvent } = this.#options;
    const policy = this.#policy;
    const { kind, code } = classify(error);
    if (kind === 'timeout' && this.#lagged(startedAt)) return CONFIRM_EVERY_MS;
    this.#lastProbeSlow = false;
    const confirmed = this.#suspect !== undefined;
    this.#suspect = undefined;
    const name = this.#tags.has('patient') ? 'patientBackoff' : 'backoff';
    const waitMs = nextBackoffMs(policy[name], this.#waits[name], random);
    this.#waits = { ...this.#waits, [name]: this.#waits[name] + 1 };
    const type = FAILED_PROBE[kind === 'ok' ? 'lost' : kind];
    if (confirmed && type === 'probe.failed') this.#send(lostEvent, code);
    this.#send(type, code);
    // In use, one failed probe may be an accident: look again soon, not after a backoff.
    return this.#tags.has('usable') ? Math.min(waitMs, policy.everyMs) : waitMs;
  }

  #send(type: EventType, code?: string): void {
    const { clock, send } = this.#options;
    const policy = this.#policy;
    if (type.startsWith('probe.')) {
      this.#count = { type, count: this.#count?.type === type ? this.#count.count + 1 : 1 };
    }
    const heldMs = holdDownLeftMs(this.#holdDown, policy.holdDown, clock.now());
    const count = this.#count?.type === type ? this.#count.count : 1;
    send({ type, count, heldMs, ...(code === undefined ? {} : { reason: reasonFor(code) }) });
  }

  #schedule(waitMs: number): void {
    if (this.#stopping.signal.aborted || this.#probing) return;
    const { clock } = this.#options;
    const dueAt = clock.now() + waitMs;
    // An earlier plan stands: a storm of suspicions must not push the probe away.
    if (this.#nextProbeAt !== null && this.#nextProbeAt <= dueAt) return;
    this.#cancel();
    this.#nextProbeAt = dueAt;
    this.#timer = clock.setTimeout(() => void this.#run(), waitMs);
  }

  #cancel(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#nextProbeAt = null;
  }
}
