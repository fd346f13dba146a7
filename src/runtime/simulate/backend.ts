import { type Clock, sleep } from '../../core/clock.ts';
import type { OutcomeKind } from '../../core/outcome.ts';
import type { Probed } from '../runner.ts';
import { classify, errorOf } from './errors.ts';
import type { ReconcileEntry } from './script.ts';
import { type Answer, Forecast, type Purpose, type Segment, meet } from './weather.ts';

export interface SimulatedBackendOptions {
  readonly id: string;
  readonly segments: readonly Segment[];
  readonly probeDeadlineMs: number;
  readonly connectTimeoutMs: number;
  readonly reconcile: readonly ReconcileEntry[];
  readonly clock: Clock;
  readonly random: () => number;
}

/** How long reconciling takes where a script says nothing. */
const RECONCILE_MS = 20;

/** The dependency of one machine, as the weather of the script makes it behave. */
export class SimulatedBackend implements Probed {
  readonly #options: SimulatedBackendOptions;
  readonly #forecast: Forecast;
  readonly #postgres: boolean;
  #probeOpenSince: number | undefined;
  #attempts = 0;

  constructor(options: SimulatedBackendOptions) {
    this.#options = options;
    this.#forecast = new Forecast(options.segments);
    this.#postgres = options.id === 'postgres';
  }

  /** The weather now. */
  get segment(): Segment {
    return this.#forecast.at(this.#options.clock.now());
  }

  async probe(signal: AbortSignal): Promise<{ readonly latencyMs: number }> {
    const { clock, probeDeadlineMs } = this.#options;
    const openSince = this.#probeOpenSince;
    const isOpen = openSince !== undefined && !this.#forecast.brokeBetween(openSince, clock.now());
    const answer = this.ask('probe', probeDeadlineMs, isOpen ? 1 : 2);
    await sleep(clock, answer.endsAtMs - clock.now(), signal);
    // A probe that fails throws its connection away.
    this.#probeOpenSince = answer.kind === 'ok' ? (isOpen ? openSince : clock.now()) : undefined;
    if (answer.kind !== 'ok') throw errorOf(answer.code, this.#postgres);
    return { latencyMs: answer.latencyMs };
  }

  classify(error: unknown): { readonly kind: OutcomeKind; readonly code: string } {
    return classify(error, this.#postgres);
  }

  /** What becomes of one operation that begins now. */
  ask(purpose: Purpose, deadlineMs: number, rounds = 1): Answer {
    const { clock, random } = this.#options;
    return meet(this.#forecast, { atMs: clock.now(), purpose, deadlineMs, rounds }, random);
  }

  /** Connects, and takes as long as the script says; what the weather breaks meanwhile fails. */
  async reconcile(signal: AbortSignal): Promise<void> {
    const { clock, connectTimeoutMs } = this.#options;
    this.#attempts += 1;
    const connecting = this.ask('read', connectTimeoutMs, 2);
    await sleep(clock, connecting.endsAtMs - clock.now(), signal);
    if (connecting.kind !== 'ok') throw errorOf(connecting.code, this.#postgres);
    const { takesMs, code } = this.#reconcileNow();
    const work = this.ask('read', Number.POSITIVE_INFINITY);
    const endsAtMs = work.kind === 'ok' ? Math.max(work.endsAtMs, clock.now() + takesMs) : work.endsAtMs;
    const breaksAtMs = this.#nextBreak(endsAtMs);
    await sleep(clock, (breaksAtMs ?? endsAtMs) - clock.now(), signal);
    if (signal.aborted) return;
    if (breaksAtMs !== undefined) throw errorOf('CONNECTION_CLOSED', this.#postgres);
    if (work.kind !== 'ok') throw errorOf(work.code, this.#postgres);
    if (code !== undefined) throw errorOf(code, this.#postgres);
  }

  #reconcileNow(): { readonly takesMs: number; readonly code?: string } {
    const { reconcile, id, clock } = this.#options;
    const now = clock.now();
    const own = reconcile.filter(({ machine }) => machine === id);
    return (
      own.find(({ attempt }) => attempt === this.#attempts) ??
      own.findLast(({ attempt, atMs }) => attempt === undefined && atMs <= now) ?? { takesMs: RECONCILE_MS }
    );
  }

  #nextBreak(endsAtMs: number): number | undefined {
    const now = this.#options.clock.now();
    return this.#options.segments.find(({ breaks, fromMs }) => breaks && fromMs > now && fromMs <= endsAtMs)?.fromMs;
  }
}
