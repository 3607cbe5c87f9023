//! The shell with a real journal and hosts that are made up: what it hands in when, how it ends, who writes.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Mutex;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::records::{Kept, Records};
use super::super::shell::RuleSource;
use super::*;
use crate::fleet::{Host, Proposal};
use crate::journal::{Decision, Journal};
use crate::rules::{Engine, RuleSet};

/// A journal in a directory of its own, with one escalated incident in it.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("arcane-shell-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let desk = Self(path);
        desk.open().save_incident(&escalated()).unwrap();
        desk
    }

    fn open(&self) -> Journal {
        Journal::open(&self.0.join("journal.db")).unwrap()
    }

    fn incident(&self) -> Incident {
        self.open().incident(IncidentId(1)).unwrap().unwrap()
    }

    fn shared(&self) -> Arc<Mutex<Journal>> {
        Arc::new(Mutex::new(self.open()))
    }

    async fn records(&self, ceiling: Mode) -> Records {
        Records::claim(self.shared(), vec![host("web1")], ceiling).await.unwrap()
    }

    /// Approves the incident as `arcane approve` does, on a host at `ssh` that shows these facts.
    async fn approve(&self, ssh: &str, facts: Vec<Fact>, tell: Tell<'_>) -> Result<Supervisor, Error> {
        let decision = Decision::Approve { remedy: None };
        let approval = self.open().decide(IncidentId(1), decision, "ada", crate::clock::now()).unwrap();
        let (sender, mut observations) = mpsc::channel(10);
        for fact in facts {
            let (at, freshness) = (crate::clock::now(), Freshness::Live);
            sender
                .send(Observation { at, host: host("web1"), subject: None, freshness, fact })
                .await
                .unwrap();
        }
        let until = Until { approval: Some(approval), ..Until::default() };
        self.shell(ssh, until).run(&mut observations, tell, &CancellationToken::new()).await
    }

    fn shell(&self, ssh: &str, until: Until) -> Shell {
        let web1 = Host { name: host("web1"), ssh: ssh.to_owned() };
        Shell {
            source: Arc::new(crate::deploy::secrets::NoSource),
            supervisor: Supervisor::new(Settings { ceiling: Mode::Approve, ..settings() }),
            rules: None,
            engine: Engine::new(Arc::new(RuleSet::builtin())),
            novelties: crate::diagnose::Novelties::default(),
            journal: self.shared(),
            hosts: BTreeMap::from([(host("web1"), web1)]),
            pool: crate::deploy::remote::Pool::default(),
            by: "ada@laptop".to_owned(),
            ceiling: Mode::Approve,
            until,
        }
    }

    /// Watches until these facts about a release, so many seconds ago, have been taken in.
    async fn watch(&self, n: u32, facts: Vec<(u64, Fact)>) {
        let (sender, mut observations) = mpsc::channel(10_000);
        for (ago, fact) in facts {
            let subject = Subject {
                app: app("shop"),
                release: release(n),
                container: ContainerId(n.to_string()),
                role: Role::Live,
                profile: crate::fleet::Profile::default(),
            };
            let at = crate::clock::now() - Duration::from_secs(ago);
            let freshness = if ago > 10 { Freshness::Backlog } else { Freshness::Live };
            let subject = Some(Arc::new(subject));
            sender.send(Observation { at, host: host("web1"), subject, freshness, fact }).await.unwrap();
        }
        drop(sender);
        let shell = self.shell("127.0.0.1:1", Until::default());
        shell.run(&mut observations, &|_| (), &CancellationToken::new()).await.unwrap();
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn escalated() -> Incident {
    let now = crate::clock::now();
    Incident {
        id: IncidentId(1),
        host: host("web1"),
        app: app("shop"),
        release: release(2),
        class: Class::AppCrash,
        rule: "node/crash".to_owned(),
        confidence: 100,
        say: "it crashed".to_owned(),
        state: IncidentState::Escalated,
        opened_at: now,
        updated_at: now,
        signals: 1,
        evidence: Vec::new(),
        novelty: Vec::new(),
        proposals: vec![Proposal {
            remedy: Remedy::Restart,
            mode: Mode::Approve,
            reason: "rung 1 of 1".to_owned(),
        }],
        actions: Vec::new(),
        note: None,
    }
}

fn seen() -> Fact {
    Fact::Deployed { deployment: deployment("shop", 2, crate::clock::now() - Duration::from_secs(7200)) }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_cannot_be_carried_out_says_why() {
    let check = async |name: &str, frozen: bool, facts: Vec<Fact>, expected: &str| {
        let desk = Desk::new(name);
        if frozen {
            desk.open().freeze(None, "eve", crate::clock::now(), "").unwrap();
        }
        let ended = desk.approve("127.0.0.1:1", facts, &|_| ()).await;
        let said = ended.expect_err("nothing can be carried out").to_string();
        assert!(said.contains(expected), "{name}: {said}");
        assert_eq!(desk.incident().actions, [], "{name}");
    };
    check("frozen", true, vec![seen()], "everything is frozen by eve").await;
    check("stale", false, vec![seen_release(3)], "dismissed").await;
    let lost = Fact::HostUnreachable { reason: "no route".to_owned() };
    check("lost", false, vec![lost], "cannot reach web1, so nothing was done: no route").await;
    check("unseen", false, vec![Fact::HostReachable], "shop was not seen on web1 within 90 s").await;
}

fn seen_release(n: u32) -> Fact {
    Fact::Deployed { deployment: deployment("shop", n, crate::clock::now()) }
}

#[tokio::test(start_paused = true)]
async fn an_action_in_flight_is_waited_for_when_the_journal_fails() {
    let desk = Desk::new("broken");
    // Takes connections and never says a word: the action lasts until the greeting is overdue.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ada@{}", silent.local_addr().unwrap());
    let told = Mutex::new(Vec::new());
    let tell = |what: Told| {
        let Told::Announced(said, _) = what else { return };
        if said.news == News::Acting {
            let other = rusqlite::Connection::open(desk.0.join("journal.db")).unwrap();
            other.execute_batch("DROP TABLE supervisors").unwrap();
        }
        told.lock().unwrap().push((said.news, said.text));
    };
    let ended = desk.approve(&address, vec![seen()], &tell).await;
    assert!(matches!(ended, Err(Error::Journal(_))), "{ended:?}");
    let told = told.into_inner().unwrap();
    let news: Vec<News> = told.iter().map(|(news, _)| *news).collect();
    let position = |wanted| news.iter().position(|news| *news == wanted);
    assert!(position(News::Frozen) > position(News::Acting), "{told:?}");
    assert!(position(News::NotHealed) > position(News::Frozen), "{told:?}");
    let incident = desk.incident();
    let outcomes: Vec<ActionOutcome> = incident.actions.iter().map(|action| action.outcome).collect();
    assert_eq!(outcomes, [ActionOutcome::Failed]);
}

#[tokio::test]
async fn a_watcher_writes_nothing_beside_a_healer_and_nothing_over_it_afterwards() {
    let desk = Desk::new("beside");
    let (mut heal, mut watch) = (desk.records(Mode::Auto).await, desk.records(Mode::Suggest).await);
    let later = |state, seconds| {
        let updated_at = crate::clock::now() + Duration::from_secs(seconds);
        Incident { state, updated_at, ..escalated() }
    };
    heal.recall().await.unwrap();
    watch.recall().await.unwrap();
    let private = Incident { id: IncidentId(7), ..later(IncidentState::Open, 0) };
    assert_eq!(watch.save(later(IncidentState::Open, 0)).await.unwrap(), Kept::Left);
    assert_eq!(watch.save(private.clone()).await.unwrap(), Kept::Left);
    assert!(watch.has(IncidentId(1)) && !watch.has(IncidentId(7)));

    let acting = later(IncidentState::Acting, 1);
    assert_eq!(heal.save(acting.clone()).await.unwrap(), Kept::Written);
    heal.retire().await.unwrap();
    let stale = later(IncidentState::Open, 9);
    assert_eq!(watch.save(stale.clone()).await.unwrap(), Kept::Changed(Box::new(desk.incident())));
    assert_eq!(watch.save(stale).await.unwrap(), Kept::Left);
    assert_eq!(watch.save(private).await.unwrap(), Kept::Left);
    assert_eq!(desk.incident().state, IncidentState::Acting);
    assert_eq!(desk.open().incidents(false, 10).unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_incident_says_what_is_new_in_the_log_even_after_a_restart_of_ours() {
    let desk = Desk::new("novelty");
    let line = |text: &str| Fact::Line { stream: crate::fleet::Stream::Stdout, text: text.into() };
    let usual = |number: u64| (3_000 - number * 10, line(&format!("GET /order/{number} 200")));
    desk.watch(2, (0..100).map(usual).collect()).await;
    let fails = line("payment failed: no route to 10.0.0.7");
    let facts = vec![
        (5, seen_release(3)),
        (4, line("GET /order/7 200")),
        (3, fails),
        (2, Fact::Health { state: HealthState::Unhealthy }),
    ];
    desk.watch(3, facts).await;
    let incidents = desk.open().incidents(false, 10).unwrap();
    let opened = incidents.iter().find(|incident| incident.rule == "core/unhealthy").unwrap();
    let new: Vec<_> = opened.novelty.iter().map(|novelty| novelty.template.as_str()).collect();
    assert_eq!(new, ["payment failed: no route to *"]);
    assert_eq!(opened.novelty[0].what, crate::fleet::Newness::NeverSeen);
}

/// A folder of rules that is found broken, then mended, then as it was.
struct Folder(Mutex<Vec<Option<std::result::Result<RuleSet, String>>>>);

impl RuleSource for Folder {
    fn changed(&self) -> Option<std::result::Result<RuleSet, String>> {
        self.0.lock().unwrap().pop().flatten()
    }
}

#[tokio::test(start_paused = true)]
async fn rules_that_change_are_taken_up_and_those_that_are_broken_are_told() {
    let desk = Desk::new("reload");
    let (sender, mut observations) = mpsc::channel(10);
    let rule =
        "pack = \"t\"\nschema = 1\n[[rule]]\nid = \"r\"\nclass = \"hang\"\nlog = { any = [\"boom\"] }\n";
    let mended = RuleSet::load(&[("t.toml".to_owned(), rule.to_owned())]).unwrap();
    let found = vec![None, Some(Ok(mended)), Some(Err("t.toml:4:6: a mistake".to_owned()))];
    let shell = Shell {
        rules: Some(Arc::new(Folder(Mutex::new(found)))),
        ..desk.shell("127.0.0.1:1", Until::default())
    };
    let told = Mutex::new(Vec::new());
    let tell = |what: Told| {
        match &what {
            Told::Rules(Ok(rules)) => {
                told.lock().unwrap().push(format!("{} rules", rules.rules().len()));
                let subject = Subject {
                    app: app("shop"),
                    release: release(2),
                    container: ContainerId("2".to_owned()),
                    role: Role::Live,
                    profile: crate::fleet::Profile::default(),
                };
                let fact = Fact::Line { stream: crate::fleet::Stream::Stdout, text: "boom".into() };
                let (at, freshness) = (crate::clock::now(), Freshness::Live);
                let subject = Some(Arc::new(subject));
                let line = Observation { at, host: host("web1"), subject, freshness, fact };
                sender.try_send(line).unwrap();
            }
            Told::Rules(Err(why)) => told.lock().unwrap().push(why.clone()),
            Told::Signal(signal) => told.lock().unwrap().push(signal.rule.clone()),
            _ => {}
        };
    };
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stop.cancel();
    });
    shell.run(&mut observations, &tell, &cancel).await.unwrap();
    assert_eq!(told.into_inner().unwrap(), ["t.toml:4:6: a mistake", "1 rules", "t/r"]);
}
