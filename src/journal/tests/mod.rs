//! The journal, with what its tests share.

mod file;
mod places;
mod records;

use std::path::PathBuf;

use super::*;
use crate::fleet::*;
use crate::secrets::{Redactor, Value};

/// A directory of one test, removed with everything in it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("arcane-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state/journal.db")
    }

    fn open(&self) -> Journal {
        Journal::open(&self.file()).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn app(name: &str) -> AppName {
    AppName::parse(name).unwrap()
}

fn action(seconds: i64, detail: &str) -> ActionRecord {
    ActionRecord {
        remedy: Remedy::Restart,
        by: "auto".to_owned(),
        at: at(seconds),
        ended_at: None,
        outcome: ActionOutcome::Begun,
        detail: detail.to_owned(),
    }
}

fn incident(id: u64, state: IncidentState) -> Incident {
    Incident {
        id: IncidentId(id),
        host: host("web1"),
        app: app("shop"),
        release: ReleaseId::new(at(1000), 1),
        class: Class::AppCrash,
        rule: "node/crash".to_owned(),
        confidence: 100,
        say: "it crashed".to_owned(),
        state,
        opened_at: at(i64::try_from(id).unwrap()),
        updated_at: at(2000),
        signals: 3,
        evidence: vec![Evidence { at: at(1999), text: "die exit=101".to_owned() }],
        novelty: Vec::new(),
        proposals: vec![Proposal {
            remedy: Remedy::Restart,
            mode: Mode::Approve,
            reason: "may help".to_owned(),
        }],
        actions: vec![action(1500, "first"), action(1600, "second")],
        note: None,
    }
}

fn release(n: i64, app_name: &str, host_name: &str) -> ReleaseRecord {
    ReleaseRecord {
        host: host(host_name),
        app: app(app_name),
        release: ReleaseId::new(at(n), 7),
        image: "shop:1.4".to_owned(),
        image_id: "sha256:abc".to_owned(),
        spec: SpecDigest("d".repeat(64)),
        by: "mia@laptop".to_owned(),
        at: at(n),
        strategy: Strategy::SmartSwap,
        outcome: Outcome::RolledBack,
        seconds: 4.25,
        bytes_sent: 1 << 40,
        detail: "health: 500 'quoted' \u{1b}[31m".to_owned(),
    }
}
