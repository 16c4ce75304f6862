# shellcheck shell=bash disable=SC2154
# The telemetry of smoke-f1.2.sh, and what kpi-refresher makes of the guest. Sourced after smoke.sh.

# A type that no schema has.
REFUSED_TYPE=smoke.refused_on_purpose

# The counters that the request moves.
note_telemetry() {
  note_series "event counted" "seatpilot_ingest_accepted_total{tenant=\"$tenant\"}"
  note_series "refusal counted" "seatpilot_ingest_rejected_total{tenant=\"$tenant\",reason=\"schema_unknown_type\"}"
}

# One request with a good event and one that is refused on purpose: sets `good` and `bad`, their ids.
good='' bad=''
see_telemetry() {
  local now
  find_seatpilot
  good=$(new_uuid) bad=$(new_uuid) now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  jq -n -c --arg good "$good" --arg bad "$bad" --arg now "$now" --arg venue "$venue" --arg type "$REFUSED_TYPE" \
    '[{id: $good, type: "device.heartbeat"}, {id: $bad, type: $type}]
     | map(. + {occurred_at: $now, venue_id: $venue, data: {}})' >"$private/events"
  printf '%s' "$key_secret" >"$private/key"
  "$seatpilot_bin" sign --key-id "$key_id" --secret-file "$private/key" <"$private/events" >"$private/signature" 2>"$private/why" ||
    not_seen "a signature by key $key_id: $(tr '\n' ' ' <"$private/why" | cut -c 1-160)"
  rm -f "$private/key"
  request POST "$ingest/v1/events" - -H 'content-type: application/json' -H "@$private/signature" --data-binary "@$private/events"
  [ "$status" = 202 ] || not_seen "an answer 202 to signed telemetry at $ingest: $(answered)"
  [ "$(of_body '"\(.accepted) \(.rejected) \(.items[1].reason)"')" = '1 1 schema_unknown_type' ] ||
    not_seen "one event taken and one refused for its type: $(of_body '"\(.accepted) taken, \(.rejected) refused, \(.items[1].reason // "for no reason")"')"
  seen telemetry "one event taken, one refused: schema_unknown_type"
}

# The good event once, the other one as a dead letter; which is then let go, so that it keeps no alert awake.
see_letter() {
  local rows
  rows=$(sql "select count(*) from telemetry.events_raw where tenant_id = :'tenant' and id = :'good' and source = :'key';" \
    "good=$good" "key=$key_id")
  [ "$rows" = 1 ] || not_seen "event $good once in telemetry.events_raw: it is there $rows times"
  rows=$(sql "select count(*), min(reason), min(state) from telemetry.events_dlq
    where tenant_id = :'tenant' and event_id = :'bad' and source_key_id = :'key';" "bad=$bad" "key=$key_id")
  [ "$rows" = "1|schema_unknown_type|parked" ] ||
    not_seen "one dead letter of event $bad in telemetry.events_dlq: count|reason|state are $rows"
  rows=$(sql "update telemetry.events_dlq set state = 'discarded', resolved_by = 'smoke-f1.2', resolved_at = now(),
      discard_reason = 'sent by the smoke script'
    where tenant_id = :'tenant' and event_id = :'bad' and state = 'parked' returning 1;" "bad=$bad")
  seen "dead letter" "schema_unknown_type of $bad$([ "$rows" != 1 ] || printf ', discarded')"
}

# The refresher looked after the guest was through, and the view counts in the guest's minutes what was written then.
# $1 the view, $2 its column of guests.
see_refresh() {
  local at=$SECONDS type=checkin.success looked counted stored rows
  if [ "$1" = mv_kpi_door2seat ]; then type=wayfinding.arrive_table; fi
  waiting_for "kpi-refresher to refresh $1"
  while :; do
    looked=$(sql "select m.as_of > max(e.received_at) from telemetry.mv_metadata m, telemetry.events_raw e
      where m.view = :'view' and e.tenant_id = :'tenant' and e.session_id = :'session' group by m.as_of;" "view=$1" "session=$session")
    if [ "$looked" = t ]; then
      # In one statement, which sees all of them at the same moment.
      rows=$(sql "select (select coalesce(sum($2), 0) from telemetry.$1 where tenant_id = :'tenant' and event_id = :'event'),
          (select count(*) from telemetry.events_raw e join ops.checkin_sessions s using (tenant_id, session_id)
           where e.tenant_id = :'tenant' and s.event_id = :'event' and e.type = :'type' and e.source = 'service'
             and e.received_at <= (select as_of from telemetry.mv_metadata where view = :'view')),
          (select count(*) from telemetry.$1 where tenant_id = :'tenant' and event_id = :'event');" \
        "view=$1" "event=$event" "type=$type")
      counted=${rows%%|*} stored=${rows#*|}
      rows=${stored#*|} stored=${stored%|*}
      if [ "$counted" = "$stored" ] && [ "$counted" -gt 0 ]; then break; fi
    fi
    [ $((SECONDS - at)) -lt "$wait_seconds" ] ||
      not_seen "a refresh of $1 within $wait_seconds s that has the guest in it$([ "$looked" != t ] || printf ': it counts %s of %s' "$counted" "$stored")"
    sleep 1
  done
  seen "$1" "refreshed: $rows rows of event $event count $counted $2, as many as were stored"
}
