#!/bin/sh
# need.sh TOOL...
#
# Sees that the tools are there. What is missing is installed where this is root on Debian or a child of it; elsewhere
# it is named, with the way to get it, and the exit status is 1. Installing starts no daemon, now or at the next boot.
set -u
PATH=$PATH:/usr/sbin:/sbin

package() {
    case $1 in
    abidw | abidiff) echo abigail-tools ;;
    avahi-browse | avahi-publish) echo avahi-utils ;;
    c++) echo g++ libc6-dev ;;
    cc) echo gcc libc6-dev ;;
    dbus-daemon) echo dbus ;;
    g++ | gcc | clang) echo "$1" libc6-dev ;;
    go) echo golang-go ;;
    ip) echo iproute2 ;;
    javac) echo default-jdk-headless ;;
    mcs) echo mono-mcs ;;
    mono) echo mono-runtime ;;
    mono-json) echo libmono-system-web-extensions4.0-cil ;;
    mvn) echo maven ;;
    nft) echo nftables ;;
    nm | readelf) echo binutils ;;
    node) echo nodejs ;;
    nsenter | unshare) echo util-linux ;;
    python3-venv) echo python3 python3-venv ;;
    valgrind) echo valgrind libc6-dbg ;;
    *) echo "$1" ;;
    esac
}

# As new as the newest that a module of ours asks for; an older one is named.
go_is_new_enough() {
    found=$(go version 2>/dev/null | sed 's/.*go\([0-9][0-9.]*\).*/\1/')
    wanted=$(sed -n 's/^go //p' "$(dirname "$0")"/peers/gomicro/*/go.mod | sort -V | tail -n 1)
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] && return
    echo "$(command -v go) is Go $found, the tests need $wanted" >&2
    return 1
}

# Some are libraries, which who loads them finds.
present() {
    case $1 in
    go) command -v go >/dev/null && go_is_new_enough ;;
    lua-cjson) luajit -l cjson -e '' 2>/dev/null ;;
    mono-json) [ -e /usr/lib/mono/4.5/System.Web.Extensions.dll ] ;;
    python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

missing=
packages=
for tool in "$@"; do
    present "$tool" && continue
    if [ "$tool" = cargo ]; then
        echo 'cargo is missing: install Rust from https://rustup.rs' >&2
        exit 1
    fi
    missing="$missing $tool"
    packages="$packages $(package "$tool")"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing:$missing" >&2
    echo "On Debian or Ubuntu: sudo apt-get install$packages; elsewhere install the packages that hold them." >&2
    exit 1
fi

echo "installing$packages" >&2
# Debian's way to forbid the start of daemons: a policy that answers 101.
policy=/usr/sbin/policy-rc.d
kept=$policy.mdns-registry
if ! { [ -x "$policy" ] && { "$policy" avahi-daemon start >/dev/null 2>&1; [ $? = 101 ]; }; }; then
    [ ! -e "$policy" ] || mv "$policy" "$kept" || exit 1
    trap 'rm -f "$policy"; [ ! -e "$kept" ] || mv "$kept" "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
had_avahi=$(command -v avahi-daemon)
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
# shellcheck disable=SC2086 # the packages are words
apt-get update -qq >&2 && apt-get install -qq -y --no-install-recommends $packages >&2 || exit 1
if [ -z "$had_avahi" ] && command -v avahi-daemon >/dev/null && command -v systemctl >/dev/null; then
    systemctl --no-reload disable avahi-daemon.service avahi-daemon.socket >&2
fi
for tool in $missing; do
    present "$tool" || {
        echo "$tool is still missing after installing$packages" >&2
        exit 1
    }
done
