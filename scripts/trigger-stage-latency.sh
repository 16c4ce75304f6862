#!/usr/bin/env bash
# Makes one stage of the check-ins slow until the stage alert fires, sees it fire, and makes it quick again.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/smoke.sh
. "$root/scripts/lib/smoke.sh"

ALERT=SeatPilotCheckinStageP95High
# The delay lapses by itself after so long: what a script that was killed leaves behind. It is renewed in good time.
FAULT_SECONDS=60
RENEW_SECONDS=20
# Pause between two scans: five a second are enough for any minimum of the alert, and no load.
SCAN_PAUSE_SECONDS=0.2

stage=persist delay_ms=1500 timeout_seconds=1800 until_resolved=''

usage() {
  cat <<'TXT_USAGE'
Usage: scripts/trigger-stage-latency.sh [options]

Delays one stage of this tenant's check-ins by the admin-guarded fault point of checkin, scans a ticket of its own over
and over (the same scan: one admission, the rest are repeats), waits until SeatPilotCheckinStageP95High fires for that
stage, tenant and channel in Prometheus and reaches Alertmanager, and lifts the delay: also on Ctrl-C, and after 60 s by
itself when this script is killed. Guests of the tenant are slow meanwhile. Works only where checkin runs with
FAULT_POINTS=on, which SEATPILOT_ENV=production refuses; `seatpilot up` turns it on for a database of its own.
The URL must be that of one instance, not of a balancer.

  --stage STAGE         parse, lookup or persist (default)
  --delay-ms MS         1 to 5000 (default 1500)
  --timeout SECONDS     how long to wait for the alert (default 1800)
  --until-resolved      wait until the alert is gone again, too

TXT_USAGE
  smoke_options
  cat <<'TXT_USAGE'

Examples:
  scripts/trigger-stage-latency.sh --data-dir .seatpilot
  scripts/trigger-stage-latency.sh --data-dir .seatpilot --stage lookup --delay-ms 800 --until-resolved
TXT_USAGE
}

while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --until-resolved)
      until_resolved=yes
      shift
      continue
      ;;
    --stage | --delay-ms | --timeout)
      [ -n "${2:-}" ] || usage_fault "$1 needs a value"
      case "$1" in
        --stage) stage=$2 ;;
        --delay-ms) delay_ms=$(whole_number "$1" "$2") || exit 2 ;;
        --timeout) timeout_seconds=$(whole_number "$1" "$2") || exit 2 ;;
      esac
      shift 2
      continue
      ;;
  esac
  smoke_option "$@"
  [ "$taken" -gt 0 ] || usage_fault "there is no option $1"
  shift "$taken"
done
case "$stage" in parse | lookup | persist) ;; *) usage_fault "--stage must be parse, lookup or persist" ;; esac

fault_url() { printf '%s/admin/faults/stage-delay' "$checkin"; }

# Sets the delay, or sets it anew before it lapses.
delay() {
  request PUT "$(fault_url)" "$private/admin" -H 'content-type: application/json' --data-binary @- \
    <<<"{\"stage\":\"$stage\",\"delay_ms\":$delay_ms,\"for_seconds\":$FAULT_SECONDS}"
  delayed_at=$SECONDS
  case "$status" in
    200) ;;
    404) not_seen "a fault point at $checkin: it runs without FAULT_POINTS=on, which production refuses" ;;
    401 | 403) not_seen "a delay at $checkin: $(answered); ADMIN_TOKEN must be of role admin or owner" ;;
    *) not_seen "a delay at $checkin: $(answered)$(of_body '.detail // "" | ": " + .')" ;;
  esac
}

# Lifts the delay and stops the scans, however the script ends.
scanner='' is_delayed=''
lift() {
  if [ -n "$scanner" ]; then kill "$scanner" 2>/dev/null && wait "$scanner" 2>/dev/null || true; fi
  scanner=''
  if [ -z "$is_delayed" ]; then return 0; fi
  is_delayed=''
  request DELETE "$(fault_url)" "$private/admin"
  if [ "$status" != 204 ]; then
    say "$(basename "$0"): the delay could not be lifted ($(answered)): it lapses within $FAULT_SECONDS s"
    return 1
  fi
}
end() {
  local outcome=$?
  lift || outcome=1
  smoke_end
  exit "$outcome"
}

# The same scan again, for good: repeats are decided and timed like any scan, and admit nobody.
scan_on() {
  trap 'kill $(jobs -p) 2>/dev/null || true; exit 0' TERM
  printf '%s' "$scan" >"$private/scan"
  while :; do
    curl -s -o /dev/null -m "$REQUEST_SECONDS_MAX" --config "$private/device" -H 'content-type: application/json' \
      --data-binary "@$private/scan" "$checkin/api/checkin/success" &
    sleep "$SCAN_PAUSE_SECONDS"
  done
}

