#!/usr/bin/env bash
# Writes the address of Slack's webhook where Alertmanager reads it.
set -euo pipefail

usage() {
  cat <<'TXT'
Usage: prometheus/alert-secret.sh [FILE]

Writes ALERT_SLACK_WEBHOOK to FILE (default /run/secrets/alert_slack_webhook, which alertmanager.yml names), for
its owner alone to read. Run it as the user that Alertmanager runs as, or hand the file over to that user; with
docker compose write it to secrets/alert_slack_webhook. Alertmanager reads the file at each notification: no reload.
TXT
}

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

case "${1:-}" in
  -h | --help)
    usage
    exit 0
    ;;
  -*)
    usage >&2
    exit 2
    ;;
esac
file=${1:-/run/secrets/alert_slack_webhook}
webhook=${ALERT_SLACK_WEBHOOK:-}
case "$webhook" in
  '') fail "ALERT_SLACK_WEBHOOK is not set" ;;
  *[[:space:]]*) fail "ALERT_SLACK_WEBHOOK has white space in it" ;;
  https://?*) ;;
  *) fail "ALERT_SLACK_WEBHOOK is no https address" ;;
esac

umask 077
mkdir -p "$(dirname "$file")"
# Whole or not at all, and no newline at its end: it would be part of the address.
new=$(mktemp "$file.XXXXXX")
trap 'rm -f "$new"' EXIT
printf '%s' "$webhook" >"$new"
chmod 400 "$new"
mv -f "$new" "$file"
printf 'written: %s\n' "$file" >&2
