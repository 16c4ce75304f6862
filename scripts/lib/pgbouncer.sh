# shellcheck shell=bash
# pgBouncer, through which the tests run the services. Sourced by setup.sh, whose say(), for bash 3.2 and later. Nothing
# is installed system-wide and no daemon is started.

# Debian's release after the oldest one that is supported, whose pgBouncer knows prepared statements (1.24; 1.18 does not).
SECOND_PGBOUNCER_RELEASE=trixie
# What it is linked with and few machines have; each release has its own names for some.
PGBOUNCER_LIBRARIES='libc-ares2 libcares2 libevent-2.1-7 libevent-2.1-7t64'
# All of it in that release, with the loader that belongs to it.
SECOND_PGBOUNCER_LIBRARIES='libcares2 libevent-2.1-7t64 libc6 libpam0g libssl3t64 libsystemd0 libaudit1 libcap-ng0 libcap2 zlib1g libzstd1'

is_pgbouncer() {
  [ -x "$1" ] && "$1" --version 2>/dev/null | grep -q '^PgBouncer 1\.'
}

# Downloads the package with the libraries named in $2 and unpacks all into $1; what else is given are options of apt-get.
apt_unpack_pgbouncer() {
  local into=$1 libraries=() package
  IFS=' ' read -r -a libraries <<<"$2"
  shift 2
  mkdir -p "$into/packages" || return 1
  if ! (cd "$into/packages" && apt-get "$@" -q download pgbouncer "${libraries[@]}" >/dev/null 2>&1); then
    (cd "$into/packages" && apt-get "$@" -q download pgbouncer >/dev/null 2>&1) || return 1
    for package in "${libraries[@]}"; do
      (cd "$into/packages" && apt-get "$@" -q download "$package" >/dev/null 2>&1) || true
    done
  fi
  for package in "$into"/packages/*.deb; do
    dpkg-deb -x "$package" "$into/root" >&2 || return 1
  done
  rm -rf "$into/packages"
  mkdir -p "$into/bin"
}

# Writes $1/bin/pgbouncer, which runs the program with the libraries beside it, wherever the folder is moved to. With
# $2 it is of another release, and comes with its own loader.
wrap_pgbouncer() {
  local made=$1 own_loader=${2:-}
  cat >"$made/bin/pgbouncer" <<'SH' || return 1
#!/bin/sh
# Made by scripts/lib/pgbouncer.sh: the program with the libraries that were unpacked beside it.
root=$(cd "$(dirname "$0")/../root" && pwd) || exit 1
for libraries in "$root"/usr/lib/*-linux-gnu*; do :; done
SH
  if [ -n "$own_loader" ]; then
    cat >>"$made/bin/pgbouncer" <<'SH' || return 1
for loader in "$libraries"/ld-linux*; do :; done
exec "$loader" --library-path "$libraries" "$root/usr/sbin/pgbouncer" "$@"
SH
  else
    cat >>"$made/bin/pgbouncer" <<'SH' || return 1
LD_LIBRARY_PATH=$libraries exec "$root/usr/sbin/pgbouncer" "$@"
SH
  fi
  chmod 755 "$made/bin/pgbouncer"
  is_pgbouncer "$made/bin/pgbouncer"
}

# This machine's own package, into $1.
machine_pgbouncer() {
  local made=$1 options=() option
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  if ! apt_unpack_pgbouncer "$made" "$PGBOUNCER_LIBRARIES"; then
    # A fresh container has no lists, or old ones.
    rm -rf "$made"
    while IFS= read -r option; do options+=("$option"); done < <(own_apt_lists "$made.apt")
    apt-get "${options[@]}" -q update >/dev/null 2>&1 || true
    apt_unpack_pgbouncer "$made" "$PGBOUNCER_LIBRARIES" "${options[@]}" || return 1
  fi
  wrap_pgbouncer "$made"
}

# The package of Debian's next release, into $1.
next_pgbouncer() {
  local made=$1 options=() option
  while IFS= read -r option; do options+=("$option"); done < <(options_of_next_debian "$made.apt" "$SECOND_PGBOUNCER_RELEASE")
  [ "${#options[@]}" -gt 0 ] || return 1
  apt_unpack_pgbouncer "$made" "$SECOND_PGBOUNCER_LIBRARIES" "${options[@]}" &&
    wrap_pgbouncer "$made" own-loader
}

# Finds pgBouncer, or has it: $1/pgbouncer/bin/pgbouncer, and one that knows prepared statements beside it,
# $1/pgbouncer-next/bin/pgbouncer. Where one cannot be had, the reason stands in $1/pgbouncer.missing or
# $1/pgbouncer-next.missing, and the tests that need it say that they were skipped.
want_pgbouncer() {
  local tools=$1 found
  mkdir -p "$tools"
  if ! is_pgbouncer "$tools/pgbouncer/bin/pgbouncer"; then
    rm -rf "$tools/pgbouncer" "$tools/pgbouncer.missing"
    # /usr/sbin is not on everybody's path.
    found=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v pgbouncer || true)
    if [ -z "$found" ] && command -v brew >/dev/null && brew install pgbouncer >&2; then
      found=$(brew --prefix)/bin/pgbouncer
    fi
    if [ -n "$found" ] && is_pgbouncer "$found"; then
      mkdir -p "$tools/pgbouncer/bin"
      ln -sf "$found" "$tools/pgbouncer/bin/pgbouncer"
    else
      say "   pgBouncer was not found: fetching it into $tools/pgbouncer"
      place_pgbouncer machine_pgbouncer "$tools/pgbouncer" "neither on the PATH, nor by apt-get download, nor by brew" ||
        say "   pgBouncer could not be had: nothing is tested through it"
    fi
  fi
  if ! is_pgbouncer "$tools/pgbouncer-next/bin/pgbouncer"; then
    rm -rf "$tools/pgbouncer-next" "$tools/pgbouncer-next.missing"
    place_pgbouncer next_pgbouncer "$tools/pgbouncer-next" "not in Debian's archive, or none is at hand" ||
      say "   no newer pgBouncer from Debian's archive: one version is tested"
  fi
}

# Runs $1 with a new folder and puts that to $2; where it fails, $3 is the reason, in $2.missing.
place_pgbouncer() {
  local made=$2.new.$$ outcome=0
  if "$1" "$made" && mv "$made" "$2"; then :; else outcome=1; fi
  if [ "$outcome" -ne 0 ]; then echo "$3" >"$2.missing"; fi
  rm -rf "$made" "$made.apt"
  return "$outcome"
}
