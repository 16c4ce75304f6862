#!/usr/bin/env bash
# Writes the bill of materials of each binary: what is linked into it, in which version, under which licence.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"

# The packages whose binaries are shipped.
PACKAGES='seatpilot seatpilot-checkin seatpilot-wayfinding seatpilot-telemetry-ingest seatpilot-kpi-refresher seatpilot-metrics-api-app'

usage() {
  cat <<'TXT'
Usage: scripts/sbom.sh [--target TRIPLE] [FOLDER]

Writes FOLDER/<package>.cdx.json (default target/sbom), CycloneDX 1.6, for each package whose binary is shipped: every
crate that is linked into it or runs while it is built, with version, licence, SHA-256 of its package and what it
needs. From Cargo.lock; the same lock gives the same bytes. Each document is checked against the standard's schema.

  --target TRIPLE  for which machine (default x86_64-unknown-linux-gnu, that of the images)
  -h, --help       this text

Exit: 0 written, 1 it failed, 2 usage.
TXT
}

folder=$root/target/sbom target=x86_64-unknown-linux-gnu
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --target)
      [ $# -ge 2 ] || {
        usage >&2
        exit 2
      }
      target=$2
      shift
      ;;
    -*)
      say "error: $1 is no option"
      usage >&2
      exit 2
      ;;
    *) folder=$1 ;;
  esac
  shift
done

need_rust
want_supply_chain "$root/target/tools"
python=$root/target/tools/supply-chain/bin/python
[ -x "$python" ] || fail "the CycloneDX library could not be had: $(cat "$root/target/tools/supply-chain.missing")"
mkdir -p "$folder"
for package in $PACKAGES; do
  cargo metadata --format-version 1 --locked --filter-platform "$target" --manifest-path "$root/Cargo.toml" |
    "$python" "$root/scripts/lib/sbom" "$package" "$root/Cargo.lock" >"$folder/$package.cdx.json.new" ||
    fail "the bill of materials of $package could not be written"
  mv "$folder/$package.cdx.json.new" "$folder/$package.cdx.json"
  say "   $folder/$package.cdx.json"
done
