//! A line that no rule knows costs no allocation: nearly all lines are such, and there are many of them.

#![cfg(feature = "ops")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use arcane::fleet::{
    AppName, ContainerId, Fact, Freshness, HostName, Observation, ReleaseId, Role, Stream, Subject, Timestamp,
};
use arcane::rules::{Engine, RuleSet};

#[path = "../benches/rules/counting.rs"]
mod counting;

const LINES: [&str; 8] = [
    "GET /api/orders/17 200 in 4 ms",
    "\u{1b}[32mINFO\u{1b}[0m worker::pool: task 17 finished, 4 waiting",
    r#"{"level":"info","msg":"request completed","order":17,"ms":4}"#,
    "time=2026-11-25T10:00:00Z level=info msg=\"job done\" queue=mail job=17",
    "connection to the database opened after 4 ms, 10 of 20 in use",
    "größe: 4 \u{212a}, \u{17f}umme 17",
    "first line of several\n    at the second\n    at the third",
    "",
];

#[test]
fn a_line_that_no_rule_knows_is_free() {
    let mut engine = Engine::new(Arc::new(RuleSet::builtin()));
    let at = Timestamp::from_seconds(1_800_000_000);
    let subject = Arc::new(Subject {
        app: AppName::parse("shop").unwrap(),
        release: ReleaseId::new(at, 0),
        container: ContainerId("0".repeat(64)),
        role: Role::Live,
        profile: Default::default(),
    });
    let line = |text: &str| Observation {
        at,
        host: HostName::parse("web1").unwrap(),
        subject: Some(Arc::clone(&subject)),
        freshness: Freshness::Live,
        fact: Fact::Line { stream: Stream::Stdout, text: text.into() },
    };
    let mut lines: Vec<Observation> = LINES.iter().map(|text| line(text)).collect();
    lines.push(line(&"a long one ".repeat(5000)));
    let mut observe = || {
        for line in &lines {
            let signals = engine.observe(line);
            assert!(signals.is_empty(), "{signals:?}");
        }
    };
    // The first time room is made that is kept.
    observe();
    assert_eq!(counting::allocations(observe), 0);
    assert!(counting::allocations(|| drop(vec![0_u8; 100])) > 0, "allocations are counted");
}
