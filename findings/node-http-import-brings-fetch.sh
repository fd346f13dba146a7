#!/usr/bin/env bash
# Node 22 to 26: `import … from 'node:http'` loads HTTP/2 and undici, `require('node:http')` loads neither. For its list of
# names an ES module reads every property of node:http, and some of them (WebSocket, CloseEvent, MessageEvent) are getters
# that load undici. A process that only wants STATUS_CODES has some 5 MB more resident.
#
# Seen on Node 24.21: import: undici and http2; require: neither.
# Fails (exit 1) once that changes. Installs nothing.
set -euo pipefail

loaded='const has = (name) => process.moduleLoadList.includes(`NativeModule ${name}`);
console.log(has("internal/deps/undici/undici") && has("http2") ? "undici and http2" : has("internal/deps/undici/undici") || has("http2") ? "one of them" : "neither");'

seen="import: $(node --input-type=module -e "import { STATUS_CODES } from 'node:http'; STATUS_CODES[200]; $loaded")"
seen="$seen; require: $(node --input-type=commonjs -e "require('node:http').STATUS_CODES[200]; $loaded")"
printf 'node %s\n%s\n' "$(node --version)" "$seen"
[ "$seen" = 'import: undici and http2; require: neither' ]
