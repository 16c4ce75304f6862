#!/usr/bin/env bash
# Makes the secrets that docker-compose.metrics.yml hands to its containers as files. What is there already stays.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"

usage() {
  cat <<'TXT'
Usage: scripts/compose-secrets.sh [--dir DIR]

Makes passwords, database URLs and keys at random in DIR (default: secrets, beside docker-compose.metrics.yml), which
only you can enter. Run again it makes what is missing and changes nothing else; to rotate one, remove its file, run
this, and start the services that use it again (docs/runbooks/README.md). Not so at_rest_keys, which seals what is in the
database: a backup without it has no signing keys, and another one goes in before it (docs/runbooks/platform.md).

Environment: ALERT_SLACK_WEBHOOK (the webhook that Alertmanager posts to; without it alerts reach no Slack).

Two files are yours to bring, for the profiles that need them: supabase_service_role.jwt (--profile supabase) and
grafana_reader_password, made here, whose login dashboards/reader.sql makes (--profile grafana).
TXT
}

folder=$root/secrets
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --dir)
      [ $# -ge 2 ] || {
        say "usage: --dir needs a folder"
        exit 2
      }
      folder=$2
      shift
      ;;
    *)
      say "usage: $1 is not known: try --help"
      exit 2
      ;;
  esac
  shift
done

# 40 letters and digits: they need no escaping in a URL, nor in anybody's configuration.
random() {
  local made=''
  while [ "${#made}" -lt 40 ]; do
    made=$made$(head -c 256 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9')
  done
  printf '%.40s' "$made"
}

made=0 kept=0
# Writes $2 into the file $1, unless it is there. Readable by every user, because each container runs as another one;
# the folder is what keeps others out.
put() {
  if [ -s "$folder/$1" ]; then
    kept=$((kept + 1))
    return 0
  fi
  rm -f "$folder/$1"
  printf '%s' "$2" >"$folder/$1.new"
  chmod 444 "$folder/$1.new"
  mv "$folder/$1.new" "$folder/$1"
  made=$((made + 1))
}

umask 077
mkdir -p "$folder"
chmod 700 "$folder"

put postgres_password "$(random)"
put owner_database_url "postgres://postgres:$(cat "$folder/postgres_password")@postgres:5432/seatpilot"
for service in checkin wayfinding ingest kpi metrics; do
  put "${service}_database_url" "postgres://seatpilot_$service:$(random)@postgres:5432/seatpilot"
done
# 32 bytes in base64, as the services read it; a later line of the file is an older key (docs/runbooks/platform.md).
put at_rest_keys "$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
for key in metrics_ingest_key jwt_secret grafana_admin_password grafana_reader_password; do
  put "$key" "$(random)"
done
if [ -n "${ALERT_SLACK_WEBHOOK:-}" ]; then
  rm -f "$folder/alert_slack_webhook"
  put alert_slack_webhook "$ALERT_SLACK_WEBHOOK"
else
  # A host that cannot exist (RFC 6761): Alertmanager wants an address, and says in its log that it was not reached.
  put alert_slack_webhook https://slack.invalid/set-ALERT_SLACK_WEBHOOK
fi

say "$made made, $kept kept, in $folder"
if grep -q 'slack\.invalid' "$folder/alert_slack_webhook"; then
  say "   no Slack yet: run this with ALERT_SLACK_WEBHOOK set"
fi
if [ ! -s "$folder/supabase_service_role.jwt" ]; then
  say "   no supabase_service_role.jwt: only --profile supabase needs it"
fi
