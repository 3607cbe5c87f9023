# Ends the process that holds the deploy lock, if one does. stdin: the fencing number that the operator was shown, so
# that a holder who came later is not ended by mistake. stdout: "free", "changed" or "ended".
f=/var/lock/arcane.deploy
IFS= read -r expected || exit 64
[ -f "$f" ] && [ ! -L "$f" ] || { echo free; exit 0; }
exec 9<"$f"
flock -s -n 9 && { echo free; exit 0; }
[ "$(head -c 64 "$f" | sed -n 1p)" = "$expected" ] || { echo changed; exit 75; }
pid=$(head -c 128 "$f" | sed -n 2p)
case $pid in '' | *[!0-9]* | ????????????*) echo unknown; exit 1 ;; esac
# A number in a file is not trusted: the process must have the lock file open.
[ "/proc/$pid/fd/9" -ef "$f" ] || { echo unknown; exit 1; }
kill "$pid" && echo ended
