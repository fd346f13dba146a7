/** How a handler ended. */
export type RunOutcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: Error };

/** Which run of which job: an id can be used again, and each attempt is a run of its own. */
export interface RunOf {
  readonly queue: string;
  readonly id: string;
  /** BullMQ's creation time of the job. */
  readonly timestamp: number;
  /** Attempts that ended before this one. */
  readonly attemptsMade: number;
}

/** A run that Redis has not been told of. */
export interface EndedRun {
  readonly run: RunOf;
  /** BullMQ's lock token under which the job was taken. */
  readonly token: string;
  readonly outcome: RunOutcome;
}

/** Ended runs that are remembered; beyond it the oldest is forgotten and would run again. */
const MAX_ENDED = 1_000;

/**
 * The handlers that run in this process, each job at most once at a time.
 *
 * When Redis goes, BullMQ cannot be told how a job ended, and hands the job out again after its lock
 * has run out. Here it then joins the run under way, or gets the outcome that could not be told.
 */
export class Runs {
  readonly counters = { completed: 0, failed: 0 };
  readonly #running = new Map<string, Promise<RunOutcome>>();
  readonly #ended = new Map<string, EndedRun>();

  get running(): number {
    return this.#running.size;
  }

  /**
   * Runs `handler`, unless this very run is under way or has ended untold.
   *
   * @throws what the handler threw, as an Error
   */
  async run(run: RunOf, token: string, handler: () => unknown): Promise<unknown> {
    const key = keyOf(run);
    const outcome = this.#ended.get(key)?.outcome ?? (await (this.#running.get(key) ?? this.#start(key, handler)));
    this.#remember(key, { run, token, outcome });
    if (outcome.ok) return outcome.value;
    throw outcome.error;
  }

  /** Redis knows how this run ended. */
  told(run: RunOf): void {
    this.#ended.delete(keyOf(run));
  }

  /** The runs of a queue that ended without Redis being told. */
  untold(queue: string): EndedRun[] {
    return [...this.#ended.values()].filter(({ run }) => run.queue === queue);
  }

  #start(key: string, handler: () => unknown): Promise<RunOutcome> {
    const flight = outcomeOf(handler).then((outcome) => {
      this.#running.delete(key);
      this.counters[outcome.ok ? 'completed' : 'failed'] += 1;
      return outcome;
    });
    this.#running.set(key, flight);
    return flight;
  }

  #remember(key: string, ended: EndedRun): void {
    this.#ended.delete(key);
    this.#ended.set(key, ended);
    if (this.#ended.size <= MAX_ENDED) return;
    for (const oldest of this.#ended.keys()) {
      this.#ended.delete(oldest);
      return;
    }
  }
}

async function outcomeOf(handler: () => unknown): Promise<RunOutcome> {
  try {
    return { ok: true, value: await handler() };
  } catch (error) {
    // BullMQ reads `message` of whatever was thrown, and stops over a job that threw undefined.
    return { ok: false, error: error instanceof Error ? error : new Error(String(error)) };
  }
}

function keyOf({ queue, id, timestamp, attemptsMade }: RunOf): string {
  return `${queue}:${timestamp}:${attemptsMade}:${id}`;
}
