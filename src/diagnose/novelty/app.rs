//! What one app's releases write, and how often.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::templates::{Sorted, TEMPLATES, Templates};
use crate::fleet::text::printable;
use crate::fleet::{Evidence, Newness, Novelty, ReleaseId, Timestamp};

/// Earlier releases must have been watched for this long, and have written so many lines, before anything is called new.
const WATCHED: Duration = Duration::from_secs(600);
const LINES: u64 = 50;
/// A pause in the log counts as watched up to this.
const PAUSE: Duration = Duration::from_secs(300);
/// Far more often is so many times, and at least so many a minute.
const TIMES: u32 = 5;
const A_MINUTE: u32 = 20;
/// Pieces of novelty that are told.
const TOLD: usize = 5;
/// How much of a line is kept, in characters.
const SAMPLE: usize = 300;
/// When more than a quarter of the templates had to make room within such a stretch, nothing new is learnt in the rest of it.
const UPSET: Duration = Duration::from_secs(600);
const UPSETTING: u64 = TEMPLATES as u64 / 4;

/// Words that lines about trouble have.
const TROUBLE: [&str; 16] = [
    "error",
    "fail",
    "fatal",
    "panic",
    "exception",
    "critical",
    "emerg",
    "refused",
    "denied",
    "timeout",
    "timed out",
    "cannot",
    "could not",
    "unable",
    "missing",
    "killed",
];

/// What is known of an app.
#[derive(Debug, Default)]
pub(super) struct App {
    release: Option<ReleaseId>,
    templates: Templates<About>,
    /// How long, and how many lines of, earlier releases were watched.
    before: Watched,
    now: Watched,
    limiter: Limiter,
    changed: bool,
}

/// What is known of a template.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct About {
    /// Whether an earlier release wrote it.
    before: bool,
    /// Lines in its busiest minute, of earlier releases and of this one.
    peak_before: u32,
    peak: u32,
    /// Since the release.
    lines: u64,
    first: Option<Evidence>,
    /// The minute that is being counted.
    minute: i64,
    in_minute: u32,
}

/// How much of a log was seen.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Watched {
    seconds: u64,
    lines: u64,
    last: Option<Timestamp>,
}

impl Watched {
    fn line(&mut self, at: Timestamp) {
        let pause = self.last.map_or(Duration::ZERO, |last| at.since(last)).min(PAUSE);
        if self.last.is_none_or(|last| at.since(last) >= Duration::from_secs(1)) {
            self.seconds += pause.as_secs();
            self.last = Some(at);
        }
        self.lines += 1;
    }
}

/// Stops learning while too much has to make room.
#[derive(Debug, Default)]
struct Limiter {
    /// When the stretch of time began that is being counted.
    begun: Option<Timestamp>,
    /// What had made room before it.
    evicted: u64,
    blocked: bool,
}

impl Limiter {
    fn allows(&mut self, at: Timestamp, evicted: u64) -> bool {
        let goes_on = self.begun.is_some_and(|begun| begun <= at && at.since(begun) < UPSET);
        if !goes_on {
            *self = Self { begun: Some(at), evicted, blocked: false };
        }
        self.blocked |= evicted - self.evicted > UPSETTING;
        !self.blocked
    }
}

impl About {
    fn line(&mut self, at: Timestamp, text: &str) {
        self.lines += 1;
        if self.first.is_none() {
            self.first = Some(Evidence { at, text: printable(text, SAMPLE) });
        }
        let minute = at.as_nanos().div_euclid(60_000_000_000);
        if minute != self.minute {
            (self.minute, self.in_minute) = (minute, 0);
        }
        self.in_minute = self.in_minute.saturating_add(1);
        self.peak = self.peak.max(self.in_minute);
    }

    /// A release took over.
    fn settle(&mut self) {
        *self = Self {
            before: self.before || self.lines > 0,
            peak_before: self.peak_before.max(self.peak),
            ..Self::default()
        };
    }

    fn newness(&self) -> Option<Newness> {
        if self.lines == 0 {
            return None;
        }
        if !self.before {
            return Some(Newness::NeverSeen);
        }
        let often = self.peak >= A_MINUTE && self.peak >= self.peak_before.saturating_mul(TIMES);
        often.then_some(Newness::MoreOften { before: self.peak_before, now: self.peak })
    }
}

impl App {
    pub(super) fn line(&mut self, release: &ReleaseId, at: Timestamp, text: &str) {
        if self.release.as_ref() != Some(release) {
            self.take_over(release);
        }
        self.changed = true;
        self.now.line(at);
        if let Sorted::Known(about) = self.templates.sort(text) {
            about.line(at, text);
        } else if self.limiter.allows(at, self.templates.evicted()) {
            let mut about = About::default();
            about.line(at, text);
            self.templates.add(text, about);
        }
    }

    /// Another release is live. A rollback is one, too: what the bad release wrote was seen before from then on.
    fn take_over(&mut self, release: &ReleaseId) {
        if self.release.replace(release.clone()).is_some() {
            self.templates.about_mut().for_each(About::settle);
            self.before.seconds += self.now.seconds;
            self.before.lines += self.now.lines;
            self.now = Watched::default();
        }
    }

    pub(super) fn report(&self, release: &ReleaseId) -> Vec<Novelty> {
        let known = self.before.seconds >= WATCHED.as_secs() && self.before.lines >= LINES;
        if !known || self.release.as_ref() != Some(release) {
            return Vec::new();
        }
        let mut found: Vec<_> = self
            .templates
            .iter()
            .filter_map(|template| {
                let about = &template.about;
                let sample = about.first.clone()?;
                Some(Novelty {
                    what: about.newness()?,
                    template: printable(&template.text(), SAMPLE),
                    sample,
                    lines: about.lines,
                })
            })
            .collect();
        found.sort_by_key(|novelty| (!is_trouble(&novelty.sample.text), novelty.sample.at));
        found.truncate(TOLD);
        found
    }

    pub(super) fn heard_at(&self) -> Timestamp {
        self.now.last.unwrap_or_default()
    }

    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn keep(&self) -> Kept {
        let templates =
            self.templates.iter().map(|template| (template.text(), template.about.clone())).collect();
        Kept { release: self.release.clone(), before: self.before, now: self.now, templates }
    }

    pub(super) fn from_kept(kept: Kept) -> Self {
        let mut app = Self { release: kept.release, before: kept.before, now: kept.now, ..Self::default() };
        for (text, about) in kept.templates.into_iter().take(TEMPLATES) {
            app.templates.restore(&text, about);
        }
        app
    }
}

fn is_trouble(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    TROUBLE.iter().any(|word| line.contains(word))
}

/// An app as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    release: Option<ReleaseId>,
    before: Watched,
    now: Watched,
    templates: Vec<(String, About)>,
}
