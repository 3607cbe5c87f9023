# Who listens on a port of this host. Changes nothing.
#
# stdin:  the port, and once more as four hexadecimal digits.
# stdout: nothing when nobody does; else "taken", then "proxy PID PARENT NAME" for each of an engine's port proxies that is
#         there for it, with the process that it belongs to, then what `ss` says of the listeners.
IFS=' ' read -r port hex || exit 64
# A host without these files has another kernel, and its engine will tell.
grep -qhE "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null || exit 0
echo "taken"
# Each proxy is there for one port and says which in its arguments, and those anybody may read.
for process in /proc/[0-9]*; do
    { IFS= read -r name <"$process/comm"; } 2>/dev/null || continue
    [ "$name" = docker-proxy ] || continue
    words=" $(tr '\0' ' ' 2>/dev/null <"$process/cmdline") "
    case $words in *" -proto tcp "*) ;; *) continue ;; esac
    case $words in *" -host-port $port "*) ;; *) continue ;; esac
    parent=$(sed -n 's/^PPid:[[:space:]]*//p' "$process/status" 2>/dev/null)
    { IFS= read -r name <"/proc/${parent:-0}/comm"; } 2>/dev/null || name=
    echo "proxy ${process#/proc/} ${parent:-0} $name"
done
ss -ltnpH "sport = :$port" 2>/dev/null | head -n 20
