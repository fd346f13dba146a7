#!/usr/bin/env bash
# An optional peer dependency is optional only where it is absent. Where an application has that package at another major,
# npm refuses to install the package that names it, whether the part that needs the peer would ever be used or not:
# ws 8.18.0 names bufferutil ^4.0.1 as an optional peer and does not need it, and an application with bufferutil 3.0.5
# cannot install it (ERESOLVE). Without bufferutil it can. So a library whose parts are optional gives such peers a range
# without an upper bound, and looks at the version when the part is used.
#
# Exit code 0: as seen with npm 11.19; 1: no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo "npm $(npm --version), ws 8.18.0"

# Only the lock file is written: what npm resolves is what counts, nothing is built.
resolve() {
  npm install --package-lock-only --ignore-scripts --no-audit --no-fund "$@" 2>&1
}

mkdir without with
(cd without && npm init -y >/dev/null && resolve ws@8.18.0 >/dev/null)
echo "without bufferutil: installed"

cd with
npm init -y >/dev/null
resolve bufferutil@3.0.5 >/dev/null
if said=$(resolve ws@8.18.0); then
  echo "with bufferutil 3.0.5: installed, which it was not before"
  exit 1
fi
grep -E "ERESOLVE|peerOptional" <<<"$said" | head -3
echo "with bufferutil 3.0.5: refused"
