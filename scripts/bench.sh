#!/usr/bin/env bash
# What the hot paths carry, beside the alternatives, measured in interleaved rounds in one run.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"
cd "$root"

usage() {
  cat <<'TXT'
Usage: ./scripts/bench.sh [--quick] [--only CASE]… [--json FILE] [--markdown FILE] [--list]
       ./scripts/bench.sh --instructions [--update]

Builds everything as it ships, starts a durable Postgres of its own, and measures each hot path beside its
alternative in interleaved rounds: the median of the ratios of the rounds, with the least and the most.

  --quick           three short rounds; within three minutes. Without it five rounds, within thirty
  --only CASE       only this case (again for more)
  --json FILE       also write the figures as JSON
  --markdown FILE   also write the table as docs/performance.md has it
  --list            name the cases, and measure nothing
  --instructions    count the instructions of fixed work by callgrind instead, and fail where they are over 5 % off what
                    is checked in (packages/bench/callgrind.json): that can be done on a busy machine
  --update          with --instructions: write the counts down

Environment: SEATPILOT_VENUES (folder with venues; the routes are measured on its stadium, else on the built-in
hall), SEATPILOT_PG_BIN (folder with `postgres`, `initdb` and `pgbench`).

A busy machine measures itself: close what else runs. A round in which more than 1 % of the time was another
machine's is repeated, three times at most.
TXT
}

counting=
for argument in "$@"; do
  case "$argument" in
    -h | --help)
      usage
      exit 0
      ;;
    --instructions) counting=yes ;;
  esac
done

need_rust
bench=${CARGO_TARGET_DIR:-$root/target}/release/seatpilot-bench
if [ -n "$counting" ]; then
  want_valgrind || fail "valgrind could not be installed: install it (apt-get install valgrind) and run this again"
  say "== building, as it ships"
  cargo build --release --locked -p seatpilot-bench >&2
  exec "$bench" "$@"
fi
need_postgres "$root/target/tools"
need_pgbench "$root/target/tools"
want_nats "$root/target/tools"
if [ -n "${SEATPILOT_VENUES:-}" ]; then
  SEATPILOT_VENUES=$(cd "$SEATPILOT_VENUES" && pwd) || fail "SEATPILOT_VENUES is no folder"
  export SEATPILOT_VENUES
fi
unset DATABASE_URL SUPABASE_DB_URL SUPABASE_URL STORE PORT BIND

say "== building, as it ships"
cargo build --release --locked --bins -p seatpilot-bench -p seatpilot-checkin -p seatpilot-wayfinding \
  -p seatpilot-telemetry-ingest -p seatpilot-kpi-refresher -p seatpilot-metrics-api-app -p seatpilot >&2
exec "$bench" "$@"
