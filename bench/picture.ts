/**
 * Draws docs/images/outage.svg from a real run: Redis is killed under 300 requests/s and restarted
 * empty 6 s later; the lanes are what /health said, each dot is one request. `node picture.ts`.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { HealthReport } from '../src/services/health/types.ts';
import { startTraffic } from '../test/support/traffic.ts';
import { startBench } from './servers.ts';

const FILE = fileURLToPath(new URL('../docs/images/outage.svg', import.meta.url));
const LANES = ['redis', 'cache', 'sessions', 'sockets', 'jobs', 'health'] as const;
const KILL_S = 2;
const RETURN_S = 8;
const END_S = 12;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Look {
  readonly atS: number;
  readonly values: Readonly<Record<(typeof LANES)[number], string>>;
}

await using bench = await startBench();
await bench.timeTo('available', 10_000);
await sleep(2000);
const traffic = await startTraffic({ url: bench.server.url });
await sleep(2000);
const startedAt = performance.now();
const seconds = (): number => (performance.now() - startedAt) / 1000;
const looks: Look[] = [];
const looking = setInterval(() => void look(), 40);
await sleep(KILL_S * 1000);
const killedS = seconds();
await bench.redis.kill();
await sleep((RETURN_S - seconds()) * 1000);
await bench.redis.restart({ empty: true });
const returnedS = seconds();
await sleep((END_S - seconds()) * 1000);
clearInterval(looking);
const summary = await traffic.stop();
const samples = summary.load.between(startedAt, startedAt + END_S * 1000);
writeFileSync(FILE, draw());

async function look(): Promise<void> {
  const { body } = await bench.server.health();
  const { status, machines, services } = body as unknown as HealthReport;
  looks.push({
    atS: seconds(),
    values: {
      redis: machines['redis']?.state ?? '',
      cache: services.cache.backend,
      sessions: services.sessions.backend,
      sockets: services.sockets.backend,
      jobs: services.jobs.backend,
      health: status,
    },
  });
}

function draw(): string {
  const left = 92;
  const width = 820;
  const x = (atS: number): number =>
    Math.round((left + (Math.min(atS, END_S) / END_S) * (width - left - 16)) * 10) / 10;
  const parts: string[] = [];
  LANES.forEach((lane, row) => {
    const y = 58 + row * 26;
    parts.push(`<text class="lane" x="${left - 10}" y="${y + 14}" text-anchor="end">${lane}</text>`);
    for (const { fromS, toS, value } of runs(lane)) {
      const wide = x(toS) - x(fromS);
      parts.push(
        `<rect class="${kindOf(value)}" x="${x(fromS)}" y="${y}" width="${Math.max(1.5, wide)}" height="20" rx="3"/>`,
      );
      if (wide > value.length * 6.5 + 6) {
        parts.push(`<text class="on" x="${x(fromS) + 6}" y="${y + 14}">${value}</text>`);
      }
    }
  });
  const top = 58 + LANES.length * 26 + 22;
  const tall = 110;
  const y = (ms: number): number => Math.round((top + tall - (Math.log10(Math.max(1, ms)) / 3) * tall) * 10) / 10;
  for (const ms of [1, 10, 100, 1000]) {
    parts.push(`<path class="grid" d="M${left} ${y(ms)}H${width - 16}"/>`);
    parts.push(
      `<text class="lane" x="${left - 10}" y="${y(ms) + 4}" text-anchor="end">${ms === 1000 ? '1 s' : `${ms} ms`}</text>`,
    );
  }
  // One path for all dots: a circle for each would make the file five times as large.
  for (const kind of ['dot', 'failed']) {
    const dots = samples.samples
      .filter(({ failed }) => failed === (kind === 'failed'))
      .map(({ startedMs, latencyMs }) => `M${x((startedMs - startedAt) / 1000)} ${y(latencyMs)}h0`);
    parts.push(`<path class="${kind}" d="${dots.join('')}"/>`);
  }
  const bottom = top + tall;
  for (const [atS, words] of [
    [killedS, 'Redis is killed'],
    [returnedS, 'Redis is back, empty'],
  ] as const) {
    parts.push(
      `<path class="mark" d="M${x(atS)} 44V${bottom}"/><text class="event" x="${x(atS) + 4}" y="42">${words}</text>`,
    );
  }
  const words = `${samples.count} requests, ${samples.failures} failed, slowest ${Math.round(samples.maxMs)} ms; 50 sockets, ${summary.disconnects} disconnects; ${summary.loggedOut} users logged out`;
  parts.push(`<text class="title" x="${left}" y="20">${words}</text>`);
  for (let atS = 0; atS <= END_S; atS += 2) {
    parts.push(`<text class="lane" x="${x(atS)}" y="${bottom + 18}" text-anchor="middle">${atS} s</text>`);
  }
  const height = bottom + 26;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${words}">
<style>
svg { background: #fff; font: 12px system-ui, sans-serif }
.title { font-weight: 600; fill: #1f2328 } .lane { fill: #59636e } .event { fill: #b3261e; font-weight: 600 }
.on { fill: #fff } .well { fill: #1a7f37 } .less { fill: #9a6700 } .down { fill: #b3261e } .between { fill: #0969da }
path { stroke-linecap: round; fill: none } .dot { stroke: #0969da; stroke-width: 3; stroke-opacity: .4 }
.failed { stroke: #b3261e; stroke-width: 5 } .grid { stroke: #d1d9e0; stroke-width: .5 }
.mark { stroke: #b3261e; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 } .title { fill: #f0f6fc } .lane { fill: #9198a1 } .event { fill: #ff8a80 }
.grid { stroke: #30363d } .dot { stroke: #58a6ff } .mark { stroke: #ff8a80 }
}
</style>
${parts.join('\n')}
</svg>
`;
}

function runs(lane: (typeof LANES)[number]): { fromS: number; toS: number; value: string }[] {
  const found: { fromS: number; toS: number; value: string }[] = [];
  for (const { atS, values } of looks) {
    const last = found.at(-1);
    if (last?.value === values[lane]) last.toS = atS;
    else {
      if (last) last.toS = atS;
      found.push({ fromS: last ? atS : 0, toS: atS, value: values[lane] });
    }
  }
  return found;
}

function kindOf(value: string): string {
  if (['available', 'redis', 'pass'].includes(value)) return 'well';
  if (value === 'recovering') return 'between';
  return value === 'reject' ? 'down' : 'less';
}
