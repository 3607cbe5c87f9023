# Does what launcher/keep.rs does, in the shell of an app's image, for a host that arcane carries no launcher for. Read from
# standard input, after `run=…; what=…; app=…; release=…; needed=…`. What `add` and `put` take follows below, ended by `finish`.
root=$run/arcane
fail() { echo "arcane: $*"; exit 1; }
in_memory() {
    # Where "$1" lies, by the longest mount point that leads there.
    best= kind=
    while read -r _ at type _; do
        case $1/ in "${at%/}"/*) [ ${#at} -ge ${#best} ] && best=$at kind=$type ;; esac
    done </proc/mounts
    [ "$kind" = tmpfs ] || [ "$kind" = ramfs ]
}
umask 077
new=
[ -d "$root" ] || { mkdir "$root" && new=1; } || fail "$root cannot be made"
if [ -n "$new" ] || ! in_memory "$root"; then
    mount -t tmpfs -o mode=0700,size=50%,noswap,nosuid,nodev tmpfs "$root" 2>/dev/null ||
        mount -t tmpfs -o mode=0700,size=50%,nosuid,nodev tmpfs "$root" 2>/dev/null
fi
in_memory "$root" || fail "/run/arcane would be on a disk, for /run is, and no file system in memory could be mounted there"
[ -O "$root" ] && [ ! -L "$root" ] || fail "/run/arcane is not root's alone: somebody else made it; remove it"
home=$root/$app
wipe_others() {
    for one in "$home"/* "$home"/.[0-9]*; do
        case " $needed " in *" ${one##*/} "*) continue ;; esac
        [ -d "$one" ] && rm -rf "$one"
    done
    rmdir "$home" 2>/dev/null
}
case $what in
    have) if [ -d "$home/$release" ]; then echo present; else echo absent; fi; exit 0 ;;
    sweep) wipe_others; exit 0 ;;
esac
[ -d "$home/$release" ] && { [ "$what" = add ] || wipe_others; echo present; exit 0; }
part=$home/.$release
rm -rf "$part"
mkdir -p "$part/launch" "$part/files" || fail "cannot keep the secrets: no room in memory"
trap 'rm -rf "$part"' EXIT
# Makes a file of what follows as \ooo; more is added.
to() { file=$part/$1; : >"$file" || fail "cannot keep the secrets: no room in memory"; }
add() { printf "$1" >>"$file" || fail "cannot keep the secrets: no room in memory"; }
finish() {
    chmod 0444 "$part"/launch/* "$part"/files/* 2>/dev/null
    chmod 0555 "$part/launch/launch" "$part/launch" "$part/files" "$part"
    mv "$part" "$home/$release" || fail "cannot keep the secrets"
    [ "$what" = add ] || wipe_others
    echo kept
}