# Whether the alert fires for what is delayed: 1 or nothing. $1 is its state.
alert_is() {
  promql "count(ALERTS{alertname=\"$ALERT\",alertstate=\"$1\",stage=\"$stage\",tenant=\"$tenant\",channel=\"$channel\"})"
}

# The Alertmanagers to ask: the one named, else those that Prometheus sends to.
alertmanagers() {
  if [ -n "$alertmanager" ]; then
    printf '%s\n' "$alertmanager"
  else
    curl -sS -f -m "$REQUEST_SECONDS_MAX" "$prometheus/api/v1/alertmanagers" 2>/dev/null |
      jq -r '.data.activeAlertmanagers[].url' 2>/dev/null | sed 's|/api/v2/alerts$||' || true
  fi
}

# Whether an Alertmanager holds the alert: yes or nothing.
is_notified() {
  curl -sS -f -m "$REQUEST_SECONDS_MAX" -G --data-urlencode "filter=alertname=\"$ALERT\"" --data-urlencode "filter=stage=\"$stage\"" \
    --data-urlencode "filter=tenant=\"$tenant\"" --data-urlencode "filter=channel=\"$channel\"" "$1/api/v2/alerts" 2>/dev/null |
    jq -r 'if any(.[]; .status.state == "active" or .status.state == "suppressed") then "yes" else empty end' 2>/dev/null || true
}

# Waits until a command prints something, renewing the delay while there is one. $1 what to say where it does not.
wait_until() {
  local what=$1 at=$SECONDS shown
  shift
  while :; do
    shown=$("$@")
    if [ -n "$shown" ]; then return 0; fi
    [ $((SECONDS - at)) -lt "$timeout_seconds" ] || not_seen "$what within $timeout_seconds s"
    if [ -n "$is_delayed" ] && [ $((SECONDS - delayed_at)) -ge "$RENEW_SECONDS" ]; then delay; fi
    sleep 1
  done
}

is_gone() { if [ -z "$(alert_is firing)" ]; then echo yes; fi; }

need_clients "$root/target/tools"
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
smoke_begin checkin database device_token admin_token
see_ready checkin "$checkin"
database_begin

rules=$(curl -sS -f -m "$REQUEST_SECONDS_MAX" "$prometheus/api/v1/rules?type=alert" 2>"$private/why") ||
  not_seen "an answer of Prometheus at $prometheus: $(tr '\n' ' ' <"$private/why" | cut -c 1-120)"
known=$(jq -r --arg name "$ALERT" '[.data.groups[].rules[] | select(.name == $name)] | length' <<<"$rules")
[ "$known" -gt 0 ] || not_seen "a rule $ALERT in Prometheus at $prometheus: is prometheus/seatpilot.rules.yml loaded?"
fires=$(alert_is firing)
[ -z "$fires" ] || not_seen "a quiet $ALERT to begin with: it fires already for $stage, $tenant, $channel"

make_ticket
see_check_in
is_delayed=yes
delay
seen delayed "$stage by $delay_ms ms at $checkin"
begun=$SECONDS
scan_on &
scanner=$!
waiting_for "$ALERT to fire, up to $timeout_seconds s"
wait_until "$ALERT firing for $stage, $tenant, $channel in Prometheus at $prometheus" alert_is firing
seen fires "$ALERT for $stage, $tenant, $channel after $((SECONDS - begun)) s"
found=''
for one in $(alertmanagers); do
  found=yes
  wait_until "$ALERT at Alertmanager $one" is_notified "$one"
  seen notified "Alertmanager at $one has it after $((SECONDS - begun)) s"
done
if [ -z "$found" ]; then seen notified "nobody: Prometheus sends to no Alertmanager, and none was named"; fi

lift || exit 1
began_ms=$(jq -n 'now * 1000 | floor')
request POST "$checkin/api/checkin/success" "$private/device" -H 'content-type: application/json' --data-binary @- <<<"$scan"
took_ms=$(($(jq -n 'now * 1000 | floor') - began_ms))
[ "$status" = 201 ] || not_seen "the same scan answered after the delay was lifted: $(answered)"
[ "$took_ms" -lt "$delay_ms" ] || not_seen "a quick scan after the delay was lifted: it took $took_ms ms"
seen lifted "the same scan takes $took_ms ms again"
if [ -n "$until_resolved" ]; then
  waiting_for "$ALERT to be gone again"
  wait_until "$ALERT gone again in Prometheus at $prometheus" is_gone
  seen resolved "after $((SECONDS - begun)) s"
fi
report trigger-stage-latency
