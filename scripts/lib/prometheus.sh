# shellcheck shell=bash
# The programs that judge the rules and that the drills run: Prometheus, promtool, Alertmanager, amtool and
# node_exporter. Sourced by setup.sh, whose say(), for bash 3.2 and later. Nothing is installed system-wide and no
# daemon is started: packages are unpacked into the folder for tools of our own.

# The oldest Prometheus that reads the rules as they are written: `keep_firing_for` came with it.
PROMETHEUS_MINOR_MIN=42
# Debian's release that has a newer Prometheus (2.53), the second judge, and the signature of its archive.
SECOND_PROMETHEUS_RELEASE=trixie
DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Whether a folder holds all five programs, with a Prometheus that is new enough.
is_prometheus_bin() {
  local program version
  for program in prometheus promtool alertmanager amtool node_exporter; do
    [ -x "$1/$program" ] || return 1
  done
  version=$("$1/prometheus" --version 2>&1) || return 1
  version=${version#*version }
  case "$version" in
    2.*)
      version=${version#2.}
      [ "${version%%.*}" -ge "$PROMETHEUS_MINOR_MIN" ]
      ;;
    [3-9].*) true ;;
    *) return 1 ;;
  esac
}

# Links the five programs into $1/bin. The others are the folders to look in, where Debian's names count as well.
# What was unpacked into $1 is linked from there, so that the whole may be moved.
link_prometheus() {
  local into=$1/bin program folder debian found
  shift
  mkdir -p "$into" || return 1
  for program in prometheus promtool alertmanager amtool node_exporter; do
    case "$program" in
      alertmanager) debian=prometheus-alertmanager ;;
      node_exporter) debian=prometheus-node-exporter ;;
      *) debian=$program ;;
    esac
    found=''
    for folder in "$@"; do
      if [ -x "$folder/$program" ]; then found=$folder/$program; elif [ -x "$folder/$debian" ]; then found=$folder/$debian; fi
      if [ -n "$found" ]; then break; fi
    done
    [ -n "$found" ] || return 1
    case "$found" in "${into%/bin}"/*) found=..${found#"${into%/bin}"} ;; esac
    ln -sf "$found" "$into/$program" || return 1
  done
  is_prometheus_bin "$into"
}

# Downloads the packages with apt and unpacks them into $1; what else is given are options of apt-get. Needs no root.
apt_unpack_prometheus() {
  local into=$1 package packages=(prometheus prometheus-alertmanager prometheus-node-exporter)
  shift
  # A package of its own since Debian 13.
  if apt-cache "$@" show promtool >/dev/null 2>&1; then packages+=(promtool); fi
  mkdir -p "$into/packages" || return 1
  (cd "$into/packages" && apt-get "$@" -q download "${packages[@]}" >/dev/null 2>&1) || return 1
  for package in "$into"/packages/*.deb; do
    dpkg-deb -x "$package" "$into/root" >&2 || return 1
  done
  rm -rf "$into/packages"
}

# Debian's Alertmanager reads its templates from below /usr/share, where nothing is installed: what was unpacked into $1
# is told to read them from the folder that it is started in, and a launcher starts it there. It wants absolute paths.
relocate_alertmanager() {
  local share=/usr/share/prometheus/alertmanager here='./././././././././././././././././'
  [ -f "$1/root$share/default.tmpl" ] || return 0
  # As long as what it replaces: the program knows its strings by their lengths.
  [ "${#share}" -eq "${#here}" ] || return 1
  LC_ALL=C sed -i "s#$share#$here#g" "$1/root/usr/bin/prometheus-alertmanager" || return 1
  rm -f "$1/bin/alertmanager"
  cat >"$1/bin/alertmanager" <<'TXT_LAUNCHER' || return 1
#!/bin/sh
cd "$(dirname "$0")/../root/usr/share/prometheus/alertmanager" && exec ../../../bin/prometheus-alertmanager "$@"
TXT_LAUNCHER
  chmod +x "$1/bin/alertmanager"
}

# Moves a folder that is complete to its place, instead of one that is not. Another run may have been quicker: then
# its folder stays.
place_prometheus() {
  local made=$1 place=$2
  if [ -e "$place" ] && ! is_prometheus_bin "$place/bin"; then rm -rf "$place"; fi
  [ -e "$place" ] || mv "$made" "$place"
}

# apt's options for package lists in a folder of our own, which need neither root nor the machine's.
own_apt_lists() {
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial" || return 1
  # Debian's key may be read by everybody, this folder perhaps not: root need not become another user for it.
  printf '%s\n' -o "Dir::State::lists=$1/lists" -o "Dir::Cache=$1/cache" -o "APT::Sandbox::User=$(id -un)"
}

# The packages of this machine's own Debian or Ubuntu, into $1.
machine_prometheus() {
  local made=$1 options=() option
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  if ! apt_unpack_prometheus "$made"; then
    # A fresh container has no lists, or old ones.
    rm -rf "$made"
    while IFS= read -r option; do options+=("$option"); done < <(own_apt_lists "$made.apt")
    apt-get "${options[@]}" -q update >/dev/null 2>&1 || true
    apt_unpack_prometheus "$made" "${options[@]}" || return 1
  fi
  link_prometheus "$made" "$made/root/usr/bin" && relocate_alertmanager "$made"
}

# The archive that this Debian machine has its packages from. The others are options of apt-get.
debian_archive() {
  # shellcheck disable=SC2016
  apt-get "$@" indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    sed -n 's/^Debian Debian \([^ ]*\).*/\1/p' | head -n 1
}

