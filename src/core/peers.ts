import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { RedoubtError } from './errors.ts';

/** Packages that only some applications use, each with the oldest version that works; theirs to install. */
export const PEERS = {
  '@electric-sql/pglite': '0.5.0',
  '@socket.io/redis-adapter': '8.3.0',
  '@statelyai/inspect': '0.7.0',
  bullmq: '6.0.0',
  elkjs: '0.12.0',
  express: '5.0.0',
  helmet: '8.0.0',
  'socket.io': '4.1.0',
  'socket.io-adapter': '2.5.4',
  ws: '8.0.0',
} as const satisfies Record<string, string>;

/** The same as `engines` in package.json, which npm only warns about. */
export const OLDEST_NODE = '22.18.0';

export type PeerName = keyof typeof PEERS;

const require = createRequire(import.meta.url);

/**
 * Makes sure that a part has what it needs, before anything of it is loaded: what is missing or too old is said at
 * once, in one sentence with the command to type.
 *
 * @param part - with its verb, as the sentence begins: `Jobs need`
 * @param options - `ifPresent`: may come from elsewhere, so only an old one counts; `versionOf`: for tests
 * @throws {RedoubtError} `ERR_PEER`
 */
export function assertPeers(
  part: string,
  names: readonly PeerName[],
  options: { readonly ifPresent?: readonly PeerName[]; readonly versionOf?: typeof installedVersion } = {},
): void {
  const { ifPresent = [], versionOf = installedVersion } = options;
  const missing = names.filter((name) => versionOf(name) === undefined);
  if (missing.length > 0) {
    throw peerError(`${part} ${list(missing)}: npm install ${missing.join(' ')}`);
  }
  for (const name of [...names, ...ifPresent]) {
    const found = versionOf(name);
    if (found === undefined || !isOlder(found, PEERS[name])) continue;
    const from = PEERS[name].replace(/(\.0)+$/, '');
    throw peerError(`${part} ${name} ${from} or later, and ${found} is installed: npm install ${name}@^${PEERS[name]}`);
  }
}

/**
 * Loads a peer that is CommonJS, where the caller cannot wait.
 *
 * @throws what the package threw; whether it is there, `assertPeers` has said
 */
export function requirePeer<T>(name: PeerName): T {
  return require(name) as T;
}

/**
 * Makes sure that Node is not too old.
 *
 * @param version - default: the one that runs
 * @param from - default: `OLDEST_NODE`
 * @throws {RedoubtError} `ERR_PEER`
 */
export function assertNode(version: string = process.versions.node, from: string = OLDEST_NODE): void {
  if (isOlder(version, from)) throw peerError(`Redoubt needs Node ${from} or later, and this is Node ${version}`);
}

/** The version of the package as Redoubt itself would load it; `undefined` where there is none. */
export function installedVersion(name: string): string | undefined {
  // Not by `name/package.json`: many packages do not export it.
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as { version?: string }).version;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** Whether a version is older than another; what a pre-release adds does not count. */
function isOlder(version: string, than: string): boolean {
  const [found, wanted] = [version, than].map((text) => text.split(/[.-]/, 3).map(Number));
  for (const [i, part] of wanted!.entries()) {
    const own = found![i] ?? 0;
    if (own !== part) return own < part;
  }
  return false;
}

function peerError(message: string): RedoubtError {
  return new RedoubtError('ERR_PEER', { message });
}

function list(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
