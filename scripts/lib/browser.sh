# shellcheck shell=bash
# What judges pages and bills from outside: Chromium with what drives it, and LibreOffice. Sourced by setup.sh, whose
# say(), as_root() are used, for bash 3.2 and later.

# playwright-core drives, axe-core looks for what keeps people out. Pinned, so that tomorrow's run finds what today's did.
BROWSER_PACKAGES="playwright-core@1.65.1 axe-core@4.14.1"

# Prints a Chromium or Chrome that this machine has.
find_chromium() {
  local found
  for found in "${SEATPILOT_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
    if [ -n "$found" ] && found=$(command -v "$found"); then
      printf '%s\n' "$found"
      return 0
    fi
  done
  return 1
}

# Packages of the machine's own, where we are root anyway, as in a container or in continuous integration: nobody finds
# an office on his laptop because he ran a test.
apt_as_root() {
  [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
  say "   installing $*"
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >/dev/null 2>&1 ||
    { apt-get -q update >/dev/null 2>&1 &&
      DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >/dev/null 2>&1; }
}

# Chromium and what drives it: $1/browser. Where they cannot be had, the reason stands in $1/browser.missing, and the
# tests that need them say that they were skipped.
want_browser() {
  local tools=$1 chromium major
  mkdir -p "$tools/browser"
  rm -f "$tools/browser.missing"
  if ! chromium=$(find_chromium) && ! { apt_as_root chromium && chromium=$(find_chromium); }; then
    echo "no Chromium (apt-get install chromium)" >"$tools/browser.missing"
  elif ! command -v npm >/dev/null && ! apt_as_root nodejs npm; then
    echo "no Node.js with npm" >"$tools/browser.missing"
  else
    major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
    if [ "$major" -lt 18 ]; then
      echo "Node.js is older than 18" >"$tools/browser.missing"
    elif [ "$(cat "$tools/browser/packages" 2>/dev/null)" != "$BROWSER_PACKAGES" ]; then
      # shellcheck disable=SC2086
      if npm install --prefix "$tools/browser" --no-save --no-audit --no-fund --loglevel=error $BROWSER_PACKAGES >&2; then
        printf '%s\n' "$BROWSER_PACKAGES" >"$tools/browser/packages"
      else
        echo "npm cannot reach its registry" >"$tools/browser.missing"
      fi
    fi
    printf '%s\n' "$chromium" >"$tools/browser/chromium"
  fi
  if [ -f "$tools/browser.missing" ]; then
    say "   the administration's pages are not judged in a browser: $(cat "$tools/browser.missing")"
  fi
}

# LibreOffice, which opens bills as a bookkeeper does; 90 MB, half a minute.
want_office() {
  if command -v soffice >/dev/null || apt_as_root libreoffice-calc-nogui; then return 0; fi
  say "   no LibreOffice (apt-get install libreoffice-calc-nogui): it does not judge the bills' CSV"
}
