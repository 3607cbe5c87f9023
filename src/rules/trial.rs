//! Playing the tests that rules carry: a script of lines and events on a virtual clock, run against the whole set, so
//! that a rule which fires on another's samples is found as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::report::{TestReport, TestResult};
use super::rule::{Case, Rule, Setting, Step};
use super::set::RuleSet;
use super::trace::Note;
use crate::fleet::text::{plural, quoted};
use crate::fleet::{
    Class, ContainerId, Deployment, Fact, Freshness, HealthState, Observation, PreviousRelease, ReleaseId,
    Role, Signal, SpecDigest, Subject, Timestamp, duration,
};

/// When tests begin: some moment far from the epoch, so that ages can lie before it.
const START: Timestamp = Timestamp::from_seconds(1_767_225_600);
/// How long a test's release must run to count as proved.
const PROVE: Duration = Duration::from_secs(600);
/// Let pass after a script, so that nothing is left in the air.
const AFTERWARDS: Duration = Duration::from_secs(3600);
/// How many notes a failure shows.
const SHOWN: usize = 6;

/// Runs every test of every rule, or of one.
pub(super) fn run(rules: &RuleSet, only: Option<usize>) -> TestReport {
    let shared = Arc::new(rules.clone());
    let mut results = Vec::new();
    let wanted = |number: &usize| only.is_none_or(|only| only == *number);
    for (number, rule) in rules.rules().iter().enumerate().filter(|(number, _)| wanted(number)) {
        for case in &rule.cases {
            for script in &case.scripts {
                results.push(play(&shared, number, rule, case, script));
            }
        }
    }
    TestReport { results }
}

fn play(rules: &Arc<RuleSet>, number: usize, rule: &Rule, case: &Case, script: &[Step]) -> TestResult {
    let mut engine = Engine::traced(Arc::clone(rules));
    let mut signals = Vec::new();
    for observation in observations(&case.setting, START, script) {
        signals.extend(engine.observe(&observation));
    }
    let end = script.last().map_or(Duration::ZERO, |step| step.at);
    signals.extend(engine.advance(START + end + AFTERWARDS));
    let source = &rules.sources()[case.place.source];
    let problem = failure(rule, case, &signals).map(|what| {
        let mut problem = source.problem(&case.place.span, what);
        problem.hint = script_line(script).map(|line| format!("on the line {}", quoted(line)));
        problem
    });
    let why = match problem {
        Some(_) => explanation(rules, number, &signals, &engine.take_notes()),
        None => Vec::new(),
    };
    TestResult { rule: rule.name.clone(), test: title(case, script), problem, why }
}

fn title(case: &Case, script: &[Step]) -> String {
    match (case.name.as_str(), case.scripts.len(), script_line(script).map(quoted)) {
        ("", _, line) => line.unwrap_or_else(|| "events".to_owned()),
        (name, 2.., Some(line)) => format!("{name}: {line}"),
        (name, ..) => name.to_owned(),
    }
}

/// The first line that a script plays.
fn script_line(script: &[Step]) -> Option<&str> {
    script.iter().find_map(|step| match &step.fact {
        Fact::Line { text, .. } => Some(text.as_str()),
        _ => None,
    })
}

/// What is not as the test says.
fn failure(rule: &Rule, case: &Case, signals: &[Signal]) -> Option<String> {
    let own: Vec<&Signal> = signals.iter().filter(|signal| signal.rule == rule.name).collect();
    if own.len() != case.fires {
        let (wanted, fired) = (times(case.fires), times(own.len()));
        return Some(format!("test of `{}` wants it to fire {wanted}, and it fired {fired}", rule.id));
    }
    // A suppressor that takes a line from this rule shows in how often it fires.
    let stranger = |signal: &&Signal| {
        signal.rule != rule.name && signal.class != Class::Benign && !allows(case, &signal.rule)
    };
    if let Some(other) = signals.iter().find(stranger) {
        return Some(format!("on a test of `{}`, `{}` fired as well", rule.id, other.rule));
    }
    case.captures.iter().find_map(|(name, wanted)| {
        let signal = own.iter().find(|signal| signal.captures.get(name) != Some(wanted))?;
        let found = signal.captures.get(name).map_or_else(|| "nothing".to_owned(), |value| quoted(value));
        Some(format!("test of `{}` wants `{name}` to be {}, and it is {found}", rule.id, quoted(wanted)))
    })
}

fn times(count: usize) -> String {
    if count == 0 { "never".to_owned() } else { plural(count, "time") }
}

fn allows(case: &Case, rule: &str) -> bool {
    case.also.iter().any(|also| also == rule || rule.rsplit_once('/').is_some_and(|(_, id)| id == also))
}

/// What happened instead: which rules fired, and what became of everything the tested rule looked at.
fn explanation(rules: &RuleSet, number: usize, signals: &[Signal], notes: &[Note]) -> Vec<String> {
    let mut fired: BTreeMap<&str, usize> = BTreeMap::new();
    for signal in signals {
        *fired.entry(&signal.rule).or_default() += 1;
    }
    let fired = fired.into_iter().map(|(rule, count)| format!("{rule} fired {}", times(count)));
    let mut why: Vec<String> = fired.collect();
    let own: Vec<&Note> = notes.iter().filter(|note| note.rule == number).collect();
    if own.is_empty() {
        why.push(format!("nothing matched the trigger of {}", rules.rules()[number].name()));
    }
    let skipped = own.len().saturating_sub(SHOWN);
    if skipped > 0 {
        why.push(format!("… {skipped} before these"));
    }
    why.extend(own.iter().skip(skipped).map(|note| {
        format!("{} {}: {}", duration::format(note.at.since(START)), quoted(&note.text), note.outcome)
    }));
    why
}

/// The script as observations from `start` on, after those that set the scene.
pub(super) fn observations(setting: &Setting, start: Timestamp, script: &[Step]) -> Vec<Observation> {
    let deployed_at = start - setting.deploy_age;
    let release = ReleaseId::new(deployed_at, 0);
    let subject = Arc::new(Subject {
        app: setting.app.clone(),
        release: release.clone(),
        container: ContainerId("0".repeat(64)),
        role: Role::Live,
    });
    let observation = |at, fact| Observation {
        at,
        host: setting.host.clone(),
        subject: Some(Arc::clone(&subject)),
        freshness: Freshness::Live,
        fact,
    };
    let deployment = Deployment {
        policy: crate::fleet::HealPolicy::default(),
        app: setting.app.clone(),
        release,
        deployed_at,
        spec: SpecDigest("1".repeat(64)),
        prove: PROVE,
        previous: setting.previous.map(|ran_for| PreviousRelease {
            release: ReleaseId::new(deployed_at - ran_for, 0),
            spec: SpecDigest("0".repeat(64)),
            ran_for,
            across_migration: false,
        }),
    };
    let state = Fact::State {
        running: true,
        started_at: Some(start - setting.uptime),
        restart_count: 0,
        health: HealthState::None,
    };
    let scene = [observation(start, Fact::Deployed { deployment }), observation(start, state)];
    let played = script.iter().map(|step| observation(start + step.at, step.fact.clone()));
    scene.into_iter().chain(played).collect()
}
