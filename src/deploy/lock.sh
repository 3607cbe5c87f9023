# Holds the deploy lock for as long as its standard input is open and somebody writes to it. Run by arcane over SSH;
# nothing is installed. flock is released by the kernel however this process ends.
#
# stdin:  one line that says who the owner is, then one byte at a time:
#         '.' still here (at least every 20 s), '?' is it still mine, 'q' done.
# stdout: "held" and the owner's lines, or "locked N"; then "N" for each '?'.
f=/var/lock/arcane.deploy
umask 0
# /var/lock may be writable by everybody: never follow a link that somebody put there.
if [ -L "$f" ] || { [ -e "$f" ] && [ ! -f "$f" ]; }; then echo "unsafe"; exit 76; fi
[ -e "$f" ] || : >>"$f" || { echo "unwritable"; exit 74; }
exec 9<"$f" || { echo "unwritable"; exit 74; }
IFS= read -r owner || exit 64
flock -n 9
case $? in
    0) ;;
    1) echo "held"; cat "$f"; exit 75 ;;
    *) echo "noflock"; exit 69 ;;
esac
n=$(sed -n 1p "$f")
case $n in '' | *[!0-9]*) n=0 ;; esac
n=$((n + 1))
# Not "> $f": where the kernel protects files in sticky directories, opening another user's file with O_CREAT fails.
put() { dd of="$f" conv=nocreat 2>/dev/null || cat >"$f"; }
printf '%s\n%s\n%s\n' "$n" "$$" "$owner" | put || { echo "unwritable"; exit 74; }
echo "locked $n"
while b=$(timeout 20 head -c 1 9<&-) && [ -n "$b" ]; do
    case $b in
        '?') echo "$n" ;;
        q) printf '%s\n' "$n" | put; exit 0 ;;
    esac
done
exit 0
