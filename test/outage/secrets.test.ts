import { io } from 'socket.io-client';
import { describe, expect, it } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { startPostgres } from '../support/postgres.ts';
import { SECRET, startRig } from './rig.ts';

const TOKEN = 'planted-api-token-0123456789';
const REDIS_PASSWORD = 'planted-redis-password';
const SESSION_CONTENT = 'planted-session-content';

describe('secrets', () => {
  it('a planted password, secret, token and session content appear in no answer, log or metric, in any state', async () => {
    await using postgres = await startPostgres();
    const databaseUrl = await postgres.database();
    await using rig = await startRig({
      databaseUrl,
      redisUrl: (hop) => hop.url().replace('//', `//default:${REDIS_PASSWORD}@`),
      env: { API_TOKEN: TOKEN, LOG_LEVEL: 'trace' },
      hopMode: 'refuse',
    });
    await rig.redis.client().config('SET', 'requirepass', REDIS_PASSWORD);
    rig.hop.mode = 'pass';
    await rig.becomes('available', 20_000);
    const answers: string[] = [];
    const look = async (): Promise<void> => {
      const user = rig.user();
      const login = await user.send('POST', '/demo/session/login', { user: SESSION_CONTENT });
      expect(login.status).toBe(200);
      const sid =
        decodeURIComponent(user.cookie.split('=')[1] ?? '')
          .slice(2)
          .split('.')[0] ?? '';
      for (const path of [
        '/health',
        '/metrics',
        '/',
        '/inspect',
        '/health/machines/redis',
        '/health/ready',
        '/v1/cache/x',
        '/nowhere',
      ]) {
        answers.push(await (await rig.server.fetch(path)).text());
      }
      const bad = await rig.server.fetch('/v1/cache/x', { headers: { authorization: `Bearer ${TOKEN}x` } });
      expect(bad.status).toBe(401);
      answers.push(await bad.text());
      const socket = io(rig.server.url, { auth: { token: TOKEN }, transports: ['websocket'] });
      await eventually(() => socket.connected);
      socket.disconnect();
      expect(sid.length).toBeGreaterThan(10);
      sids.push(sid);
    };
    const sids: string[] = [];
    await look();
    rig.redis.freeze();
    await rig.becomes('degraded');
    await look();
    await postgres.stop();
    await eventually(async () => expect((await rig.health()).machines['postgres']?.state).toMatch(/^degraded/));
    await look();
    rig.redis.thaw();
    await postgres.start();
    await rig.becomes('available', 20_000);
    await look();

    const { username, password } = new URL(databaseUrl);
    const planted = [SECRET, TOKEN, REDIS_PASSWORD, SESSION_CONTENT, ...sids, ...(password ? [password] : [])];
    const seen = [...answers, rig.server.stdout, rig.server.stderr].join('\n');
    expect(seen.length).toBeGreaterThan(10_000);
    for (const secret of planted) expect(seen.includes(secret), `${secret} leaked`).toBe(false);
    expect(rig.server.stdout).not.toContain(`${username}:`);
    await rig.expectSound();
  });
});
