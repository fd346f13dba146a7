import { describe, expect, it } from 'vitest';

import { type Config } from '../../../src/config/schema.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { silentLogger, type Logger } from '../../../src/observe/log.ts';
import { assertSessionSecret, resolveSecrets } from '../../../src/services/sessions/secrets.ts';

const LONG = 'x'.repeat(32);

function configWith(env: string, secret?: string): Config {
  return loadConfig({ env: { NODE_ENV: env, ...(secret === undefined ? {} : { SESSION_SECRET: secret }) } }).config;
}

function recordingLogger(): Logger & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return { ...silentLogger, warnings, warn: (_facts: object, text: string) => void warnings.push(text) };
}

describe('SESSION_SECRET', () => {
  it('is required in production', () => {
    expect(() => assertSessionSecret(configWith('production'))).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_SECRET' }),
    );
    expect(() => assertSessionSecret(configWith('production', LONG))).not.toThrow();
  });

  it('is refused in production when one of its values is shorter than 32 characters, without showing it', () => {
    expect(() => assertSessionSecret(configWith('production', `${LONG},short-secret`))).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_SECRET', message: expect.not.stringContaining('short-secret') }),
    );
  });

  it('is made up outside production, with a warning that says what that costs', () => {
    const log = recordingLogger();
    const [secret = ''] = resolveSecrets(configWith('test'), log);
    expect(secret.length).toBeGreaterThanOrEqual(32);
    expect(resolveSecrets(configWith('test'), log)).not.toContain(secret);
    expect(log.warnings[0]).toMatch(/second instance/);
  });

  it('is taken with a warning outside production when it is short', () => {
    const log = recordingLogger();
    expect(resolveSecrets(configWith('test', 'short'), log)).toEqual(['short']);
    expect(log.warnings).toHaveLength(1);
  });
});
