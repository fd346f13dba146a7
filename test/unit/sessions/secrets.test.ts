import { describe, expect, it } from 'vitest';

import { type Config } from '../../../src/config/schema.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { silentLogger, type Logger } from '../../../src/observe/log.ts';
import { SecretSource, assertSessionSecret } from '../../../src/services/sessions/secrets.ts';

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

  it('is refused in production when the first is shorter than 32 characters, without showing it', () => {
    expect(() => assertSessionSecret(configWith('production', `short-secret,${LONG}`))).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_SECRET', message: expect.not.stringContaining('short-secret') }),
    );
  });

  it('may hold short ones behind the first: those only verify what was signed with them before', () => {
    expect(() => assertSessionSecret(configWith('production', `${LONG},keyboard cat`))).not.toThrow();
  });

  it('is made up outside production, once, with a warning that says what that costs', () => {
    const log = recordingLogger();
    const source = new SecretSource(configWith('test'), log);
    const [secret = ''] = source.resolve().sealing;
    expect(secret.length).toBeGreaterThanOrEqual(32);
    expect(source.resolve()).toEqual({ sealing: [secret], signing: [secret] });
    expect(new SecretSource(configWith('test'), log).resolve().sealing).not.toContain(secret);
    expect(log.warnings[0]).toMatch(/second instance/);
  });

  it('is taken with a warning outside production when it is short', () => {
    const log = recordingLogger();
    expect(new SecretSource(configWith('test', 'short'), log).resolve().sealing).toEqual(['short']);
    expect(log.warnings).toHaveLength(1);
  });
});

const of = (env: string, secret?: string) => new SecretSource(configWith(env, secret), silentLogger);

describe("the option secret of express-session's", () => {
  it('signs cookies as it was given, and seals too where SESSION_SECRET is not set', () => {
    const given = [LONG, 'old'];
    expect(of('production').resolve(given)).toEqual({ signing: given, sealing: given });
    expect(of('test').resolve('keyboard cat')).toEqual({ signing: 'keyboard cat', sealing: ['keyboard cat'] });
  });

  it('only signs where SESSION_SECRET is set, so that a short one is well', () => {
    expect(of('production', LONG).resolve('keyboard cat')).toEqual({ signing: 'keyboard cat', sealing: [LONG] });
  });

  it('is refused in production where it would seal and is short', () => {
    expect(() => of('production').resolve('keyboard cat')).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_SECRET' }),
    );
  });
});
