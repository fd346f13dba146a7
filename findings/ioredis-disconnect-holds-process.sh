#!/usr/bin/env bash
# ioredis 6.0.0: disconnect() of a client whose connection was refused keeps the process alive for two more seconds. The
# connector arms a timer of `disconnectTimeout` (2000 ms) to destroy the socket, and clears it at the socket's "close",
# which has been and gone. With `disconnectTimeout: 0` the process ends at once.
#
# Seen on Node 24.21: default: held for 2 s; disconnectTimeout 0: ends at once.
# Fails (exit 1) once that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent ioredis@6.0.0

cat >run.mjs <<'JS'
import { Redis } from 'ioredis';

// Nothing listens on port 1.
const client = new Redis('redis://127.0.0.1:1', {
  lazyConnect: true,
  retryStrategy: null,
  ...(process.argv[2] === undefined ? {} : { disconnectTimeout: Number(process.argv[2]) }),
});
client.on('error', () => undefined);
await client.connect().catch(() => undefined);
client.disconnect();
const endedAt = performance.now();
process.on('exit', () => console.log(performance.now() - endedAt > 1000 ? 'held for 2 s' : 'ends at once'));
JS

seen="default: $(node run.mjs); disconnectTimeout 0: $(node run.mjs 0)"
printf 'node %s, ioredis 6.0.0\n%s\n' "$(node --version)" "$seen"
[ "$seen" = 'default: held for 2 s; disconnectTimeout 0: ends at once' ]
