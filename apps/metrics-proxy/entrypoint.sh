#!/bin/sh
# metrics-proxy: checks what it was told, renders nginx's configuration into memory and becomes nginx.
#
# The service key opens everything in the project, so that it is handled here and nowhere else: read from a file, never
# from the environment; written by builtins of the shell, never an argument of a program; kept in files of mode 0600.
# Exit codes: 64 (configuration, every fault by its variable's name), 1 (the host cannot be looked up).
set -eu
umask 077
# Ranges such as a-z mean bytes.
LC_ALL=C
export LC_ALL

# An nginx header of this length still fits the buffers of the template.
KEY_LENGTH_MIN=20
KEY_LENGTH_MAX=4096

usage() {
  cat <<'TXT'
Usage: entrypoint.sh

Serves GET /metrics on BIND:PORT (127.0.0.1:8081) with what GET /customer/v1/privileged/metrics of SUPABASE_HOST
answers to the service key, and GET /health. Everything else is refused, and no other request carries the key.

  SUPABASE_HOST                    host of the project, such as abcdefghijklmnopqrst.supabase.co; required
  SUPABASE_SERVICE_ROLE_KEY_FILE   file that holds the key (/run/secrets/supabase_service_role.jwt)
  BIND, PORT                       where to listen (127.0.0.1, 8081)
  METRICS_PROXY_PRIVATE_HOSTS      hosts that may have a private address, separated by spaces (none)
  METRICS_PROXY_UPSTREAM_PORT      port of SUPABASE_HOST (443)
  METRICS_PROXY_CA_FILE            certificates to believe (/etc/ssl/certs/ca-certificates.crt)
  METRICS_PROXY_RUN_DIR            where the configuration is written: memory, not a disk (/run/metrics-proxy)
  METRICS_PROXY_REFRESH_SEC        seconds after which host and key are looked up again (300)
TXT
}

refuse() {
  printf 'configuration: %s\n' "$*" >&2
  exit 64
}

