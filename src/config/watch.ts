import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

import { type Clock, type Timer } from '../core/clock.ts';

/** Editors write a file in several steps; this long after the last one it is read. */
const SETTLE_MS = 200;

export interface WatchOptions {
  /** Files, and folders whose every file counts. Those that do not exist are passed over. */
  readonly files: readonly string[];
  readonly folders: readonly string[];
  readonly clock: Clock;
  readonly onChange: () => void;
  /** Told once for each place that cannot be watched. */
  readonly onError: (error: unknown) => void;
}

/**
 * Calls `onChange` a moment after a file has changed. Watches folders, not files: most editors
 * replace a file by renaming, which ends the watch of the file itself.
 */
export function watchFiles(options: WatchOptions): Disposable {
  const { files, folders, clock, onChange, onError } = options;
  const names = new Map<string, Set<string> | null>(folders.map((folder) => [folder, null]));
  for (const file of files) {
    const folder = dirname(file);
    const known = names.get(folder);
    if (known === null) continue;
    names.set(folder, (known ?? new Set<string>()).add(basename(file)));
  }
  let timer: Timer | undefined;
  const changed = (): void => {
    if (timer !== undefined) clock.clearTimeout(timer);
    timer = clock.setTimeout(onChange, SETTLE_MS);
  };
  const watchers: FSWatcher[] = [];
  for (const [folder, wanted] of names) {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (wanted === null || name === null || wanted.has(name)) changed();
      });
      watcher.on('error', onError);
      watchers.push(watcher);
    } catch (error) {
      onError(error);
    }
  }
  return {
    [Symbol.dispose]: () => {
      if (timer !== undefined) clock.clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
    },
  };
}
