//! Asks a running Caddy what it runs, at the address of its administration, as seen from the host: through the SSH
//! connection where that may forward, with the host's own `curl` where it may not.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::timeout;

use super::problem::Problem;
use crate::fleet::text::printable;
use crate::ssh::{ByteStream, ChannelFailure, Error, Session};

/// Caddy's own default.
const DEFAULT: &str = "localhost:2019";
/// It answers from memory.
const ANSWER: Duration = Duration::from_secs(10);
/// More configuration than anybody writes by hand.
const LIMIT: usize = 8 << 20;

/// Where a Caddy is administered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admin {
    /// On a port.
    Tcp(String, u16),
    /// On a socket.
    Unix(String),
}

/// What became of the question.
pub(super) enum Answer {
    Config(Value),
    /// Nobody answers there.
    Down(String),
}

impl Admin {
    /// The address that a configuration says, which is where a Caddy that runs it is administered.
    pub(super) fn of(config: &Value) -> Result<Self, Problem> {
        let admin = config.get("admin");
        let disabled = admin.and_then(|admin| admin.get("disabled")).and_then(Value::as_bool);
        if disabled == Some(true) {
            let why = "`admin off` leaves no way to reload it; take that option out of the Caddyfile";
            return Err(Problem::Admin { address: "off".to_owned(), why });
        }
        let listen = admin.and_then(|admin| admin.get("listen")).and_then(Value::as_str).unwrap_or(DEFAULT);
        let fail = |why| Problem::Admin { address: printable(listen, 100), why };
        // It goes into a request, and where forwarding is forbidden into a file for curl.
        if !listen.chars().all(|c| c.is_ascii_alphanumeric() || "._-:[]/".contains(c)) {
            return Err(fail("the address has characters that do not belong into one"));
        }
        if let Some(path) = listen.strip_prefix("unix/") {
            return Ok(Self::Unix(path.to_owned()));
        }
        let address = listen.strip_prefix("tcp/").unwrap_or(listen);
        let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = parts.ok_or_else(|| fail("the address has no port"))?;
        let host = match host {
            "" | "0.0.0.0" | "[::]" => "localhost",
            host => host,
        };
        Ok(Self::Tcp(host.to_owned(), port))
    }

    /// What the Caddy runs.
    pub(super) async fn ask(&self, session: &Session) -> Result<Answer, Error> {
        let opened = match self {
            Self::Tcp(host, port) => session.open_tcp(host.trim_matches(['[', ']']), *port).await,
            Self::Unix(path) => session.open_unix(path).await,
        };
        let body = match opened {
            Ok(stream) => timeout(ANSWER, self.get(stream))
                .await
                .unwrap_or_else(|_| Err("no answer in 10 s".to_owned())),
            Err(Error::Channel { failure: ChannelFailure::Prohibited, .. }) => self.curl(session).await?,
            // Of a socket sshd says "connect failed", whether nobody listens or it may not forward.
            Err(Error::Channel { .. }) if matches!(self, Self::Unix(_)) => self.curl(session).await?,
            Err(Error::Channel { failure, .. }) => Err(failure.to_string()),
            Err(error) => return Err(error),
        };
        let parsed = body.and_then(|body| serde_json::from_slice(&body).map_err(|error| error.to_string()));
        Ok(parsed.map_or_else(|why| Answer::Down(printable(&why, 200)), Answer::Config))
    }

    async fn get(&self, stream: ByteStream) -> Result<Vec<u8>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| text(&error))?;
        let host = match self {
            Self::Tcp(host, port) => format!("{host}:{port}"),
            // What has no name is called nothing (RFC 9110, 7.2): Caddy refuses every other name on a socket.
            Self::Unix(_) => String::new(),
        };
        let request = hyper::Request::get("/config/")
            .header("host", host)
            .header("connection", "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| text(&error))?;
        let connection = tokio::spawn(connection);
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|error| text(&error))?;
            if !answer.status().is_success() {
                return Err(format!("it answered {}", answer.status()));
            }
            let body =
                Limited::new(answer.into_body(), LIMIT).collect().await.map_err(|error| text(&error))?;
            Ok(body.to_bytes().to_vec())
        }
        .await;
        connection.abort();
        answer
    }

    async fn curl(&self, session: &Session) -> Result<Result<Vec<u8>, String>, Error> {
        let file = match self {
            Self::Tcp(host, port) => format!("url = \"http://{host}:{port}/config/\"\n"),
            Self::Unix(path) => {
                format!("unix-socket = \"{path}\"\nheader = \"Host;\"\nurl = \"http://localhost/config/\"\n")
            }
        };
        let output = session.run("curl -fsS --max-time 10 -K -", file.as_bytes()).await?;
        Ok(if output.status.success() { Ok(output.stdout) } else { Err(output.complaint()) })
    }
}

impl std::fmt::Display for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_address_is_taken_from_the_configuration_or_refused() {
        let tcp = |host: &str, port| Some(Admin::Tcp(host.to_owned(), port));
        for (config, expected) in [
            (json!({}), tcp("localhost", 2019)),
            (json!({ "admin": { "listen": ":2020" } }), tcp("localhost", 2020)),
            (json!({ "admin": { "listen": "tcp/[::1]:2020" } }), tcp("[::1]", 2020)),
            (
                json!({ "admin": { "listen": "unix//run/caddy.sock" } }),
                Some(Admin::Unix("/run/caddy.sock".to_owned())),
            ),
            (json!({ "admin": { "disabled": true } }), None),
            (json!({ "admin": { "listen": "localhost" } }), None),
            (json!({ "admin": { "listen": "a\"\nurl = \"file:///etc/shadow" } }), None),
        ] {
            assert_eq!(Admin::of(&config).ok(), expected, "{config}");
        }
    }
}
