//! A small world to play in: observations of one host, made in one line each.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Engine, RuleSet};
use crate::fleet::{
    AppName, ContainerId, Deployment, Fact, Freshness, HostName, Observation, PreviousRelease, Profile,
    ReleaseId, Role, Signal, SpecDigest, Stream, Subject, Timestamp,
};

pub(super) const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

pub(super) fn release(number: u16) -> ReleaseId {
    ReleaseId::new(START, number)
}

pub(super) fn subject(app: &str, number: u16) -> Subject {
    Subject {
        app: AppName::parse(app).unwrap(),
        release: release(number),
        container: ContainerId(format!("{app}-{number}")),
        role: Role::Live,
        profile: Profile::default(),
    }
}

pub(super) fn at(seconds: u64, subject: &Subject, fact: Fact) -> Observation {
    Observation {
        at: START + Duration::from_secs(seconds),
        host: HostName::parse("web1").unwrap(),
        subject: Some(Arc::new(subject.clone())),
        freshness: Freshness::Live,
        fact,
    }
}

pub(super) fn line(seconds: u64, text: &str) -> Observation {
    at(seconds, &subject("shop", 0), Fact::Line { stream: Stream::Stdout, text: text.into() })
}

pub(super) fn die(seconds: u64, exit_code: i64) -> Observation {
    at(seconds, &subject("shop", 0), Fact::Died { exit_code })
}

pub(super) fn event(seconds: u64, fact: Fact) -> Observation {
    at(seconds, &subject("shop", 0), fact)
}

/// `shop` release `number`, deployed `age` seconds before the start, after one that ran for `ran` seconds.
pub(super) fn deployed(number: u16, age: u64, ran: Option<u64>) -> Observation {
    let deployment = Deployment {
        policy: crate::fleet::HealPolicy::default(),
        app: AppName::parse("shop").unwrap(),
        release: release(number),
        deployed_at: START - Duration::from_secs(age),
        spec: SpecDigest("1".to_owned()),
        prove: Duration::from_secs(600),
        previous: ran.map(|ran| PreviousRelease {
            release: release(9),
            spec: SpecDigest("0".to_owned()),
            ran_for: Duration::from_secs(ran),
            across_migration: false,
        }),
    };
    at(0, &subject("shop", number), Fact::Deployed { deployment })
}

/// One rule's keys, as a whole file.
pub(super) fn file(rule: &str) -> Vec<(String, String)> {
    let text = format!("pack = \"t\"\nschema = 1\n\n[[rule]]\nid = \"r\"\nclass = \"app_crash\"\n{rule}\n");
    vec![("t.toml".to_owned(), text)]
}

pub(super) fn rules(rule: &str) -> Arc<RuleSet> {
    Arc::new(RuleSet::load(&file(rule)).unwrap_or_else(|error| panic!("{error}")))
}

/// Plays observations against one rule.
pub(super) fn play(rule: &str, observations: &[Observation]) -> Vec<Signal> {
    let mut engine = Engine::new(rules(rule));
    observations.iter().flat_map(|observation| engine.observe(observation)).collect()
}
