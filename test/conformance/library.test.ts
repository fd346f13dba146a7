import { describe, expect, it } from 'vitest';

import { type Logger, silentLogger } from '../../src/observe/log.ts';
import { createRedoubt } from '../../src/redoubt.ts';
import { eventually } from '../support/eventually.ts';
import { startRedis } from '../support/redis.ts';

describe('createRedoubt()', () => {
  it('refuses an option that it does not have, by name', async () => {
    const options = { confg: { cache: {} } } as object;
    await expect(createRedoubt(options)).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringMatching(/no option "confg" \(did you mean "config"\?\)/),
    });
  });

  it.each([
    [null, /takes an object/],
    ['a text', /takes an object/],
    [{ config: 5 }, /config is the path of a file/],
    [{ machines: 5 }, /machines is the path of a folder/],
    [{ logger: console }, /missing: child/],
  ])('refuses %j, and says what it takes', async (options, message) => {
    await expect(createRedoubt(options as object)).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringMatching(message),
    });
  });

  it('tells in an outage of what the application uses, and of nothing else', async () => {
    await using redis = await startRedis();
    const warnings: string[] = [];
    const logger: Logger = { ...silentLogger, warn: (_facts, text) => void warnings.push(text), child: () => logger };
    const redoubt = await createRedoubt({
      config: { redis: { url: redis.url }, postgres: { url: 'none' }, sessions: { secret: ['x'.repeat(32)] } },
      logger,
    });
    redoubt.sessions.middleware();
    await eventually(() => expect(redoubt.machines.get('redis').state).toBe('available'));
    await redis.kill();
    await eventually(() => expect(warnings.join('\n')).toMatch(/sessions: on memory/));
    expect(warnings.join('\n')).toMatch(/cache: on memory/);
    expect(warnings.join('\n')).not.toMatch(/sockets:|jobs:/);
    await redoubt.close();
  });

  it('sends and reloads nothing after close()', async () => {
    const redoubt = await createRedoubt({
      config: { redis: { url: 'none' }, postgres: { url: 'none' } },
      logger: silentLogger,
    });
    await redoubt.close();
    expect(() => redoubt.machines.send('redis', { type: 'operator.isolate' })).toThrow(
      expect.objectContaining({ code: 'ERR_CLOSED' }),
    );
    expect(redoubt.reload()).toMatchObject({ applied: false });
    await expect(redoubt.cache.get('key')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});
