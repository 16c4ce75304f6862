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

Builds everything as it ships, starts a durable Postgres of its own, and measures each hot path beside its
alternative in interleaved rounds: the median of the ratios of the rounds, with the least and the most.

  --quick           three short rounds; within three minutes. Without it five rounds, within twenty-five
  --only CASE       only this case (again for more)
  --json FILE       also write the figures as JSON
  --markdown FILE   also write the table as docs/performance.md has it
  --list            name the cases, and measure nothing

Environment: SEATPILOT_VENUES (folder with venues; the routes are measured on its stadium, else on the built-in
hall), SEATPILOT_PG_BIN (folder with `postgres`, `initdb` and `pgbench`).

A busy machine measures itself: close what else runs. A round in which more than 1 % of the time was another
machine's is repeated, three times at most.
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
need_postgres "$root/target/tools"
need_pgbench "$root/target/tools"
if [ -n "${SEATPILOT_VENUES:-}" ]; then
  SEATPILOT_VENUES=$(cd "$SEATPILOT_VENUES" && pwd) || fail "SEATPILOT_VENUES is no folder"
  export SEATPILOT_VENUES
fi
unset DATABASE_URL SUPABASE_DB_URL SUPABASE_URL STORE PORT BIND

say "== building, as it ships"
cargo build --release --locked --bins -p seatpilot-bench -p seatpilot-checkin -p seatpilot-wayfinding \
  -p seatpilot-telemetry-ingest -p seatpilot-kpi-refresher -p seatpilot-metrics-api-app -p seatpilot >&2
exec "${CARGO_TARGET_DIR:-$root/target}/release/seatpilot-bench" "$@"
