# What there is of Caddy on this host. Changes nothing.
#
# stdout: one word if something is missing; else "found" and "writable" or "unwritable", the version, the size of the
#         Caddyfile, its bytes, and what Caddy makes of it. Exit code 65 when Caddy makes nothing of it.
d=/etc/caddy
f=$d/Caddyfile
command -v caddy >/dev/null 2>&1 || { echo "nocaddy"; exit 0; }
[ -L "$f" ] && { echo "link"; exit 0; }
[ -e "$f" ] || { echo "nofile"; exit 0; }
{ [ -f "$f" ] && [ -r "$f" ]; } || { echo "unreadable"; exit 0; }
# To replace a file and leave its owner what it was takes its owner, or root.
can=unwritable
me=$(id -u)
if [ -w "$d" ] && { [ "$me" = 0 ] || [ "$(stat -c %u "$f")" = "$me" ]; }; then can=writable; fi
n=$(wc -c <"$f") || exit 74
[ "$n" -le 262144 ] || { echo "long"; exit 0; }
echo "found $can"
caddy version 2>/dev/null | head -n 1
echo "$n"
head -c "$n" "$f"
caddy adapt --config "$f" --adapter caddyfile || exit 65
