//! Ends on the host what came over a line that has died.
//!
//! When a line dies without a word, sshd may not notice for hours: it waits for its next packet. Until then the host's
//! engine keeps half a load in its temporary files. So a process there, which lives only as long as the transfer, expects
//! a byte now and then, and ends its connection's sshd when none comes.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio_util::task::AbortOnDropHandle;

use crate::ssh::Session;

/// A line that is just fast enough for its [own deadline](super::line), 256 KiB in 20 s, holds a byte back for 160 s behind
/// the 2 MiB that sshd lets wait.
const SILENCE: Duration = Duration::from_secs(180);
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Lets go when dropped.
pub(super) struct Leash {
    _heart: AbortOnDropHandle<()>,
}

/// Run by the user's shell, whose parent is this connection's own sshd. 124 says that the time was up; at the end of the
/// input there is nothing to do.
fn watch() -> String {
    format!(
        r#"while b=$(timeout {} head -c 1); silent=$?; [ -n "$b" ]; do :; done
case $silent$(cat "/proc/$PPID/comm") in 124sshd*) kill "$PPID" ;; esac"#,
        SILENCE.as_secs()
    )
}

impl Leash {
    /// Ties what is sent over this session to us. A host that cannot do that is sent to all the same.
    pub(super) fn tie(session: &Session) -> Self {
        let session = session.clone();
        let heart = async move {
            let mut watch = match session.exec(&watch()).await {
                Ok(watch) => watch,
                Err(error) => return tracing::debug!(%error, "nobody on the host watches the line"),
            };
            let mut beat = tokio::time::interval(HEARTBEAT);
            loop {
                beat.tick().await;
                let beaten = async {
                    watch.stdin.write_all(b".").await?;
                    watch.stdin.flush().await
                };
                if !matches!(tokio::time::timeout(SILENCE, beaten).await, Ok(Ok(()))) {
                    return;
                }
            }
        };
        Self { _heart: AbortOnDropHandle::new(tokio::spawn(heart)) }
    }
}
