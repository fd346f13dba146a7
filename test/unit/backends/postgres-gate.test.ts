import { describe, expect, it } from 'vitest';

import { type GateOptions, PostgresGate } from '../../../src/backends/postgres-gate.ts';
import { isRedoubtError } from '../../../src/core/errors.ts';
import type { Outcome } from '../../../src/core/outcome.ts';
import { SimulatedClock } from '../../support/clock.ts';

function createRig(options: Partial<GateOptions> = {}) {
  const clock = new SimulatedClock();
  const outcomes: Outcome[] = [];
  const observe = (outcome: Outcome): void => void outcomes.push(outcome);
  const gate = new PostgresGate({ permits: 1, queueMax: 2, deadlineMs: 1_000, clock, observe, ...options });
  gate.open();
  return { clock, outcomes, gate };
}

/** Work that settles when the test says so. */
function createWork() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return { run: () => promise, resolve, reject };
}

async function codeOf(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
    return 'resolved';
  } catch (error) {
    return isRedoubtError(error) ? error.code : error;
  }
}

describe('PostgresGate', () => {
  it('lets in as many at once as it has permits, and the rest in their order', async () => {
    const { gate, clock } = createRig();
    const order: string[] = [];
    const first = createWork();
    const calls = ['a', 'b', 'c'].map((name) =>
      gate.call(async () => {
        order.push(name);
        return first.run();
      }),
    );
    await clock.settle();
    expect(order).toEqual(['a']);
    first.resolve('done');
    await Promise.all(calls);
    expect(order).toEqual(['a', 'b', 'c']);
    expect(clock.pending).toBe(0);
  });

  it('refuses at once what its line cannot hold, and counts that against nobody', async () => {
    const { gate, outcomes } = createRig();
    const work = createWork();
    const calls = [gate.call(work.run), gate.call(work.run), gate.call(work.run)];
    expect(await codeOf(gate.call(work.run))).toBe('ERR_BACKPRESSURE');
    expect(outcomes).toEqual([]);
    work.resolve('done');
    await Promise.all(calls);
  });

  it('answers by the deadline, reports it, and keeps the permit until the work has ended', async () => {
    const { gate, clock, outcomes } = createRig();
    const stuck = createWork();
    const call = codeOf(gate.call(stuck.run));
    await clock.advance(1_000);
    expect(await call).toBe('ERR_DEADLINE');
    expect(outcomes).toMatchObject([{ kind: 'timeout', durationMs: 1_000, voided: false }]);

    let entered = false;
    const next = gate.call(async () => {
      entered = true;
    });
    await clock.settle();
    expect(entered).toBe(false);
    stuck.reject(new Error('Connection terminated'));
    await next;
    expect(entered).toBe(true);
  });

  it('tells the work at the deadline to let go of its connection', async () => {
    const { gate, clock } = createRig();
    let abandoned: AbortSignal | undefined;
    const call = codeOf(
      gate.call((lease) => {
        abandoned = lease.abandoned;
        return new Promise(() => undefined);
      }),
    );
    await clock.advance(999);
    expect(abandoned?.aborted).toBe(false);
    await clock.advance(1);
    expect(abandoned?.aborted).toBe(true);
    expect(await call).toBe('ERR_DEADLINE');
  });

  it('does not blame PostgreSQL for a deadline that passed in our own line', async () => {
    const { gate, clock, outcomes } = createRig();
    const stuck = createWork();
    const first = codeOf(gate.call(stuck.run, { deadlineMs: 5_000 }));
    const second = codeOf(gate.call(stuck.run));
    await clock.advance(1_000);
    expect(await second).toBe('ERR_DEADLINE');
    expect(outcomes).toEqual([]);
    stuck.resolve('done');
    expect(await first).toBe('resolved');
  });

  it('fault 33: voids a deadline that our own blocked event loop made', async () => {
    const { gate, clock, outcomes } = createRig();
    const call = codeOf(gate.call(() => new Promise(() => undefined)));
    await clock.oversleep(1_800);
    await clock.settle();
    expect(await call).toBe('ERR_DEADLINE');
    expect(outcomes).toMatchObject([{ kind: 'timeout', voided: true }]);
  });

  it('turns away calls under way and in line when it is shut, without an outcome', async () => {
    const { gate, clock, outcomes } = createRig();
    const running = codeOf(
      gate.call((lease) => {
        lease.sent();
        return new Promise(() => undefined);
      }),
    );
    const waiting = codeOf(gate.call(() => Promise.resolve('never')));
    await clock.settle();
    gate.shut();
    expect(await Promise.all([running, waiting])).toEqual(['ERR_POSTGRES_UNAVAILABLE', 'ERR_POSTGRES_UNAVAILABLE']);
    expect(await codeOf(gate.call(() => Promise.resolve('never')))).toBe('ERR_POSTGRES_UNAVAILABLE');
    expect(outcomes).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('says whether the statement of a call that it turned away had left', async () => {
    const { gate, clock } = createRig({ permits: 2 });
    const sent = gate.call((lease) => {
      lease.sent();
      return new Promise(() => undefined);
    });
    const unsent = gate.call(() => new Promise(() => undefined));
    const facts = Promise.all([sent, unsent].map((call) => call.catch((error: Error) => error)));
    await clock.settle();
    gate.shut();
    expect(await facts).toMatchObject([{ details: { executed: 'unknown' } }, { details: { executed: 'no' } }]);
  });

  it("gives up with the caller's own reason when the caller does, and reports nothing", async () => {
    const { gate, outcomes } = createRig();
    const controller = new AbortController();
    const call = codeOf(gate.call(() => new Promise(() => undefined), { signal: controller.signal }));
    const reason = new Error('the client went away');
    controller.abort(reason);
    expect(await call).toBe(reason);
    expect(outcomes).toEqual([]);
  });

  it('waits at close for the calls under way, and takes no new ones', async () => {
    const { gate, clock } = createRig();
    const work = createWork();
    const call = gate.call(work.run);
    let closed = false;
    const closing = gate.close(new AbortController().signal).then(() => (closed = true));
    expect(await codeOf(gate.call(work.run))).toBe('ERR_CLOSED');
    await clock.settle();
    expect(closed).toBe(false);
    work.resolve('done');
    expect(await call).toBe('done');
    await closing;
  });

  it('turns the rest away when the time for closing is over', async () => {
    const { gate } = createRig();
    const call = codeOf(gate.call(() => new Promise(() => undefined)));
    const controller = new AbortController();
    const closing = gate.close(controller.signal);
    controller.abort();
    await closing;
    expect(await call).toBe('ERR_POSTGRES_UNAVAILABLE');
  });
});
