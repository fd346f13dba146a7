import { randomBytes } from 'node:crypto';

import type { Config } from '../../config/schema.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';

/** Shortest secret that is taken in production, in characters. */
export const MIN_SECRET_LENGTH = 32;

/**
 * Refuses production without proper secrets; `serve` calls it before it listens. Outside production it never throws.
 *
 * @throws {RedoubtError} `ERR_SESSION_SECRET` where SESSION_SECRET is unset or one of its values is too short
 */
export function assertSessionSecret(config: Config): void {
  if (config.env !== 'production') return;
  const { secret } = config.sessions;
  if (secret.length === 0) throw new RedoubtError('ERR_SESSION_SECRET', { message: 'SESSION_SECRET is not set' });
  if (hasShort(secret)) {
    throw new RedoubtError('ERR_SESSION_SECRET', { message: `each needs ${MIN_SECRET_LENGTH} characters` });
  }
}

/**
 * The secrets to sign and seal with, the first one first; outside production a random one where none is set.
 *
 * @throws {RedoubtError} `ERR_SESSION_SECRET` as {@link assertSessionSecret}
 */
export function resolveSecrets(config: Config, log: Logger): readonly string[] {
  assertSessionSecret(config);
  const { secret } = config.sessions;
  if (secret.length === 0) {
    log.warn(
      {},
      'SESSION_SECRET is not set: a random one is used, so sessions end with this process and no second instance can read them',
    );
    return [randomBytes(32).toString('base64url')];
  }
  if (hasShort(secret)) {
    log.warn({}, `SESSION_SECRET is shorter than ${MIN_SECRET_LENGTH} characters; production refuses it`);
  }
  return secret;
}

function hasShort(secrets: readonly string[]): boolean {
  return secrets.some((secret) => secret.length < MIN_SECRET_LENGTH);
}
