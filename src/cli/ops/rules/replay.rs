//! `arcane rules replay`: what rules and supervisor would have made of a recording.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::supervise;
use super::args;
use super::input::{Text, warn_of_the_end};
use super::load;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::fleet::text::{plural, printable};
use crate::fleet::{Mode, duration};
use crate::heal::{Happening, News, Replay, Settings, What};

/// What to type instead of a directory.
const INSTEAD: &str = "name a recording in it: `arcane rules replay FILE`; `arcane record APP` makes one";
/// How much of a text is shown.
const TEXT: usize = 500;

pub(super) fn run(ui: &Ui, arguments: &Arguments, options: &args::Replay) -> Result<u8, Failure> {
    let rules = load(&arguments.directory, &options.rules.paths)?;
    let recording = Text::file(&options.recording, INSTEAD)?.recording()?;
    warn_of_the_end(ui, &recording);
    let ceiling = if options.auto { Mode::Auto } else { options.mode };
    // The pauses of a replay are the same each time.
    let settings = Settings { seed: 0, ..supervise::settings(arguments, ceiling)? };
    let mut replay = Replay::new(Arc::new(rules), settings);
    let mut tally = Tally::default();
    let until = recording.until();
    let began = recording.entries.first().map_or(until, |(_, one)| one.seen);
    let observations = recording.entries.len();
    for (_, recorded) in recording.entries {
        for happening in replay.observe(recorded.seen, recorded.observation) {
            tally.tell(ui, options.json, &happening);
        }
    }
    for happening in replay.finish(until) {
        tally.tell(ui, options.json, &happening);
    }
    let incidents: Vec<_> = replay.incidents().collect();
    if options.json {
        ui.json(&json!({
            "event": "summary", "observations": observations, "signals": tally.signals, "acts": tally.acts,
            "seconds": until.since(began).as_secs_f64(), "incidents": incidents,
        }));
        return Ok(exit::DONE);
    }
    for incident in &incidents {
        let note = incident.note.as_deref().map(|note| format!(": {}", printable(note, TEXT)));
        ui.out(&format!(
            "#{} {} is {} at the end{}",
            incident.id,
            incident.rule,
            incident.state,
            note.unwrap_or_default()
        ));
    }
    ui.out(&format!(
        "{} in {}: {}, {}, {}",
        plural(observations, "observation"),
        duration::brief(until.since(began)),
        plural(tally.signals, "signal"),
        plural(incidents.len(), "incident"),
        plural(tally.acts, "action"),
    ));
    Ok(exit::DONE)
}

#[derive(Default)]
struct Tally {
    signals: usize,
    acts: usize,
}

impl Tally {
    fn tell(&mut self, ui: &Ui, as_json: bool, happening: &Happening) {
        self.signals += usize::from(matches!(happening.what, What::Signal(_)));
        self.acts += usize::from(matches!(happening.what, What::WouldAct(_)));
        if as_json {
            ui.json(&shape(happening));
        } else if let Some(text) = words(&happening.what) {
            ui.out(&format!("{}  {text}", happening.at.clock_time()));
        }
    }
}

fn words(what: &What) -> Option<String> {
    Some(match what {
        What::Signal(signal) => format!("signal: {} ({})", printable(&signal.say, TEXT), signal.rule),
        // What it does is told by the action itself.
        What::Announced(announcement) if announcement.news == News::Acting => return None,
        What::Announced(announcement) => {
            let number = announcement.incident.map(|id| format!("#{id} ")).unwrap_or_default();
            format!("{number}{}: {}", supervise::news(announcement.news), printable(&announcement.text, TEXT))
        }
        What::WouldAct(action) => {
            let target = action.target.as_ref().map(|target| format!(" to {target}")).unwrap_or_default();
            format!(
                "#{} would do: {} of {} {} on {}{target}, decided by {}",
                action.incident, action.remedy, action.app, action.release, action.host, action.by
            )
        }
        What::Ended { action, shown: true } => {
            format!("#{} done: the recording shows this {}", action.incident, action.remedy)
        }
        What::Ended { action, shown: false } => format!(
            "#{} not shown: the recording has no such {}; what follows happened without it",
            action.incident, action.remedy
        ),
        What::Jumped(time) => format!("nothing came in for {}: jumped over", duration::brief(*time)),
    })
}

fn shape(happening: &Happening) -> Value {
    let at = happening.at;
    match &happening.what {
        What::Signal(signal) => json!({ "at": at, "event": "signal", "signal": signal }),
        What::Announced(announcement) => json!({
            "at": at, "event": supervise::news(announcement.news), "incident": announcement.incident,
            "host": announcement.host, "app": announcement.app, "text": announcement.text,
        }),
        What::WouldAct(action) => json!({
            "at": at, "event": "would_act", "incident": action.incident, "host": action.host,
            "app": action.app, "release": action.release, "remedy": action.remedy,
            "target": action.target, "by": action.by, "reason": action.reason,
        }),
        What::Ended { action, shown } => json!({
            "at": at, "event": "ended", "incident": action.incident, "remedy": action.remedy, "shown": shown,
        }),
        What::Jumped(time) => json!({ "at": at, "event": "jumped", "seconds": time.as_secs_f64() }),
    }
}
