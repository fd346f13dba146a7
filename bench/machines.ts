/**
 * What the machines cost: transitions per second through the supervised actor with its inspection and
 * history, memory for each actor, the time to check a machine, and what a request pays.
 * `node --expose-gc machines.ts`; prints a table.
 */
import { loadConfig } from '../src/config/load.ts';
import { systemClock } from '../src/core/clock.ts';
import { silentLogger } from '../src/observe/log.ts';
import { createRedoubt } from '../src/index.ts';
import { SupervisedActor } from '../src/runtime/actor.ts';
import { checkMachine } from '../src/runtime/check/check.ts';
import { loadCheckedMachines } from '../src/runtime/load.ts';
import { createRegistry } from '../src/runtime/registry.ts';
import type { MachineDefinition } from '../src/runtime/types.ts';
import { vocabularyOf } from '../src/runtime/vocabulary.ts';

const { config } = loadConfig({ env: {} });
const definitions = loadCheckedMachines({ dir: '', config });
const definition = definitions.find(({ id }) => id === 'redis') as MachineDefinition;
const registry = createRegistry({ config, id: 'redis', log: silentLogger, reconcile: () => Promise.resolve() });
const rows: Record<string, string | number>[] = [];
const gc = (globalThis as { gc?: () => void }).gc;
if (!gc) throw new Error('run with node --expose-gc');

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

function newActor(onTransition: () => void): SupervisedActor {
  const actor = new SupervisedActor({ definition, registry, clock: systemClock, log: silentLogger, onTransition });
  actor.start();
  return actor;
}

function transitionsPerSecond(): number {
  let seen = 0;
  const actor = newActor(() => (seen += 1));
  actor.send({ type: 'probe.refused' });
  const count = 100_000;
  const startedAt = performance.now();
  for (let i = 0; i < count; i += 1) actor.send({ type: i % 2 ? 'probe.failed' : 'probe.writeRefused', count: 1 });
  const seconds = (performance.now() - startedAt) / 1000;
  actor.stop();
  if (seen !== count + 1) throw new Error(`${seen} transitions instead of ${count + 1}`);
  return count / seconds;
}

function bytesPerActor(): number {
  const count = 1000;
  gc?.();
  const before = process.memoryUsage().heapUsed;
  const actors = Array.from({ length: count }, () => newActor(() => undefined));
  gc?.();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  for (const actor of actors) actor.stop();
  return bytes;
}

function checkMs(machine: MachineDefinition): number {
  const vocabulary = vocabularyOf(config, machine.id);
  const startedAt = performance.now();
  checkMachine(machine, vocabulary);
  return performance.now() - startedAt;
}

/** Cache reads per second from memory, while the machine of Redis makes so many transitions a second. */
async function readsPerSecond(transitions: number): Promise<number> {
  await using redoubt = await createRedoubt({
    config: { redis: { url: 'redis://127.0.0.1:1' }, postgres: { url: 'none' } },
    logger: silentLogger,
  });
  await redoubt.cache.set('k', 'v');
  let moves = 0;
  const moving = transitions
    ? setInterval(() => {
        moves += 1;
        redoubt.machines.send('redis', { type: moves % 2 ? 'operator.isolate' : 'operator.release' });
      }, 1000 / transitions)
    : undefined;
  const endsAt = performance.now() + 1000;
  let reads = 0;
  while (performance.now() < endsAt) {
    for (let i = 0; i < 1000; i += 1) await redoubt.cache.get('k');
    reads += 1000;
    await new Promise((resolve) => setImmediate(resolve));
  }
  clearInterval(moving);
  return reads;
}

transitionsPerSecond();
rows.push({ what: 'transitions/s', median: Math.round(median(Array.from({ length: 7 }, transitionsPerSecond))) });
rows.push({ what: 'bytes per actor', median: Math.round(median(Array.from({ length: 5 }, bytesPerActor))) });
for (const machine of definitions) {
  const first = checkMs(machine);
  const later = median(Array.from({ length: 9 }, () => checkMs(machine)));
  rows.push({
    what: `check ${machine.id}, ms`,
    median: Math.round(later * 10) / 10,
    first: Math.round(first * 10) / 10,
  });
}
const still: number[] = [];
const moving: number[] = [];
for (let round = 0; round < 5; round += 1) {
  still.push(await readsPerSecond(0));
  moving.push(await readsPerSecond(10));
}
rows.push({ what: 'cache reads/s, machines still', median: median(still) });
rows.push({
  what: 'the same with 10 transitions/s, as a ratio',
  median: Math.round((median(moving) / median(still)) * 100) / 100,
});
console.table(rows);
