# shellcheck shell=bash
# The guarantees of the whole house, and how one is proved. Sourced by scripts/guarantees.sh, for bash 3.2 and later.

# One a line: its name | the tests that prove it, as nextest filters them | the promise. No bar stands within the three. A
# test that proves a part says how much it did, on a line `guarantee: NAME | what was done`; one that cannot run here says
# `SKIPPED: why`.
guarantees() {
  cat <<'TXT_GUARANTEES'
G1|package(seatpilot-guarantees) and test(/^durability::kills::/)|what got a 2xx is stored exactly once, and no batch by halves, however often services are killed
G2|package(seatpilot-guarantees) and test(/^durability::server_kills::/)|the same when Postgres is killed, one of its processes is, or it is stopped without a checkpoint
G3|package(seatpilot-guarantees) and test(/^durability::cuts::/)|a line to the database that is cut after any byte, or after the commit, makes no false 2xx, no loss and no double
G4|package(seatpilot-guarantees) and test(/^durability::disks::/)|a full disk loses nothing that was acknowledged: 503 with Retry-After meanwhile, served again when there is space
G5|package(seatpilot-guarantees) and test(/^durability::rollbacks::/)|a transaction that the server rolled back is never acknowledged
G6|package(seatpilot-guarantees) and test(/^durability::same_ids::/)|an event id is stored once at any instance, across midnight, restarts and days
G7|(package(seatpilot-telemetry-ingest) and test(/^captured::/)) or (package(seatpilot-wayfinding) and test(/^forged::a_captured/))|a captured signed request makes one set of rows however often it is sent, and other tenants hardly feel it
G8|package(seatpilot-telemetry-ingest) and test(/^poison::/)|a bad item of a batch is a dead letter with its reason, every other item is stored, and nothing is a 5xx
G9|package(seatpilot-guarantees) and test(/^durability::conservation::/)|every item of an authenticated request is an event, a repeat of one, or a dead letter, whatever is killed
G10|(package(seatpilot) and test(/^redrive::/)) or (package(seatpilot-store) and test(/^dead_letters::/))|a dead letter that is sent again becomes one event, whoever is killed at it and however many try at once
G11|package(seatpilot-kpi-refresher) and test(/^order::/)|KPI rows do not depend on the order in which events arrive
G12|package(seatpilot-checkin) and test(/^gates::/)|sixteen gates that scan one ticket in the same moment admit one guest
G13|package(seatpilot-checkin) and (test(/^repeats::/) or test(/^replay::/))|a scan that is sent again gets its first answer, byte for byte; another body under its id is refused
G14|(package(seatpilot-checkin) and (test(/^revocation::/) or test(/a_revoked_device/))) or (package(seatpilot-telemetry-ingest) and test(/a_revoked_key/))|a revoked or changed ticket is so at every instance from the commit on; a device and a key within 5 s
G15|package(seatpilot-checkin) and (test(/^guessing::/) or test(/unknown_malformed_and_foreign/) or test(/a_device_that_guesses/))|who guesses tickets is not let in, learns nothing by words or time, and is stopped
G17|(package(seatpilot-telemetry-ingest) and test(/^forged::/)) or (package(seatpilot-wayfinding) and test(/^forged::whatever/)) or (package(seatpilot-signing) and (test(/^forgery::/) or test(/^grammar::/)))|whatever is changed about a signed request it is refused and nothing is stored
G18|(package(seatpilot-telemetry-ingest) and test(/^clock::/)) or (package(seatpilot-wayfinding) and test(/^forged::a_ping_signed/)) or (package(seatpilot-signing) and test(/^freshness::/))|300 s off is fresh and 301 s is not, and a clock that is stepped reopens no replay
G19|(package(seatpilot-guarantees) and test(/^rotation::/)) or (package(seatpilot-store) and (test(/^signing_keys::an_old/) or test(/^signing_keys::of_two/))) or (package(seatpilot-telemetry-ingest) and test(/a_rotated_key/))|a key is rotated under load without a failed request, its old secret ends with its grace, and a revocation reaches all in 5 s
G20|package(seatpilot-signing) and test(/^timing::/)|the time of a verification does not tell where a tag differs, nor whether the key exists or rotates
G21|package(seatpilot-guarantees) and test(/^secrets::/)|no secret stands in a log, answer, metric, trace, dead letter or command line, whatever goes wrong
G22|package(seatpilot-store) and (test(/^access::/) or test(/^grants::/) or test(/^tenancy::/) or test(/^claims::/))|nobody can do anything with any table, view, sequence or function that is not on one list
G23|package(seatpilot-store) and test(/^isolation::/)|two tenants on one connection never meet, whoever goes away in the middle
G24|package(seatpilot-store) and (test(/^lint::/) or test(/^pgtap::/))|the catalogue has no hole that a lint knows, migrated or restored from a dump, and pgTAP says the same
G25|package(seatpilot-guarantees) and (test(/^statements::/) or test(/^hostile_text::/))|no statement is built from what somebody sent
G26|package(seatpilot-guarantees) and test(/^overload::outage::/)|while the database is away everybody is answered 503 in time, and service comes back by itself within 5 s
G27|package(seatpilot-guarantees) and test(/^overload::held::/)|while everything in the database waits everybody is refused in time, and 2 s later all is well
G28|(package(seatpilot-guarantees) and test(/^overload::peak::/)) or (package(seatpilot-store) and test(/^room::/))|at five times its peak a service does what it can and refuses the rest at once
G29|package(seatpilot-guarantees) and test(/^overload::slow_senders::/)|senders that trickle are cut, and an honest gate hardly feels them
G30|package(seatpilot-guarantees) and test(/^overload::rolling::/)|restarting one instance after the other fails no request
G31|package(seatpilot-guarantees) and test(/^overload::ending::/)|each binary ends in good order when it is told to, at work and in its start
G32|package(seatpilot-guarantees) and test(/^overload::away::/)|a metrics-api that hangs or is gone costs no guest anything
G33|package(seatpilot-guarantees) and test(/^overload::greedy::/)|a tenant at twenty times its rate gets its rate, and another feels nothing
G34|(package(seatpilot-guarantees) and (test(/^documents::/) or test(/^malformed::/) or test(/^fuzzed::/))) or test(/^corpus::/)|no malformed request is answered with a 5xx, ends a process or makes it grow, and every service is what its document says
G35|(package(seatpilot-guarantees) or package(seatpilot-http)) and test(/^framing::/)|no ambiguous framing makes a service, or nginx before it, take bytes for a request that nobody sent
G36|package(seatpilot-guarantees) and (test(/^drills::/) or test(/^rules::/))|each alert fires from its own fault, reaches its receiver and resolves; a healthy house wakes nobody
G37|(package(seatpilot-guarantees) and test(/^flood::a_flood/)) or (package(seatpilot-metrics-api) and test(/^bounds::/))|a flood of made-up names leaves at most 5,000 series, 1 MiB of metrics and 16 MiB of memory
G38|(package(seatpilot-guarantees) and test(/^flood::without/)) or (package(seatpilot-metrics-api) and test(/^bounds::quotes/)) or (package(seatpilot-metrics-api-app) and test(/^refusals::/))|without the key nothing is observed, and no text breaks a scrape
G44|package(seatpilot-guarantees) and test(/^metrics_proxy::/)|the service key leaves metrics-proxy with one exact request and with no other
G48|package(seatpilot-guarantees) and test(/^supply_chain::/)|every dependency is of crates.io, locked, listed and under a licence that is allowed; in the full run two clean builds give the same bytes
G49|(package(seatpilot-guarantees) and test(/^production::/)) or (package(seatpilot-store) and test(/^standing::/)) or (package(seatpilot-runtime) and (test(/^guessable::/) or test(/production_refuses/)))|production refuses what only a laptop may have, by name: settings, secrets, roles, databases
writer|package(seatpilot-store) and test(/^writer::model::/)|whatever order callers, writers and a failing database meet in, no answer is lost, doubled or crossed
vanish|package(seatpilot-guarantees) and test(/^durability::vanishing::/)|a client that vanishes leaves its request stored whole or not at all, and the service well
bus|(package(seatpilot-guarantees) and test(/^durability::bus::/)) or package(seatpilot-bus) or (package(seatpilot-telemetry-ingest) and test(/::over_the_bus$/))|over NATS JetStream too what got a 2xx is stored exactly once, whoever is killed, and nobody without a key can make it seem so
stores|(package(seatpilot-guarantees) and test(/^rest_over_tls::/)) or (package(seatpilot-telemetry-ingest) and (test(/^stores::/) or test(/^items::/) or test(/^replays::/) or test(/^limits::/))) or (package(seatpilot-store) and test(/^stores::/)) or (package(seatpilot-testkit) and test(/^postgrest::/))|the contract of telemetry holds on all three stores, and over REST the service key calls one function
sessions|(package(seatpilot-telemetry-ingest) and (test(/^session_keys::/) or test(/^session_rates::/) or test(/^cross_origin::/) or test(/^sdk_js::a_page_sends/))) or (package(seatpilot-wayfinding) and test(/^session_keys::/)) or (package(seatpilot-signing) and test(/^session_keys::/))|a page's key works only from its origin, for its session and scope, until its end, and dies with its parent within 5 s
pooler|(package(seatpilot-guarantees) and test(/^pooler::/)) or (package(seatpilot-store) and test(/^isolation::.*pooler/))|through pgBouncer in transaction mode too everything is stored exactly once, no tenant meets another, limits hold, and who was told wrong says so
smoke|package(seatpilot-guarantees) and test(/^smoke::/)|the smoke scripts pass on a running house, and fail on one that lies
boards|package(seatpilot-guarantees) and test(/^dashboards::/)|every query of every dashboard is answered with live series
traces|package(seatpilot-guarantees) and test(/^traces::/)|a guest's trace goes from the phone to the arrival
rest|package(seatpilot-store) and (test(/^sealing::/) or test(/^signing_keys::/))|signing secrets rest sealed for their row: without the key file, or in another row, they open nowhere
TXT_GUARANTEES
}

