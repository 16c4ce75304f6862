# shellcheck shell=bash
# What the SDK for JavaScript is built and judged with. Sourced by setup.sh, whose say() is used, for bash 3.2 and later.

# TypeScript and what judges packages: $1/sdk-js, as packages/sdk-js/package-lock.json has them. Where they cannot be had,
# the reason stands in $1/sdk-js.missing, and the tests that need them say that they were skipped.
want_sdk_js() {
  local into=$1/sdk-js from major
  from=$(dirname "${BASH_SOURCE[0]}")/../../packages/sdk-js
  mkdir -p "$into"
  rm -f "$1/sdk-js.missing"
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if ! command -v npm >/dev/null || [ "$major" -lt 20 ]; then
    echo "no Node.js of 20 or later with npm" >"$1/sdk-js.missing"
  elif ! cmp -s "$from/package-lock.json" "$into/package-lock.json" || [ ! -x "$into/node_modules/.bin/tsc" ]; then
    cp "$from/package.json" "$into/package.json"
    # The lock comes last: it says that all of it is there.
    rm -rf "$into/package-lock.json" "$into/node_modules"
    if ! (mkdir -p "$into/fetching" && cp "$from/package.json" "$from/package-lock.json" "$into/fetching/" &&
      npm ci --prefix "$into/fetching" --no-audit --no-fund --loglevel=error >&2 &&
      mv "$into/fetching/node_modules" "$into/node_modules" && cp "$from/package-lock.json" "$into/package-lock.json"); then
      echo "npm cannot reach its registry" >"$1/sdk-js.missing"
    fi
    rm -rf "$into/fetching"
  fi
  if [ -f "$1/sdk-js.missing" ]; then say "   the SDK for JavaScript is not tested: $(cat "$1/sdk-js.missing")"; fi
}
