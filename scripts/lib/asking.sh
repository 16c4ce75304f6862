# shellcheck shell=bash disable=SC2154,SC2034
# What smoke scripts ask the database and Prometheus. Sourced by smoke.sh.

# Database -----------------------------------------------------------------------------------------------------

# psql's arguments, the password apart: what a URL says stands in the list of processes.
database_begin() {
  local rest user password
  case "$database" in
    postgres://*:*@* | postgresql://*:*@*)
      rest=${database#*://}
      user=${rest%%@*}
      password=${user#*:}
      password=${password//\\/\\\\}
      database_open="${database%%://*}://${user%%:*}@${rest#*@}"
      if [ "$user" != "$password" ]; then
        # Percent-encoded as in any URL.
        printf -v password %b "${password//%/\\x}"
        export PGPASSWORD=$password
      fi
      ;;
    *password=*)
      password=${database#*password=}
      password=${password%% *}
      database_open=${database//password=$password/}
      export PGPASSWORD=$password
      ;;
    *) database_open=$database ;;
  esac
  export PGCONNECT_TIMEOUT=5 PGAPPNAME=seatpilot-smoke PGOPTIONS='-c statement_timeout=15s'
  local known
  known=$(sql "select count(*) from ops.tenants where tenant_id = :'tenant';")
  [ "$known" = 1 ] || not_seen "tenant $tenant in the database"
}

# Runs statements under the tenant's claim, which an owner without bypassrls needs, and prints the last one's rows,
# columns separated by |. The others are psql's variables, name=value. To be assigned: a failure ends the script.
sql() {
  local statement=$1 variables=(-v "tenant=$tenant") rows
  shift
  while [ $# -gt 0 ]; do
    variables+=(-v "$1")
    shift
  done
  rows=$(psql -X -q -A -t -v ON_ERROR_STOP=1 "${variables[@]}" "$database_open" 2>"$private/why" <<SQL
begin;
select telemetry.claim(:'tenant') \g /dev/null
$statement
commit;
SQL
  ) || not_seen "an answer of the database: $(tr '\n' ' ' <"$private/why" | cut -c 1-160)"
  printf '%s\n' "$rows"
}

# Prometheus ---------------------------------------------------------------------------------------------------

# The value of an expression that has one; nothing where it has none. To be assigned: a failure ends the script.
promql() {
  local answer
  answer=$(curl -sS -f -m "$REQUEST_SECONDS_MAX" -G --data-urlencode "query=$1" "$prometheus/api/v1/query" 2>"$private/why") ||
    not_seen "an answer of Prometheus at $prometheus: $(tr '\n' ' ' <"$private/why" | cut -c 1-120)"
  jq -r 'select(.status == "success") | .data.result[0].value[1] // empty' 2>/dev/null <<<"$answer" || true
}

# Notes what a series is worth now, as of a scrape that began after this script: what came before is in it.
# $1 a name for it, $2 the series. Several are noted at the same time.
noted_names=() noted_series=() noted_values=()
note_series() {
  noted_names+=("$1")
  noted_series+=("$2")
}

scrapes_begin() {
  local begun at number value
  waiting_for "a scrape by Prometheus, for what was counted before"
  begun=$(promql 'vector(time())')
  [ -n "$begun" ] || not_seen "an answer of Prometheus at $prometheus to a query"
  for number in "${!noted_names[@]}"; do
    at=$SECONDS
    while :; do
      value=$(promql "min(timestamp(${noted_series[$number]})) > $begun")
      if [ -n "$value" ]; then break; fi
      [ $((SECONDS - at)) -lt "$wait_seconds" ] ||
        not_seen "a scrape of ${noted_series[$number]} in Prometheus at $prometheus within $wait_seconds s"
      sleep 1
    done
    noted_values[number]=$(promql "sum(${noted_series[$number]})")
  done
}

# Each noted series went up by one or more: others may be at work, so this says that ours was counted, and the
# database says that it was counted once.
see_scrapes() {
  local number at value before
  waiting_for "a scrape by Prometheus, for what was counted since"
  for number in "${!noted_names[@]}"; do
    at=$SECONDS before=${noted_values[$number]%%.*}
    while :; do
      value=$(promql "sum(${noted_series[$number]})")
      value=${value%%.*}
      if [ -n "$value" ] && [ "$value" -gt "$before" ]; then break; fi
      [ $((SECONDS - at)) -lt "$wait_seconds" ] ||
        not_seen "${noted_names[$number]} counted in Prometheus within $wait_seconds s: ${noted_series[$number]} is still ${value:-gone}"
      sleep 1
    done
    seen "${noted_names[$number]}" "${noted_series[$number]} from $before to $value"
  done
}