# Whether $1 is a whole number from $2 to $3.
is_number() {
  case $1 in
    '' | *[!0-9]* | ??????*) return 1 ;;
  esac
  [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

is_plain_path() {
  case $1 in
    /*) ;;
    *) return 1 ;;
  esac
  case $1 in
    *[!A-Za-z0-9._/-]*) return 1 ;;
  esac
}

read_settings() {
  host=${SUPABASE_HOST:-}
  key_file=${SUPABASE_SERVICE_ROLE_KEY_FILE:-/run/secrets/supabase_service_role.jwt}
  bind=${BIND:-127.0.0.1}
  port=${PORT:-8081}
  private_hosts=${METRICS_PROXY_PRIVATE_HOSTS:-}
  upstream_port=${METRICS_PROXY_UPSTREAM_PORT:-443}
  ca_file=${METRICS_PROXY_CA_FILE:-/etc/ssl/certs/ca-certificates.crt}
  run_dir=${METRICS_PROXY_RUN_DIR:-/run/metrics-proxy}
  refresh=${METRICS_PROXY_REFRESH_SEC:-300}

  [ -n "$host" ] || refuse "SUPABASE_HOST: is required: the project's host, such as abcdefghijklmnopqrst.supabase.co"
  case $host in
    *[!a-z0-9.-]* | .* | *. | -* | *- | *..*)
      refuse "SUPABASE_HOST: must be a host name of a-z 0-9 . - without scheme, port or path"
      ;;
  esac
  [ "${#host}" -le 253 ] || refuse "SUPABASE_HOST: is longer than a host name can be"
  if [ -n "${SUPABASE_SERVICE_ROLE_KEY:-}" ]; then
    refuse "SUPABASE_SERVICE_ROLE_KEY: is set in the environment, where others can read it:" \
      "put the key into a file and name it by SUPABASE_SERVICE_ROLE_KEY_FILE"
  fi
  case $bind in
    *[!0-9.]* | '') refuse "BIND: must be an IPv4 address to listen on, such as 127.0.0.1 or 0.0.0.0" ;;
  esac
  is_number "$port" 1 65535 || refuse "PORT: must be a port, 1 to 65535"
  is_number "$upstream_port" 1 65535 || refuse "METRICS_PROXY_UPSTREAM_PORT: must be a port, 1 to 65535"
  is_number "$refresh" 1 86400 || refuse "METRICS_PROXY_REFRESH_SEC: must be a whole number from 1 to 86400"
  is_plain_path "$run_dir" || refuse "METRICS_PROXY_RUN_DIR: must be a path from / of A-Z a-z 0-9 . _ - /"
  is_plain_path "$ca_file" || refuse "METRICS_PROXY_CA_FILE: must be a path from / of A-Z a-z 0-9 . _ - /"
  [ -r "$ca_file" ] || refuse "METRICS_PROXY_CA_FILE: $ca_file cannot be read"
}

# Who may read and change the key. What a container is given under /run/secrets is often readable by everybody, and
# there is nobody else in there; anywhere else the file is its owner's alone.
check_key_file() {
  [ -f "$key_file" ] && [ -r "$key_file" ] ||
    refuse "SUPABASE_SERVICE_ROLE_KEY_FILE: $key_file is no file that can be read"
  listed=$(ls -lLd -- "$key_file")
  case $listed in
    ?????w* | ????????w*)
      refuse "SUPABASE_SERVICE_ROLE_KEY_FILE: $key_file may be written by others than its owner: chmod 400"
      ;;
  esac
  case $key_file in
    /run/secrets/*) return 0 ;;
  esac
  case $listed in
    ????------*) ;;
    *) refuse "SUPABASE_SERVICE_ROLE_KEY_FILE: $key_file may be read by others than its owner: chmod 400" ;;
  esac
}

# Reads the key into $key. A line break at its end is a text editor's; anything else that is no part of a key is refused
# rather than cleaned, because what is left would be another key.
read_key() {
  check_key_file
  strange=$(tr -d 'A-Za-z0-9._\r\n-' <"$key_file" | wc -c)
  [ "$strange" -eq 0 ] ||
    refuse "SUPABASE_SERVICE_ROLE_KEY_FILE: $key_file holds other characters than a key's A-Z a-z 0-9 . _ -"
  length=$(wc -c <"$key_file")
  [ "$length" -le "$KEY_LENGTH_MAX" ] ||
    refuse "SUPABASE_SERVICE_ROLE_KEY_FILE: $key_file is longer than $KEY_LENGTH_MAX bytes"
  key=$(cat <"$key_file")
  key=${key%"$carriage_return"}
  case $key in
    *[!A-Za-z0-9._-]*) refuse "SUPABASE_SERVICE_ROLE_KEY_FILE: $key_file has more than one line" ;;
  esac
  [ "${#key}" -ge "$KEY_LENGTH_MIN" ] ||
    refuse "SUPABASE_SERVICE_ROLE_KEY_FILE: $key_file holds fewer than $KEY_LENGTH_MIN characters"
}

# Whether an address, as getent prints it, is one of the public internet.
is_public() {
  case $1 in
    *:*)
      case $1 in
        2002:* | 2001:0:* | 2001::* | 2001:db8:*) return 1 ;;
        [23]*) return 0 ;;
      esac
      return 1
      ;;
    0.* | 10.* | 127.* | 169.254.* | 172.1[6-9].* | 172.2[0-9].* | 172.3[01].* | 192.168.* | 192.0.0.* | 198.1[89].*) return 1 ;;
    100.6[4-9].* | 100.[7-9][0-9].* | 100.1[01][0-9].* | 100.12[0-7].* | 22[4-9].* | 23[0-9].* | 24[0-9].* | 25[0-5].*) return 1 ;;
  esac
}

# Looks the host up and writes its addresses for nginx, which so never asks a name server itself: what was checked is
# what is used. The certificate is verified against the name all the same.
render_upstream() {
  addresses=$(getent ahostsv4 "$host" || getent ahostsv6 "$host" || :)
  addresses=$(printf '%s\n' "$addresses" | while read -r address _; do printf '%s\n' "$address"; done | sort -u)
  if [ -z "$addresses" ]; then
    printf 'error: %s cannot be looked up\n' "$host" >&2
    exit 1
  fi
  for address in $addresses; do
    case " $private_hosts " in
      *" $host "*) ;;
      *)
        is_public "$address" ||
          refuse "SUPABASE_HOST: $host has the private address $address:" \
            "the key is not sent there unless METRICS_PROXY_PRIVATE_HOSTS lists the host"
        ;;
    esac
    case $address in
      *:*) printf 'server [%s]:%s;\n' "$address" "$upstream_port" ;;
      *) printf 'server %s:%s;\n' "$address" "$upstream_port" ;;
    esac
  done >"$1/upstream.conf"
}

# What Supabase documents for this path: HTTP Basic with the user service_role; its gateway reads apikey.
render_credentials() {
  read_key
  basic=$(printf 'service_role:%s' "$key" | base64 | tr -d '\n')
  printf 'proxy_set_header apikey "%s";\nproxy_set_header Authorization "Basic %s";\n' "$key" "$basic" \
    >"$1/credentials.conf"
}

render() {
  render_upstream "$1"
  render_credentials "$1"
}

# Looks up host and key again for as long as process $1 lives: addresses change, and keys are rotated. What cannot be
# used is said, and the last that could stays.
refresh_forever() {
  waited=0
  while sleep 1 && kill -0 "$1" 2>/dev/null; do
    waited=$((waited + 1))
    [ "$waited" -ge "$refresh" ] || continue
    waited=0
    (render "$run_dir/next") || continue
    cmp -s "$run_dir/next/upstream.conf" "$run_dir/upstream.conf" &&
      cmp -s "$run_dir/next/credentials.conf" "$run_dir/credentials.conf" && continue
    mv "$run_dir/next/upstream.conf" "$run_dir/next/credentials.conf" "$run_dir"
    kill -HUP "$1" || return 0
    printf 'metrics-proxy: host or key have changed: configuration loaded again\n' >&2
  done
}

case ${1:-} in
  '') ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    printf 'usage: no arguments are taken: try --help\n' >&2
    exit 2
    ;;
esac

carriage_return=$(printf '\r')
here=$(cd "$(dirname "$0")" && pwd)
read_settings
mkdir -p "$run_dir/next" "$run_dir/temp" || refuse "METRICS_PROXY_RUN_DIR: $run_dir cannot be written"
chmod 700 "$run_dir"
render "$run_dir"
sed -e "s|@LISTEN@|$bind:$port|" -e "s|@HOST@|$host|g" -e "s|@CA_FILE@|$ca_file|" -e "s|@RUN_DIR@|$run_dir|g" \
  "$here/nginx.conf.template" >"$run_dir/nginx.conf"
unset key basic
# exec keeps the process id: what looks after nginx knows it before it is nginx.
refresh_forever "$$" &
exec nginx -e stderr -p "$run_dir" -c "$run_dir/nginx.conf"
