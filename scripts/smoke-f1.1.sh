#!/usr/bin/env bash
# A guest of its own from ticket to seat through a running house, then read back from Prometheus and the database.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/smoke.sh
. "$root/scripts/lib/smoke.sh"

usage() {
  cat <<'TXT'
Usage: scripts/smoke-f1.1.sh [options]

Makes a ticket of its own, checks it in, reports the arrival, and sees that all of it happened: the session and its
two events in the database, and the counters one up in Prometheus. Exit 0 only if all was seen; 1 and one line that
names what was not; 2 for a line that makes no sense.

TXT
  smoke_options
  cat <<'TXT'

Examples:
  scripts/smoke-f1.1.sh --data-dir .seatpilot
  DATABASE_URL=... DEVICE_TOKEN=... scripts/smoke-f1.1.sh --tenant acme --venue hall \
    --checkin https://checkin.example --wayfinding https://way.example --prometheus https://prometheus.example
TXT
}

smoke_arguments "$@"
need_clients "$root/target/tools"
trap smoke_end EXIT
smoke_begin checkin wayfinding database device_token
see_ready checkin "$checkin"
see_ready wayfinding "$wayfinding"
database_begin
make_ticket
note_guest
scrapes_begin
see_check_in
see_arrival
see_rows
see_scrapes
report smoke-f1.1
