#!/usr/bin/env bash
# Draws the dashboards without a Grafana: every panel's queries, asked now, as small charts on one PNG a dashboard.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"

usage() {
  cat <<'TXT'
Usage: scripts/contact-sheet.sh [--out FOLDER] [--minutes N] [--strict] [dashboards]

Draws every panel of the dashboards (all of dashboards/*.json, unless some are named) as its queries answer now, and
prints the path of each PNG. A panel whose query is refused fails the run; one that has no data is named.

  --out FOLDER   where the PNGs go (target/contact-sheet)
  --minutes N    how far back (15)
  --strict       a panel without data, or in SQL without a database, fails the run too

Environment: PROMETHEUS_URL (http://localhost:9090); DATABASE_URL, for the panels in SQL: a login that may read, such as
the one of dashboards/reader.sql. Without it those panels are left out, and named.
Needs Python 3.10 or newer with venv; matplotlib and a Postgres driver come from PyPI into target/tools/plots.
TXT
}

out=$root/target/contact-sheet options=() dashboards=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --out | --minutes)
      if [ $# -lt 2 ]; then
        say "error: $1 needs a value"
        exit 2
      fi
      if [ "$1" = --out ]; then out=$2; else options+=(--minutes "$2"); fi
      shift
      ;;
    --strict) options+=(--strict) ;;
    -*)
      say "error: $1 is no option of this script"
      usage >&2
      exit 2
      ;;
    *) dashboards+=("$1") ;;
  esac
  shift
done
if [ ${#dashboards[@]} -eq 0 ]; then dashboards=("$root"/dashboards/*.json); fi

need_plots "$root/target/tools"
# No bytecode beside the sources, nothing in the home folder.
export PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR="$root/target/tools/plots/cache"
exec "$root/target/tools/plots/bin/python" "$root/scripts/lib/contact_sheet" \
  --out "$out" ${options[@]+"${options[@]}"} "${dashboards[@]}"
