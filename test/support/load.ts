/** What a load sends, how fast, and what counts as a failure. */
export interface LoadStart<T> {
  readonly ratePerSecond: number;
  /** One request; `index` counts from 0. Its rejection is a failure, never unhandled. */
  readonly request: (index: number) => Promise<T>;
  /** Whether an answer is a failure, such as a status ≥ 500; default: no answer is. */
  readonly failed?: (answer: T) => boolean;
  /** Requests in flight beyond which new ones are not sent but counted as `shed`; default 10,000. */
  readonly maxInFlight?: number;
  /** Requests after which it stops by itself; default and bound 1,000,000. */
  readonly maxRequests?: number;
}

/** One request. `settled: false` is one that was still unanswered when the load ended. */
export interface LoadSample<T> {
  readonly index: number;
  /** On `performance.now()`'s scale. */
  readonly startedMs: number;
  /** Until it settled, or for an unsettled one until the load ended. */
  readonly latencyMs: number;
  readonly settled: boolean;
  readonly failed: boolean;
  readonly answer?: T;
  readonly error?: unknown;
}

/** What a load saw; latencies in milliseconds, of all samples, the unsettled included. */
export interface LoadSummary<T> {
  readonly count: number;
  readonly failures: number;
  readonly unsettled: number;
  readonly shed: number;
  readonly maxMs: number;
  readonly p50: number;
  readonly p99: number;
  /** In the order of sending. */
  readonly samples: readonly LoadSample<T>[];
  /** How many took longer than `ms`. */
  over(ms: number): number;
  /** The summary of the requests begun between two instants of `performance.now()`. */
  between(fromMs: number, toMs: number): LoadSummary<T>;
}

const MAX_REQUESTS = 1_000_000;
const TICK_MS = 5;

/** Starts a load that is paced by the clock and not by the answers: a slow server gets no fewer requests. */
export function startLoad<T>(start: LoadStart<T>): Load<T> {
  return new Load(start);
}

/** A running load; made by `startLoad()`. */
export class Load<T> implements AsyncDisposable {
  readonly #start: LoadStart<T>;
  readonly #samples: (LoadSample<T> | undefined)[] = [];
  readonly #inFlight = new Map<number, { readonly startedMs: number; readonly settling: Promise<void> }>();
  readonly #beganMs = performance.now();
  readonly #ticker: NodeJS.Timeout;
  #scheduled = 0;
  #shed = 0;
  #summary: Promise<LoadSummary<T>> | undefined;

  constructor(start: LoadStart<T>) {
    this.#start = start;
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Requests sent so far. */
  get count(): number {
    return this.#samples.length;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** What was seen so far, without the requests in flight. */
  peek(): LoadSummary<T> {
    return summarise(
      this.#samples.filter((sample) => sample !== undefined),
      this.#shed,
    );
  }

  /** Sends no more and waits up to `graceMs` (default 5,000) for what is in flight; the rest counts as unsettled. */
  stop(graceMs = 5_000): Promise<LoadSummary<T>> {
    this.#summary ??= this.#finish(graceMs);
    return this.#summary;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(0);
  }

  #tick(): void {
    const { ratePerSecond, maxInFlight = 10_000, maxRequests = MAX_REQUESTS } = this.#start;
    const due = Math.floor(((performance.now() - this.#beganMs) / 1_000) * ratePerSecond);
    for (; this.#scheduled < due; this.#scheduled++) {
      if (this.#samples.length >= Math.min(maxRequests, MAX_REQUESTS)) return clearInterval(this.#ticker);
      if (this.#inFlight.size < maxInFlight) this.#send(this.#samples.push(undefined) - 1);
      else this.#shed++;
    }
  }

  #send(index: number): void {
    const startedMs = performance.now();
    const settling = this.#observe(index, startedMs);
    this.#inFlight.set(index, { startedMs, settling });
  }

  async #observe(index: number, startedMs: number): Promise<void> {
    const { request, failed } = this.#start;
    let outcome: Pick<LoadSample<T>, 'failed' | 'answer' | 'error'>;
    try {
      const answer = await request(index);
      outcome = { answer, failed: failed?.(answer) ?? false };
    } catch (error) {
      outcome = { error, failed: true };
    }
    const latencyMs = performance.now() - startedMs;
    this.#inFlight.delete(index);
    this.#samples[index] ??= { index, startedMs, latencyMs, settled: true, ...outcome };
  }

  async #finish(graceMs: number): Promise<LoadSummary<T>> {
    clearInterval(this.#ticker);
    let timer: NodeJS.Timeout | undefined;
    const expired = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([Promise.all([...this.#inFlight.values()].map(({ settling }) => settling)), expired]);
    clearTimeout(timer);
    const nowMs = performance.now();
    for (const [index, { startedMs }] of this.#inFlight) {
      this.#samples[index] = { index, startedMs, latencyMs: nowMs - startedMs, settled: false, failed: true };
    }
    return this.peek();
  }
}

function summarise<T>(samples: readonly LoadSample<T>[], shed: number): LoadSummary<T> {
  const latencies = samples.map(({ latencyMs }) => latencyMs).toSorted((a, b) => a - b);
  const quantile = (q: number): number => latencies[Math.max(0, Math.ceil(latencies.length * q) - 1)] ?? 0;
  return {
    count: samples.length,
    failures: samples.filter(({ failed }) => failed).length,
    unsettled: samples.filter(({ settled }) => !settled).length,
    shed,
    maxMs: latencies.at(-1) ?? 0,
    p50: quantile(0.5),
    p99: quantile(0.99),
    samples,
    over: (ms) => latencies.filter((latencyMs) => latencyMs > ms).length,
    between: (fromMs, toMs) =>
      summarise(
        samples.filter(({ startedMs }) => startedMs >= fromMs && startedMs < toMs),
        0,
      ),
  };
}
