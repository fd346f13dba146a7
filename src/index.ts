// oxlint-disable-next-line import/no-unassigned-import -- it acts by being evaluated before all else
import './core/node-version.ts';

export type { Redoubt, RedoubtOptions, ReloadResult } from './api.ts';
export type { Config } from './config/schema.ts';
export { ERRORS, type ErrorCode, RedoubtError, isRedoubtError } from './core/errors.ts';
export type { Mode, Reason, Scope, ServiceName, ServiceReport } from './core/mode.ts';
export type { Logger } from './observe/log.ts';
export { createRedoubt } from './redoubt.ts';
export type { EventType, MachineEvent } from './runtime/events.ts';
export { defineExtensions, type Extensions } from './runtime/extensions.ts';
export type { Machine, MachineDefinition, Machines, MachineStatus, Transition } from './runtime/types.ts';
export { createKeyvStore, type KeyvStore } from './services/cache/keyv.ts';
export type {
  Cache,
  CacheEntry,
  CacheSetOptions,
  CacheSpace,
  CacheStats,
  GetOrSetOptions,
  Lookup,
  NamespaceOptions,
  Serializer,
} from './services/cache/types.ts';
export type { Health, HealthReport, MachineReport } from './services/health/types.ts';
export type {
  AddedJob,
  AddJobOptions,
  Job,
  JobCounts,
  JobQueue,
  Jobs,
  JobWorker,
  WorkOptions,
} from './services/jobs/types.ts';
export type { Sessions, SessionMiddlewareOptions } from './services/sessions/types.ts';
export type { Sockets } from './services/sockets/types.ts';
export type { ShutdownTarget } from './shutdown.ts';
