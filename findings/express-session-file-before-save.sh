#!/usr/bin/env bash
# express-session 1.19.0: an answer by res.sendFile() is complete at the client before its session is saved. The last
# byte is held back only where end() is given a chunk; a stream writes all of its bytes first and calls end() with none.
# So the next request of the same browser may still find the session of before. res.send() of the same text waits.
#
# Seen on Node 24.21: send: saved at its end; sendFile: not saved yet.
# Fails (exit 1) once that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent express@5.3.0 express-session@1.19.0

cat >run.mjs <<'JS'
import { request } from 'node:http';
import { writeFileSync } from 'node:fs';
import { resolve as pathOf } from 'node:path';

import express from 'express';
import session from 'express-session';

writeFileSync('page.html', 'a page');
let saves = 0;

/** Two hundred milliseconds for each save, so that the order is plain. */
class DistantStore extends session.MemoryStore {
  set(sid, data, done) {
    setTimeout(() => {
      saves += 1;
      super.set(sid, data, done);
    }, 200);
  }
}

const app = express();
app.use(session({ secret: 'any', resave: false, saveUninitialized: false, store: new DistantStore() }));
app.use((req, res, next) => {
  req.session.visited = true;
  next();
});
app.get('/send', (req, res) => void res.send('a page'));
app.get('/file', (req, res) => void res.sendFile(pathOf('page.html')));

const server = await new Promise((resolve) => {
  const made = app.listen(0, '127.0.0.1', () => resolve(made));
});

/** Whether the session was saved when the last byte of the answer had arrived. */
function savedAtTheEnd(path) {
  saves = 0;
  return new Promise((resolve) => {
    const get = request({ port: server.address().port, host: '127.0.0.1', path, agent: false }, (res) => {
      res.resume();
      res.on('end', () => resolve(saves > 0 ? 'saved at its end' : 'not saved yet'));
    });
    get.end();
  });
}

console.log(`send: ${await savedAtTheEnd('/send')}; sendFile: ${await savedAtTheEnd('/file')}`);
server.close();
JS

seen=$(node run.mjs)
printf 'node %s, express 5.3.0, express-session 1.19.0\n%s\n' "$(node --version)" "$seen"
[ "$seen" = 'send: saved at its end; sendFile: not saved yet' ]
