#!/usr/bin/env bash
# What SeatPilot promises of the whole house, proved: one line a guarantee, with what was done and the verdict.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"
# shellcheck source=scripts/lib/test_postgres.sh
. "$root/scripts/lib/test_postgres.sh"
cd "$root"
# shellcheck source=scripts/lib/guarantees.sh
. "$root/scripts/lib/guarantees.sh"
# shellcheck source=scripts/lib/plant.sh
. "$root/scripts/lib/plant.sh"

usage() {
  cat <<'TXT_USAGE'
Proves what SeatPilot promises of the whole house, against real binaries, Postgres, Prometheus and Alertmanager.

Usage: ./scripts/guarantees.sh [--full] [--list] [--plant] [GUARANTEE…]

  --full        the numbers that the guarantees are published with, and the shipped profile of the alerts; hours
  --list        name the guarantees, and prove none
  --plant       plant the bugs of packages/guarantees/planted, one after the other in a copy of the tree, and see that a
                test fails for each; an hour or two, and some 20 GB in target/planted
  -h, --help    this text
  GUARANTEE     only these, as in --list

Prints a line a guarantee: its name, the verdict, what was done, the promise. `held`: every test of it passed.
`BROKEN`: one did not. `not proved`: a test of it was skipped, since this machine lacks what it needs. What each test
said is in target/guarantees/<GUARANTEE>.log. Exit: 0 all held, 1 one is broken or was not proved, 2 usage.
With --plant a line a bug: `caught`, or `NOT CAUGHT`, and what the test said is in target/planted/<BUG>.log.

docs/reliability.md lists all promises; those that one crate can prove are tests of ./scripts/test.sh.
TXT_USAGE
}

effort='' list='' planting='' wanted=''
while [ $# -gt 0 ]; do
  case "$1" in
    --full) effort=full ;;
    --list) list=yes ;;
    --plant) planting=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    -*)
      say "error: $1 is no option"
      usage >&2
      exit 2
      ;;
    *)
      guarantee_of "$1" >/dev/null || [ -f "$root/packages/guarantees/planted/$1.patch" ] || {
        say "error: $1 is no guarantee; --list names them"
        exit 2
      }
      wanted="$wanted $1"
      ;;
  esac
  shift
done

if [ -n "$list" ]; then
  guarantees | while IFS='|' read -r name _ promise; do printf '%-8s %s\n' "$name" "$promise"; done
  exit 0
fi

need_rust
command -v cargo-nextest >/dev/null || fail "cargo-nextest is not installed: cargo install --locked cargo-nextest"
need_postgres "$root/target/tools"
want_pgtap
need_prometheus "$root/target/tools"
want_faketime "$root/target/tools"
need_nginx "$root/target/tools"
want_supply_chain "$root/target/tools"
want_schemathesis "$root/target/tools"
want_nats "$root/target/tools"
want_pgbouncer "$root/target/tools"
logs=$root/target/guarantees
mkdir -p "$logs"
say "Building (target/guarantees/build.log)."
cargo build --workspace --all-targets --locked >"$logs/build.log" 2>&1 ||
  { tail -n 40 "$logs/build.log" >&2 && fail "it does not build"; }

target=${CARGO_TARGET_DIR:-$root/target}
hold_test_postgres "$target/debug"
if [ -n "$planting" ]; then
  # shellcheck disable=SC2086 # a list of names
  plant_all $wanted
  exit
fi
if [ -n "$effort" ]; then export SEATPILOT_GUARANTEES=$effort; else unset SEATPILOT_GUARANTEES; fi
outcome=0
while IFS='|' read -r name filter promise; do
  case " $wanted " in
    '  ' | *" $name "*) ;;
    *) continue ;;
  esac
  prove "$name" "$filter" "$promise" "$logs/$name.log" "${effort:-quick}" || outcome=1
done < <(guarantees)
exit "$outcome"
