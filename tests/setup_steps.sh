# Steps that the setup.sh of several tests share. They source this at the top of the repository, with their name in NAME.

say() { printf '%s: %s\n' "$NAME" "$*"; }
fail() { printf '%s: %s\n' "$NAME" "$*" >&2; exit 1; }

# At a terminal sudo may ask for a password; elsewhere it must not.
if [ "$(id -u)" = 0 ]; then sudo=()
elif [ -t 0 ]; then sudo=(sudo)
else sudo=(sudo -n)
fi
as_root() { ${sudo[@]+"${sudo[@]}"} "$@"; }

# Installs packages with apt-get.
apt_packages() {
    say "installing $* with apt-get"
    local log
    log=$(mktemp)
    get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null; }
    get --no-install-recommends install "$@" || {
        get update || { cat "$log" >&2; fail "apt-get update failed: is this machine offline, or root not to be had?"; }
        get --no-install-recommends install "$@" || { cat "$log" >&2; fail "apt-get install failed"; }
    }
    rm -f "$log"
}

# python_packages WHAT REQUIREMENTS MODULES: installs the packages of a file into target/$NAME/.venv, unless they are there.
# A stamp with what was installed is written last: an interrupted installation is done again.
python_packages() {
    local what=$1 requirements=$2 modules=$3 venv=target/$NAME/.venv
    mkdir -p "target/$NAME"
    if ! { cmp -s "$requirements" "$venv/installed" && "$venv/bin/python" -c "import $modules" 2>/dev/null; }; then
        say "installing $what into $venv"
        python3 -m venv --clear "$venv" || fail "python3 with venv is missing: run examples/flask-shop/setup.sh first"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" </dev/null ||
            fail "pip could not install requirements.txt: is this machine offline?"
        cp "$requirements" "$venv/installed"
    fi
}
