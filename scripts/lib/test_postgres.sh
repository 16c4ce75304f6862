# shellcheck shell=bash
# One Postgres server for a whole run of tests. Sourced by scripts/test.sh and scripts/guarantees.sh, whose fail(), for
# bash 3.2 and later.

# Starts the server and exports SEATPILOT_TEST_PG; $1 is the folder of the built binaries. It lives as long as this script
# holds the other end of its standard input, descriptor 9: what is run meanwhile closes it (`9>&-`).
hold_test_postgres() {
  held=$(mktemp -d "${TMPDIR:-/tmp}/seatpilot-run.XXXXXX")
  mkfifo "$held/hold"
  "$1/testkit-postgres" <"$held/hold" >"$held/url" &
  server=$!
  exec 9>"$held/hold"
  trap let_go_of_test_postgres EXIT
  while ! grep -q '^SEATPILOT_TEST_PG=' "$held/url"; do
    kill -0 "$server" 2>/dev/null || fail "the server of the tests did not start"
    sleep 0.1
  done
  SEATPILOT_TEST_PG=$(sed -n 's/^SEATPILOT_TEST_PG=//p' "$held/url")
  export SEATPILOT_TEST_PG
}

let_go_of_test_postgres() {
  exec 9>&-
  wait "$server" 2>/dev/null || true
  rm -rf "$held"
}
