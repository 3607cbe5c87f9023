# Holds the deploy lock for as long as its standard input is open and somebody writes to it. Run by arcane over SSH;
# nothing is installed. flock is released by the kernel however this process ends.
#
# stdin:  one line that says who the owner is, then one byte at a time:
#         '.' still here (at least every 20 s), '?' is it still mine, 'q' done.
# stdout: "held" and the owner's lines, or "locked N"; then "N" for each '?', or "lost".
f=/var/lock/arcane.deploy
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
while b=$(timeout 20 head -c 1 9<&-) && [ -n "$b" ]; do
    case $b in
        '?') if ours; then echo "$n"; else echo "lost"; fi ;;
        q) printf '%s\n' "$n" | put; exit 0 ;;
    esac
done
exit 0
