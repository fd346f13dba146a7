import type { Rig } from './rig.ts';

/** One way in which Redis fails, and how it comes back. Instance a is the one that a one-sided fault hits. */
export interface Fault {
  readonly begin: (rig: Rig) => Promise<void> | void;
  readonly end: (rig: Rig) => Promise<void> | void;
  /** Whether instance b keeps its Redis. */
  readonly oneSided?: true;
}

const SLOW_MS = 300;

/** The faults of the cache's outage, by the name that `--fault` takes. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  'kill-empty': { begin: ({ redis }) => redis.kill(), end: ({ redis }) => redis.restart({ empty: true }) },
  freeze: { begin: ({ redis }) => redis.freeze(), end: ({ redis }) => redis.thaw() },
  slow: {
    begin: ({ a, b }) => {
      for (const { hop } of [a, b]) {
        hop.delayMs = SLOW_MS;
        hop.mode = 'slow';
      }
    },
    end: ({ a, b }) => {
      for (const { hop } of [a, b]) hop.mode = 'pass';
    },
  },
  'cut-one': { begin: ({ a }) => setMode(a.hop, 'refuse'), end: ({ a }) => setMode(a.hop, 'pass'), oneSided: true },
  'silent-one': {
    begin: ({ a }) => setMode(a.hop, 'blackhole'),
    end: ({ a }) => setMode(a.hop, 'pass'),
    oneSided: true,
  },
  // The snapshot was taken before the last writes (the run does that for every fault).
  'old-snapshot': { begin: ({ redis }) => redis.kill(), end: ({ redis }) => redis.restart() },
};

async function setMode(hop: Rig['a']['hop'], mode: 'refuse' | 'blackhole' | 'pass'): Promise<void> {
  hop.mode = mode;
  await hop.settled();
}
