//! What arcane tells of its own work, on standard error, as much as `ARCANE_LOG` asks for, without values of the vault; and
//! the last words of a bug.
//!
//! Only arcane's own events are ever told in detail: a library below may print the bytes it moves, and among them are
//! secrets.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::ui::{Mask, Tag, Ui};
use crate::fleet::text::quoted;

const VARIABLE: &str = "ARCANE_LOG";

/// Begins to tell. Once per process.
pub(super) fn install(ui: &Ui) {
    let asked = std::env::var(VARIABLE).unwrap_or_default();
    let level = level(&asked).unwrap_or_else(|| {
        ui.tagged(
            Tag::Warning,
            &format!("{VARIABLE} is {}: choose from off, error, warn, info, debug, trace", quoted(&asked)),
        );
        LevelFilter::WARN
    });
    let (mask, panicking) = (ui.mask().clone(), ui.mask().clone());
    std::panic::set_hook(Box::new(move |panic| {
        let mut words = format!("error: arcane has a bug: {panic}");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            words = format!("{words}\n{backtrace}");
        }
        let _ = writeln!(io::stderr().lock(), "{}", panicking.shown(&words));
    }));
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives(level)))
        .with_writer(move || Visible(mask.clone()))
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .compact()
        .init();
}

/// The level that was asked for, `warn` when none was; `None` when there is no such level.
fn level(asked: &str) -> Option<LevelFilter> {
    match asked.trim() {
        "" => Some(LevelFilter::WARN),
        asked => asked.parse().ok(),
    }
}

/// `level` for arcane; at most warnings of what it is built on.
fn directives(level: LevelFilter) -> String {
    format!("{},arcane={level}", level.min(LevelFilter::WARN))
}

/// Standard error, without values of the vault and with control characters made visible: an event may quote a server.
struct Visible(Mask);

impl Write for Visible {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Each event comes in one piece. A terminal that is gone is no failure.
        let _ = io::stderr().lock().write_all(self.0.shown(&String::from_utf8_lossy(bytes)).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_never_told_of_in_detail() {
        for (asked, expected) in [
            ("", Some("warn,arcane=warn")),
            ("off", Some("off,arcane=off")),
            ("error", Some("error,arcane=error")),
            ("trace", Some("warn,arcane=trace")),
            (" debug ", Some("warn,arcane=debug")),
            ("russh=trace", None),
            ("loud", None),
        ] {
            assert_eq!(level(asked).map(directives).as_deref(), expected, "{asked}");
        }
    }
}
