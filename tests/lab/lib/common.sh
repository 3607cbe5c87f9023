# shellcheck shell=bash
# Settings, words to the user, locks. Everything the other parts share.

state=${ARCANE_LAB_STATE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/arcane-lab}
prefix=${ARCANE_LAB_NAME:-arcane-lab}
ssh_base=${LAB_PORT_BASE:-2200}
app_base=${LAB_APP_BASE:-18000}
max_hosts=16
suite=bookworm
host_packages=openssh-server,docker.io,caddy,zstd,iptables,iproute2,procps,ca-certificates,curl,util-linux,busybox-static

# Engines before BuildKit refuse what newer clients send by default; the classic builder works with all of them.
export DOCKER_BUILDKIT=0

say() { printf 'lab: %s\n' "$*" >&2; }
die() {
    printf 'lab: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }
engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Run a function while no other lab command on this machine runs one under the same name.
# Descriptor 9 is the lock: what is left running in the background must close it, or it would hold the lock forever.
locked() {
    local name=$1
    shift
    mkdir -p "$state" || die "cannot write to $state; choose another place: export ARCANE_LAB_STATE=DIRECTORY"
    (
        flock -n 9 || { [[ $name != setup ]] || say "another lab command is setting up; waiting for it"; }
        flock -w 900 9 || die "another lab command has held $state/$name.lock for 15 minutes; look for it with: fuser $state/$name.lock"
        "$@"
    ) 9>"$state/$name.lock"
}

host_number() {
    [[ ${1:-} =~ ^[1-9][0-9]?$ ]] && ((10#$1 <= max_hosts)) || die "\"${1:-}\" is no host number; give 1 to $max_hosts"
}

# One word for what all of its input files and arguments are.
hash_of() { sha256sum | cut -c1-12; }
