//! Whatever comes in: no panic, no growth, the same answer each time, and the index never changes what matches.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::super::{Engine, RuleSet, Scanner};
use super::world::{at, line, subject};
use crate::fleet::{Fact, Freshness, HealthState, Observation, Role, Stream};

pub(super) static BUILTIN: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::builtin()));

/// Every sample line of the built-in rules.
pub(super) static SAMPLES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let steps =
        BUILTIN.rules().iter().flat_map(|rule| &rule.cases).flat_map(|case| case.scripts.iter().flatten());
    let mut lines: Vec<String> = steps
        .filter_map(|step| match &step.fact {
            Fact::Line { text, .. } => Some(text.to_string()),
            _ => None,
        })
        .collect();
    lines.dedup();
    lines
});

pub(super) fn any_line() -> impl Strategy<Value = String> {
    let sample = prop::sample::select(SAMPLES.clone());
    let mangled = (sample.clone(), any::<String>(), 0..80_usize).prop_map(|(sample, other, cut)| {
        let cut = (0..=cut.min(sample.len())).rev().find(|&at| sample.is_char_boundary(at)).unwrap_or(0);
        format!("{}{other}{}", &sample[..cut], &sample[cut..])
    });
    prop_oneof![sample, mangled, any::<String>(), "\\PC*"]
}

fn any_fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        4 => any_line().prop_map(|text| Fact::Line { stream: Stream::Stdout, text: text.into() }),
        2 => prop::sample::select(vec![0_i64, 1, 126, 127, 137, 139, 143, -1, i64::MAX])
            .prop_map(|exit_code| Fact::Died { exit_code }),
        1 => Just(Fact::OutOfMemory),
        1 => Just(Fact::Started),
        1 => any::<u8>().prop_map(|signal| Fact::Killed { signal }),
        1 => Just(Fact::Destroyed),
        1 => Just(Fact::Health { state: HealthState::Unhealthy }),
        1 => Just(Fact::HostUnreachable { reason: String::new() }),
    ]
}

prop_compose! {
    fn any_observation()(
        seconds in prop_oneof![0..100_u64, any::<u64>()],
        app in prop::sample::select(vec!["shop", "blog"]),
        role in prop::sample::select(vec![Role::Live, Role::Live, Role::Candidate]),
        freshness in prop::sample::select(vec![Freshness::Live, Freshness::Live, Freshness::Backlog]),
        whose in any::<bool>(),
        fact in any_fact(),
    ) -> Observation {
        let mut container = subject(app, 0);
        container.role = role;
        let mut observation = at(seconds, &container, fact);
        observation.freshness = freshness;
        if !whose {
            observation.subject = None;
        }
        observation
    }
}

