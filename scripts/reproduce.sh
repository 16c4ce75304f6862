#!/usr/bin/env bash
# Builds twice, clean, in two folders, and sees that both give the same bytes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"

usage() {
  cat <<'TXT'
Usage: scripts/reproduce.sh [--package PACKAGE]… [--lib]

Copies the tree as git has it (what is committed) into two folders, builds the shipped binaries in each from nothing, in
release mode, and compares their SHA-256. Two release builds: most of an hour on two cores.

  --package PACKAGE  only this one; may be given again
  --lib              the package's library instead of its binaries: a quick look
  -h, --help         this text

No path of the machine is in what is built: compiler and C compiler are told to write /seatpilot and /cargo instead. The
environment RUSTFLAGS and CFLAGS is replaced. The last line of standard output says what was compared.
Exit: 0 the same, 1 they differ or do not build, 2 usage.
TXT
}

packages=() kind=--bins
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --package)
      [ $# -ge 2 ] || {
        usage >&2
        exit 2
      }
      packages+=("$2")
      shift
      ;;
    --lib) kind=--lib ;;
    *)
      say "error: $1 is no option"
      usage >&2
      exit 2
      ;;
  esac
  shift
done
if [ ${#packages[@]} -eq 0 ]; then
  packages=(seatpilot seatpilot-checkin seatpilot-wayfinding seatpilot-telemetry-ingest seatpilot-kpi-refresher seatpilot-metrics-api-app)
fi

need_rust
folder=$(mktemp -d "${TMPDIR:-/tmp}/seatpilot-reproduce.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cargo_home=${CARGO_HOME:-$HOME/.cargo}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# Builds in $1 and lists what came of it: hash and name.
build() {
  local place=$1 wanted=() package found
  mkdir -p "$place"
  git -C "$root" archive HEAD | tar -x -C "$place"
  for package in "${packages[@]}"; do wanted+=(-p "$package"); done
  say "   building in $place"
  (cd "$place" && env -u CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR="$place/target" CARGO_INCREMENTAL=0 SOURCE_DATE_EPOCH=0 \
    RUSTFLAGS="--remap-path-prefix=$place=/seatpilot --remap-path-prefix=$cargo_home=/cargo" \
    CFLAGS="-ffile-prefix-map=$place=/seatpilot -ffile-prefix-map=$cargo_home=/cargo" \
    cargo build --release --locked "$kind" "${wanted[@]}") >&2
  for found in "$place"/target/release/*; do
    case "$found" in *.d) continue ;; esac
    if [ -f "$found" ]; then printf '%s %s\n' "$(sha256 "$found")" "$(basename "$found")"; fi
  done
}

# Names of different length: what depends on the folder shows.
first=$(build "$folder/one") || fail "it does not build"
second=$(build "$folder/another-place") || fail "it does not build"
[ -n "$first" ] || fail "nothing was built"
say "$first"
if [ "$first" != "$second" ]; then
  say "$second"
  fail "the two builds differ"
fi
printf 'two clean builds of %d files in two folders, the same SHA-256\n' "$(printf '%s\n' "$first" | wc -l)"
