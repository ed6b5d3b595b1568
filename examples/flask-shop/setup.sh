#!/usr/bin/env bash
# Installs what this stack needs and is missing: PostgreSQL, Redis, Python with venv, Node, and the packages of the API and
# the page. Debian, Ubuntu and macOS; elsewhere it says what to install. Safe to run again, and quick when all is there.
#
# No system service is started: devstack starts PostgreSQL and Redis itself, on ports of this checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly OLDEST_NODE=18
say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Python that can make a virtual environment. The packages of requirements.txt want 3.10.
python_works() {
    have python3 && python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

# Within PATH, or where packages put it: Debian keeps it out of PATH, Homebrew its older versions.
postgres_works() {
    local dir
    have initdb && return
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
        [ ! -x "$dir/initdb" ] || return 0
    done
    return 1
}

# The names of what is missing.
missing() {
    postgres_works || echo postgresql
    have redis-server || echo redis
    python_works || echo python
    # The npm of some systems is a package of its own.
    have node && have npm || echo node
}

# --- Debian and Ubuntu -----------------------------------------------------------------------------------------------

# At a terminal sudo may ask for a password; elsewhere it must not, because there is no one to answer.
if [ "$(id -u)" = 0 ]; then sudo=()
elif [ -t 0 ]; then sudo=(sudo)
else sudo=(sudo -n)
fi
as_root() { ${sudo[@]+"${sudo[@]}"} "$@"; }

readonly POLICY=/usr/sbin/policy-rc.d
readonly NO_CLUSTER=/etc/postgresql-common/createcluster.d/zz-devstack-setup.conf
# What is to be removed at the end. Filled before the file is made, so that an interruption leaves nothing either.
made=()

remove_made() { [ "${#made[@]}" = 0 ] || as_root rm -f "${made[@]}"; }

# Debian's packages start what they install, and PostgreSQL's makes a first database. While this script runs, they do not.
keep_services_down() {
    if [ ! -e "$POLICY" ]; then
        made+=("$POLICY")
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
        as_root chmod 0755 "$POLICY"
    fi
    made+=("$NO_CLUSTER")
    as_root mkdir -p "${NO_CLUSTER%/*}"
    echo 'create_main_cluster = false' | as_root tee "$NO_CLUSTER" >/dev/null
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null
}

install_with_apt() {
    local packages=() item redis_is_new=false
    for item in "$@"; do
        case $item in
            postgresql) packages+=(postgresql) ;;
            redis) packages+=(redis-server) redis_is_new=true ;;
            python) packages+=(python3 python3-venv) ;;
            node) have node && packages+=(npm) || packages+=(nodejs npm) ;;
        esac
    done
    say "installing ${packages[*]} with apt-get"
    as_root true || fail "that needs root, or sudo without a password: apt-get install ${packages[*]}"
    log=$(mktemp)
    trap 'remove_made; rm -f "$log"' EXIT
    keep_services_down
    # Package lists may be missing, or older than what the server still has.
    if ! apt_install --no-install-recommends install "${packages[@]}"; then
        apt_install update || { cat "$log" >&2; fail "apt-get update failed: is this machine offline?"; }
        apt_install --no-install-recommends install "${packages[@]}" || { cat "$log" >&2; fail "apt-get install failed"; }
    fi
    # Nor shall it start at the next boot because of this script.
    if $redis_is_new; then as_root update-rc.d redis-server disable >>"$log" 2>&1 || true; fi
    remove_made
    made=()
}

# --- macOS -----------------------------------------------------------------------------------------------------------

install_with_brew() {
    local packages=() item
    for item in "$@"; do
        case $item in
            postgresql) packages+=(postgresql@17) ;;
            redis) packages+=(redis) ;;
            python) packages+=(python@3.13) ;;
            node) packages+=(node) ;;
        esac
    done
    say "installing ${packages[*]} with brew"
    # Homebrew starts nothing by itself.
    HOMEBREW_NO_AUTO_UPDATE=1 brew install --quiet "${packages[@]}" </dev/null
}

# --- the stack's own packages ----------------------------------------------------------------------------------------

# A stamp with what was installed, written last: an interrupted installation is done again.
python_packages() {
    if cmp -s requirements.txt .venv/installed && .venv/bin/python -c 'import flask, psycopg, redis' 2>/dev/null; then
        return
    fi
    say "installing the API's packages into .venv"
    python3 -m venv --clear .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt </dev/null ||
        fail "pip could not install requirements.txt: is this machine offline?"
    cp requirements.txt .venv/installed
}

node_packages() {
    cmp -s web/package-lock.json web/node_modules/.installed && return
    local major
    major=$(node -p 'process.versions.node.split(".")[0]')
    [ "$major" -ge "$OLDEST_NODE" ] || fail "node is version $major; Vite needs $OLDEST_NODE or newer"
    say "installing the page's packages into web/node_modules"
    # Where there is no home to write to, npm's cache stays here.
    [ -w "${HOME:-/nonexistent}" ] || export npm_config_cache="$PWD/.npm-cache"
    export npm_config_update_notifier=false
    # None of the packages needs its installation script.
    (cd web && npm ci --loglevel=error --fetch-retries=2 --fetch-retry-mintimeout=1000 --ignore-scripts --no-audit --no-fund </dev/null) ||
        fail "npm ci failed: is this machine offline?"
    cp web/package-lock.json web/node_modules/.installed
}

find_missing() { read -r -d '' -a wanted < <(missing; printf '\0') || true; }

find_missing
if [ "${#wanted[@]}" != 0 ]; then
    if have apt-get; then install_with_apt "${wanted[@]}"
    elif have brew; then install_with_brew "${wanted[@]}"
    else fail "install these first: ${wanted[*]} (this script knows apt-get and brew)"
    fi
    hash -r
    find_missing
    [ "${#wanted[@]}" = 0 ] || fail "still missing after the installation: ${wanted[*]}"
fi
python_packages
node_packages
say "all there; start it with: devstack up"
