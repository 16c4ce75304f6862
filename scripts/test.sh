#!/usr/bin/env bash
# Everything that must pass, from a clean clone: format, lints, build, tests on a real Postgres.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"
# shellcheck source=scripts/lib/test_postgres.sh
. "$root/scripts/lib/test_postgres.sh"

usage() {
  cat <<'TXT'
Usage: scripts/test.sh [--quick] [--docs] [filters of cargo nextest]

Installs a Postgres server if there is none, then checks the format, the lints, builds everything and runs
every test. The tests share one private server, and each has a database of its own.

  --quick   only build and test: no format, no lints
  --docs    also build the documentation

Environment: SEATPILOT_VENUES (folder with venues that the tests run on; without it the built-in one),
SEATPILOT_PG_BIN (folder with `postgres` and `initdb`), SEATPILOT_CHROMIUM (the browser that judges the
administration's pages).
TXT
}

lints=yes docs='' filters=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --quick) lints='' ;;
    --docs) docs=yes ;;
    *) filters+=("$1") ;;
  esac
  shift
done

if [ -n "${SEATPILOT_VENUES:-}" ]; then
  SEATPILOT_VENUES=$(cd "$SEATPILOT_VENUES" && pwd) || fail "SEATPILOT_VENUES is no folder"
  export SEATPILOT_VENUES
fi
cd "$root"
# A test that finds the developer's own database or ports has failed already.
unset DATABASE_URL SUPABASE_DB_URL SUPABASE_URL STORE PORT BIND

target=${CARGO_TARGET_DIR:-$root/target}
total_steps=3
if [ -n "$lints" ]; then total_steps=$((total_steps + 2)); fi
if [ -n "$docs" ]; then total_steps=$((total_steps + 1)); fi
step_number=0 step_name='' begun=0

# Names the step that begins, after the time that the last one took.
step() {
  end_step
  step_number=$((step_number + 1))
  step_name=$1 begun=$SECONDS
  say ""
  say "== [$step_number/$total_steps] $step_name"
}

end_step() {
  if [ -n "$step_name" ]; then say "   $step_name: $((SECONDS - begun)) s"; fi
  step_name=''
}

step "what it needs"
need_rust
need_postgres "$root/target/tools"
want_judges "$root/target/tools"
want_pgtap
need_prometheus "$root/target/tools"
want_second_prometheus "$root/target/tools"
need_nginx "$root/target/tools"
want_linters "$root/target/tools"
want_supply_chain "$root/target/tools"
want_schemathesis "$root/target/tools"
want_faketime "$root/target/tools"
want_plots "$root/target/tools"
want_clients "$root/target/tools"
want_browser "$root/target/tools"
want_sdk_js "$root/target/tools"
want_senders "$root/target/tools"
want_nats "$root/target/tools"
want_pgbouncer "$root/target/tools"
want_office
if [ -n "${SEATPILOT_VENUES:-}" ]; then
  venues=''
  for folder in "$SEATPILOT_VENUES"/*/; do
    if [ -f "${folder}links.geojson" ]; then venues="$venues $(basename "$folder")"; fi
  done
  say "   venues of this run:${venues:- none with a routing graph} in $SEATPILOT_VENUES, and the built-in one"
else
  say "   venue of this run: the built-in one (SEATPILOT_VENUES is not set)"
fi

if [ -n "$lints" ]; then
  step "format"
  cargo fmt --all -- --check
  step "lints"
  cargo clippy --workspace --all-targets --locked -- -D warnings
fi

step "build"
# All targets at once: with the tests' features, so that nothing is compiled twice.
cargo build --workspace --all-targets --locked

if [ -n "$docs" ]; then
  step "documentation"
  RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
fi

step "tests"
hold_test_postgres "$target/debug"

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace --locked --no-fail-fast ${filters[@]+"${filters[@]}"} 9>&-
else
  say "   cargo-nextest is not installed (cargo install --locked cargo-nextest): cargo test instead"
  cargo test --workspace --locked --no-fail-fast -- ${filters[@]+"${filters[@]}"} 9>&-
fi
end_step
say ""
say "All of it passed in $SECONDS s."
