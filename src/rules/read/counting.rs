//! Reading how many it takes: `count`, `within`, `distinct`, `for`, `clear_for`, `cooldown`, `by`.

use std::time::Duration;

use super::super::rule::{Key, Threshold, Trigger};
use super::super::stat::Stat;
use super::fields::Fields;
use super::pack::{LONGEST, time};
use super::rule::capture_names;
use crate::fleet::text::quoted;

/// The highest `count`; hits are remembered one by one.
const MOST_HITS: i64 = 1000;
/// How long a rule about lines keeps quiet after firing when it does not say; an event rule does not.
const LOG_COOLDOWN: Duration = Duration::from_secs(60);

/// What must come together.
pub(super) fn threshold(rule: &Fields<'_>, trigger: Option<&Trigger>) -> Threshold {
    let count =
        rule.number("count", 1..=MOST_HITS).and_then(|count| usize::try_from(count).ok()).unwrap_or(1);
    let within = rule.parsed("within", time);
    let distinct = rule.parsed("distinct", |word| key(word, trigger));
    let lasts = rule.parsed("for", time);
    let clear = rule.parsed("clear_for", time);
    let report = |message: String| rule.sink.report(&rule.span, message);
    let what = &rule.what;
    let spans = match trigger {
        Some(Trigger::Sequence(_)) => true,
        Some(Trigger::Log(_)) => count > 1 || lasts.is_some(),
        _ => count > 1,
    };
    match (spans, rule.has("within")) {
        (false, true) => report(format!("{what} has `within` but no `count`")),
        (true, false) if count > 1 => report(format!("{what} has a `count` but no `within`")),
        (true, false) => report(format!("{what} needs `within`: how far its parts may be from each other")),
        _ => {}
    }
    if rule.has("distinct") && count == 1 {
        report(format!("{what} has `distinct` but no `count` of at least 2"));
    }
    if count > 1 && matches!(trigger, Some(Trigger::Sequence(_) | Trigger::Absent(_))) {
        report(format!("{what} has a `count`, which neither a sequence nor an absence has"));
    }
    check_lasting(rule, trigger, count);
    let of_lines = matches!(trigger, Some(Trigger::Log(_)));
    Threshold {
        count,
        within: within.unwrap_or(LONGEST),
        distinct,
        lasts: lasts.filter(|_| of_lines),
        holds: lasts.filter(|_| !of_lines),
        clear,
    }
}

/// Whether `for` and `clear_for` mean anything for what the rule is about.
fn check_lasting(rule: &Fields<'_>, trigger: Option<&Trigger>, count: usize) {
    let report = |message: String| rule.sink.report(&rule.span, message);
    let what = &rule.what;
    match trigger {
        Some(Trigger::Stat(bound)) if bound.stat == Stat::RestartCount && rule.has("for") => {
            report(format!("{what}: `restart_count` only ever grows, so `for` means nothing"));
        }
        Some(Trigger::Event(event)) if rule.has("for") => {
            if count > 1 {
                report(format!("{what} has both `for` and `count`, which events cannot have together"));
            }
            if let Some(kind) = event.on.kinds.iter().find(|kind| kind.ended_by().is_empty()) {
                report(format!("{what}: nothing ends `{kind}`, so `for` means nothing"));
            }
        }
        Some(Trigger::Absent(_) | Trigger::Signal(_) | Trigger::Sequence(_)) if rule.has("for") => {
            report(format!("{what} has `for`, which is for `log`, `on` and `stat`"));
        }
        _ => {}
    }
    let clears = matches!(trigger, Some(Trigger::Log(_) | Trigger::Stat(_)) | None);
    if rule.has("clear_for") && !clears {
        report(format!("{what} has `clear_for`, which is for `log` and `stat`"));
    }
}

/// How long repeats are only counted.
pub(super) fn cooldown(rule: &Fields<'_>, trigger: Option<&Trigger>) -> Duration {
    let default = match trigger {
        Some(Trigger::Log(_) | Trigger::Sequence(_)) => LOG_COOLDOWN,
        _ => Duration::ZERO,
    };
    rule.parsed("cooldown", time).unwrap_or(default)
}

pub(super) fn by(rule: &Fields<'_>, trigger: Option<&Trigger>) -> Vec<Key> {
    if !rule.has("by") {
        // A sequence is of several apps.
        let whole = matches!(trigger, Some(Trigger::Sequence(_)));
        return if whole { vec![Key::Host] } else { vec![Key::Host, Key::App] };
    }
    let keys: Vec<Key> =
        rule.texts("by").iter().filter_map(|text| rule.read(text, |word| key(word, trigger))).collect();
    let apart = |key: &Key| matches!(key, Key::Container | Key::Capture(_));
    if matches!(trigger, Some(Trigger::Sequence(_))) && keys.iter().any(apart) {
        rule.sink.report(
            &rule.span,
            format!("the steps of {} are of several containers: group them by host or app", rule.what),
        );
    }
    keys
}

/// Something to group by, or to count the different values of.
fn key(word: &str, trigger: Option<&Trigger>) -> Result<Key, String> {
    let captures = capture_names(trigger);
    let known = Key::WORDS.into_iter().find(|(name, _)| *name == word).map(|(_, key)| key);
    let captured = captures.iter().any(|(name, _)| name == word).then(|| Key::Capture(word.to_owned()));
    known.or(captured).ok_or_else(|| {
        format!("{} is nothing to group by; choose from host, app, container, or a capture", quoted(word))
    })
}
