// Control: "use Redis, and PostgreSQL when Redis does not answer". Each call is decided by itself, so that whoever
// logged in on one side is unknown to the other.
import { serveControl } from './app.ts';
import { PlainStore, type PlainTier, postgresTier, redisTier } from './stores.ts';

const redis = redisTier(process.env['REDIS_URL'] ?? '');
const postgres = await postgresTier(process.env['DATABASE_URL'] ?? '');
const failover = <T>(call: (tier: PlainTier) => Promise<T>): Promise<T> => call(redis).catch(() => call(postgres));

serveControl(
  new PlainStore({
    get: (sid) => failover((tier) => tier.get(sid)),
    set: (sid, data) => failover((tier) => tier.set(sid, data)),
    destroy: (sid) => failover((tier) => tier.destroy(sid)),
  }),
);
