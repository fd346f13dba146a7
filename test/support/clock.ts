import { SimulatedClock as CoreClock } from '../../src/core/simulated-clock.ts';

/** A late deadline yields twice with nested `setImmediate`s; what tests drive may nest them twice more. */
const TURNS = 4;

/** The product's simulated clock, with room for nested `setImmediate`s. */
export class SimulatedClock extends CoreClock {
  /** @param wallStartMs - the date at `now() === 0`, in milliseconds since 1970; default 2026-01-01T00:00Z */
  constructor(wallStartMs?: number) {
    super({ turns: TURNS, ...(wallStartMs === undefined ? {} : { wallStartMs }) });
  }
}
