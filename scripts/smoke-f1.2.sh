#!/usr/bin/env bash
# smoke-f1.1, and the telemetry and the KPIs beside it: one event taken, one refused on purpose, and what the
# refresher made of the guest.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/smoke.sh
. "$root/scripts/lib/smoke.sh"
# shellcheck source=scripts/lib/telemetry.sh
. "$root/scripts/lib/telemetry.sh"

usage() {
  cat <<'TXT'
Usage: scripts/smoke-f1.2.sh [options]

Does what smoke-f1.1.sh does. Besides, it sends a signed request with one good event and one of a type that nobody
knows, and sees the one stored, the other a dead letter, and both counted; then it waits until kpi-refresher has
refreshed both KPI views, and sees its guest in them. Its dead letter is marked discarded at the end. Every service
must be ready. Exit 0 only if all was seen; 1 and one line that names what was not; 2 for a line that makes no sense.

TXT
  smoke_options
  cat <<'TXT'

Examples:
  scripts/smoke-f1.2.sh --data-dir .seatpilot
  scripts/smoke-f1.2.sh --data-dir .seatpilot --prometheus http://127.0.0.1:9090 --json
TXT
}

smoke_arguments "$@"
need_clients "$root/target/tools"
trap smoke_end EXIT
smoke_begin checkin wayfinding ingest refresher metrics_api database device_token key_id key_secret
see_ready checkin "$checkin"
see_ready wayfinding "$wayfinding"
see_ready telemetry-ingest "$ingest"
see_ready kpi-refresher "$refresher"
see_ready metrics-api "$metrics_api"
database_begin
make_ticket
note_guest
note_telemetry
scrapes_begin
see_check_in
see_arrival
see_rows
see_telemetry
see_letter
see_refresh mv_kpi_checkin checkins
see_refresh mv_kpi_door2seat arrivals
see_scrapes
report smoke-f1.2
