# What the scripts that make pictures share; they source it. It makes a temporary directory, $place, which is the home directory of
# everything they start, so that nothing of this machine is in the picture. It needs tmux, Python 3 and devstack: the one in
# $DEVSTACK, or the one built in this repository.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
script=$(basename "$0")
devstack=$(realpath "${DEVSTACK:-$here/../../target/debug/devstack}")
[ -x "$devstack" ] || { echo "$script: run cargo build first, or set DEVSTACK" >&2; exit 1; }

place=$(mktemp -d)
place=$(cd "$place" && pwd -P)
tmux() { command tmux -S "$place/tmux.socket" -f /dev/null "$@"; }
finish() {
    tmux kill-server 2>/dev/null || true
    wait
    rm -rf "$place"
}
trap finish EXIT

mkdir -p "$place/bin" "$place/run" "$place/shop"
chmod 700 "$place/run"
ln -s "$devstack" "$place/bin/devstack"
python=$(python3 -c 'import sys; print(sys.executable)')
ln -s "$python" "$place/bin/python3"

# Opens a terminal of so many columns and rows in $place/shop.
open_terminal() {
    env -i HOME="$place" PATH="$place/bin:/usr/bin:/bin" LANG=C.UTF-8 TERM=screen-256color XDG_RUNTIME_DIR="$place/run" PS1='$ ' ENV= SHELL=/bin/sh \
        tmux -S "$place/tmux.socket" -f /dev/null new-session -d -s picture -x "$1" -y "$2" -c "$place/shop" /bin/sh
    await '\$'
}

# Waits up to 20 s for a text in the terminal.
await() {
    for _ in {1..200}; do
        ! tmux capture-pane -p -t picture | grep -q -- "$1" || return 0
        sleep 0.1
    done
    echo "$script: no \"$1\" in:" >&2
    tmux capture-pane -p -t picture >&2
    return 1
}

# Keeps what the terminal shows now.
capture() { tmux capture-pane -e -p -t picture >"$place/screen"; }

# Makes a file of this directory, with a title, of what was kept.
make_picture() {
    python3 "$here/ansi_to_svg.py" "$2" <"$place/screen" >"$place/$1"
    if grep -qe "$place" -e "$(hostname)" -e '/tmp/' -e "$HOME/" "$place/$1"; then
        echo "$script: something of this machine is in the picture" >&2
        exit 1
    fi
    mv "$place/$1" "$here/$1"
}
