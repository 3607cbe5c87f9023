//! The ends of logs, read once.

use super::cursor::Cursor;
use super::feed::Log;
use super::host::Stop;
use super::join::{Joiner, Line};
use super::outlet::Outlet;
use super::survey::{Selection, survey};
use super::tail::assembled;
use super::watcher::Options;
use crate::docker::Engine;
use crate::fleet::Fact;

/// Tells the last lines of every log that is asked for, one log after the other. One that cannot be read is a gap.
pub(super) async fn tell(engine: &Engine, options: &Options, outlet: &Outlet) -> Result<(), Stop> {
    let selection = options.apps.clone().map_or(Selection::All, Selection::Only);
    let apps = survey(engine, &selection, outlet.clock().now()).await?;
    for (subject, container) in apps.into_values().flat_map(|app| app.containers) {
        if !options.logs.include(subject.role) {
            continue;
        }
        let log = Log::of(&container, engine.clone());
        let entries = match log.history(&mut Cursor::default(), options.tail).await {
            Ok(entries) => entries,
            Err(error) => {
                let reason = format!("its log cannot be read: {error}");
                outlet.tell_now(Some(&subject), Fact::Gap { reason }).await?;
                continue;
            }
        };
        let lines = Joiner::new(outlet.redactor().clone()).last_lines(entries, options.tail);
        for Line { at, stream, text } in assembled(lines) {
            outlet.recall(&subject, at, Fact::Line { stream, text }).await?;
        }
    }
    Ok(())
}
