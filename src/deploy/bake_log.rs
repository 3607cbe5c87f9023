//! The log of a release while it is being watched. A line that a built-in rule knows is told, each rule's first one. It
//! decides nothing: whoever can make an app log a line could otherwise take a release away.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use futures_util::StreamExt as _;

use super::output::Parts;
use super::remote::Remote;
use crate::docker::{LogOptions, Source};
use crate::fleet::ContainerId;
use crate::fleet::text::printable;
use crate::rules::{RuleSet, Scanner};

/// How much of the log is read, in bytes. The probe and the lock share its line, and a flood must not make them late.
const READ: usize = 1 << 20;
/// How much of a line is shown, in characters.
const SHOWN: usize = 300;

/// Follows the log of a new container from its beginning on, until it is dropped.
pub(super) async fn listen(remote: &Remote, id: &ContainerId, tell: impl Fn(String)) -> Infallible {
    let rules = Arc::new(RuleSet::builtin());
    let mut scanner = Scanner::new(Arc::clone(&rules));
    let mut told = BTreeSet::new();
    let options = LogOptions { follow: true, ..LogOptions::default() };
    match remote.engine.logs(&id.0, &options).await {
        Ok(mut log) => {
            let (mut read, mut parts) = (0, Parts::default());
            while let Some(Ok(frame)) = log.next().await {
                read += frame.bytes.len();
                if read > READ {
                    tell(format!(
                        "no more of it is read after {} MiB; state is watched all the same",
                        READ >> 20
                    ));
                    break;
                }
                if frame.source == Source::Engine {
                    continue;
                }
                // A line of more than 16 KiB comes in parts; only where it begins can be judged, and masked.
                if parts.continue_with(&frame) {
                    continue;
                }
                // Each entry begins with its stamp.
                let bytes = frame.bytes.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default();
                let masked = remote.redactor.redact_cut(bytes);
                let text = String::from_utf8_lossy(&masked);
                let line = text.trim_end();
                for found in scanner.counted(line) {
                    let Some(rule) = rules.rules().get(found.rule) else { continue };
                    if told.insert(found.rule) {
                        tell(format!("{} ({}): {}", rule.name(), rule.class(), printable(line, SHOWN)));
                    }
                }
            }
        }
        Err(error) => tracing::debug!(%error, "the log cannot be read; state is watched all the same"),
    }
    pending().await
}
