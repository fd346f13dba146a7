import type { SessionData } from 'express-session';

import type { SessionVault } from '../../../src/services/sessions/store.ts';

/** Sessions in a Map, where each write waits until the test lets it go on or fail. */
export class FakeVault implements SessionVault {
  readonly rows = new Map<string, { text: string; version: number }>();
  readonly calls: string[] = [];
  /** Awaited before each write and destroy. */
  gate: Promise<void> = Promise.resolve();
  failure: Error | undefined;

  async read(sid: string): Promise<{ data: SessionData; version: number } | undefined> {
    this.calls.push('read');
    if (this.failure) throw this.failure;
    const row = this.rows.get(sid);
    return row && { data: JSON.parse(row.text) as SessionData, version: row.version };
  }

  async write(sid: string, base: number, data: SessionData): Promise<number> {
    this.calls.push('write');
    const text = JSON.stringify(data);
    await this.#pass();
    this.rows.set(sid, { text, version: base + 1 });
    return base + 1;
  }

  async destroy(sid: string): Promise<void> {
    this.calls.push('destroy');
    await this.#pass();
    this.rows.delete(sid);
  }

  async touch(): Promise<void> {
    this.calls.push('touch');
  }

  async #pass(): Promise<void> {
    await this.gate;
    if (this.failure) throw this.failure;
  }
}