# The line of one guarantee; fails where there is none of that name.
guarantee_of() {
  guarantees | grep "^$1|"
}

# The first $1 lines, and how many more there are: some tests say what each of a hundred rounds did.
first_of() {
  awk -v most="$1" 'NR <= most { print } END { if (NR > most) print "and " NR - most " more in its log" }'
}

# Runs the tests of a guarantee and prints its line: name, filter, promise, log, effort.
prove() {
  local name=$1 filter=$2 promise=$3 log=$4 effort=$5 begun=$SECONDS verdict=held did=''
  say "   $name: proving ($effort)"
  # `--profile whole-house` lets a test take hours; a run without any test proves nothing and fails.
  if ! cargo nextest run --profile whole-house --locked --no-fail-fast --success-output immediate \
    -E "$filter" >"$log" 2>&1 9>&-; then
    verdict=BROKEN
  elif grep -q 'SKIPPED:' "$log"; then
    verdict='not proved'
  fi
  did=$(sed -n "s/^ *guarantee: $name | //p" "$log" | first_of 8 | paste -s -d ';' - | sed 's/;/; /g')
  printf '%-8s %-10s %s (%s%d s)\n' "$name" "$verdict" "$promise" "${did:+$did; }" "$((SECONDS - begun))"
  if [ "$verdict" = BROKEN ]; then say "   $name: see ${log#"$PWD/"}"; fi
  if [ "$verdict" = 'not proved' ]; then sed -n "s/^ *SKIPPED: /   $name: /p" "$log" >&2; fi
  [ "$verdict" = held ]
}
