import type { Middleware } from '../../core/middleware.ts';
import type { Reason, ServiceName, ServiceReport } from '../../core/mode.ts';
import type { RevisionSource } from '../../runtime/revision.ts';

/** One machine in the health report. */
export interface MachineReport {
  readonly state: string;
  readonly status: 'up' | 'degraded' | 'down';
  /** ISO 8601. */
  readonly since: string;
  readonly reason: Reason;
  readonly nextProbeAt: string | null;
  readonly flapping: boolean;
  /** The last 20, newest last. */
  readonly transitions: readonly {
    readonly from: string;
    readonly to: string;
    readonly event: string;
    readonly reason: Reason;
    readonly at: string;
    readonly spentMs: number;
  }[];
}

/** What `GET /health` answers. */
export interface HealthReport {
  readonly status: 'pass' | 'warn' | 'fail';
  /** One sentence for people. */
  readonly summary: string;
  readonly version: string;
  /** Seconds since the process started. */
  readonly uptime: number;
  readonly instance: string;
  /** Which machine files and thresholds run, since when, and what came of the last reload. */
  readonly revision: {
    /** The same files give the same id on every instance. */
    readonly id: string;
    readonly loadedAt: string;
    readonly source: RevisionSource;
    /** Changed settings that wait for a restart, by path. */
    readonly pending: readonly string[];
    readonly refused: { readonly at: string; readonly source: RevisionSource; readonly message: string } | null;
  };
  readonly machines: Readonly<Record<string, MachineReport>>;
  readonly services: Readonly<Record<ServiceName, ServiceReport>>;
  /** The other instances, as far as this one knows. */
  readonly fleet: readonly {
    readonly instance: string;
    /** It cannot bring its writes to Redis, so nobody reads sessions from there. */
    readonly blind: boolean;
  }[];
}

/** The health of `redoubt.health`. */
export interface Health {
  /** Built from memory, without I/O. */
  report(): HealthReport;
  /**
   * `/`, `/live`, `/ready`, `/startup`, `/machines/:id`; mount it at `/health`. A middleware for Express 4 and 5, Connect,
   * or `http.createServer((request, response) => …)` with a `next` of your own.
   */
  router(): Middleware;
}
