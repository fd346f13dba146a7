import { randomBytes } from 'node:crypto';

import type { SessionOptions } from 'express-session';

import type { Config } from '../../config/schema.ts';
import { RedoubtError } from '../../core/errors.ts';
import type { Logger } from '../../observe/log.ts';

/** Shortest first secret that is taken in production, in characters. */
export const MIN_SECRET_LENGTH = 32;

type Given = SessionOptions['secret'] | undefined;

/** The secrets of one middleware; of each list the first makes, the others only verify and open. */
export interface Secrets {
  /** For cookies. */
  readonly signing: Exclude<Given, undefined>;
  /** For what is stored. */
  readonly sealing: readonly string[];
}

/**
 * Refuses production without a proper secret; `serve` calls it before it listens. Outside production it never throws.
 *
 * @param given - express-session's own option, which stands in where SESSION_SECRET is not set
 * @throws {RedoubtError} `ERR_SESSION_SECRET` where there is none or the first is too short
 */
export function assertSessionSecret(config: Config, given?: Given): void {
  if (config.env !== 'production') return;
  const [first] = sealingSecrets(config, given);
  if (first === undefined) throw new RedoubtError('ERR_SESSION_SECRET', { message: 'SESSION_SECRET is not set' });
  if (first.length < MIN_SECRET_LENGTH) {
    throw new RedoubtError('ERR_SESSION_SECRET', {
      message: `the first of SESSION_SECRET, or of the option secret, needs ${MIN_SECRET_LENGTH} characters`,
    });
  }
}

/** Resolves the secrets of all middlewares of one process; outside production it makes one up where none is set. */
export class SecretSource {
  readonly #config: Config;
  readonly #log: Logger;
  #madeUp: string | undefined;

  constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
  }

  /** @throws {RedoubtError} `ERR_SESSION_SECRET` as {@link assertSessionSecret} */
  resolve(given?: Given): Secrets {
    assertSessionSecret(this.#config, given);
    const found = sealingSecrets(this.#config, given);
    if (found[0] !== undefined && found[0].length < MIN_SECRET_LENGTH) {
      this.#log.warn(
        {},
        `The first session secret is shorter than ${MIN_SECRET_LENGTH} characters; production refuses it`,
      );
    }
    const sealing = found.length > 0 ? found : [this.#makeUp()];
    // A list of express-session's own may be empty, which it refuses by itself.
    return { sealing, signing: given === undefined || given === '' ? [...sealing] : given };
  }

  #makeUp(): string {
    if (this.#madeUp === undefined) {
      this.#madeUp = randomBytes(32).toString('base64url');
      this.#log.warn(
        {},
        'SESSION_SECRET is not set: a random one is used, so sessions end with this process and no second instance can read them',
      );
    }
    return this.#madeUp;
  }
}

function sealingSecrets({ sessions: { secret } }: Config, given: Given): readonly string[] {
  if (secret.length > 0) return secret;
  return [given ?? []].flat().filter((one): one is string => typeof one === 'string' && one !== '');
}
