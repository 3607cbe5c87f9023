# shellcheck shell=bash
# Making hosts and putting them away.

# What a host needs to run its own engine, where --privileged is refused because the machine itself lacks a capability.
capabilities=(SYS_ADMIN NET_ADMIN NET_RAW SYS_PTRACE SYS_CHROOT SYSLOG DAC_READ_SEARCH IPC_LOCK SYS_NICE MKNOD AUDIT_WRITE LINUX_IMMUTABLE)

hosts_made() {
    docker ps -a --filter "label=arcane.lab.name=$prefix" --format '{{.Label "arcane.lab.host"}}' | sort -n
}

# Changes when a host made earlier no longer is what this checkout would make.
fingerprint() {
    { host_image && echo "$prefix $state $ssh_base $app_base" && cat "$state/id_ed25519.pub" "$state/hosts/$1"/*.pub; } | hash_of
}

up() {
    local n count=${1:-2} started=$SECONDS jobs=()
    host_number "$count"
    setup
    for ((n = 1; n <= count; n++)); do
        ensure "$n" &
        jobs+=($!)
    done
    for n in "${jobs[@]}"; do wait "$n" || die "not every host came up; see: lab status"; done
    status
    say "up in $((SECONDS - started)) s"
}

ensure() { locked "start-$1" ensure_now "$1"; }

ensure_now() {
    local n=$1 name=$prefix-$1 found
    found=$(docker inspect -f '{{.State.Status}} {{index .Config.Labels "arcane.lab.fingerprint"}}' "$name" 2>/dev/null || true)
    if [[ -n $found && ${found#* } != "$(fingerprint "$n")" ]]; then
        ours "$n"
        unused "$n"
        say "host $n was made from another recipe: making it anew"
        remove "$n"
        found=
    fi
    case ${found% *} in
        running) return ;; # whoever cut or froze it wants it so
        paused) return ;;
        '') create "$n" ;;
    esac
    docker start "$name" >/dev/null 9>&-
    await "$n"
    docker exec "$name" reset
}

# Whoever looks in another state directory has other keys and other locks: we would pull hosts from under their tests.
ours() {
    local other
    other=$(docker inspect -f '{{index .Config.Labels "arcane.lab.state"}}' "$prefix-$1")
    [[ -z $other || $other == "$state" || ! -d $other ]] ||
        die "host $1 belongs to the lab of $other; use that one: export ARCANE_LAB_STATE=$other
     or make a second one beside it: export ARCANE_LAB_NAME=other-lab LAB_PORT_BASE=2300 LAB_APP_BASE=22000"
}

# Wait while somebody else's test holds the host. The holder itself calls with ARCANE_LAB_HELD set to its number.
unused() {
    [[ ${ARCANE_LAB_HELD:-} == "$1" ]] && return
    flock -w 900 "$state/use-$1.lock" true || die "host $1 is in use for 15 minutes; look for who with: fuser $state/use-$1.lock"
}

# By hand, refuse at once: nobody wants to hurt the host that somebody's test is running on.
free() {
    host_number "$1"
    [[ ${ARCANE_LAB_HELD:-} == "$1" || ! -e $state/use-$1.lock ]] && return
    flock -n "$state/use-$1.lock" true || die "host $1 is in use by a test (fuser $state/use-$1.lock); take another, or a lab of your own:
     export ARCANE_LAB_NAME=my-lab LAB_PORT_BASE=2300 LAB_APP_BASE=22000"
}

create() {
    local n=$1 name=$prefix-$1 flags=() i cap
    for cap in "${capabilities[@]}"; do flags+=(--cap-add "$cap"); done
    for ((i = 0; i < 10; i++)); do flags+=(-p "127.0.0.1:$((app_base + 100 * n + i)):$((8000 + i))"); done
    docker create --name "$name" --hostname "lab$n" \
        --label "arcane.lab.name=$prefix" --label "arcane.lab.host=$n" --label "arcane.lab.state=$state" \
        --label "arcane.lab.fingerprint=$(fingerprint "$n")" \
        --security-opt seccomp=unconfined --security-opt systempaths=unconfined --security-opt apparmor=unconfined \
        --device-cgroup-rule 'a *:* rwm' --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup:rw \
        --tmpfs /run:rw,nosuid,nodev,noexec,mode=755,size=256m --stop-timeout 20 \
        -v "$name:/var/lib/docker" \
        -p "127.0.0.1:$((ssh_base + n)):22" -p "127.0.0.1:$((app_base + 100 * n + 80)):80" \
        -p "127.0.0.1:$((app_base + 100 * n + 43)):443" "${flags[@]}" "$(host_image)" >/dev/null
    tar -C "$state/hosts/$n" --owner=0 --group=0 -c . | docker cp - "$name:/etc/ssh"
    tar -C "$state" --owner=0 --group=0 --mode=600 --transform 's/.*/authorized_keys/' -c id_ed25519.pub | docker cp - "$name:/root/.ssh"
    tar -C "$state" --owner=1000 --group=1000 --mode=600 --transform 's/.*/authorized_keys/' -c id_ed25519.pub | docker cp - "$name:/home/deploy/.ssh"
}

# Until ssh and the engine behind it answer.
await() {
    answers "$1" 30 || die "host $1 does not answer on 127.0.0.1:$((ssh_base + $1)); look with: docker logs $prefix-$1; docker exec $prefix-$1 tail /var/log/dockerd.log; start over with: lab reset $1"
}

answers() {
    local n=$1 until=$((SECONDS + $2))
    until banner "$n" && ssh_run "$n" docker version >/dev/null 2>&1 </dev/null; do
        ((SECONDS < until)) || return 1
        sleep 0.1
    done
}

# Does sshd itself speak? The published port alone accepts connections for a host that is not there.
banner() {
    local line=
    # shellcheck disable=SC2034 # only that a line comes counts
    { read -r -t 2 line <"/dev/tcp/127.0.0.1/$((ssh_base + $1))"; } 2>/dev/null && [[ $line == SSH-* ]]
}

reset() {
    host_number "${1:-}"
    locked setup make_ready
    locked "start-$1" reset_now "$1"
}

reset_now() {
    local n=$1 name=$prefix-$1 found
    found=$(docker inspect -f '{{.State.Status}} {{len .NetworkSettings.Networks}} {{index .Config.Labels "arcane.lab.fingerprint"}}' "$name" 2>/dev/null || true)
    if [[ $found == *" $(fingerprint "$n")" ]]; then
        open_port "$n"
        unslow "$n"
        [[ $found != *" 0 "* ]] || docker network connect bridge "$name"
        [[ $found != paused* ]] || thaw "$n"
        if [[ $found == running* || $found == paused* ]] && docker exec "$name" reset && { banner "$n" || answers "$n" 5; }; then
            return
        fi
        # What a reset cannot mend, a new host does.
        remove "$n"
    fi
    ensure_now "$n"
}

remove() {
    open_port "$1"
    unslow "$1"
    docker rm -f -v "$prefix-$1" >/dev/null 2>&1 || true
    docker volume rm -f "$prefix-$1" >/dev/null
}

down() {
    engine_answers || die "no Docker engine answers, so no host runs"
    local n
    if [[ -n ${1:-} ]]; then
        host_number "$1"
        remove "$1"
        return
    fi
    for n in $(hosts_made); do free "$n"; done
    for n in $(hosts_made); do remove "$n" & done
    wait
}

purge() {
    down
    docker images --format '{{.Repository}}:{{.Tag}}' | grep -E '^arcane-lab-(host|root):' | xargs -r docker rmi >/dev/null 2>&1 || true # another lab's hosts may need it
}

status() {
    engine_answers || die "no Docker engine answers; start one with: lab setup"
    local n inside
    printf '%-6s %-10s %-22s %-18s %s\n' host state ssh 'app ports' containers
    for n in $(hosts_made); do
        inside=$(timeout 3 docker exec "$prefix-$n" docker ps -q 2>/dev/null | wc -l || true)
        printf '%-6s %-10s %-22s %-18s %s\n' "$n" "$(docker inspect -f '{{.State.Status}}' "$prefix-$n")" \
            "root@127.0.0.1:$((ssh_base + n))" "$((app_base + 100 * n))-$((app_base + 100 * n + 9))" "$inside"
    done
}
