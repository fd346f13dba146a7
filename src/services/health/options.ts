import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import type { Service } from '../../core/mode.ts';
import type { Revision } from '../../runtime/revision.ts';
import type { Machines } from '../../runtime/types.ts';
import type { HealthReport } from './types.ts';

export interface HealthOptions {
  readonly config: Config;
  readonly machines: Machines;
  /** What runs, and what came of the last reload. */
  readonly revision: () => Revision;
  /** In the order in which the report lists them. */
  readonly services: readonly Pick<Service, 'name' | 'report'>[];
  readonly version: string;
  /** A name for this process; shown, so nothing secret. */
  readonly instance: string;
  /** The other instances, as of the last heartbeat; default: none are known. */
  readonly peers?: () => HealthReport['fleet'];
  readonly clock: Clock;
  /** `clock.now()` at the start of the process; default 0, where the system's own clock starts. */
  readonly startedAt?: number;
  /** Whether each machine has found out once how its dependency is. */
  readonly started: () => boolean;
  /** Whether this instance is about to stop. */
  readonly draining: () => boolean;
}
