import type { SessionData } from 'express-session';

import type { Origin, SessionVault } from '../../../src/services/sessions/store.ts';

/** Sessions in a Map, where each write waits until the test lets it go on or fail. */
export class FakeVault implements SessionVault {
  readonly rows = new Map<string, { text: string; version: number }>();
  readonly calls: string[] = [];
  /** Awaited before each write and destroy. */
  gate: Promise<void> = Promise.resolve();
  failure: Error | undefined;

  async read(sid: string): Promise<{ data: SessionData; origin: Origin } | undefined> {
    this.calls.push('read');
    if (this.failure) throw this.failure;
    const row = this.rows.get(sid);
    return row && { data: JSON.parse(row.text) as SessionData, origin: row };
  }

  async write(sid: string, origin: Origin | undefined, text: string): Promise<Origin> {
    this.calls.push('write');
    await this.#pass();
    const row = { text, version: (origin?.version ?? 0) + 1 };
    this.rows.set(sid, row);
    return row;
  }

  async destroy(sid: string): Promise<void> {
    this.calls.push('destroy');
    await this.#pass();
    this.rows.delete(sid);
  }

  touch(): undefined {
    this.calls.push('touch');
  }

  async count(): Promise<number> {
    return this.rows.size;
  }

  async #pass(): Promise<void> {
    await this.gate;
    if (this.failure) throw this.failure;
  }
}