# Options of apt-get, a line each, for the packages of another release $2 of Debian, with lists of its own in $1; none
# where there is no such archive.
options_of_next_debian() {
  local own=$1 release=$2 archive options=() option
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && [ -r "$DEBIAN_KEYRING" ] || return 1
  while IFS= read -r option; do options+=("$option"); done < <(own_apt_lists "$own")
  archive=$(debian_archive)
  if [ -z "$archive" ]; then
    # Who made an archive stands in its lists.
    apt-get "${options[@]}" -q update >/dev/null 2>&1 || true
    archive=$(debian_archive "${options[@]}")
  fi
  [ -n "$archive" ] || return 1
  printf 'deb [signed-by=%s] %s %s main\n' "$DEBIAN_KEYRING" "$archive" "$release" >"$own/sources.list"
  # Names and checksums are all that is needed of it.
  options+=(-o "Dir::Etc::sourcelist=$own/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Acquire::Languages=none
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
  apt-get "${options[@]}" -q update >/dev/null 2>&1 || return 1
  printf '%s\n' "${options[@]}"
}

# The packages of Debian's next release, into $1.
next_prometheus() {
  local made=$1 options=() option
  while IFS= read -r option; do options+=("$option"); done < <(options_of_next_debian "$made.apt" "$SECOND_PROMETHEUS_RELEASE")
  [ "${#options[@]}" -gt 0 ] || return 1
  apt_unpack_prometheus "$made" "${options[@]}" || return 1
  link_prometheus "$made" "$made/root/usr/bin" && relocate_alertmanager "$made"
}

# Finds Prometheus and what belongs to it, or has it: $1/prometheus/bin/{prometheus,promtool,alertmanager,amtool,
# node_exporter}. Where it cannot be had, the reason stands in $1/prometheus.missing, and the tests that need it say
# that they were skipped.
need_prometheus() {
  local tools=$1 made=$1/prometheus.new.$$ folders=() folder
  if is_prometheus_bin "$tools/prometheus/bin"; then return 0; fi
  mkdir -p "$tools"
  rm -f "$tools/prometheus.missing"
  while IFS= read -r folder; do folders+=("$folder"); done < <(printf '%s\n' "$PATH" | tr : '\n')
  if link_prometheus "$made" "${folders[@]}"; then
    place_prometheus "$made" "$tools/prometheus"
    return 0
  fi
  rm -rf "$made"
  say "   Prometheus and Alertmanager were not found: fetching them into $tools/prometheus"
  if machine_prometheus "$made"; then
    place_prometheus "$made" "$tools/prometheus"
  elif command -v brew >/dev/null && brew install prometheus alertmanager node_exporter >&2 &&
    link_prometheus "$made" "$(brew --prefix)/bin"; then
    place_prometheus "$made" "$tools/prometheus"
  fi
  rm -rf "$made" "$made.apt"
  if is_prometheus_bin "$tools/prometheus/bin"; then return 0; fi
  say "   Prometheus 2.$PROMETHEUS_MINOR_MIN or newer could not be had: rules and alerts are not judged by it"
  echo "neither on the PATH, nor by apt-get download, nor by brew" >"$tools/prometheus.missing"
}

# The second judge, $1/prometheus-2.53/bin: what the rules' syntax means changes between versions.
want_second_prometheus() {
  local tools=$1 made=$1/prometheus-2.53.new.$$
  if is_prometheus_bin "$tools/prometheus-2.53/bin"; then return 0; fi
  mkdir -p "$tools"
  if next_prometheus "$made"; then
    place_prometheus "$made" "$tools/prometheus-2.53"
  fi
  rm -rf "$made" "$made.apt"
  is_prometheus_bin "$tools/prometheus-2.53/bin" ||
    say "   no Prometheus 2.53 from Debian's archive: the rules are judged by one version only"
}
