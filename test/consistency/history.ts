/** What a client asks of one session. */
export type OpKind = 'login' | 'read' | 'visit' | 'logout';

/**
 * What the client learned.
 *
 * - `ok`: an answer that claims to be true, 401 included.
 * - `refused`: an honest no with 409 or 503; see {@link Operation.mayHaveHappened}.
 * - `unknown`: no answer, a broken one, or any other status.
 */
export type Outcome = 'ok' | 'refused' | 'unknown';

/** What a session was seen to be: its number of visits, or gone, which is a 401. */
export type Seen = number | 'gone';

/** One operation of the history. Times are milliseconds of one monotonic clock, since all clients share a process. */
export interface Operation {
  readonly id: number;
  /** Number of the login that made the session; no cookie is ever recorded. */
  readonly session: number;
  readonly kind: OpKind;
  /** Index of the instance that was asked. */
  readonly instance: number;
  readonly invokedMs: number;
  readonly completedMs: number;
  readonly outcome: Outcome;
  /** Whether a write that was not acknowledged may still take effect, at any later time. */
  readonly mayHaveHappened: boolean;
  /** Where the outcome is `ok` and the kind is not `logout`. */
  readonly seen?: Seen;
  /** HTTP status, or 0 without an answer. */
  readonly status: number;
}

/** What a client knows when an operation ends. */
export type Completion = Pick<Operation, 'outcome' | 'mayHaveHappened' | 'seen' | 'status'>;

/** Writes operations down as they complete; bounded, so that a long run cannot eat the memory. */
export class Recorder {
  readonly operations: Operation[] = [];
  readonly #now: () => number;
  readonly #max: number;
  #nextId = 0;
  #nextSession = 0;

  /** @param max - operations after which {@link full} is true; default 2,000,000 */
  constructor(now: () => number, max = 2_000_000) {
    this.#now = now;
    this.#max = max;
  }

  get full(): boolean {
    return this.#nextId >= this.#max;
  }

  newSession(): number {
    return (this.#nextSession += 1);
  }

  /** Runs `work` as one operation and records it whatever happens; `work` must not reject. */
  async run(
    what: Pick<Operation, 'session' | 'kind' | 'instance'>,
    work: () => Promise<Completion>,
  ): Promise<Completion> {
    const id = (this.#nextId += 1);
    const invokedMs = this.#now();
    const completion = await work();
    this.operations.push({ id, ...what, invokedMs, completedMs: this.#now(), ...completion });
    return completion;
  }
}

/** The history by session, each in the order of invocation. */
export function bySession(operations: readonly Operation[]): Map<number, Operation[]> {
  const sessions = new Map<number, Operation[]>();
  for (const operation of operations) {
    const own = sessions.get(operation.session);
    if (own) own.push(operation);
    else sessions.set(operation.session, [operation]);
  }
  for (const own of sessions.values()) own.sort((a, b) => a.invokedMs - b.invokedMs || a.id - b.id);
  return sessions;
}
