//! The room's promise: what is new since a release is told, what is not is not, and nobody's inventions crowd it out.

use std::sync::Arc;
use std::time::Duration;

use super::{Novelties, Remembered};
use crate::fleet::{
    AppName, ContainerId, Fact, Freshness, HostName, Newness, Novelty, Observation, ReleaseId, Role, Stream,
    Subject, Timestamp,
};

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct Story {
    novelties: Novelties,
    at: Timestamp,
    release: u16,
}

impl Story {
    fn new() -> Self {
        Self { novelties: Novelties::default(), at: START, release: 0 }
    }

    fn release_id(&self) -> ReleaseId {
        ReleaseId::new(START, self.release)
    }

    fn says(&mut self, text: &str) -> &mut Self {
        let subject = Subject {
            app: AppName::parse("shop").unwrap(),
            release: self.release_id(),
            container: ContainerId("c".to_owned()),
            role: Role::Live,
            profile: crate::fleet::Profile::default(),
        };
        self.novelties.observe(&Observation {
            at: self.at,
            host: HostName::parse("web1").unwrap(),
            subject: Some(Arc::new(subject)),
            freshness: Freshness::Live,
            fact: Fact::Line { stream: Stream::Stdout, text: text.into() },
        });
        self
    }

    /// A usual day: a request every ten seconds.
    fn works(&mut self, minutes: u32) -> &mut Self {
        for number in 0..minutes * 6 {
            self.at = self.at + Duration::from_secs(10);
            self.says(&format!("GET /order/{number} 200 in {} ms", number % 90));
            self.says(&format!("retrying payment {number}"));
        }
        self
    }

    fn pushed(&mut self) -> &mut Self {
        self.release += 1;
        self
    }

    fn new_lines(&self) -> Vec<(Newness, String)> {
        let report = self.report();
        report.into_iter().map(|novelty| (novelty.what, novelty.sample.text)).collect()
    }

    fn report(&self) -> Vec<Novelty> {
        self.novelties.report(&AppName::parse("shop").unwrap(), &self.release_id())
    }
}

#[test]
fn what_a_release_writes_for_the_first_time_is_new() {
    let mut story = Story::new();
    story.works(20).pushed().works(5).says("cache warmed").says("payment failed: no route to 10.0.0.7");
    story.says("payment failed: no route to 10.0.0.8");
    assert_eq!(
        story.new_lines(),
        [
            (Newness::NeverSeen, "payment failed: no route to 10.0.0.7".to_owned()),
            (Newness::NeverSeen, "cache warmed".to_owned()),
        ]
    );
    assert_eq!(story.report()[0].template, "payment failed: no route to *");
    assert_eq!(story.report()[0].lines, 2);
}

#[test]
fn what_comes_far_more_often_is_new() {
    let mut story = Story::new();
    story.works(20).pushed();
    for number in 0..60 {
        story.says(&format!("retrying payment {number}"));
    }
    let often = Newness::MoreOften { before: 6, now: 60 };
    assert_eq!(story.new_lines(), [(often, "retrying payment 0".to_owned())]);
    assert_eq!(often.to_string(), "up to 60 a minute, 6 before this release");
}

#[test]
fn nothing_is_called_new_without_knowing_what_was_before() {
    let mut story = Story::new();
    story.works(5).pushed().says("payment failed");
    assert_eq!(story.new_lines(), []);
    let mut story = Story::new();
    story.works(60).says("payment failed");
    assert_eq!(story.new_lines(), [], "the first release has none before it");
}

#[test]
fn after_a_rollback_the_old_lines_are_known() {
    let mut story = Story::new();
    story.works(20).pushed().works(1).says("payment failed");
    story.release = 0;
    story.works(1).says("payment failed");
    assert_eq!(story.new_lines(), []);
}

#[test]
fn a_flood_of_inventions_does_not_crowd_out_what_is_known() {
    let mut story = Story::new();
    story.works(20).pushed();
    for number in 0..10_000_u32 {
        let word: String =
            format!("{number:05}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
        story.says(&format!("{word} invented {word} line"));
    }
    let reported = story.new_lines().iter().any(|(_, line)| line.starts_with("GET"));
    assert!(!reported);
    story.works(1);
    assert!(
        !story.new_lines().iter().any(|(_, line)| line.starts_with("GET") || line.starts_with("retrying"))
    );
    assert_eq!(story.report().len(), 5);
}

#[test]
fn knowledge_outlives_us() {
    let mut story = Story::new();
    story.works(20);
    let changed = story.novelties.take_changed();
    assert!(story.novelties.take_changed().is_empty(), "nothing was learnt since");
    let mut again = Story { novelties: Novelties::default(), at: story.at, release: 1 };
    for (app, remembered) in changed {
        let text = serde_json::to_string(&remembered).unwrap();
        let remembered: Remembered = serde_json::from_str(&text).unwrap();
        again.novelties.recall(app, remembered);
    }
    again.works(1).says("payment failed");
    assert_eq!(again.new_lines(), [(Newness::NeverSeen, "payment failed".to_owned())]);
}

#[test]
fn apps_are_bounded_and_hostile_lines_are_harmless() {
    let mut story = Story::new();
    story.says("\u{0}\u{1b}[31m\n\n").says(&"x".repeat(70_000)).says(&"a b ".repeat(20_000)).says("");
    let mut story = Story::new();
    for number in 0..600 {
        let subject = Subject {
            app: AppName::parse(&format!("app{number}")).unwrap(),
            release: story.release_id(),
            container: ContainerId("c".to_owned()),
            role: Role::Live,
            profile: crate::fleet::Profile::default(),
        };
        story.novelties.observe(&Observation {
            at: START + Duration::from_secs(number),
            host: HostName::parse("web1").unwrap(),
            subject: Some(Arc::new(subject)),
            freshness: Freshness::Live,
            fact: Fact::Line { stream: Stream::Stdout, text: "hello".into() },
        });
    }
    assert_eq!(story.novelties.apps.len(), super::APPS);
    assert!(story.novelties.apps.contains_key(&AppName::parse("app599").unwrap()));
    assert!(!story.novelties.apps.contains_key(&AppName::parse("app0").unwrap()));
}
