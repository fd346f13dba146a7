/** The four services, in the order in which reports list them. */
export const SERVICES = ['cache', 'sessions', 'sockets', 'jobs'] as const;
export type ServiceName = (typeof SERVICES)[number];

/**
 * Every backend a machine may name: the machine it depends on (`null`: nothing can take it away)
 * and how far what it holds reaches.
 */
export const BACKENDS = {
  redis: { machine: 'redis', scope: 'fleet', services: ['cache', 'sessions', 'sockets', 'jobs'] },
  postgres: { machine: 'postgres', scope: 'fleet', services: ['sessions'] },
  memory: { machine: null, scope: 'instance', services: ['cache', 'sessions'] },
  local: { machine: null, scope: 'instance', services: ['sockets'] },
  reject: { machine: null, scope: 'instance', services: ['jobs'] },
} as const satisfies Record<string, BackendEntry>;

interface BackendEntry {
  readonly machine: string | null;
  readonly scope: Scope;
  readonly services: readonly ServiceName[];
}

export type BackendName = keyof typeof BACKENDS;
/** `fleet`: all instances share it. `instance`: only this process sees it. */
export type Scope = 'fleet' | 'instance';

/** A code to branch on and a sentence to read; neither ever carries driver text, a host or a secret. */
export interface Reason {
  readonly code: string;
  readonly message: string;
}

/**
 * What a state gives a service: one backend out of its preferred order. Written by the last
 * transition, read by every request; frozen.
 */
export interface Mode {
  readonly service: ServiceName;
  /** The first usable backend of the state's list; `none` where the list has no usable one. */
  readonly backend: BackendName | 'none';
  /** All usable backends of the state's list, in its order: where writes go through, and where reads fall back to. */
  readonly usable: readonly BackendName[];
  /** What the service uses when everything is well. */
  readonly preferred: BackendName | 'none';
  /** Wall-clock milliseconds of the last change. */
  readonly since: number;
  /** Why the state was entered. */
  readonly reason: Reason;
}

/** What a service says of itself in `/health`: built from memory, without I/O. */
export interface ServiceReport {
  readonly backend: Mode['backend'];
  readonly preferred: Mode['preferred'];
  readonly scope: Scope;
  /** One sentence for people when something is less than it should be. */
  readonly notice?: string;
  /** Only ever growing counts and present sizes, in camelCase; no labels. */
  readonly counters: Readonly<Record<string, number>>;
}

/** What the composition root asks of every service. */
export interface Service extends AsyncDisposable {
  readonly name: ServiceName;
  /** Takes the new mode at once, without waiting; the first call comes before the service is used. */
  applyMode(mode: Mode): void;
  /**
   * Makes both sides agree before `dependency` is used again: replays journals, re-subscribes.
   * The backend's clients are connected, its mode is not given out yet.
   *
   * @throws whatever keeps the dependency from being used; the machine then falls back to degraded
   */
  reconcile(dependency: 'redis' | 'postgres', signal: AbortSignal): Promise<void>;
  report(): ServiceReport;
  /** Flushes what is buffered, for no longer than `signal` lets it, then lets go of everything. */
  close(signal: AbortSignal): Promise<void>;
}

/** The scope of a mode: its backend's, `instance` where there is none. */
export function scopeOf(mode: Mode): Scope {
  return mode.backend === 'none' ? 'instance' : BACKENDS[mode.backend].scope;
}
