/**
 * Latency of GET /health in each state, under 300 requests/s of cache and session traffic.
 * `node health.ts [samples]`; prints a table. The figures contain the client's own share.
 */
import { startTraffic } from '../test/support/traffic.ts';
import { startBench } from './servers.ts';

const samples = Number(process.argv[2] ?? 1000);
const rows: Record<string, string | number>[] = [];

await using bench = await startBench();
await bench.timeTo('available', 10_000);
const traffic = await startTraffic({ url: bench.server.url });
await row('available');
bench.redis.freeze();
await bench.timeTo('degraded', 10_000);
await row('degraded.unreachable (frozen)');
await bench.postgres.stop();
await row('degraded.unreachable, PostgreSQL gone too');
await bench.postgres.start();
bench.redis.thaw();
await bench.timeTo('available', 20_000);
await bench.redis.client().config('SET', 'maxmemory', '1');
await bench.timeTo('degraded', 10_000);
await row('degraded.readOnly');
await traffic.stop();
console.table(rows);

async function row(name: string): Promise<void> {
  const took: number[] = [];
  for (let i = 0; i < samples; i += 1) {
    const startedAt = performance.now();
    const answer = await fetch(`${bench.server.url}/health`);
    await answer.arrayBuffer();
    took.push(performance.now() - startedAt);
  }
  took.sort((a, b) => a - b);
  const at = (q: number): number => Math.round((took[Math.floor(took.length * q)] ?? 0) * 100) / 100;
  rows.push({ state: name, actual: await bench.state(), samples, p50: at(0.5), p99: at(0.99), max: at(0.9999) });
}
