//! What the kernel of a host says of a port: how much is still being answered on it.
//!
//! A request that Caddy is still answering is an established connection from Caddy to the slot, and so is a websocket.
//! Caddy's own count of requests (`/reverse_proxy/upstreams`) is of no use here: an upstream that is in no configuration
//! any more is in that list no more, whatever it still answers.
//!
//! The trouble is with connections that Caddy keeps open for the next request. When it loads another configuration it
//! closes the idle ones, and each busy one as it becomes idle, if the `reverse_proxy` has a `transport` of its own: then
//! what is established is what is being answered. A `reverse_proxy` without one leaves its idle connections open for two
//! minutes (seen with 2.6.2 and 2.11.7). There it is told by when something was last sent and received: who was sent
//! something and has not answered is busy, and so is who answered a moment ago, for more may be to come.

use std::time::Duration;

use super::error::Error;
use super::remote::Remote;

/// Loopback, as `/proc/net/tcp` and `tcp6` write it on a little-endian machine; 01 is established.
const CONNECTED: &str = r#"IFS= read -r p || exit 64
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
grep -cE " (0100007F|0{16}FFFF00000100007F|0{24}01000000):$p 01 " || :"#;

/// The figures of each connection, after a line that begins it. A figure of 0 is left out by `ss`.
const FIGURES: &str = r#"IFS= read -r p || exit 64
ss -tinH state established "( dport = :$p and ( dst 127.0.0.1 or dst [::1] or dst [::ffff:127.0.0.1] ) )" |
grep -oE '^[0-9]+ +[0-9]+ |bytes_(sent|received):[0-9]+|last(snd|rcv):[0-9]+' | head -n 50000"#;

/// Who has answered and sent nothing more for this long is taken to have nothing more to say.
const QUIET: Duration = Duration::from_secs(5);

/// How it is told that a connection is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// Idle connections are closed, so that every one that is there is busy.
    Closed,
    /// Idle connections stay open, and are told by their silence.
    Kept,
}

/// How many connections to a port of the host's loopback address are busy.
///
/// # Errors
/// When the host cannot be asked.
pub(super) async fn busy(remote: &Remote, port: u16, idle: Idle) -> Result<usize, Error> {
    if idle == Idle::Kept {
        let output = remote.session.run(FIGURES, format!("{port}\n").as_bytes()).await?;
        // Without `ss`, each connection counts as busy.
        if output.complaint().is_empty() {
            return Ok(busy_by_figures(&output.text()));
        }
    }
    let output = remote.session.run(CONNECTED, format!("{port:04X}\n").as_bytes()).await?;
    // What cannot be counted may be busy: the deadline ends the wait.
    Ok(output.text().parse().unwrap_or(1))
}

/// Bytes each way, and how many milliseconds ago something last went each way.
#[derive(Debug, Default)]
struct Figures {
    sent: u64,
    received: u64,
    sent_ago: u64,
    received_ago: u64,
}

impl Figures {
    fn is_busy(&self) -> bool {
        let awaits = self.sent > 0 && (self.received == 0 || self.sent_ago < self.received_ago);
        awaits || Duration::from_millis(self.received_ago) < QUIET
    }
}

fn busy_by_figures(text: &str) -> usize {
    let mut connections: Vec<Figures> = Vec::new();
    for line in text.lines() {
        let Some((name, figure)) = line.split_once(':') else {
            connections.push(Figures::default());
            continue;
        };
        let (Some(connection), Ok(figure)) = (connections.last_mut(), figure.trim().parse()) else {
            continue;
        };
        match name {
            "bytes_sent" => connection.sent = figure,
            "bytes_received" => connection.received = figure,
            "lastsnd" => connection.sent_ago = figure,
            "lastrcv" => connection.received_ago = figure,
            _ => {}
        }
    }
    connections.iter().filter(|connection| connection.is_busy()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_busy_until_it_has_answered_and_been_quiet() {
        for (figures, busy) in [
            // Answered just now; more may come.
            ("bytes_sent:178\nbytes_received:92\nlastsnd:8\nlastrcv:8", 1),
            // Kept open for the next request.
            ("bytes_sent:178\nbytes_received:92\nlastsnd:6000\nlastrcv:6000", 0),
            ("bytes_sent:178\nbytes_received:92\nlastsnd:9000\nlastrcv:6000", 0),
            // A slow request, the first of its connection and a later one.
            ("bytes_sent:178\nlastsnd:9000\nlastrcv:9000", 1),
            ("bytes_sent:356\nbytes_received:92\nlastsnd:9000\nlastrcv:20000", 1),
            // Opened and never used.
            ("lastsnd:60000\nlastrcv:60000", 0),
            // Something was received within this millisecond.
            ("bytes_sent:178\nbytes_received:92\nlastsnd:9000", 1),
        ] {
            assert_eq!(busy_by_figures(&format!("0      0 \n{figures}")), busy, "{figures}");
        }
        let two = "0 0 \nbytes_sent:1\nlastsnd:9000\nlastrcv:9000\n0 0 \nlastsnd:60000\nlastrcv:60000";
        assert_eq!((busy_by_figures(two), busy_by_figures(""), busy_by_figures("lastsnd:x\n:\n")), (1, 0, 0));
    }
}
