# Holds the deploy lock for as long as its standard input is open and somebody writes to it. Run by arcane over SSH;
# nothing is installed. flock is released by the kernel however this process ends.
#
# stdin:  one line that says who the owner is, then one byte at a time:
#         '.' still here (at least every 20 s), '?' is it still mine, 'q' done,
#         'g' and a line: guard a switch (see below), 'd' the switch is over.
# stdout: "held" and the owner's lines, or "locked N"; then "N" for each '?', or "lost"; "armed" or "unarmed" for 'g'.
f=/var/lock/arcane.deploy
# Whoever asked may be gone before the answer: that must not end us before what is to be undone is undone.
trap '' PIPE
umask 0
# Everybody may write to /var/lock: a link that somebody put there is not followed, and a file that somebody put in the
# place of the one we hold is noticed.
plain() { [ -f "$f" ] && [ ! -L "$f" ]; }
ours() { plain && [ "/proc/$$/fd/9" -ef "$f" ]; }
# Without O_CREAT: where the kernel protects files in sticky directories, it forbids that for another user's file.
put() { dd of="/proc/$$/fd/9" conv=nocreat 2>/dev/null; }
[ -e "$f" ] || [ -L "$f" ] || : >>"$f"
plain || { echo "unsafe"; exit 76; }
exec 9<"$f" || { echo "unwritable"; exit 74; }
IFS= read -r owner || exit 64
flock -n 9
case $? in
    0) ;;
    1) echo "held"; head -c 4096 "$f"; exit 75 ;;
    *) echo "noflock"; exit 69 ;;
esac
ours || { echo "held"; exit 75; }
n=$(head -c 64 "$f" | sed -n '1s/^0*//p')
case $n in '' | *[!0-9]* | ????????????????*) n=0 ;; esac
n=$((n + 1))
printf '%s\n%s\n%s\n' "$n" "$$" "$owner" | put || { echo "unwritable"; exit 74; }
echo "locked $n"

# Guarding a switch: if the owner goes without a word between stopping the old container and the health of the new one,
# nobody but this process is left to bring the old one back. The line says: the candidate's name, the app's name, the old
# container's id or "-", "start" or "leave" it, seconds to stop in, and what becomes of the candidate: "remove IMAGE" (or
# "-") or "keep NAME".
# A candidate that has lost its name has got the app's: the switch was over.
guard=
engine() { timeout 60 docker "$@" </dev/null >/dev/null 2>&1 9<&-; }
quit() { timeout $(($1 + 60)) docker stop -t "$1" "$2" </dev/null >/dev/null 2>&1 9<&-; }
is_there() { timeout 20 docker ps -a --filter "name=^/$1\$" --format there </dev/null 2>/dev/null 9<&-; }
undo() {
    there=$(is_there "$1") || return 1
    [ "$there" = there ] || return 0
    quit "$5" "$1" || return 1
    # A release command that writes to the app's volumes ends before the old container writes to them again.
    for one in $(timeout 20 docker ps -aq --filter "name=^/$2_release\$" --filter "label=arcane.one-off=$2" \
        </dev/null 2>/dev/null 9<&-); do
        quit "$5" "$one" || return 1
        engine rm -f "$one" || return 1
    done
    if [ "$3" != - ]; then
        [ "$(is_there "$2")" = there ] || engine rename "$3" "$2" || return 1
        # Waits for a stop that is still under way.
        quit "$5" "$3" || return 1
        [ "$4" = leave ] || engine start "$3" || return 1
    fi
    case $6 in
        remove) engine rm -f -v "$1" && { [ "$7" = - ] || engine rmi "$7"; } ;;
        keep) engine rename "$1" "$7" ;;
    esac
    return 0
}
while b=$(timeout 20 head -c 1 9<&-) && [ -n "$b" ]; do
    case $b in
        '?') if ours; then echo "$n"; else echo "lost"; fi ;;
        g)
            IFS= read -r guard || guard=
            # Whoever waits for the answer does not wait long, and gives no sign of life meanwhile.
            if timeout 5 docker version </dev/null >/dev/null 2>&1 9<&-; then echo armed; else guard= && echo unarmed; fi
            ;;
        d) guard= ;;
        q) printf '%s\n' "$n" | put; exit 0 ;;
    esac
done
[ -n "$guard" ] && ours || exit 0
# Not even `arcane unlock` ends it half-way.
trap '' TERM
# An engine that is down is waited for.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    # shellcheck disable=SC2086 # the words of the line
    undo $guard && break
    sleep 4
done
exit 0
