#!/usr/bin/env bash
# express-session 1.19.0: two middlewares on one store share the cookie options of the one that was made last. Each puts
# its own `generate` on the store, and a new session is made by whichever stands there. A site with an /admin part of its
# own name and path gives its admins a cookie for the whole site. With a store for each it is as written.
#
# Seen on Node 24.21: one store: admin=…; Path=/; two stores: admin=…; Path=/admin.
# Fails (exit 1) once that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent express@5.3.0 express-session@1.19.0

cat >run.mjs <<'JS'
import express from 'express';
import session from 'express-session';

async function adminCookie(storeOfAdmins, storeOfUsers) {
  const base = { secret: 'any', resave: false, saveUninitialized: true };
  const app = express();
  app.use('/admin', session({ ...base, name: 'admin', store: storeOfAdmins, cookie: { path: '/admin' } }));
  app.use(session({ ...base, name: 'user', store: storeOfUsers }));
  app.use((req, res) => void res.send('ok'));
  const server = await new Promise((resolve) => {
    const made = app.listen(0, '127.0.0.1', () => resolve(made));
  });
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/admin`);
  server.close();
  return answer.headers.getSetCookie()[0].replace(/=[^;]*/, '=…').replace('; HttpOnly', '');
}

const one = new session.MemoryStore();
console.log(`one store: ${await adminCookie(one, one)}`);
console.log(`two stores: ${await adminCookie(new session.MemoryStore(), new session.MemoryStore())}`);
JS

seen=$(node run.mjs)
printf 'node %s, express 5.3.0, express-session 1.19.0\n%s\n' "$(node --version)" "$seen"
[ "$seen" = 'one store: admin=…; Path=/
two stores: admin=…; Path=/admin' ]
