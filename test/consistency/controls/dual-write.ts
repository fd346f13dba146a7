// Control: "write to both, read from Redis first". What was written while Redis was away, it does not know when it
// comes back, and is asked all the same.
import { serveControl } from './app.ts';
import { PlainStore, type PlainTier, postgresTier, redisTier } from './stores.ts';

const redis = redisTier(process.env['REDIS_URL'] ?? '');
const postgres = await postgresTier(process.env['DATABASE_URL'] ?? '');

async function both(call: (tier: PlainTier) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled([call(redis), call(postgres)]);
  if (results.every(({ status }) => status === 'rejected')) throw new Error('neither took it');
}

serveControl(
  new PlainStore({
    get: async (sid) => (await redis.get(sid).catch(() => undefined)) ?? (await postgres.get(sid)),
    set: (sid, data) => both((tier) => tier.set(sid, data)),
    destroy: (sid) => both((tier) => tier.destroy(sid)),
  }),
);
