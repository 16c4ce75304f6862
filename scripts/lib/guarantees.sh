# shellcheck shell=bash
# The guarantees of the whole house, and how one is proved. Sourced by scripts/guarantees.sh, for bash 3.2 and later.

# One a line: its name | the tests that prove it, as nextest filters them | the promise. A test that proves a part says
# how much it did, on a line `guarantee: NAME | what was done`; one that cannot run here says `SKIPPED: why`.
guarantees() {
  cat <<'TXT_GUARANTEES'
G36|package(seatpilot-guarantees) and (test(/^drills::/) or test(/^rules::/))|each alert fires from its own fault, reaches its receiver and resolves; a healthy house wakes nobody
G44|package(seatpilot-guarantees) and test(/^metrics_proxy::/)|the service key leaves metrics-proxy with one exact request and with no other
smoke|package(seatpilot-guarantees) and test(/^smoke::/)|the smoke scripts pass on a running house, and fail on one that lies
boards|package(seatpilot-guarantees) and test(/^dashboards::/)|every query of every dashboard is answered with live series
traces|package(seatpilot-guarantees) and test(/^traces::/)|a guest's trace goes from the phone to the arrival
TXT_GUARANTEES
}

# The line of one guarantee; fails where there is none of that name.
guarantee_of() {
  guarantees | grep "^$1|"
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
  did=$(sed -n "s/^ *guarantee: $name | //p" "$log" | paste -s -d ';' - | sed 's/;/; /g')
  printf '%-8s %-10s %s (%s%d s)\n' "$name" "$verdict" "$promise" "${did:+$did; }" "$((SECONDS - begun))"
  if [ "$verdict" = BROKEN ]; then say "   $name: see ${log#"$PWD/"}"; fi
  if [ "$verdict" = 'not proved' ]; then sed -n "s/^ *SKIPPED: /   $name: /p" "$log" >&2; fi
  [ "$verdict" = held ]
}
