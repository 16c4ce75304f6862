# shellcheck shell=bash disable=SC2154,SC2034
# A guest of a smoke script's own: a ticket, an admission, an arrival, and the rows of both. Sourced by smoke.sh.

# The seatpilot command: SEATPILOT_BIN, what was built here, or the one on the PATH.
seatpilot_bin=''
find_seatpilot() {
  for seatpilot_bin in "${SEATPILOT_BIN:-}" "$root/target/release/seatpilot" "$root/target/debug/seatpilot" \
    "$(type -P seatpilot || true)"; do
    if [ -n "$seatpilot_bin" ] && [ -x "$seatpilot_bin" ]; then return 0; fi
  done
  not_seen "the seatpilot command: build it with scripts/up.sh, or set SEATPILOT_BIN"
}

# Venue, door and a place; then a ticket in an event of our own (smoke-<venue>), unless one was given. No list that
# somebody loaded is touched.
make_ticket() {
  local place code
  if [ -z "$venue" ]; then
    venue=$(sql "select string_agg(venue_id, ' ') from ops.venues where tenant_id = :'tenant';")
    case "$venue" in
      '') not_seen "a venue of tenant $tenant" ;;
      *' '*) usage_fault "which venue? name one with --venue: $venue" ;;
    esac
  fi
  if [ -z "$door" ]; then
    door=$(sql "select min(door_id) from ops.doors where tenant_id = :'tenant' and venue_id = :'venue';" "venue=$venue")
    [ -n "$door" ] || not_seen "a door of venue $venue"
  fi
  if [ -n "$ticket" ]; then
    [ -n "$event" ] || usage_fault "TICKET needs --event"
    return 0
  fi
  find_seatpilot
  place=$(sql "select s.section || ',,' from ops.sections s where tenant_id = :'tenant' and venue_id = :'venue'
    union all select ',' || t.table_id || ',' from ops.tables t where tenant_id = :'tenant' and venue_id = :'venue'
    union all select ',,' || s.seat_id from ops.seats s where tenant_id = :'tenant' and venue_id = :'venue'
    limit 1;" "venue=$venue")
  [ -n "$place" ] || not_seen "a section, table or seat of venue $venue, for a guest to arrive at"
  event=$(printf 'smoke-%.58s' "$venue") code=SMOKE-$(new_uuid)
  printf 'ticket,event_id,name,party_size,section,table_id,seat_id,doors,valid_from,valid_until\n%s,%s,Smoke test,1,%s,,,\n' \
    "$code" "$event" "$place" |
    DATABASE_URL=$database "$seatpilot_bin" guests import - --tenant "$tenant" --venue "$venue" --json >"$private/import" 2>"$private/why" ||
    not_seen "a ticket of our own: $(tr '\n' ' ' <"$private/why" | cut -c 1-160)"
  [ "$(jq -r .new "$private/import" 2>/dev/null)" = 1 ] || not_seen "a ticket of our own: $(cut -c 1-160 "$private/import")"
  ticket=$code
  seen ticket "one of our own in event $event at $venue"
}

# The counters that this guest moves.
note_guest() {
  local by="{tenant=\"$tenant\",channel=\"$channel\"}"
  note_series "check-in counted" "seatpilot_checkin_latency_seconds_count$by"
  note_series "stages counted" "seatpilot_checkin_stage_seconds_count{stage=\"total\",${by#\{}"
  note_series "arrival counted" "seatpilot_door_to_seat_seconds_count$by"
}

# The guest comes in: sets `session`, `admission`.
session='' admission='' scan=''
see_check_in() {
  scan=$(smoke_ticket=$ticket jq -n -c --arg scan "$(new_uuid)" --arg venue "$venue" --arg event "$event" --arg door "$door" --arg channel "$channel" \
    '{scan_id: $scan, venue_id: $venue, event_id: $event, door_id: $door, ticket: env.smoke_ticket, channel: $channel}')
  request POST "$checkin/api/checkin/success" "$private/device" -H 'content-type: application/json' --data-binary @- <<<"$scan"
  [ "$status" = 201 ] || not_seen "an admission at $checkin: $(answered)"
  admission=$body session=$(of_body .session_id)
  [ "$(of_body .decision)" = admitted ] && [ "${#session}" = 36 ] || not_seen "an admission at $checkin: $(of_body .decision)"
  seen check-in "admitted by $door as session $session, $(of_body 'if .way then "\(.way.distance_m) m to go" else "no way known" end')"
}

# The guest is seated.
see_arrival() {
  local ping
  ping=$(jq -c --arg ping "$(new_uuid)" \
    '{ping_id: $ping, session_id} + ({section, table_id, seat_id} | with_entries(select(.value != null)))' <<<"$admission")
  request POST "$wayfinding/api/wayfinding/arrive-table" "$private/device" -H 'content-type: application/json' --data-binary @- <<<"$ping"
  [ "$status" = 201 ] || not_seen "an arrival at $wayfinding: $(answered)"
  [ "$(of_body .outlier)" = false ] || not_seen "an arrival within 900 s: it is an outlier"
  seen arrival "after $(of_body .door_to_seat_seconds) s"
}

# One session with its arrival, and one event of each kind, written by our services.
see_rows() {
  local rows
  rows=$(sql "select count(*), count(arrived_at) from ops.checkin_sessions
    where tenant_id = :'tenant' and session_id = :'session' and venue_id = :'venue' and event_id = :'event' and door_id = :'door';" \
    "session=$session" "venue=$venue" "event=$event" "door=$door")
  [ "$rows" = '1|1' ] || not_seen "one session $session with its arrival in ops.checkin_sessions: rows|arrivals are ${rows:-none}"
  rows=$(sql "select count(*) filter (where type = 'checkin.success'), count(*) filter (where type = 'wayfinding.arrive_table'),
      count(*) from telemetry.events_raw
    where tenant_id = :'tenant' and session_id = :'session' and source = 'service';" "session=$session")
  [ "$rows" = '1|1|2' ] ||
    not_seen "one checkin.success and one wayfinding.arrive_table of session $session in telemetry.events_raw: they are ${rows:-none}"
  seen database "one session with its arrival, one event of each"
}
