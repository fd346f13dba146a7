// The protocol.
//
// While Redis cannot carry it, what an instance has changed reaches the others through a table of PostgreSQL, which
// every one of them asks in short turns. No LISTEN: a NOTIFY says nothing of itself when its connection has gone
// silent, while a poll that was answered proves that nothing before it is missing. So there is nothing to lose and to
// find out about, and `heardAt` is a lease like any other.
//
//   apart    An instance without Redis lists itself, and renews the listing; whoever works with Redis tells its
//            changes here too as long as somebody else is listed, those of the last moments included. It ends its
//            listing when Redis has everything that it told; so what is read of one that is not listed is in Redis.
//   order    Writers take turns by an advisory lock, so ids become visible in their order.
//   floor    Messages that are deleted raise the floor. A reader that has not come so far has missed some: `onGap`.
//            Those of an instance that is apart stay until it is back, for those who join meanwhile.
//   all      Too much to tell becomes one message: everything may have changed.
//   died     A listing that runs out is an instance that ended before it could bring its changes to Redis: `onDied`.
//            It is taken away by `bury`, after whatever makes up for that.

import type { SqlBackend } from '../backends/types.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { BusListeners, Change, Everything } from './bus-news.ts';
import { BURY, COLLAPSE, CREATE, PART, POLL, PUBLISH, REJOIN, TRIM } from './bus-statements.ts';

export interface BusOptions {
  readonly sql: SqlBackend;
  readonly clock: Clock;
  readonly sender: string;
  /** Time between two polls; half of it while somebody is apart. */
  readonly everyMs: number;
  /** High-water mark of changes that wait to be told, and of those that lie in the table. */
  readonly maxChanges: number;
  readonly listeners: BusListeners;
}

interface Polled {
  readonly floor: string;
  readonly last: string;
  readonly apart: readonly { readonly sender: string; readonly lapsed: boolean }[];
  readonly rows: readonly { readonly id: string; readonly sender: string; readonly body: string }[];
}

/** A message as it lies in the table. */
type Body = { readonly all: Everything } | { readonly changes: readonly (readonly [string, string, Change['kind']])[] };

const ROWS = 200;
const CHANGES_PER_ROW = 500;
const POLL_DEADLINE_MS = 1000;
/** A listing is renewed three times within its lease. */
const LISTING_MS = 3000;
/** The others have polled several times by then. */
const KEPT_MS = 5000;

/** News between instances through PostgreSQL; the protocol stands at the top of this file. */
export class Bus {
  readonly #options: BusOptions;
  readonly #pending = new Map<string, Change>();
  #allPending: Everything | undefined;
  #outstanding = 0;
  #last = 0n;
  #others: ReadonlySet<string> = new Set();
  #apart = false;
  #listedAt = Number.NEGATIVE_INFINITY;
  #publishedAt = Number.NEGATIVE_INFINITY;
  #trimmedAt = Number.NEGATIVE_INFINITY;
  #joined = false;
  #closed = false;
  #timer: Timer;
  #polling: Promise<void> | undefined;
  #flushing: Promise<void> | undefined;

  constructor(options: BusOptions) {
    this.#options = options;
  }

  /** Whether somebody else is without Redis, so that changes must be told here. */
  get othersApart(): boolean {
    return this.#others.size > 0;
  }

  /** Changes that wait to be told. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Whether somebody may have told of changes that Redis lacks. */
  isApart(sender: string): boolean {
    return this.#others.has(sender);
  }

  /** Begins to listen; again after each time PostgreSQL was away. @throws what `SqlBackend.query` throws */
  async join(signal: AbortSignal): Promise<void> {
    await this.#options.sql.query(CREATE, [], { signal });
    this.#joined = true;
    await this.poll();
    this.#schedule();
  }

