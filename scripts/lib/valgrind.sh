# shellcheck shell=bash
# valgrind, whose callgrind counts the instructions of fixed work. Sourced by setup.sh, whose say() and as_root(), for bash
# 3.2 and later. Linux only: elsewhere there is no valgrind that runs our binaries.

# Finds valgrind, or installs it where apt can.
want_valgrind() {
  if command -v valgrind >/dev/null; then return 0; fi
  command -v apt-get >/dev/null && may_become_root || return 1
  say "   valgrind was not found: installing it"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends valgrind >&2 ||
    { as_root apt-get update >&2 &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends valgrind >&2; }
  command -v valgrind >/dev/null
}
