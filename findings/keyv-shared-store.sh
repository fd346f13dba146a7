#!/usr/bin/env bash
# Two Keyv 6 with different namespaces on one of Keyv's own stores read and clear each other's keys: each sets the
# store's namespace, and the last one counts for both. Keyv 5 keeps keys apart, but clears and iterates as the last.
# Exit code 0: as seen; 1: no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund keyv6@npm:keyv@6.1.0 keyv5@npm:keyv@5.6.0
cat > run.mjs <<'EOF'
import { Keyv as Keyv5 } from 'keyv5';
import { Keyv as Keyv6, KeyvMemoryAdapter } from 'keyv6';

async function see(Keyv, store) {
  const [a, b] = ['a', 'b'].map((namespace) => new Keyv({ store, namespace }));
  await a.set('k', 'of a');
  await b.set('k', 'of b');
  const read = [await a.get('k'), await b.get('k')];
  const iterated = [];
  for await (const [, value] of a.iterator()) iterated.push(value);
  await a.clear();
  return { read, iterated, afterClearOfA: [(await a.get('k')) ?? null, (await b.get('k')) ?? null] };
}

const seen = {
  'keyv 6.1.0, one KeyvMemoryAdapter': await see(Keyv6, new KeyvMemoryAdapter(new Map())),
  'keyv 6.1.0, one Map': await see(Keyv6, new Map()),
  'keyv 5.6.0, one Map': await see(Keyv5, new Map()),
};
console.log(seen);
const expected = [
  { read: ['of b', 'of b'], iterated: ['of b'], afterClearOfA: [null, null] },
  { read: ['of a', 'of b'], iterated: ['of a'], afterClearOfA: [null, 'of b'] },
  { read: ['of a', 'of b'], iterated: ['of b'], afterClearOfA: [null, null] },
];
process.exitCode = JSON.stringify(Object.values(seen)) === JSON.stringify(expected) ? 0 : 1;
EOF
node run.mjs
