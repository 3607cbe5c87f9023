# shellcheck shell=bash
# From a bare Debian to an engine with the host image in it.

# command:package pairs this machine needs.
needs=(docker:docker.io debootstrap:debootstrap zstd:zstd curl:curl ip:iproute2 tc:iproute2 iptables:iptables
    ssh:openssh-client ssh-keygen:openssh-client cc:gcc flock:util-linux tar:tar git:git age:age script:bsdutils)

setup() {
    locked setup make_ready
}

# The quick look that every test takes: nothing to do when engine, image, keys and the programs of the tests are there.
ready() {
    have age && engine_answers && docker image inspect "$(host_image)" >/dev/null 2>&1 &&
        [[ -f $state/id_ed25519 ]] && grep -qsF "[127.0.0.1]:$((ssh_base + max_hosts)) " "$state/known_hosts"
}

make_ready() {
    if ready; then return; fi
    local started=$SECONDS
    install_packages
    start_engine
    make_keys
    build_host_image
    say "ready in $((SECONDS - started)) s: $(host_image)"
}

install_packages() {
    local pair missing=()
    for pair in "${needs[@]}"; do
        have "${pair%%:*}" || missing+=("${pair##*:}")
    done
    # A client alone (as on CI machines) is no engine; an engine that answers needs no dockerd here.
    engine_answers || have dockerd || missing+=(docker.io)
    [[ -f /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
    # The test app is linked statically.
    if have cc && [[ ! -f $(cc -print-file-name=libc.a) ]]; then missing+=(libc6-dev); fi
    have cc || missing+=(libc6-dev)
    ((${#missing[@]})) || return 0
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    [[ $(id -u) == 0 ]] || cannot "packages are missing and this is not root" \
        "sudo apt-get install -y --no-install-recommends ${missing[*]}"
    have apt-get || cannot "packages are missing and there is no apt-get" "install by hand: ${missing[*]}"
    say "installing ${missing[*]}"
    apt_get update || say "apt-get update failed; trying with the lists that are here"
    apt_get install -y --no-install-recommends "${missing[@]}" ||
        cannot "apt-get could not install ${missing[*]}" "read $state/apt.log"
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -q -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >>"$state/apt.log" 2>&1 9>&-
}

start_engine() {
    engine_answers && return
    [[ -z ${DOCKER_HOST:-} ]] || cannot "DOCKER_HOST is $DOCKER_HOST and no engine answers there" "unset DOCKER_HOST"
    [[ $(id -u) == 0 ]] || cannot "no Docker engine answers this user" "sudo systemctl start docker; sudo usermod -aG docker $(id -un)"
    # The service manager's engine, where there is one; ours would fight with it.
    if [[ -d /run/systemd/system ]]; then
        systemctl start docker || true
    else
        # A pid file from before a reboot may name a process that is something else by now.
        if [[ -f /run/docker.pid ]] && [[ $(cat "/proc/$(cat /run/docker.pid)/comm" 2>/dev/null) != dockerd ]]; then
            rm -f /run/docker.pid
        fi
        say "starting dockerd (log: $state/dockerd.log)"
        setsid -f dockerd </dev/null >>"$state/dockerd.log" 2>&1 9>&-
    fi
    local i
    for ((i = 0; i < 300; i++)); do
        engine_answers && return
        sleep 0.2
    done
    cannot "dockerd was started but does not answer after a minute; its last words: $(tail -n 2 "$state/dockerd.log")" \
        "less $state/dockerd.log"
}

# The client's key, and a pair of keys for each host, made once: a rebuilt host stays known to ssh.
make_keys() {
    local n
    chmod 700 "$state"
    [[ -f $state/id_ed25519 ]] || ssh-keygen -q -t ed25519 -N '' -C arcane-lab -f "$state/id_ed25519"
    mkdir -p "$state/hosts"
    for ((n = 1; n <= max_hosts; n++)); do
        [[ -f $state/hosts/$n/ssh_host_ecdsa_key ]] && continue
        mkdir -p "$state/hosts/$n"
        rm -f "$state/hosts/$n"/*
        ssh-keygen -q -t ed25519 -N '' -C "$prefix-$n" -f "$state/hosts/$n/ssh_host_ed25519_key"
        ssh-keygen -q -t ecdsa -N '' -C "$prefix-$n" -f "$state/hosts/$n/ssh_host_ecdsa_key"
    done
    for ((n = 1; n <= max_hosts; n++)); do
        sed -s "s/^/[127.0.0.1]:$((ssh_base + n)) /" "$state/hosts/$n"/*.pub
    done >"$state/known_hosts.new"
    mv "$state/known_hosts.new" "$state/known_hosts"
}

# The root file system costs a minute, what we lay on top a second: two images, so that the second can change freely.
root_image() { printf 'arcane-lab-root:%s' "$(printf '%s' "$suite $host_packages" | hash_of)"; }
host_image() { printf 'arcane-lab-host:%s' "$({ root_image && cat "$lab_dir"/host/*; } | hash_of)"; }

build_host_image() {
    docker image inspect "$(host_image)" >/dev/null 2>&1 && return
    docker image inspect "$(root_image)" >/dev/null 2>&1 || build_root_image
    tar -C "$lab_dir/host" -c . | docker build -q --build-arg "ROOT=$(root_image)" -t "$(host_image)" - >/dev/null 2>"$state/build.log" ||
        cannot "the host image could not be built: $(tail -n 1 "$state/build.log")" "less $state/build.log"
}

build_root_image() {
    [[ $(id -u) == 0 ]] || cannot "the host image is missing and debootstrap needs root" "sudo env ARCANE_LAB_STATE=$state $0 setup"
    local root
    root=$(mktemp -d "$state/root.XXXXXX")
    # shellcheck disable=SC2064 # expanded now on purpose: $root is local
    trap "rm -rf '$root'" EXIT
    local from
    from=$(mirror)
    say "building the host image from Debian's packages: about a minute, once (log: $state/debootstrap.log)"
    debootstrap --variant=minbase "--include=$host_packages" "$suite" "$root" ${from:+"$from"} \
        </dev/null >"$state/debootstrap.log" 2>&1 9>&- ||
        cannot "debootstrap failed: $(tail -n 1 "$state/debootstrap.log")" "less $state/debootstrap.log"
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info}/* "$root"/etc/ssh/ssh_host_*
    tar -C "$root" -c . | docker import - "$(root_image)" >/dev/null
    rm -rf "$root"
    trap - EXIT
}

# Where this machine gets its own packages from: a machine behind a mirror reaches nothing else. Nothing when that cannot
# be told; debootstrap then asks Debian itself.
mirror() {
    [[ -z ${ARCANE_LAB_MIRROR:-} ]] || { printf '%s' "$ARCANE_LAB_MIRROR"; return; }
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m1 -E '/debian/?$' || true
}

# One screen: what is missing, and what to type.
cannot() {
    cat >&2 <<TXT
lab: cannot set up the lab: $1

  root             $([[ $(id -u) == 0 ]] && echo yes || echo "no (user $(id -un))")
  apt-get          $(have apt-get && echo yes || echo no)
  docker client    $(docker --version 2>/dev/null || echo no)
  Docker engine    $(engine_answers && docker version --format '{{.Server.Version}}' || echo "none answers")
  dockerd          $(command -v dockerd || echo no)
  debootstrap      $(command -v debootstrap || echo no)
  state            $state

The lab needs Debian, root, and either a running Docker engine or the package docker.io to start one.
Type next: $2
TXT
    exit 1
}
