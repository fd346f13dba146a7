import { preparePostgres } from '../../test/support/postgres-binaries.ts';
import { createDatabase, launchPostgres } from '../../test/support/postgres-server.ts';
import { type TestRedis, startRedis } from '../../test/support/redis.ts';
import { type Instance, startInstance } from './instance.ts';
import type { StoreName, StoreStart } from './stores.ts';

const AVAILABLE_MS = 20_000;

export interface RigStart {
  readonly store: StoreName;
  readonly library?: string | undefined;
  readonly config?: StoreStart['config'];
}

/** A real Redis, a real PostgreSQL, two instances that use both, and a third that has not opened its cache yet. */
export interface Rig extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly a: Instance;
  readonly b: Instance;
  readonly fresh: Instance;
  /** Opens the cache of an instance; answers when that was done, whatever it found. */
  open(instance: Instance): Promise<number>;
}

export async function startRig({ store, library, config }: RigStart): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const postgres = stack.use(await launchPostgres(await preparePostgres()));
  const databaseUrl = await createDatabase(postgres.url);
  const start = async (name: string): Promise<Instance> => stack.use(await startInstance(name, redis.port));
  const [a, b, fresh] = [await start('a'), await start('b'), await start('fresh')];
  for (const instance of [a, b, fresh]) await instance.call('load', library);
  const open = (instance: Instance): Promise<number> =>
    instance.call('open', { store, redisUrl: instance.hop.url(), databaseUrl, library, config });
  for (const instance of [a, b]) {
    await open(instance);
    await instance.reaches('available', AVAILABLE_MS);
  }
  const owned = stack.move();
  return { redis, a, b, fresh, open, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
