import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import {
  OLDEST_NODE,
  PEERS,
  type PeerName,
  assertNode,
  assertPeers,
  installedVersion,
} from '../../../src/core/peers.ts';

interface Manifest {
  readonly engines: { readonly node: string };
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
}
const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as Manifest;

/** What is installed, by name. */
const having =
  (installed: Readonly<Record<string, string>>) =>
  (name: string): string | undefined =>
    installed[name];

describe('assertPeers', () => {
  it('passes where all that is needed is there and new enough', () => {
    const versionOf = having({ bullmq: '6.7.0', 'socket.io': '4.1.0' });
    expect(() => assertPeers('Jobs need', ['bullmq', 'socket.io'], { versionOf })).not.toThrow();
  });

  it('says everything that is missing in one sentence with the command to type', () => {
    const names = ['socket.io-adapter', '@socket.io/redis-adapter'] as const;
    expect(() => assertPeers('Sockets need', names, { versionOf: having({}) })).toThrow(
      expect.objectContaining({
        code: 'ERR_PEER',
        message: expect.stringContaining(
          'Sockets need socket.io-adapter and @socket.io/redis-adapter: npm install socket.io-adapter @socket.io/redis-adapter',
        ),
      }),
    );
  });

  it.each([
    ['socket.io', '3.1.2', 'Sockets need socket.io 4.1 or later, and 3.1.2 is installed: npm install socket.io@^4.1.0'],
    ['socket.io', '4.0.2', 'Sockets need socket.io 4.1 or later, and 4.0.2 is installed: npm install socket.io@^4.1.0'],
    ['bullmq', '5.61.0', 'Sockets need bullmq 6 or later, and 5.61.0 is installed: npm install bullmq@^6.0.0'],
  ] as const)('refuses %s %s in one sentence', (name, found, sentence) => {
    const versionOf = having({ [name]: found });
    expect(() => assertPeers('Sockets need', [], { ifPresent: [name], versionOf })).toThrow(sentence);
  });

  it.each([
    ['socket.io-adapter', '2.5.4-rc.1'],
    ['socket.io', '4.10.0'],
  ] as const)('takes %s %s', (name, found) => {
    const versionOf = having({ [name]: found });
    expect(() => assertPeers('Sockets need', [], { ifPresent: [name], versionOf })).not.toThrow();
  });

  it('does not miss what may come from elsewhere', () => {
    expect(() => assertPeers('Sockets need', [], { ifPresent: ['socket.io'], versionOf: having({}) })).not.toThrow();
  });
});

describe('installedVersion', () => {
  it('finds packages that do not export their package.json, and misses those that are not there', () => {
    expect(installedVersion('helmet')).toMatch(/^\d+\.\d+\.\d+/);
    expect(installedVersion('@statelyai/inspect')).toMatch(/^\d+\.\d+\.\d+/);
    expect(installedVersion('a-package-that-nobody-installs')).toBeUndefined();
  });
});

describe('assertNode', () => {
  it.each(['18.20.4', '20.19.0', '22.17.1'])('refuses Node %s in one sentence', (version) => {
    expect(() => assertNode(version, '22.18.0')).toThrow(
      `Redoubt needs Node 22.18.0 or later, and this is Node ${version}`,
    );
  });

  it.each(['22.18.0', '22.18.1', '24.0.0', '26.1.0-nightly2026'])('takes Node %s', (version) => {
    expect(() => assertNode(version, '22.18.0')).not.toThrow();
  });
});

describe('package.json', () => {
  it('asks npm for the Node that is checked at the start', () => {
    expect(`>=${OLDEST_NODE}`).toBe(`${manifest.engines.node}.0`);
  });

  it('lets npm install it beside an application with an older Express or BullMQ, which only a part in use needs', () => {
    expect(Object.keys(manifest.peerDependencies).toSorted()).toEqual(Object.keys(PEERS).toSorted());
    for (const [name, oldest] of Object.entries(PEERS)) {
      const from = /^>=(\d+\.\d+\.\d+)$/.exec(manifest.peerDependencies[name] ?? '')?.[1] ?? '';
      expect(() => assertPeers('It needs', [name as PeerName], { versionOf: () => from })).toThrow(
        oldest.replace(/(\.0)+$/, ''),
      );
      expect(manifest.peerDependenciesMeta[name]).toEqual({ optional: true });
    }
  });
});
