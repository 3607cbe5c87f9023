# Puts another Caddyfile in the place of the one that is there, or only tries whether Caddy would take it.
#
# stdin:  "try" or "replace"; the SHA-256 of the file that is there; the new file.
# stdout: "changed" when another file is there; "unwritable", "short" or "owner" when the new one could not be put beside
#         it; "invalid" when Caddy does not take it; else "ok", and for "try" what Caddy makes of it.
d=/etc/caddy
f=$d/Caddyfile
t=$d/.Caddyfile.arcane
sum() { sha256sum <"$1" | head -c 64; }
IFS= read -r what || exit 64
IFS= read -r before || exit 64
trap 'rm -f "$t"' EXIT
trap 'exit 1' HUP INT TERM PIPE
rm -f "$t"
[ "$(sum "$f")" = "$before" ] || { echo "changed"; exit 0; }
# A copy has the owner, the mode and whatever else hangs on the file.
cp -a "$f" "$t" || { echo "unwritable"; exit 0; }
cat >"$t" || { echo "short"; exit 0; }
[ "$(stat -c %u:%g:%a "$f")" = "$(stat -c %u:%g:%a "$t")" ] || { echo "owner"; exit 0; }
caddy validate --config "$t" --adapter caddyfile >/dev/null || { echo "invalid"; exit 0; }
if [ "$what" = try ]; then
    echo "ok"
    caddy adapt --config "$t" --adapter caddyfile
    exit
fi
sync "$t" || { echo "short"; exit 0; }
[ "$(sum "$f")" = "$before" ] || { echo "changed"; exit 0; }
mv -f "$t" "$f" && echo "ok"
