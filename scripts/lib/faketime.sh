# shellcheck shell=bash
# libfaketime, by which the tests give whole processes another time of day. Sourced by setup.sh, whose say(), for bash 3.2
# and later. Nothing is installed system-wide.

# Downloads Debian's or Ubuntu's package and unpacks it into $1; what else is given are options of apt-get.
apt_unpack_faketime() {
  local into=$1 package
  shift
  mkdir -p "$into/packages" || return 1
  (cd "$into/packages" && apt-get "$@" -q download libfaketime >/dev/null 2>&1) || return 1
  for package in "$into"/packages/*.deb; do
    dpkg-deb -x "$package" "$into/root" >&2 || return 1
  done
  rm -rf "$into/packages"
}

# The library in the folder $1, wherever a package has it; fails where there is none.
faketime_below() {
  local found
  found=$(find "$1" -name libfaketime.so.1 2>/dev/null | head -n 1)
  [ -n "$found" ] && printf '%s\n' "$found"
}

# Finds libfaketime, or has it: $1/faketime/libfaketime.so.1. Where it cannot be had, the reason stands in
# $1/faketime.missing, and the tests that need it say that they were skipped.
want_faketime() {
  local tools=$1 made=$1/faketime.new.$$ found options=() option
  if [ -f "$tools/faketime/libfaketime.so.1" ]; then return 0; fi
  mkdir -p "$tools"
  rm -rf "$tools/faketime" "$tools/faketime.missing"
  if ! found=$(faketime_below "/usr/lib/$(uname -m)-linux-gnu/faketime") && command -v apt-get >/dev/null &&
    command -v dpkg-deb >/dev/null; then
    say "   libfaketime was not found: fetching it into $tools/faketime"
    if ! apt_unpack_faketime "$made"; then
      # A fresh container has no lists, or old ones.
      rm -rf "$made"
      while IFS= read -r option; do options+=("$option"); done < <(own_apt_lists "$made.apt")
      apt-get "${options[@]}" -q update >/dev/null 2>&1 || true
      apt_unpack_faketime "$made" "${options[@]}" || true
    fi
    found=$(faketime_below "$made") || found=''
  fi
  if [ -n "$found" ]; then
    # A copy in a file of its own, which the server's account can read.
    mkdir -p "$tools/faketime"
    cp -L "$found" "$tools/faketime/libfaketime.so.1"
    chmod 755 "$tools/faketime"
    chmod 644 "$tools/faketime/libfaketime.so.1"
  fi
  rm -rf "$made" "$made.apt"
  if [ -f "$tools/faketime/libfaketime.so.1" ]; then return 0; fi
  say "   libfaketime could not be had: what is stored across midnight and days is not tested"
  echo "neither in /usr/lib, nor by apt-get download" >"$tools/faketime.missing"
}
