/**
 * Joins the compiled modules into few files: of the time and memory that an import costs, a third was for finding, reading
 * and linking 150 modules. Names stay as they are, so that a trace is still read.
 *
 * Every file but the entries lies in dist/chunks/, as deep as each module in src/: what they look for beside themselves
 * (config/, machines/, the files of worker threads) is found from there too.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { rolldown } from 'rolldown';

interface Package {
  readonly exports: Readonly<Record<string, string | { readonly import: { readonly default: string } }>>;
}

const root = new URL('../', import.meta.url);
const path = (file: string): string => fileURLToPath(new URL(file, root));
const { exports } = JSON.parse(readFileSync(path('package.json'), 'utf8')) as Package;

const entries = Object.values(exports).flatMap((entry) =>
  typeof entry === 'string' ? [] : [entry.import.default.replace(/^\.\/dist\/|\.js$/g, '')],
);
const input = {
  ...Object.fromEntries(entries.map((name) => [name, path(`src/${name}.ts`)])),
  'cli/main': path('src/cli/main.ts'),
  'chunks/embedded-worker': path('src/backends/embedded-worker.ts'),
  'chunks/elk-worker': path('src/diagram/elk-worker.ts'),
};

const bundle = await rolldown({
  input,
  platform: 'node',
  // Dependencies stay the package's own.
  external: (id) => !id.startsWith('.') && !id.startsWith('/'),
  tsconfig: path('tsconfig.build.json'),
});
await bundle.write({
  dir: path('dist'),
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name].js',
  comments: false,
});
await bundle.close();
