//! What the kernel of a host says of its ports: who is connected, and whether anybody listens.
//!
//! A request that Caddy is still answering is an established connection from Caddy to the slot, and so is a websocket.
//! When Caddy loads another configuration it closes the idle connections to upstreams that are no longer in it, and each
//! busy one as it becomes idle; so what is established is what is still being answered. Caddy's own count of requests
//! (`/reverse_proxy/upstreams`) cannot be asked: an upstream that is in no configuration any more is not in that list.

use super::error::Error;
use super::remote::Remote;

/// Loopback, as `/proc/net/tcp` and `tcp6` write it on a little-endian machine.
const CONNECTED: &str = r#"IFS= read -r p || exit 64
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
grep -cE " (0100007F|0{16}FFFF00000100007F|0{24}01000000):$p 01 " || :"#;

const LISTENED: &str = r#"while IFS= read -r p; do
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qE ": [0-9A-F]+:$p [0-9A-F]+:0000 0A " && echo "$p"
done; :"#;

/// How many connections to a port of the host's loopback address are established.
///
/// # Errors
/// When the host cannot be asked.
pub(super) async fn connected(remote: &Remote, port: u16) -> Result<u64, Error> {
    let output = remote.session.run(CONNECTED, format!("{port:04X}\n").as_bytes()).await?;
    Ok(output.text().parse().unwrap_or(0))
}

/// Those of the ports that somebody on the host listens on.
///
/// # Errors
/// When the host cannot be asked.
pub(super) async fn listened(remote: &Remote, ports: &[u16]) -> Result<Vec<u16>, Error> {
    let lines: String = ports.iter().map(|port| format!("{port:04X}\n")).collect();
    let output = remote.session.run(LISTENED, lines.as_bytes()).await?;
    let found = output.text();
    let taken = |port: &&u16| found.lines().any(|line| line == format!("{port:04X}"));
    Ok(ports.iter().filter(taken).copied().collect())
}
