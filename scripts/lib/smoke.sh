# shellcheck shell=bash disable=SC2154,SC2034
# What smoke-f1.1.sh, smoke-f1.2.sh and trigger-stage-latency.sh share: options, where things are, what was seen, and
# requests. Sources what else they share: asking.sh (database and Prometheus) and guest.sh. For bash 3.2 and later;
# the caller says where the repository is ($root).
#
# Nothing is believed that was not read back. Whatever is missing ends the script by not_seen(): exit 1 and one line.
# Secrets go to curl and psql by files and variables, never as arguments, which everybody on the machine can list.

# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"
# shellcheck source=scripts/lib/asking.sh
. "$root/scripts/lib/asking.sh"
# shellcheck source=scripts/lib/guest.sh
. "$root/scripts/lib/guest.sh"

# Most seconds that one request may take.
REQUEST_SECONDS_MAX=15

# What is asked: the variables of the environment, which the options of the command line overwrite.
data_dir='' checkin=${CHECKIN_URL:-} wayfinding=${WAYFINDING_URL:-} ingest=${TELEMETRY_INGEST_URL:-}
refresher=${KPI_REFRESHER_URL:-} metrics_api=${METRICS_API_BASE_URL:-} prometheus=${PROMETHEUS_URL:-http://127.0.0.1:9090}
alertmanager=${ALERTMANAGER_URL:-} tenant='' venue='' event='' door='' channel=kiosk wait_seconds=90 style=text
database=${DATABASE_URL:-${SUPABASE_DB_URL:-}} device_token=${DEVICE_TOKEN:-} admin_token=${ADMIN_TOKEN:-}
ticket=${TICKET:-} key_id=${INGEST_KEY_ID:-} key_secret=${INGEST_KEY_SECRET:-}

smoke_options() {
  cat <<'TXT_OPTIONS'
Where (each has a default in the state.json of a running `seatpilot up`):
  --data-dir DIR        folder of that state.json (default .seatpilot)
  --checkin URL         CHECKIN_URL
  --wayfinding URL      WAYFINDING_URL
  --ingest URL          TELEMETRY_INGEST_URL
  --refresher URL       KPI_REFRESHER_URL
  --metrics-api URL     METRICS_API_BASE_URL
  --prometheus URL      PROMETHEUS_URL (default http://127.0.0.1:9090)
  --alertmanager URL    ALERTMANAGER_URL (default: those that Prometheus sends to)
  --tenant ID  --venue ID  --event ID  --door ID
  --channel CHANNEL     mobile, kiosk (default), desk or signage
How:
  --wait SECONDS        how long to wait for a scrape or a refresh (default 90)
  --json                print one JSON object instead of lines
From the environment only, for they are secrets: DATABASE_URL (the owner's), DEVICE_TOKEN, INGEST_KEY_ID and
INGEST_KEY_SECRET (base64), ADMIN_TOKEN, and TICKET (with --event), a ticket to use up instead of one made for this.
TXT_OPTIONS
}

# Reads one option that all scripts take: sets `taken` to the number of words, 0 where it is none of these.
taken=0
smoke_option() {
  local value=${2:-}
  taken=2
  case "$1" in
    --json)
      style=json taken=1
      return 0
      ;;
    --data-dir | --checkin | --wayfinding | --ingest | --refresher | --metrics-api | --prometheus | --alertmanager | \
      --tenant | --venue | --event | --door | --channel | --wait)
      [ -n "$value" ] || usage_fault "$1 needs a value"
      ;;
    *) taken=0 ;;
  esac
  case "$1" in
    --data-dir) data_dir=$value ;;
    --checkin) checkin=$value ;;
    --wayfinding) wayfinding=$value ;;
    --ingest) ingest=$value ;;
    --refresher) refresher=$value ;;
    --metrics-api) metrics_api=$value ;;
    --prometheus) prometheus=$value ;;
    --alertmanager) alertmanager=$value ;;
    --tenant) tenant=$value ;;
    --venue) venue=$value ;;
    --event) event=$value ;;
    --door) door=$value ;;
    --channel) channel=$value ;;
    --wait) wait_seconds=$(whole_number "$1" "$value") || exit 2 ;;
  esac
}

# Reads all of them, where a script has none of its own.
smoke_arguments() {
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | --help)
        usage
        exit 0
        ;;
    esac
    smoke_option "$@"
    [ "$taken" -gt 0 ] || usage_fault "there is no option $1"
    shift "$taken"
  done
}

usage_fault() {
  say "$(basename "$0"): $* (see --help)"
  exit 2
}

whole_number() {
  case "$2" in
    '' | *[!0-9]* | ?????*) usage_fault "$1 must be a whole number" ;;
    *) printf '%s\n' "$2" ;;
  esac
}

# Ends the script: what was not seen, in one line.
not_seen() {
  say "$(basename "$0"): not seen: $*"
  exit 1
}

# What was seen, for the report.
seen_names=() seen_facts=()
seen() {
  seen_names+=("$1")
  seen_facts+=("$2")
  if [ "$style" = text ]; then printf 'ok  %-18s %s\n' "$1" "$2"; fi
}

# Something that takes longer than a glance: said where somebody looks.
waiting_for() {
  if [ "$style" = text ] && [ -t 2 ]; then say "    waiting for $*"; fi
}

