/** Puts Redoubt in the place of express-session's MemoryStore, or of its middleware, for its own tests. */
import { newMiddleware, newStore } from './redoubt.ts';
import { standIn } from './require.ts';

type Theirs = ((options: object) => unknown) & object;

function MemoryStore(): unknown {
  return newStore();
}

standIn('../', (theirs: Theirs) => {
  const onOurStore = (options: { store?: unknown } = {}): unknown =>
    theirs({ ...options, store: options.store ?? newStore() });
  const session = process.env['PEER_AS'] === 'middleware' ? newMiddleware : onOurStore;
  return Object.assign((options?: never) => session(options), theirs, { MemoryStore });
});
