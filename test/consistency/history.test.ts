import { describe, expect, it } from 'vitest';

import { type HistoryRun, describeResult, describeViolations, runHistory } from './run.ts';
import type { Fault } from './schedule.ts';

// The long runs are `npm run test:history -- --minutes 10 --seed N`. Here is one that fits into every build: this seed
// has eight kinds of fault in a minute, an old snapshot, a pause and a lone instance's cut among them.
const SEED = 3766;
const log = (line: string): boolean => process.stdout.write(`${line}\n`);

/** All instances lose Redis for two seconds, and it comes back with what it had. */
const CUT: readonly Fault[] = [{ atMs: 1_200, forMs: 2_000, kind: 'cut', link: 'redis', instances: [0, 1, 2] }];

// One request at a time for each session: what goes wrong then is the fault's doing and no race.
const control = (store: HistoryRun['store'], schedule: readonly Fault[]) =>
  runHistory({ store, schedule, seed: SEED, durationMs: 5_000, tabs: 1, log });

describe('three instances under a seeded nemesis', () => {
  it('keep every login, every logout and every visit that was acknowledged', async () => {
    const result = await runHistory({ store: 'redoubt', seed: SEED, durationMs: 60_000, log });
    const { judgement, recovered, stderr, outcomes, faults } = result;
    for (const line of [...describeResult(result), ...describeViolations(result)]) log(line);
    expect(judgement.byKind).toEqual({});
    expect(recovered).toBe(true);
    expect(stderr).toBe('');
    expect(faults.length).toBeGreaterThan(8);
    expect(judgement.sessions).toBeGreaterThan(100);
    expect(outcomes.ok).toBeGreaterThan(judgement.operations / 2);
  });
});

describe('the checker, on stores that people write', () => {
  it('passes a plain store while nothing fails', async () => {
    const { judgement } = await control('dual-write', []);
    expect(judgement.byKind).toEqual({});
    expect(judgement.sessions).toBeGreaterThan(20);
  });

  it('fails a failover store: whoever logged in on one side is unknown to the other', async () => {
    const { judgement } = await control('failover', CUT);
    expect(judgement.byKind['login missing']).toBeGreaterThan(0);
  });

  it('fails a dual-write store: what was acknowledged without Redis is undone when it is back', async () => {
    const { judgement } = await control('dual-write', CUT);
    expect(judgement.byKind['logout undone']).toBeGreaterThan(0);
    expect((judgement.byKind['update lost'] ?? 0) + (judgement.byKind['stale read'] ?? 0)).toBeGreaterThan(0);
  });
});
