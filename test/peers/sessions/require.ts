import Module from 'node:module';
import { join } from 'node:path';

type Load = (request: string, parent: { filename: string } | undefined, isMain: boolean) => unknown;

/** How `require()` finds a module; nothing documented stands in for a path such as `../`. */
const LOAD = '_load';

/**
 * Gives a peer's tests something else in the place of a module.
 *
 * @param request - the module as the tests name it
 * @param make - from what would have been loaded
 */
export function standIn(request: string, make: (theirs: never) => unknown): void {
  const tests = join(process.cwd(), 'test/');
  const modules = Module as unknown as Record<typeof LOAD, Load>;
  const load = modules[LOAD];
  modules[LOAD] = (asked, parent, isMain) => {
    const loaded = load(asked, parent, isMain);
    return asked === request && parent?.filename.startsWith(tests) ? make(loaded as never) : loaded;
  };
}
