# shellcheck shell=bash
# Ways into a host.

# How to reach host $1 as its user, as words for ssh. BatchMode: a question would hang a test.
ssh_words() {
    local n=$1
    printf '%s\n' -F /dev/null -i "$state/id_ed25519" -p "$((ssh_base + n))" -l "${LAB_USER:-root}" \
        -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o LogLevel=ERROR -o ConnectTimeout=10 \
        -o "UserKnownHostsFile=$state/known_hosts" -o GlobalKnownHostsFile=/dev/null
}

ssh_run() {
    local n=$1 words
    shift
    mapfile -t words < <(ssh_words "$n")
    ssh "${words[@]}" 127.0.0.1 "$@"
}

ssh_into() {
    host_number "${1:-}"
    ssh_run "$@"
}

docker_in() {
    host_number "${1:-}"
    local n=$1 flags=(-i)
    shift
    [[ -t 0 && -t 1 ]] && flags+=(-t)
    docker exec "${flags[@]}" "$prefix-$n" docker "$@"
}

console() {
    host_number "${1:-}"
    docker exec "$prefix-$1" sh -c "${2:?usage: lab console N COMMAND}"
}

load() {
    host_number "${1:-}"
    local n=$1
    shift
    (($#)) || die "load what? lab load $n TAG..."
    docker save "$@" | docker exec -i "$prefix-$n" docker load -q
}

env_of() {
    host_number "${1:-}"
    cat <<TXT
LAB_HOST=127.0.0.1
LAB_PORT=$((ssh_base + $1))
LAB_USER=${LAB_USER:-root}
LAB_KEY=$state/id_ed25519
LAB_KNOWN_HOSTS=$state/known_hosts
LAB_APP_PORT=$((app_base + 100 * $1))
LAB_NAME=$prefix-$1
TXT
}

ssh_config() {
    local n
    for n in $(hosts_made); do
        cat <<TXT
Host lab$n
    HostName 127.0.0.1
    Port $((ssh_base + n))
    User ${LAB_USER:-root}
    IdentityFile $state/id_ed25519
    IdentitiesOnly yes
    UserKnownHostsFile $state/known_hosts
    StrictHostKeyChecking yes

TXT
    done
}
