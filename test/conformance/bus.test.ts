import { describe, expect, it } from 'vitest';

import { createPostgresBackend } from '../../src/backends/postgres.ts';
import type { SqlBackend } from '../../src/backends/types.ts';
import { systemClock } from '../../src/core/clock.ts';
import { Bus } from '../../src/fleet/bus.ts';
import { REJOIN } from '../../src/fleet/bus-statements.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { eventually } from '../support/eventually.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { testConfig } from '../support/service-rig.ts';

/** An instance on the bus, what it has heard, and a way to keep the answers of a statement back. */
class Member implements AsyncDisposable {
  readonly bus: Bus;
  readonly heard: string[] = [];
  readonly #sql: ReturnType<typeof createPostgresBackend>;
  readonly #held = new Map<string, Promise<void>>();

  static async start(database: string, name: string): Promise<Member> {
    const member = new Member(database, name);
    await eventually(async () => void (await member.#sql.probe(AbortSignal.timeout(1_000))));
    await member.#sql.engage(AbortSignal.timeout(5_000));
    await member.bus.join(AbortSignal.timeout(5_000));
    return member;
  }

  private constructor(database: string, sender: string) {
    const config = testConfig({ postgres: { url: database } });
    this.#sql = createPostgresBackend({ config, log: silentLogger, clock: systemClock, observe: () => undefined });
    const query: SqlBackend['query'] = async (text, ...rest) => {
      const result = await this.#sql.query(text, ...rest);
      await this.#held.get(text);
      return result as never;
    };
    this.bus = new Bus({
      sql: { kind: 'server', query },
      clock: systemClock,
      sender,
      everyMs: 50,
      maxChanges: 1000,
      listeners: {
        onChanges: (changes, from) => void this.heard.push(...changes.map(({ key, kind }) => `${from} ${key} ${kind}`)),
        onAll: ({ kind }) => void this.heard.push(`all ${kind}`),
        onGap: () => void this.heard.push('gap'),
        onDied: (from) => void this.heard.push(`${from} died`),
        onApart: () => void this.heard.push('apart'),
        onRejoined: () => void this.heard.push('rejoined'),
        onHeard: () => undefined,
      },
    });
  }

  tell(key: string, version: string, kind: 'apart' | 'shared'): void {
    this.bus.tell({ key, version, kind });
  }

  /** Keeps the answers of a statement back until the returned function is called. */
  holdAnswers(text: string): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held.set(text, promise);
    return () => {
      this.#held.delete(text);
      resolve();
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.leave(true);
    await this.#sql.close(AbortSignal.timeout(2_000));
  }
}

describe('the bus', () => {
  it('lists who tells of what Redis lacks before anybody hears of it, and until Redis has it', async () => {
    const database = await sharedDatabase();
    await using a = await Member.start(database, 'a');
    await using b = await Member.start(database, 'b');
    a.bus.setApart(true);
    a.tell('k', '1', 'apart');
    await eventually(() => expect(b.heard).toEqual(['a k apart', 'apart']));
    expect(b.bus.isApart('a')).toBe(true);
    a.bus.setApart(false);
    await eventually(() => expect(b.heard).toEqual(['a k apart', 'apart', 'rejoined']));
    expect(b.bus.isApart('a')).toBe(false);
  });

  it('does not call apart what its author has brought to Redis before it was heard', async () => {
    const database = await sharedDatabase();
    await using a = await Member.start(database, 'a');
    a.bus.setApart(true);
    a.tell('k', '1', 'apart');
    await using early = await Member.start(database, 'early');
    await eventually(async () => {
      await early.bus.poll();
      expect(early.heard).toContain('a k apart');
    });
    a.bus.setApart(false);
    await eventually(() => expect(early.heard).toContain('rejoined'));
    await using late = await Member.start(database, 'late');
    expect(late.heard).toEqual(['a k shared']);
  });

  it('is heard as apart when it is so again before the end of its listing was answered', async () => {
    const database = await sharedDatabase();
    await using a = await Member.start(database, 'a');
    await using b = await Member.start(database, 'b');
    a.bus.setApart(true);
    a.tell('k', '1', 'apart');
    await eventually(() => expect(b.bus.isApart('a')).toBe(true));
    const release = a.holdAnswers(REJOIN);
    a.bus.setApart(false);
    await eventually(() => expect(b.bus.isApart('a')).toBe(false));
    a.bus.setApart(true);
    release();
    await eventually(() => expect(b.bus.isApart('a')).toBe(true));
    a.tell('k', '2', 'apart');
    await eventually(() => expect(b.heard.filter((each) => each === 'a k apart')).toHaveLength(2));
    // Beyond the lease of a listing that nobody renews.
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    expect(b.heard).not.toContain('a died');
  });
});
