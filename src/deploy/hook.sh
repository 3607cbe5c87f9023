# Runs a hook for arcane, over SSH; nothing is installed. The hook and what it starts are one process group. The group is
# ended when arcane says so or dies, and when the line drops: then standard input ends, or falls silent for 20 s.
#
# stdin:  the length of the hook's text in bytes on a line, the text, then a '.' every few seconds.
# stdout: what the hook writes. The exit code is the hook's.
IFS= read -r n || exit 64
text=$(head -c "$n" && echo .) || exit 64
text=${text%.}
exec 3<&0
command -v setsid >/dev/null || { echo "the host has no setsid command (package util-linux)"; exit 69; }
setsid sh -c "$text" </dev/null 2>&1 3<&- &
hook=$!
end_group() {
    kill -TERM "-$hook" 2>/dev/null || return 0
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -0 "-$hook" 2>/dev/null || return 0
        sleep 0.5
    done
    kill -KILL "-$hook" 2>/dev/null
}
(
    exec >/dev/null 2>&1
    while b=$(timeout 20 head -c 1 <&3) && [ -n "$b" ]; do :; done
    # From here on the end of the hook's first process is not the end of this.
    trap '' TERM
    end_group
) &
guard=$!
exec 3<&-
wait "$hook"
code=$?
# What it left in the background has nobody to end it once we are gone.
end_group
kill "$guard" 2>/dev/null
wait "$guard" 2>/dev/null
exit "$code"
