/**
 * `redoubt-runtime/cache`: what code needs that is handed a cache, such as a repository or a plugin. It starts nothing:
 * `createRedoubt` of the main entry does.
 *
 * @module
 */
export { type ErrorCode, RedoubtError, isRedoubtError } from './core/errors.ts';
export { createKeyvStore, type KeyvEntry, type KeyvStore } from './services/cache/keyv.ts';
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
