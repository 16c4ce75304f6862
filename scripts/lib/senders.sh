# shellcheck shell=bash
# The libraries with which others send: Standard Webhooks sign, CloudEvents write. Sourced by setup.sh after nginx.sh, whose
# make_python_folder() is used, for bash 3.2 and later.

SENDERS_PYTHON="standardwebhooks==1.1.0 cloudevents==2.2.0"
SENDERS_NODE="standardwebhooks@1.1.1 cloudevents@10.0.0"

# $1/senders: a Python with its libraries, and node_modules with the others. Where they cannot be had, the reason stands in
# $1/senders.missing, and the tests that need them say that they were skipped.
want_senders() {
  local into=$1/senders
  if [ "$(cat "$into/versions" 2>/dev/null)" = "$SENDERS_PYTHON $SENDERS_NODE" ]; then return 0; fi
  rm -rf "$into" "$into.missing"
  mkdir -p "$1"
  # shellcheck disable=SC2086 # lists of packages
  if command -v npm >/dev/null && make_python_folder "$into" &&
    "$into/bin/python" -m pip install --quiet --disable-pip-version-check $SENDERS_PYTHON >&2 &&
    npm install --prefix "$into" --no-save --no-audit --no-fund --loglevel=error $SENDERS_NODE >&2; then
    echo "$SENDERS_PYTHON $SENDERS_NODE" >"$into/versions"
    return 0
  fi
  rm -rf "$into"
  say "   the libraries of Standard Webhooks and CloudEvents could not be had: what they send is not tried"
  echo "no Node.js with npm, no Python with venv, or a registry cannot be reached" >"$into.missing"
}
