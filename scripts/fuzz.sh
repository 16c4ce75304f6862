#!/usr/bin/env bash
# Feeds made-up bytes to what reads strangers' bytes: signed headers, events, venues, guest lists.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/setup.sh
. "$root/scripts/lib/setup.sh"

TARGETS='signed_headers events venue guests'

usage() {
  cat <<'TXT'
Usage: scripts/fuzz.sh [--minutes N] [TARGET…]

Runs the targets of fuzz/ (signed_headers, events, venue, guests; all without a name) by cargo-fuzz, N minutes in all
(default 30), with libFuzzer and AddressSanitizer. Needs a nightly compiler, or takes the stable one's word
(RUSTC_BOOTSTRAP=1, without the sanitizer). What it finds beside crashes stays in fuzz/corpus, unknown to git.

A crash is in fuzz/artifacts/<target>/: give it a name that says what it is, move it to fuzz/corpus/<target>/, and every
run of the tests holds the reader to it. The last line of standard output says what was done.
Exit: 0 nothing was found, 1 something was or it does not build, 2 usage.
TXT
}

minutes=30 wanted=''
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      usage
      exit 0
      ;;
    --minutes)
      [ $# -ge 2 ] && [ "$2" -ge 1 ] 2>/dev/null || {
        usage >&2
        exit 2
      }
      minutes=$2
      shift
      ;;
    *)
      case " $TARGETS " in
        *" $1 "*) wanted="$wanted $1" ;;
        *)
          say "error: $1 is no target: $TARGETS"
          exit 2
          ;;
      esac
      ;;
  esac
  shift
done
wanted=${wanted:-$TARGETS}

need_rust
want_cargo_fuzz "$root/target/tools"
[ -x "$root/target/tools/fuzz/bin/cargo-fuzz" ] || fail "cargo-fuzz could not be had: $(cat "$root/target/tools/fuzz.missing")"
PATH=$root/target/tools/fuzz/bin:$PATH
sanitizer=address
if rustup run nightly rustc --version >/dev/null 2>&1; then
  export RUSTUP_TOOLCHAIN=nightly
else
  say "   no nightly compiler: without the sanitizer"
  export RUSTC_BOOTSTRAP=1
  sanitizer=none
fi

count=0
for _ in $wanted; do count=$((count + 1)); done
seconds=$((minutes * 60 / count)) runs=0
cd "$root/fuzz"
for target in $wanted; do
  log=$root/target/fuzz-$target.log
  say "   $target: $seconds s"
  # Bodies and lists are longer than libFuzzer thinks; what takes 10 s or 1 GiB is a finding.
  cargo fuzz run --sanitizer "$sanitizer" "$target" -- -max_total_time="$seconds" -max_len=32768 -timeout=10 \
    -rss_limit_mb=1024 -print_final_stats=1 >"$log" 2>&1 || { tail -n 40 "$log" >&2 && fail "$target: see ${log#"$root/"}"; }
  runs=$((runs + $(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)))
done
printf '%d inputs made up for %s in %d min, nothing found\n' "$runs" "$(printf '%s' "$wanted" | sed 's/^ //; s/ /, /g')" "$minutes"
