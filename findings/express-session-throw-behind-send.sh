#!/usr/bin/env bash
# express 5.3.0 and express-session 1.19.0: a handler that throws behind res.send() costs its client the answer, but only
# where its session is saved and the store takes a moment. express-session sends all but the last byte and waits for the
# store; Express finds the headers sent and destroys the connection. Without a change to the session the same answer is
# whole: it had been written before.
#
# Seen on Node 24.21: unchanged: 12 of 12 bytes, complete true; changed: 11 of 12 bytes, complete false.
# Fails (exit 1) once that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent express@5.3.0 express-session@1.19.0

cat >run.mjs <<'JS'
import { createServer, request } from 'node:http';

import express from 'express';
import session from 'express-session';

/** Ten milliseconds for each save, as over a network. */
class DistantStore extends session.MemoryStore {
  set(sid, data, done) {
    setTimeout(() => super.set(sid, data, done), 10);
  }
}

function answerOf(changes) {
  const app = express();
  app.set('env', 'test');
  app.use(session({ secret: 'any', resave: false, saveUninitialized: false, store: new DistantStore() }));
  app.get('/', (req, res) => {
    if (changes) req.session.user = 'ann';
    res.send('whole answer');
    throw new Error('behind the answer');
  });
  return new Promise((resolve) => {
    const server = createServer(app).listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      const get = request({ port, host: '127.0.0.1', agent: false }, (res) => {
        let bytes = 0;
        res.on('data', (chunk) => (bytes += chunk.length));
        res.on('error', () => undefined);
        res.on('close', () => {
          server.close();
          resolve(`${bytes} of 12 bytes, complete ${res.complete}`);
        });
      });
      get.end();
    });
  });
}

console.log(`unchanged: ${await answerOf(false)}`);
console.log(`changed: ${await answerOf(true)}`);
JS

seen=$(node run.mjs)
printf 'node %s, express 5.3.0, express-session 1.19.0\n%s\n' "$(node --version)" "$seen"
[ "$seen" = 'unchanged: 12 of 12 bytes, complete true
changed: 11 of 12 bytes, complete false' ]
