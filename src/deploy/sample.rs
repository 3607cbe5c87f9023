//! Samples for this room's tests.

use super::labels::{Record, spec_digest};
use super::situation::Found;
use crate::fleet::{
    App, AppName, ContainerId, HealPolicy, HealthCheck, Hooks, ImageRef, ReleaseId, Source, Strategy,
    Timestamp,
};

pub(crate) fn app(name: &str) -> App {
    App {
        name: AppName::parse(name).unwrap(),
        source: Source::Image(ImageRef::parse("shop:1.4").unwrap()),
        strategy: Strategy::SmartSwap,
        to: Vec::new(),
        publish: Some(8000),
        blue_green: None,
        port: Some(8080),
        health: HealthCheck::default(),
        env: Default::default(),
        secrets: Default::default(),
        role: None,
        command: None,
        volumes: Vec::new(),
        memory: None,
        network: None,
        stop_timeout: App::DEFAULT_STOP_TIMEOUT,
        prove: App::DEFAULT_PROVE,
        keep: App::DEFAULT_KEEP,
        heal: HealPolicy::default(),
        release: None,
        migrates: false,
        bake: std::time::Duration::ZERO,
        hooks: Hooks::default(),
    }
}

/// A container of `shop`; releases with a higher number are newer, and each ran for a minute.
pub(crate) fn found(name: &str, release: u16, running: bool) -> Found {
    let app = app("shop");
    let started = Timestamp::from_seconds(i64::from(release) * 1_000);
    Found {
        id: ContainerId(format!("{release:064x}")),
        name: name.to_owned(),
        record: Record {
            release: ReleaseId::parse(&format!("20261125-{release:06}-{release:04}")).unwrap(),
            spec: spec_digest(&app, &format!("sha256:{release}")),
            app,
            image: format!("shop:{release}"),
            by: "ada@laptop".to_owned(),
            at: started,
            environment: None,
            slot: None,
            migrated: None,
            past: Vec::new(),
        },
        running,
        created: started,
        started_at: Some(started),
        finished_at: (!running).then(|| started + std::time::Duration::from_secs(60)),
    }
}