  /** This instance works without Redis, or with it again. */
  setApart(apart: boolean): void {
    if (this.#apart === apart) return;
    this.#apart = apart;
    this.#listedAt = Number.NEGATIVE_INFINITY;
    this.#flushSoon();
  }

  tell(change: Change): void {
    if (this.#allPending && this.#allPending.version >= change.version) return;
    const known = this.#pending.get(change.key);
    if (known && known.version > change.version) return;
    this.#pending.set(change.key, change);
    if (this.#pending.size > this.#options.maxChanges) this.#overflow();
    else this.#flushSoon();
  }

  tellAll({ kind, version, cleared }: Everything): void {
    const known = this.#allPending;
    for (const change of this.#pending.values()) {
      if (change.version <= version) this.#pending.delete(change.key);
    }
    this.#allPending = {
      kind: known?.kind === 'apart' ? 'apart' : kind,
      version: known && known.version > version ? known.version : version,
      cleared: cleared || (known?.cleared ?? false),
    };
    this.#flushSoon();
  }

  /** Takes an instance that died off the list. @throws what `SqlBackend.query` throws */
  async bury(sender: string): Promise<void> {
    await this.#options.sql.query(BURY, [sender]);
  }

  /** Hears everything that was told before this call. @throws what `SqlBackend.query` throws */
  async poll(): Promise<void> {
    await this.#polling?.catch(() => undefined);
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  /**
   * Tells what is left, and ends.
   *
   * @param done - this instance owes Redis nothing; else its listing stays, and runs out
   */
  async leave(done: boolean): Promise<void> {
    this.#closed = true;
    this.#options.clock.clearTimeout(this.#timer);
    if (!this.#joined) return;
    await this.#flushing?.catch(() => undefined);
    // Where PostgreSQL cannot be told, the listing runs out by itself.
    await this.#flush().catch(() => undefined);
    if (done) await this.#options.sql.query(REJOIN, [this.#options.sender]).catch(() => undefined);
  }

  async #poll(): Promise<void> {
    const { sql, clock, sender, listeners } = this.#options;
    for (;;) {
      const sentAt = clock.now();
      const values = [sender, String(this.#last), ROWS];
      const { rows } = await sql.query<Polled>(POLL, values, { deadlineMs: POLL_DEADLINE_MS });
      const polled = rows[0];
      if (!polled) return;
      if (this.#last < BigInt(polled.floor)) listeners.onGap();
      const apart = new Set(polled.apart.map((listing) => listing.sender));
      for (const row of polled.rows) if (row.sender !== sender) this.#hear(row, apart.has(row.sender));
      const lastRow = polled.rows.at(-1);
      this.#last = lastRow && polled.rows.length === ROWS ? BigInt(lastRow.id) : maxOf(polled, this.#last);
      this.#learn(polled.apart, apart);
      if (polled.rows.length < ROWS) return listeners.onHeard(sentAt);
    }
  }

  /** @param apart - the sender is listed; else Redis has got by now what it lacked then */
  #hear({ sender, body }: Polled['rows'][number], apart: boolean): void {
    const { listeners } = this.#options;
    const message = JSON.parse(body) as Body;
    const kindNow = (kind: Change['kind']): Change['kind'] => (apart ? kind : 'shared');
    if ('all' in message) return listeners.onAll({ ...message.all, kind: kindNow(message.all.kind) });
    const changes = message.changes.map(([key, version, kind]) => ({ key, version, kind: kindNow(kind) }));
    listeners.onChanges(changes, sender);
  }

  #learn(listings: Polled['apart'], others: ReadonlySet<string>): void {
    const { listeners } = this.#options;
    const before = this.#others;
    this.#others = others;
    for (const { sender, lapsed } of listings) if (lapsed) listeners.onDied(sender);
    if (listings.some(({ sender }) => !before.has(sender))) listeners.onApart();
    if ([...before].some((sender) => !others.has(sender))) listeners.onRejoined();
  }

  #schedule(): void {
    if (this.#closed || this.#timer !== undefined) return;
    const { clock, everyMs } = this.#options;
    const waitMs = this.#apart || this.othersApart ? everyMs / 2 : everyMs;
    this.#timer = clock.setTimeout(() => void this.#tick(), waitMs);
  }

  async #tick(): Promise<void> {
    // What fails is tried again at the next tick, and the detector has been told of it.
    await this.poll().catch(() => undefined);
    await this.#flushNow().catch(() => undefined);
    await this.#trim().catch(() => undefined);
    this.#timer = undefined;
    this.#schedule();
  }

  #flushSoon(): void {
    if (this.#joined && !this.#closed && !this.#flushing)
      setImmediate(() => void this.#flushNow().catch(() => undefined));
  }

  #flushNow(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    const { sql, clock, sender } = this.#options;
    for (;;) {
      if (this.#allPending) await this.#publishAll(this.#allPending);
      else if (this.#pending.size > 0) await this.#publishChanges();
      else if (this.#apart && clock.now() - this.#listedAt > LISTING_MS / 3) {
        await sql.query(PART, [sender, LISTING_MS]);
        this.#listedAt = clock.now();
      } else if (!this.#apart && this.#listedAt !== Number.POSITIVE_INFINITY) {
        await sql.query(REJOIN, [sender]);
        // Apart again meanwhile: what was listed before that is not any more.
        this.#listedAt = this.#apart ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
      } else return;
    }
  }

  /** Tells, and is listed from the same moment on where this instance is apart. @returns the last id */
  async #publish(bodies: readonly string[]): Promise<string | undefined> {
    const { sql, sender, clock } = this.#options;
    const listed = this.#apart;
    const sentAt = clock.now();
    const { rows } = await sql.query<{ id: string }>(PUBLISH, [sender, bodies, listed ? LISTING_MS : null]);
    if (listed && this.#apart) this.#listedAt = sentAt;
    this.#publishedAt = clock.now();
    return rows[0]?.id;
  }

  #overflow(): void {
    const changes = [...this.#pending.values()];
    const version = changes.reduce((newest, change) => (change.version > newest ? change.version : newest), '');
    const kind = this.#apart || changes.some((change) => change.kind === 'apart') ? 'apart' : 'shared';
    this.tellAll({ kind, version, cleared: false });
  }

  async #publishAll(all: Everything): Promise<void> {
    const { sql, sender } = this.#options;
    const body: Body = { all };
    const id = await this.#publish([JSON.stringify(body)]);
    if (this.#allPending === all) this.#allPending = undefined;
    this.#outstanding = 0;
    await sql.query(COLLAPSE, [sender, id]);
  }

  async #publishChanges(): Promise<void> {
    const { maxChanges } = this.#options;
    const changes = [...this.#pending.values()].slice(0, CHANGES_PER_ROW * 4);
    const bodies: string[] = [];
    for (let at = 0; at < changes.length; at += CHANGES_PER_ROW) {
      const part = changes.slice(at, at + CHANGES_PER_ROW);
      const body: Body = { changes: part.map(({ key, version, kind }) => [key, version, kind] as const) };
      bodies.push(JSON.stringify(body));
    }
    await this.#publish(bodies);
    for (const change of changes) {
      if (this.#pending.get(change.key) === change) this.#pending.delete(change.key);
    }
    this.#outstanding += changes.length;
    if (this.#outstanding <= maxChanges) return;
    // More than the table is to hold: from here on one message stands for all of them.
    for (const change of changes) if (!this.#pending.has(change.key)) this.#pending.set(change.key, change);
    this.#overflow();
  }

  /** Not while apart: who joins meanwhile has to hear all of it. */
  async #trim(): Promise<void> {
    const { sql, clock, sender } = this.#options;
    const now = clock.now();
    if (this.#apart || now - this.#publishedAt > 3 * KEPT_MS || now - this.#trimmedAt < KEPT_MS) return;
    this.#trimmedAt = now;
    await sql.query(TRIM, [sender, KEPT_MS]);
    this.#outstanding = 0;
  }
}

function maxOf({ last, floor }: Polled, before: bigint): bigint {
  return [BigInt(last), BigInt(floor)].reduce((greatest, each) => (each > greatest ? each : greatest), before);
}
