import { afterEach, describe, expect, it } from 'vitest';

import { type PostgresControl, createPostgresBackend } from '../../src/backends/postgres.ts';
import { systemClock } from '../../src/core/clock.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { eventually } from '../support/eventually.ts';
import { sharedDatabase } from '../support/postgres.ts';
import { testConfig } from '../support/service-rig.ts';

const LEASE_MS = 300;
const backends: PostgresControl[] = [];
const fleets: Fleet[] = [];

afterEach(async () => {
  for (const fleet of fleets.splice(0)) await fleet.leave();
  for (const backend of backends.splice(0)) await backend.close(AbortSignal.timeout(1_000));
});

/** Instances that share one database, with heartbeats of a sixth of the lease. */
async function startFleets(...names: string[]): Promise<{ sql: PostgresControl; fleets: Fleet[] }> {
  const config = testConfig({ postgres: { url: await sharedDatabase() } });
  const sql = createPostgresBackend({ config, log: silentLogger, clock: systemClock, observe: () => undefined });
  backends.push(sql);
  await sql.engage(AbortSignal.timeout(5_000));
  const started: Fleet[] = [];
  for (const instance of names) started.push(await join(sql, instance));
  await eventually(() => started.every(({ view }) => view.peers.length === names.length - 1));
  return { sql, fleets: started };
}

async function join(sql: PostgresControl, instance: string): Promise<Fleet> {
  const options = { sql, clock: systemClock, instance, leaseMs: LEASE_MS, heartbeatMs: 50, statementMs: 200 };
  const fleet = new Fleet(options);
  fleets.push(fleet);
  await fleet.join(AbortSignal.timeout(5_000));
  return fleet;
}

async function lengthOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

describe('a fleet on PostgreSQL', () => {
  it('keeps nobody waiting who is alone, and lets it believe a new epoch at once', async () => {
    const {
      fleets: [a],
    } = await startFleets('a');
    expect(await lengthOf(() => a!.blind())).toBeLessThan(LEASE_MS);
    expect(a!.trusts()).toBe(false);
    expect(await a!.raise('run', 0)).toBe(1);
    expect(a!.trusts()).toBe(true);
  });

  it('lets a blind instance acknowledge only after a lease, when no other believes Redis any more', async () => {
    const {
      fleets: [a, b],
    } = await startFleets('a', 'b');
    expect(b!.trusts()).toBe(true);
    expect(await lengthOf(() => a!.blind())).toBeGreaterThanOrEqual(LEASE_MS - 1);
    expect(b!.trusts()).toBe(false);
    expect(b!.view.peers).toEqual([{ instance: 'a', blind: true }]);
    // Waited for once, not at each write.
    expect(await lengthOf(() => a!.blind())).toBeLessThan(LEASE_MS / 2);
  });

  it('believes a raised epoch again only when every statement from before it has ended', async () => {
    const {
      fleets: [a, b],
    } = await startFleets('a', 'b');
    await a!.blind();
    const heldMs = await lengthOf(async () => {
      await a!.raise('run', 6);
      expect([a!.trusts(), b!.trusts()]).toEqual([false, false]);
      await eventually(() => a!.trusts() && b!.trusts());
    });
    expect(heldMs).toBeGreaterThanOrEqual(LEASE_MS);
    expect([a!.epoch, b!.epoch]).toEqual([7, 7]);
  });

  it('ends the listing of one that died with a raise, never in silence', async () => {
    const {
      fleets: [a, b],
    } = await startFleets('a', 'b');
    const { epoch } = b!;
    await a!.blind();
    // No heartbeat any more, as after SIGKILL: leaving does not take a listing away.
    await a!.leave();
    await eventually(() => b!.view.peers.length === 0 && b!.trusts());
    expect(b!.epoch).toBe(epoch + 1);
  });

  it('notices that it was taken for dead, and waits again', async () => {
    const {
      sql,
      fleets: [a],
    } = await startFleets('a', 'b');
    await a!.blind();
    await sql.query("delete from redoubt_instance where instance = 'a'");
    await eventually(() => !a!.isBlind);
    expect(await lengthOf(() => a!.blind())).toBeGreaterThanOrEqual(LEASE_MS - 1);
  });

  it('believes nothing without a heartbeat in time', async () => {
    const {
      sql,
      fleets: [a],
    } = await startFleets('a');
    expect(a!.trusts()).toBe(true);
    sql.disengage();
    await eventually(() => !a!.trusts() && a!.failing, { withinMs: 2 * LEASE_MS + 1_000 });
  });
});
