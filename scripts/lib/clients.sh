# shellcheck shell=bash
# The two clients that the smoke scripts ask with: psql and jq (curl is there wherever this repository is). Sourced
# by setup.sh, whose say(), fail() and as_root() it uses, for bash 3.2 and later.

# Prints the folder of a psql, where there is one; $1 is the folder for tools of our own.
psql_folder() {
  local folder
  for folder in "${SEATPILOT_PG_BIN:-}" "$(dirname "$(command -v psql || echo /none/psql)")" /usr/lib/postgresql/*/bin \
    /opt/homebrew/opt/libpq/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/libpq/bin \
    /usr/local/opt/postgresql*/bin "$1/clients/bin"; do
    if [ -n "$folder" ] && [ -x "$folder/psql" ] && "$folder/psql" --version >/dev/null 2>&1; then
      printf '%s\n' "$folder"
      return 0
    fi
  done
  return 1
}

# Puts what is there already on the PATH. Fails where one of the two is missing.
find_clients() {
  local folder
  folder=$(psql_folder "$1") || return 1
  PATH=$folder:$PATH
  if ! command -v jq >/dev/null && [ -x "$1/clients/bin/jq" ]; then PATH=$PATH:$1/clients/bin; fi
  export PATH
  command -v jq >/dev/null
}

# Downloads both with apt, with what they need and the machine lacks, and unpacks them below $1; what else is given are
# options of apt-get. Needs no root.
apt_unpack_clients() {
  local into=$1 package program found libraries
  shift
  mkdir -p "$into/packages/partial" "$into/bin" || return 1
  apt-get "$@" -q -y --no-install-recommends --download-only -o Debug::NoLocking=1 \
    -o "Dir::Cache::archives=$into/packages" -o "APT::Sandbox::User=$(id -un)" install jq postgresql-client >/dev/null 2>&1 || return 1
  for package in "$into"/packages/*.deb; do
    dpkg-deb -x "$package" "$into/root" >&2 || return 1
  done
  rm -rf "$into/packages"
  libraries=$(find "$into/root/usr/lib" -maxdepth 1 -type d -name '*-linux-gnu*' 2>/dev/null | head -n 1)
  for program in jq psql; do
    # Not Debian's /usr/bin/psql, which asks a Perl library where the real one is.
    for found in "$into/root"/usr/lib/postgresql/*/bin/"$program" "$into/root/usr/bin/$program"; do
      if [ -x "$found" ] && ! head -c 2 "$found" | grep -q '#!'; then
        # shellcheck disable=SC2016
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec %s "$@"\n' \
          "'$libraries'" "'$found'" >"$into/bin/$program"
        chmod +x "$into/bin/$program"
        break
      fi
    done
  done
}

# With apt, also where it has no lists yet, as in a fresh container.
apt_clients() {
  local into=$1 options=() option
  if apt_unpack_clients "$into"; then return 0; fi
  rm -rf "$into"
  while IFS= read -r option; do options+=("$option"); done < <(own_apt_lists "$into.apt")
  apt-get "${options[@]}" -q update >/dev/null 2>&1 || true
  apt_unpack_clients "$into" "${options[@]}" || rm -rf "$into"
  rm -rf "$into.apt"
}

# Finds psql and jq, or has them: by apt into $1/clients without root, by apt as root, or by brew.
need_clients() {
  local tools=$1
  if find_clients "$tools"; then return 0; fi
  say "psql or jq was not found: fetching them"
  if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    apt_clients "$tools/clients"
    if find_clients "$tools"; then return 0; fi
    if may_become_root; then
      as_root apt-get update >&2 || true
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-client jq >&2 || true
    fi
  elif command -v brew >/dev/null; then
    brew install libpq jq >&2 || true
  fi
  find_clients "$tools" ||
    fail "psql and jq are needed: apt-get install postgresql-client jq, or brew install libpq jq"
}

# For the tests of the smoke scripts, which say that they were skipped where a client is missing.
want_clients() {
  (need_clients "$1") || say "   the smoke scripts are not tried"
}
