# shellcheck shell=bash
# The test app and images of it.

app_source=$lab_dir/apps/failing.rs

# Compiled without cargo: it depends on nothing, and must not be built with the project's features and profile.
# Its path changes with its source, so a half-written or outdated program is never taken for the right one.
app_path() {
    have rustc || die "rustc is missing, the test app cannot be compiled; install Rust: https://rustup.rs"
    local program
    program=$state/bin/app-$({ cat "$lab_dir"/apps/*.rs && rustc --version; } | hash_of)
    [[ -x $program ]] || locked compile compile "$program" >&2
    printf '%s\n' "$program"
}

compile() {
    [[ -x $1 ]] && return
    mkdir -p "$state/bin"
    rustc --edition 2024 -C opt-level=2 -C strip=symbols -C target-feature=+crt-static --remap-path-prefix "$lab_dir/apps=src" --target "$(uname -m)-unknown-linux-gnu" \
        --crate-name app -o "$1.new" "$app_source" || die "the test app does not compile: $app_source"
    mv "$1.new" "$1"
}

app() {
    local usage="lab app TAG [ENV=VALUE...] [--size 50M] [--seed WORD] [--healthcheck] [--shell] [--end LINES]"
    (($#)) || die "usage: $usage"
    local tag=$1 program context blobs=0 seed=0 size blob args="$*" end='ENTRYPOINT ["/app"]'
    shift
    engine_answers || setup
    program=$(app_path)
    context=$(mktemp -d "$state/context.XXXXXX")
    # shellcheck disable=SC2064 # expanded now on purpose: $context is local
    trap "rm -rf '$context' '$context.log'" EXIT
    # Links, followed by tar: a copy of a large blob takes time, and a hard link changes the file's own times while the
    # tar of another image reads it.
    ln -s "$program" "$context/app"
    # A small layer of its own, so that two versions differ in content as two builds of a real app do.
    printf '%s\n' "$args" >"$context/release"
    printf 'FROM scratch\nCOPY app /app\nLABEL arcane.lab=app\n' >"$context/Dockerfile"
    while (($#)); do
        case $1 in
            --size)
                size=${2:?--size needs a number of bytes, as 50M}
                blobs=$((blobs + 1))
                blob=$state/blobs/$size-$blobs-$seed
                [[ -f $blob ]] || locked blob random_file "$size" "$blob"
                ln -s "$blob" "$context/blob$blobs"
                printf 'COPY blob%d /blob%d\n' "$blobs" "$blobs" >>"$context/Dockerfile"
                shift
                ;;
            --seed)
                seed=${2:?--seed needs a word}
                shift
                ;;
            --healthcheck) printf 'HEALTHCHECK --interval=1s --timeout=1s --retries=2 CMD ["/app", "healthcheck"]\n' >>"$context/Dockerfile" ;;
            # The one that hosts keep.
            --shell)
                blob=$state/blobs/shell-$(host_image | hash_of).tar
                [[ -f $blob ]] || locked blob shell_file "$blob"
                ln -s "$blob" "$context/shell.tar"
                printf 'ADD shell.tar /\n' >>"$context/Dockerfile"
                ;;
            # In the place of the entrypoint: the last lines of the Dockerfile.
            --end)
                end=${2?--end needs lines of a Dockerfile}
                shift
                ;;
            *=*) printf 'ENV %s="%s"\n' "${1%%=*}" "$(quoted "${1#*=}")" >>"$context/Dockerfile" ;;
            *) die "\"$1\" is neither ENV=VALUE nor an option of: $usage" ;;
        esac
        shift
    done
    printf 'COPY release /release\nEXPOSE 8080\n%s\n' "$end" >>"$context/Dockerfile"
    # Owner and times fixed: the same content is the same layer on every machine.
    tar -C "$context" --dereference --owner=0 --group=0 --mtime=@0 -c . | docker build -q -t "$tag" - 2>"$context.log" >/dev/null ||
        die "image $tag could not be built: $(cat "$context.log")"
}

# Within double quotes of a Dockerfile. It has no way to hold a line break; the test app reads \n as one.
quoted() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//\$/\\\$}
    printf '%s' "${text//$'\n'/\\\\n}"
}

shell_file() {
    [[ -f $1 ]] && return
    mkdir -p "$state/blobs"
    docker run --rm --entrypoint tar "$(host_image)" -C /usr/share/lab/busybox -c bin >"$1.new"
    mv "$1.new" "$1"
}

# Bytes that do not compress, the same for the same name: layers can be shared between images, as in the field.
random_file() {
    [[ -f $2 ]] && return
    mkdir -p "$state/blobs"
    head -c "$1" /dev/urandom >"$2.new"
    mv "$2.new" "$2"
}