# The report of a script that saw everything; $1 is its name.
report() {
  local number
  if [ "$style" = json ]; then
    for number in ${seen_names[@]+"${!seen_names[@]}"}; do
      printf '%s\n%s\n' "${seen_names[$number]}" "${seen_facts[$number]}"
    done | jq -R . | jq -s -c --arg name "$1" --arg tenant "$tenant" --arg session "${session:-}" --argjson seconds "$SECONDS" \
      '{ok: true, script: $name, tenant: $tenant, session_id: $session, seconds: $seconds,
        seen: [range(0; length; 2) as $at | {what: .[$at], fact: .[$at + 1]}]}'
  else
    printf 'All of it was seen in %s s.\n' "$SECONDS"
  fi
}

# Finds everything: options, environment, state.json, in this order. $@ are the URLs that the script needs.
smoke_begin() {
  local state name
  private=$(mktemp -d "${TMPDIR:-/tmp}/seatpilot-smoke.XXXXXX")
  chmod 700 "$private"
  state=${data_dir:-.seatpilot}/state.json
  if [ -r "$state" ]; then
    of_state checkin .urls.checkin
    of_state wayfinding .urls.wayfinding
    of_state ingest .urls.telemetry_ingest
    of_state refresher .urls.kpi_refresher
    of_state metrics_api .urls.metrics_api
    of_state database .database_url
    of_state device_token .device_token
    of_state admin_token .admin_token
    of_state tenant .tenant_id
    of_state venue .venue_id
    if [ -z "$key_id" ]; then
      of_state key_id .ingest_key.key_id
      of_state key_secret .ingest_key.secret
    fi
  elif [ -n "$data_dir" ]; then
    not_seen "$state: start it with \`seatpilot up --data-dir $data_dir\`"
  fi
  tenant=${tenant:-demo}
  for name in "$@"; do
    [ -n "${!name}" ] || not_seen "$(called "$name"): neither an option, nor the environment, nor $state names it"
  done
  for name in checkin wayfinding ingest refresher metrics_api prometheus alertmanager; do
    printf -v "$name" %s "${!name%/}"
  done
  for name in tenant venue event door channel; do
    case "${!name}" in *[!A-Za-z0-9._-]*) usage_fault "$name must be of A-Z a-z 0-9 . _ -" ;; esac
  done
  printf 'header = "authorization: Bearer %s"\n' "$device_token" >"$private/device"
  printf 'header = "authorization: Bearer %s"\n' "$admin_token" >"$private/admin"
}

# How somebody who runs a script calls one of its variables.
called() {
  case "$1" in
    database) echo DATABASE_URL ;;
    device_token) echo DEVICE_TOKEN ;;
    admin_token) echo ADMIN_TOKEN ;;
    key_id | key_secret) echo "INGEST_KEY_ID and INGEST_KEY_SECRET" ;;
    *) echo "the URL of $1" ;;
  esac
}

# Takes a value from state.json where nothing better names it.
of_state() {
  if [ -z "${!1}" ]; then
    printf -v "$1" %s "$(jq -er "$2 // empty" "${data_dir:-.seatpilot}/state.json" 2>/dev/null || true)"
  fi
}

smoke_end() { if [ -n "${private:-}" ]; then rm -rf "$private"; fi; }

new_uuid() {
  if [ -r /proc/sys/kernel/random/uuid ]; then cat /proc/sys/kernel/random/uuid; else uuidgen | tr 'A-F' 'a-f'; fi
}

# HTTP ---------------------------------------------------------------------------------------------------------

# Sends a request: sets `status` (000 without an answer) and `body`. $1 method, $2 URL, $3 the file of a credential
# or -, then curl's own arguments; a body comes by standard input with `--data-binary @-`.
status='' body=''
request() {
  local method=$1 url=$2 credential=$3
  shift 3
  if [ "$credential" != - ]; then set -- --config "$credential" "$@"; fi
  status=$(curl -sS -o "$private/body" -w '%{http_code}' -m "$REQUEST_SECONDS_MAX" -X "$method" "$@" "$url" 2>"$private/why") ||
    status=000
  body=$(head -c 65536 "$private/body" 2>/dev/null | tr -d '\0') || body=''
  rm -f "$private/body"
}

# What a request that failed was answered, for a sentence.
answered() {
  if [ "$status" = 000 ]; then
    printf 'no answer (%s)' "$(tr '\n' ' ' <"$private/why" | cut -c 1-120)"
  else
    printf '%s %s' "$status" "$(of_body '.code // ""')"
  fi
}

of_body() { jq -r "$1" 2>/dev/null <<<"$body" || true; }

# A service says that it is ready, and not only that it lives without its database. $1 its name, $2 its URL.
see_ready() {
  request GET "$2/ready" -
  [ "$status" = 200 ] || not_seen "$1 ready at $2: $(answered)"
  [ "$(of_body .status)" = ready ] || not_seen "$1 ready at $2: it says $(of_body .status)"
  [ "$(of_body .service)" = "$1" ] || not_seen "$1 at $2: it is $(of_body .service)"
  seen "$1" "ready at $2, schema $(of_body '.schema_version // "none"')"
}
