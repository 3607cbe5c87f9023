# shellcheck shell=bash
# Ways to hurt a host, and to let it heal. `lab reset` undoes them all.

ports_of() { printf '%s,%s,%s:%s,%s,%s' $((ssh_base + $1)) $((ssh_base + 50 + $1)) $((app_base + 100 * $1)) $((app_base + 100 * $1 + 9)) $((app_base + 100 * $1 + 80)) $((app_base + 100 * $1 + 43)); }

# The engine's port proxy answers for its host, so a cut host would still accept connections. Dropping on the loopback
# too makes it what it is on a real network: no answer at all, neither to a new connection nor on an old one.
close_port() {
    local chain=ARCANE-LAB-$1
    [[ $(id -u) == 0 ]] || return 0
    open_port "$1"
    iptables -w -N "$chain"
    iptables -w -A "$chain" -p tcp -m multiport --dports "$(ports_of "$1")" -j DROP
    iptables -w -A "$chain" -p tcp -m multiport --sports "$(ports_of "$1")" -j DROP
    iptables -w -I INPUT -i lo -j "$chain"
}

open_port() {
    local chain=ARCANE-LAB-$1
    [[ $(id -u) == 0 ]] && have iptables && iptables -w -n -L "$chain" >/dev/null 2>&1 || return 0
    while iptables -w -D INPUT -i lo -j "$chain" 2>/dev/null; do :; done
    iptables -w -F "$chain"
    iptables -w -X "$chain"
}

cut_net() {
    host_number "${1:-}"
    if [[ ${2:-} == --hard ]]; then
        docker network disconnect bridge "$prefix-$1"
        return
    fi
    docker exec "$prefix-$1" sh -c 'iptables -w -t raw -F && iptables -w -t raw -A PREROUTING -i eth0 -j DROP && iptables -w -t raw -A OUTPUT -o eth0 -j DROP'
    close_port "$1"
}

mend_net() {
    host_number "${1:-}"
    if [[ $(docker inspect -f '{{len .NetworkSettings.Networks}}' "$prefix-$1") == 0 ]]; then
        docker network connect bridge "$prefix-$1"
    fi
    docker exec "$prefix-$1" iptables -w -t raw -F
    open_port "$1"
}

# Puts a slow line (the test app's mode of that name) before the host's sshd, for new connections.
slow() {
    host_number "${1:-}"
    [[ ${2:-} =~ ^([0-9]+)(ms)?$ ]] || die "usage: lab slow N DELAY RATE, as in: lab slow 1 40ms 50mbit"
    local n=$1 delay=${BASH_REMATCH[1]} port=$((ssh_base + 50 + $1)) program target
    [[ ${3:-} =~ ^([0-9]+)(mbit)?$ ]] || die "usage: lab slow N DELAY RATE, as in: lab slow 1 40ms 50mbit"
    local rate=${BASH_REMATCH[1]}
    program=$(app_path)
    target=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' "$prefix-$n")
    unslow "$n"
    setsid "$program" line "127.0.0.1:$port" "$target:22" --delay-ms "$delay" --rate-mbit "$rate" </dev/null >/dev/null 2>&1 9>&- &
    echo $! >"$state/line-$n.pid"
    if [[ $(id -u) == 0 ]]; then
        iptables -w -t nat -I OUTPUT "${to_slow_line[@]}" --dport "$((ssh_base + n))" -j REDIRECT --to-ports "$port"
    else
        say "only root can put the line before port $((ssh_base + n)); connect to 127.0.0.1:$port instead"
    fi
}

to_slow_line=(-d 127.0.0.1 -p tcp -m tcp)

unslow() {
    local pid port=$((ssh_base + $1))
    [[ -f $state/line-$1.pid ]] || return 0
    if [[ $(id -u) == 0 ]]; then
        while iptables -w -t nat -D OUTPUT "${to_slow_line[@]}" --dport "$port" -j REDIRECT --to-ports "$((port + 50))" 2>/dev/null; do :; done
    fi
    pid=$(cat "$state/line-$1.pid")
    # After a reboot of this machine the number may be somebody else's.
    if [[ $(readlink "/proc/$pid/exe") == "$state"/bin/* ]]; then kill "$pid"; fi
    rm -f "$state/line-$1.pid"
}

freeze() {
    host_number "${1:-}"
    docker pause "$prefix-$1" >/dev/null
}

thaw() {
    host_number "${1:-}"
    docker unpause "$prefix-$1" >/dev/null
}

reboot_host() {
    host_number "${1:-}"
    if [[ ${2:-} == --hard ]]; then
        docker kill "$prefix-$1" >/dev/null
        docker start "$prefix-$1" >/dev/null
    else
        docker restart "$prefix-$1" >/dev/null
    fi
    await "$1"
}

dockerd_in() {
    host_number "${1:-}"
    local in_host=(docker exec "$prefix-$1" bash -c)
    case ${2:-} in
        stop) "${in_host[@]}" 'touch /run/lab/dockerd.stopped; kill "$(cat /run/lab/dockerd.pid)"; while [ -e /run/lab/dockerd.pid ]; do sleep 0.05; done' ;;
        start)
            "${in_host[@]}" 'rm -f /run/lab/dockerd.stopped'
            await "$1"
            ;;
        restart)
            dockerd_in "$1" stop
            dockerd_in "$1" start
            ;;
        # It comes back by itself, as under a service manager.
        kill) "${in_host[@]}" 'kill -9 "$(cat /run/lab/dockerd.pid)"' ;;
        *) die "usage: lab dockerd N restart|stop|start|kill" ;;
    esac
}

# The first mention of an option wins in sshd_config, so ours goes on top.
sshd_option() {
    host_number "${1:-}"
    (($# == 3)) || die "usage: lab sshd N OPTION VALUE"
    docker exec "$prefix-$1" sh -c 'set -e
        { printf "%s %s\n" "$1" "$2"; grep -v "^$1 " /etc/ssh/sshd_config; } >/etc/ssh/sshd_config.new
        /usr/sbin/sshd -t -f /etc/ssh/sshd_config.new
        mv /etc/ssh/sshd_config.new /etc/ssh/sshd_config
        kill -HUP "$(cat /run/lab/sshd.pid)"' - "$2" "$3" || die "sshd does not take \"$2 $3\"; see: man sshd_config"
    sleep 0.1
    local i
    for ((i = 0; i < 50; i++)); do
        banner "$1" && return
        sleep 0.1
    done
    die "host $1: sshd did not come back after the change; undo it with: lab reset $1"
}

# The host's engine answers the first request that fits, as in `lab refuse 1 'POST /start'`, with an error.
refuse() {
    host_number "${1:-}"
    [[ ${2:-} == [A-Z]*\ ?* ]] || die "usage: lab refuse N 'METHOD PART-OF-PATH'"
    docker cp "$(app_path)" "$prefix-$1:/usr/local/bin/lab-refuse" >/dev/null
    docker exec "$prefix-$1" unrefuse
    docker exec -d "$prefix-$1" lab-refuse refuse /var/run/docker.sock "$2"
    local i
    for ((i = 0; i < 50; i++)); do
        docker exec "$prefix-$1" sh -c '[ -S /var/run/docker.sock.real ] && [ -S /var/run/docker.sock ]' && return
        sleep 0.1
    done
    die "host $1: the refusing engine did not start"
}
