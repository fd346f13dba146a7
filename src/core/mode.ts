/** The four services, in the order in which reports list them. */
export const SERVICES = ['cache', 'sessions', 'sockets', 'jobs'] as const;
export type ServiceName = (typeof SERVICES)[number];

/** What a service knows of a backend: how it works, whatever a machine file calls it. */
export type BackendKind = 'redis' | 'postgres' | 'memory' | 'local' | 'reject';

/** A backend that machines may name. */
export interface BackendEntry {
  readonly kind: BackendKind;
  /** The machine it depends on; `null`: nothing can take it away. */
  readonly machine: string | null;
  /** How far what it holds reaches. */
  readonly scope: Scope;
  readonly services: readonly ServiceName[];
  readonly doc: string;
}

/** Backends by the name that machine files use. */
export type BackendTable = Readonly<Record<string, BackendEntry>>;

/** Redoubt's own backends; a further Redis of `runtime.redis` adds one of its name. */
export const BACKENDS = {
  redis: {
    kind: 'redis',
    machine: 'redis',
    scope: 'fleet',
    services: SERVICES,
    doc: 'Redis, shared by all instances.',
  },
  postgres: {
    kind: 'postgres',
    machine: 'postgres',
    scope: 'fleet',
    services: ['sessions'],
    doc: 'PostgreSQL, shared by all instances.',
  },
  memory: {
    kind: 'memory',
    machine: null,
    scope: 'instance',
    services: ['cache', 'sessions'],
    doc: "This process' own memory, bounded; it is always there.",
  },
  local: {
    kind: 'local',
    machine: null,
    scope: 'instance',
    services: ['sockets'],
    doc: 'The clients of this instance alone.',
  },
  reject: {
    kind: 'reject',
    machine: null,
    scope: 'instance',
    services: ['jobs'],
    doc: 'Every job is refused at once with ERR_JOBS_UNAVAILABLE.',
  },
} as const satisfies BackendTable & Record<BackendKind, BackendEntry>;

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
  readonly backend: BackendKind | 'none';
  /** All usable backends of the state's list, in its order: where writes go through, and where reads fall back to. */
  readonly usable: readonly BackendKind[];
  /** What the service uses when everything is well. */
  readonly preferred: BackendKind | 'none';
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
  /** Whether the application uses it: an outage of what it does not use is no news to anybody. */
  readonly isUsed: boolean;
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