#[test]
fn a_pattern_that_is_shown_to_its_author_moves_no_cursor() {
    let rule = "log = { any = [\"no space\\u001b[2J\\r left\", 're:\\d\t'] }\n";
    let rules = RuleSet::load(&super::world::file(rule)).unwrap();
    let shown: Vec<String> = rules.lint().iter().map(ToString::to_string).collect();
    assert!(shown.iter().any(|problem| problem.contains(r"no space\u{1b}[2J\r left")), "{shown:?}");
    let all = shown.concat();
    assert!(all.chars().all(|c| c == '\n' || !c.is_control()), "{all:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_replay_decides_what_live_decided(observations in prop::collection::vec(any_observation(), 0..60)) {
        let mut first = Engine::new(Arc::clone(&BUILTIN));
        let mut second = Engine::traced(Arc::clone(&BUILTIN));
        for observation in &observations {
            let signals = first.observe(observation);
            second.advance(observation.at);
            prop_assert_eq!(&signals, &second.observe(observation));
            for signal in signals {
                let observed = observation.subject.as_ref();
                prop_assert!(observed.is_some_and(|subject| subject.role == Role::Live));
                prop_assert!(!signal.evidence.is_empty() && signal.evidence.len() <= 20);
                prop_assert!(signal.live <= (observation.freshness == Freshness::Live));
                prop_assert!(signal.say.chars().all(|c| !c.is_control()), "{:?}", signal.say);
            }
        }
    }

    #[test]
    fn lines_alone_are_never_state_evidence(lines in prop::collection::vec(any_line(), 0..60)) {
        let mut engine = Engine::new(Arc::clone(&BUILTIN));
        for text in lines {
            let fact = Fact::Line { stream: Stream::Stdout, text: text.into() };
            let signals = engine.observe(&at(0, &subject("shop", 0), fact));
            prop_assert!(signals.iter().all(|signal| !signal.state_evidence));
        }
    }

    #[test]
    fn any_file_is_read_or_refused(text in "\\PC*", head in any::<bool>()) {
        let text = if head { format!("pack = \"t\"\nschema = 1\n{text}") } else { text };
        let result = RuleSet::load(&[("t.toml".to_owned(), text)]);
        if let Err(error) = result {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    /// Built-in files with a stretch cut out, doubled or replaced: mostly TOML, mostly wrong.
    #[test]
    fn damaged_files_are_read_or_refused(
        file in 0..6_usize, start in any::<prop::sample::Index>(), length in 0..200_usize, other in "[\\PC\n]{0,9}",
    ) {
        let (name, text) = RuleSet::builtin_files().swap_remove(file);
        let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let start = boundary(start.index(text.len()));
        let end = boundary(start + length);
        let damaged = format!("{}{other}{}", &text[..start], &text[end..]);
        match RuleSet::load(&[(name, damaged)]) {
            Ok(rules) => prop_assert!(rules.lint().iter().all(|problem| problem.line >= 1)),
            Err(error) => prop_assert!(error.0.iter().all(|problem| problem.column >= 1 && problem.to_string().len() < 4000)),
        }
    }
}

/// As long as a line ever is.
fn longest(of: &str) -> String {
    let mut text = of.repeat((64 << 10) / of.len() + 1);
    let end = (0..=64 << 10).rev().find(|&end| text.is_char_boundary(end)).unwrap();
    text.truncate(end);
    text
}

#[test]
fn a_line_makes_no_more_work_than_is_allowed() {
    let own_words = longest(&SAMPLES.join(" "));
    let mut scanner = Scanner::new(Arc::clone(&BUILTIN));
    scanner.matches(&own_words);
    let counts = scanner.counts();
    assert!(counts.tried > 10 && counts.tried < 128 && counts.skipped > 10, "{counts:?}");
    let mut engine = Engine::new(Arc::clone(&BUILTIN));
    engine.observe(&line(0, &own_words));
    assert_eq!(engine.dropped(), counts.skipped, "it is told that something was left out");
}

#[test]
fn what_a_line_is_filled_with_does_not_hide_it_from_a_users_rules() {
    let own = "pack = \"z\"\nschema = 1\n[[rule]]\nid = \"own\"\nclass = \"overload\"\nlog = { any = [\"till is stuck\"] }\n";
    let layers = [RuleSet::builtin_files(), vec![("z.toml".to_owned(), own.to_owned())]];
    let rules = Arc::new(RuleSet::layered(&layers).unwrap());
    let mut scanner = Scanner::new(Arc::clone(&rules));
    let filled = format!("till is stuck: {}", longest(&SAMPLES.join(" ")));
    let names: Vec<&str> =
        scanner.matches(&filled).iter().map(|found| rules.rules()[found.rule].name()).collect();
    assert!(names.contains(&"z/own"), "{names:?}");
    assert!(scanner.counts().skipped > 0);
}

#[test]
fn the_work_of_an_honest_line_is_done() {
    let ordinary = "2026-11-25 10:00:00 INFO [worker-7] error rate 0.1, retry in 5s, GET /orders from 10.0.0.1 took 4 ms; ";
    let long = format!("{}\njava.lang.OutOfMemoryError: Java heap space", longest(ordinary));
    let mut scanner = Scanner::new(Arc::clone(&BUILTIN));
    assert!(!scanner.matches(&long).is_empty());
    assert_eq!(scanner.counts().skipped, 0);
}
