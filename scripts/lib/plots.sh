# shellcheck shell=bash
# Python with what draws the contact sheets, in a folder of its own. Sourced, for bash 3.2 and later; say() and fail()
# are setup.sh's.

# matplotlib draws; psycopg asks the database, with its own libpq, so that none need be installed.
PLOTS_PACKAGES="matplotlib==3.10.9 psycopg==3.3.9 psycopg-binary==3.3.9"

has_plots() {
  [ -x "$1/plots/bin/python" ] && [ "$(cat "$1/plots/packages" 2>/dev/null)" = "$PLOTS_PACKAGES" ]
}

# A Python that is new enough and can make environments; Debian packs venv apart.
plots_python() {
  local python
  for python in python3 python3.13 python3.12 python3.11; do
    if command -v "$python" >/dev/null &&
      "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
      printf '%s\n' "$python"
      return 0
    fi
  done
  return 1
}

# Makes $1/plots; says why not and fails where it cannot.
make_plots() {
  local tools=$1 python
  if ! plots_python >/dev/null && command -v apt-get >/dev/null && may_become_root; then
    as_root apt-get install -y --no-install-recommends python3-venv >&2 ||
      { as_root apt-get update >&2 && as_root apt-get install -y --no-install-recommends python3-venv >&2; } || true
  fi
  if ! python=$(plots_python); then
    say "   no Python 3.10 or newer with venv: install it (apt-get install python3-venv, brew install python)"
    return 1
  fi
  say "   fetching what draws the dashboards into $tools/plots"
  mkdir -p "$tools"
  # An environment knows its own path: it is made in place, and marked when it is whole.
  rm -rf "$tools/plots"
  # shellcheck disable=SC2086
  if "$python" -m venv "$tools/plots" >&2 &&
    "$tools/plots/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: $PLOTS_PACKAGES >&2; then
    printf '%s\n' "$PLOTS_PACKAGES" >"$tools/plots/packages"
    return 0
  fi
  rm -rf "$tools/plots"
  say "   PyPI could not be reached, or has no wheel for this machine"
  return 1
}

# For scripts that draw: has it, or fails. $1 is the folder for tools of our own.
need_plots() {
  has_plots "$1" || make_plots "$1" || fail "the dashboards cannot be drawn without it"
}

# For the tests: where it cannot be had the reason stands in $1/plots.missing, and they say that they were skipped.
want_plots() {
  rm -f "$1/plots.missing"
  if has_plots "$1" || make_plots "$1"; then return 0; fi
  say "   the contact sheets of the dashboards are not drawn"
  echo "no Python with venv, or PyPI out of reach" >"$1/plots.missing"
}
