//! A small fleet that goes wrong: releases that crash, leak or never start, hosts that go out of sight, operators
//! who stop and deploy, locks, lost and repeated messages. Time is true milliseconds here; the supervisor sees a wall
//! clock that is stepped back now and then, and every host has a clock of its own.

use std::collections::BTreeMap;

use super::*;

const HOSTS: usize = 3;
const APPS: usize = 4;

/// Something for the run to do.
pub(super) enum Event {
    Input(Input),
    /// The supervisor is killed.
    Crash,
    /// Every freeze is taken back.
    Thaw,
    /// Somebody does something to some incident.
    Person(u64),
}

#[derive(Clone, Copy, PartialEq)]
enum Quality {
    Good,
    /// Dies after so many seconds, every time.
    Crashes(u64),
    /// Dies once, and is well after a restart.
    DiesOnce,
    /// Complains in its log and lives.
    Complains,
}

enum Plan {
    Deliver(Input),
    Die(usize, u64),
    Start(usize, u64),
    Complain(usize, u64),
    Finish(Action, ActionOutcome),
    Mischief,
    HostBack(usize),
}

/// One app on one host, as it really is.
struct Box {
    host: usize,
    app: usize,
    release: u32,
    older: Vec<u32>,
    deployed_at: Timestamp,
    running: bool,
    started_at: Timestamp,
    stopped: bool,
    /// Counts lives: what was planned for an earlier one does not happen.
    life: u64,
    once: bool,
}

pub(super) struct Fleet {
    random: SplitMix,
    now: u64,
    sequence: u64,
    plans: BTreeMap<(u64, u64), Plan>,
    boxes: Vec<Box>,
    reachable: [bool; HOSTS],
    lost: Vec<Observation>,
    /// When the last message of a host arrives: its stream is in order.
    line: [u64; HOSTS],
    set_back: i64,
    peace: bool,
    releases: u32,
    pending_events: Vec<Event>,
}

const EPOCH: i64 = 1_700_000_000_000;

impl Fleet {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = SplitMix::new(seed.wrapping_mul(0x9e37).wrapping_add(1));
        random.next();
        Self {
            random,
            now: 0,
            sequence: 0,
            plans: BTreeMap::new(),
            boxes: Vec::new(),
            reachable: [true; HOSTS],
            lost: Vec::new(),
            line: [0; HOSTS],
            set_back: 0,
            peace: false,
            releases: 2,
            pending_events: Vec::new(),
        }
    }

    /// Settings at random; most allow much, so that much can go wrong.
    pub(super) fn settings(&mut self) -> Settings {
        let mut settings = Settings {
            ceiling: match self.below(10) {
                0 => Mode::Suggest,
                1 => Mode::Approve,
                _ => Mode::Auto,
            },
            seed: self.random.next(),
            ..settings()
        };
        settings.budgets.host.max = 1 + self.below(4) as usize;
        settings.budgets.fleet.max = 2 + self.below(6) as usize;
        for n in 0..APPS {
            let mode = match self.below(8) {
                0 => Mode::Off,
                1 => Mode::Suggest,
                2 => Mode::Approve,
                _ => Mode::Auto,
            };
            let remedies = match self.below(3) {
                0 => vec![Remedy::Restart],
                _ => Remedy::ALL.to_vec(),
            };
            let verify = Duration::from_secs(20 + 40 * self.below(3));
            settings.policies.insert(self.app(n), HealPolicy { mode, remedies, verify });
        }
        settings
    }

    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    /// What this machine's clock shows.
    pub(super) fn wall(&self) -> Timestamp {
        millis(EPOCH + self.now as i64 - self.set_back)
    }

    pub(super) fn to_true(&self, wall: Timestamp) -> u64 {
        let at = wall.as_nanos().div_euclid(1_000_000) + 1 - EPOCH + self.set_back;
        u64::try_from(at).unwrap_or(0)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn app(&self, n: usize) -> AppName {
        app(&format!("app{n}"))
    }

    fn host(n: usize) -> HostName {
        host(&format!("web{n}"))
    }

    /// A host's own clock.
    fn host_time(&self, n: usize) -> Timestamp {
        millis(EPOCH + self.now as i64 + (n as i64 - 1) * 40_000)
    }

    fn plan(&mut self, after: u64, plan: Plan) {
        self.sequence += 1;
        self.plans.insert((self.now + after, self.sequence), plan);
    }

    pub(super) fn begin(&mut self) {
        for host in 0..HOSTS {
            for app in 0..APPS {
                let deployed_at = millis(EPOCH - 1000 * self.below(10_000) as i64);
                self.boxes.push(Box {
                    host,
                    app,
                    release: 2,
                    older: vec![1],
                    deployed_at,
                    running: false,
                    started_at: deployed_at,
                    stopped: false,
                    life: 0,
                    once: false,
                });
            }
        }
        for n in 0..self.boxes.len() {
            self.tell_deployed(n);
            self.start(n);
        }
        self.plan(1000, Plan::Mischief);
    }

    /// How a release is, the same on every host.
    fn quality(&self, n: usize) -> Quality {
        let thing = &self.boxes[n];
        let mut die = SplitMix::new(u64::from(thing.release) * 31 + thing.app as u64);
        match die.next() % 6 {
            0 => Quality::Crashes(3 + die.next() % 40),
            1 => Quality::Crashes(300),
            2 => Quality::Complains,
            3 => Quality::DiesOnce,
            _ => Quality::Good,
        }
    }

    /// The next thing that reaches the supervisor; a tick when it wants one before that.
    pub(super) fn next(&mut self, wake: Option<u64>) -> Option<Event> {
        loop {
            if let Some(event) = self.pending_events.pop() {
                return Some(event);
            }
            let first = self.plans.first_key_value().map(|((at, _), _)| *at);
            if let Some(wake) = wake.filter(|wake| first.is_none_or(|first| *wake <= first)) {
                self.now = self.now.max(wake);
                return Some(Event::Input(Input::Tick));
            }
            let ((at, _), plan) = self.plans.pop_first()?;
            self.now = self.now.max(at);
            match plan {
                Plan::Deliver(input) => return Some(Event::Input(input)),
                Plan::Die(n, life) => self.die(n, life),
                Plan::Start(n, life) if self.boxes[n].life == life && !self.boxes[n].stopped => self.start(n),
                Plan::Start(..) => {}
                Plan::Complain(n, life) => self.complain(n, life),
                Plan::Finish(action, outcome) => self.finish(&action, outcome),
                Plan::Mischief => self.mischief(),
                Plan::HostBack(host) => self.host_back(host),
            }
        }
    }

    // What happens on the hosts.

    fn start(&mut self, n: usize) {
        let time = self.host_time(self.boxes[n].host);
        let thing = &mut self.boxes[n];
        thing.running = true;
        thing.stopped = false;
        thing.started_at = time;
        thing.life += 1;
        let (life, once) = (thing.life, thing.once);
        self.tell(n, Fact::Started);
        if self.peace {
            return;
        }
        match self.quality(n) {
            Quality::Good => {}
            Quality::Crashes(seconds) => self.plan(seconds * 1000, Plan::Die(n, life)),
            Quality::DiesOnce if !once => self.plan(200_000, Plan::Die(n, life)),
            Quality::DiesOnce => {}
            Quality::Complains => self.plan(20_000, Plan::Complain(n, life)),
        }
    }

    fn die(&mut self, n: usize, life: u64) {
        if self.boxes[n].life != life || !self.boxes[n].running || self.peace {
            return;
        }
        self.boxes[n].running = false;
        self.boxes[n].once = true;
        self.tell(n, Fact::Died { exit_code: 1 });
        if self.chance(60) {
            let rule = [0, 1, 3, 5, 6][self.below(5) as usize];
            self.fire(n, rule);
        }
        if self.chance(50) {
            self.plan(500, Plan::Start(n, life));
        }
    }

    fn complain(&mut self, n: usize, life: u64) {
        if self.boxes[n].life != life || !self.boxes[n].running || self.peace {
            return;
        }
        let rule = [2, 4][self.below(2) as usize];
        self.fire(n, rule);
        self.plan(60_000, Plan::Complain(n, life));
    }

    fn stop(&mut self, n: usize) {
        self.tell(n, Fact::Killed { signal: 15 });
        if self.boxes[n].running {
            self.boxes[n].running = false;
            self.tell(n, Fact::Died { exit_code: 143 });
        }
        self.tell(n, Fact::Stopped);
        self.boxes[n].life += 1;
    }

    fn deploy(&mut self, n: usize, release: u32) {
        self.stop(n);
        let time = self.host_time(self.boxes[n].host);
        let thing = &mut self.boxes[n];
        let old = std::mem::replace(&mut thing.release, release);
        if release > old {
            thing.older.push(old);
            thing.deployed_at = time;
        } else {
            thing.older.retain(|older| *older < release);
        }
        thing.once = false;
        self.start_as_candidate(n);
        self.tell_deployed(n);
        if self.chance(50) {
            self.tell_state(n);
        }
    }

    fn start_as_candidate(&mut self, n: usize) {
        let before = self.plans.len();
        self.start(n);
        // The start was told as the live one's; a new container is a candidate until it has the name.
        let _ = before;
    }

    // Actions of the supervisor.

    pub(super) fn act(&mut self, action: &Action) {
        let outcome = match self.below(100) {
            0..15 => ActionOutcome::Refused,
            15..25 => ActionOutcome::Failed,
            _ => ActionOutcome::Done,
        };
        let after = 200 + self.below(8000);
        self.plan(after, Plan::Finish(action.clone(), outcome));
    }

    fn index(&self, host: &HostName, of: &AppName) -> usize {
        self.boxes
            .iter()
            .position(|thing| Self::host(thing.host) == *host && self.app(thing.app) == *of)
            .expect("the supervisor knows no other places")
    }

    fn finish(&mut self, action: &Action, outcome: ActionOutcome) {
        let n = self.index(&action.host, &action.app);
        let live = release(self.boxes[n].release);
        let outcome = if self.reachable[self.boxes[n].host] { outcome } else { ActionOutcome::Failed };
        let outcome = if live == action.release { outcome } else { ActionOutcome::Refused };
        if outcome == ActionOutcome::Done {
            self.apply(n, action.remedy);
        } else if outcome == ActionOutcome::Failed && self.chance(50) && self.reachable[self.boxes[n].host] {
            self.stop(n);
        }
        let release = Some(release(self.boxes[n].release));
        let ended =
            Input::ActionEnded { action: action.id, outcome, detail: "simulated".to_owned(), release };
        let after = self.below(3000);
        self.plan(after, Plan::Deliver(ended.clone()));
        if self.chance(10) {
            self.plan(after + 2000, Plan::Deliver(ended));
        }
    }

    fn apply(&mut self, n: usize, remedy: Remedy) {
        match remedy {
            Remedy::Rollback => {
                if let Some(older) = self.boxes[n].older.last().copied() {
                    self.deploy(n, older);
                }
            }
            _ => {
                self.stop(n);
                self.start(n);
            }
        }
    }

    pub(super) fn supervisor_died(&mut self) {
        let cut = std::mem::take(&mut self.plans);
        for (key, plan) in cut {
            match plan {
                // Its messages die with it; what the action did on the host may or may not have happened.
                Plan::Deliver(_) => {}
                Plan::Finish(action, ActionOutcome::Done) if self.chance(50) => {
                    let n = self.index(&action.host, &action.app);
                    if self.reachable[self.boxes[n].host] && release(self.boxes[n].release) == action.release
                    {
                        self.apply(n, action.remedy);
                    }
                }
                Plan::Finish(..) => {}
                other => {
                    self.plans.insert(key, other);
                }
            }
        }
        self.plans.retain(|_, plan| !matches!(plan, Plan::Deliver(_)));
    }

    // What the supervisor is told.

    fn observation(&self, n: usize, fact: Fact) -> Observation {
        let thing = &self.boxes[n];
        let deployed = matches!(fact, Fact::Deployed { .. });
        Observation {
            at: self.host_time(thing.host),
            host: Self::host(thing.host),
            subject: (!deployed).then(|| Arc::new(self.subject(n))),
            freshness: Freshness::Live,
            fact,
        }
    }

    fn subject(&self, n: usize) -> Subject {
        let thing = &self.boxes[n];
        Subject {
            app: self.app(thing.app),
            release: release(thing.release),
            container: ContainerId(format!("{}-{}-{}", thing.host, thing.app, thing.release)),
            role: Role::Live,
        }
    }

    fn tell(&mut self, n: usize, fact: Fact) {
        // No two events of a host happen at the same instant.
        self.now += 1;
        let observation = self.observation(n, fact);
        let host = self.boxes[n].host;
        if self.reachable[host] {
            self.send(host, observation);
        } else {
            self.lost.push(observation);
        }
    }

    fn send(&mut self, host: usize, observation: Observation) {
        let after = if self.chance(90) { self.below(300) } else { self.below(5000) };
        self.line[host] = self.line[host].max(self.now + after);
        let after = self.line[host] - self.now;
        if self.chance(5)
            && !matches!(
                observation.fact,
                Fact::HostReachable | Fact::HostUnreachable { .. } | Fact::Deployed { .. }
            )
        {
            self.plan(after, Plan::Deliver(Input::Observed(observation.clone())));
        }
        self.plan(after, Plan::Deliver(Input::Observed(observation)));
    }

    fn tell_deployed(&mut self, n: usize) {
        let deployment = self.deployment(n);
        self.tell(n, Fact::Deployed { deployment });
    }

    fn deployment(&self, n: usize) -> Deployment {
        let thing = &self.boxes[n];
        let previous = thing.older.last().map(|older| {
            let mut die = SplitMix::new(u64::from(*older) + 77);
            PreviousRelease {
                release: release(*older),
                spec: SpecDigest(format!(
                    "spec{}",
                    if die.next().is_multiple_of(8) { thing.release } else { *older }
                )),
                ran_for: Duration::from_secs(if die.next().is_multiple_of(5) { 30 } else { 90_000 }),
            }
        });
        Deployment { previous, ..deployment(self.app(thing.app).as_str(), thing.release, thing.deployed_at) }
    }

    fn tell_state(&mut self, n: usize) {
        let thing = &self.boxes[n];
        let fact = Fact::State {
            running: thing.running,
            started_at: Some(thing.started_at),
            restart_count: 0,
            health: HealthState::None,
        };
        self.tell(n, fact);
    }

    pub(super) fn inspect(&mut self, host: &HostName, of: &AppName) {
        let n = self.index(host, of);
        if self.reachable[self.boxes[n].host] {
            self.tell_deployed(n);
            self.tell_state(n);
        }
    }

    pub(super) fn read_everything(&mut self) {
        for host in 0..HOSTS {
            if self.reachable[host] {
                self.read_host(host);
            } else {
                self.tell_host(host, Fact::HostUnreachable { reason: "cut".to_owned() });
            }
        }
    }

    fn read_host(&mut self, host: usize) {
        for n in 0..self.boxes.len() {
            if self.boxes[n].host == host {
                self.tell_deployed(n);
                self.tell_state(n);
            }
        }
    }

    fn tell_host(&mut self, host: usize, fact: Fact) {
        let observation = Observation {
            at: self.host_time(host),
            host: Self::host(host),
            subject: None,
            freshness: Freshness::Live,
            fact,
        };
        self.send(host, observation);
    }

    fn fire(&mut self, n: usize, rule: usize) {
        let subject = self.subject(n);
        let (name, class, state, ladder) = rules(rule);
        let signal = Signal {
            at: self.host_time(self.boxes[n].host),
            rule: name.to_owned(),
            class,
            say: "simulated".to_owned(),
            host: Self::host(self.boxes[n].host),
            app: subject.app,
            release: subject.release,
            container: subject.container,
            captures: BTreeMap::new(),
            evidence: vec![Evidence { at: self.host_time(0), text: format!("line {}", self.now) }],
            state_evidence: state,
            live: self.chance(90) && self.reachable[self.boxes[n].host],
            ladder,
            verify: None,
            forbid: if self.chance(5) { vec![Remedy::Rollback] } else { Vec::new() },
        };
        let after = if self.chance(80) { self.below(500) } else { self.below(20_000) };
        self.plan(after, Plan::Deliver(Input::Signal(signal.clone())));
        if self.chance(10) {
            let after = self.below(900_000);
            self.plan(after, Plan::Deliver(Input::Signal(signal)));
        }
    }

    // Mischief.

    fn mischief(&mut self) {
        if self.peace {
            return;
        }
        let next = 1000 + self.below(120_000);
        self.plan(next, Plan::Mischief);
        let n = self.below(self.boxes.len() as u64) as usize;
        let host = self.boxes[n].host;
        match self.below(20) {
            0 | 1 => self.stop_by_hand(n),
            2 | 3 if !self.boxes[n].running => self.start(n),
            4 | 5 => {
                self.releases += 1;
                self.deploy(n, self.releases);
            }
            6 | 7 if self.reachable[host] => self.cut(host),
            8 => self.pending_events.push(Event::Crash),
            9 => self.set_back += 1000 * self.below(4000) as i64,
            10 => {
                let app = self.chance(70).then(|| self.app(self.boxes[n].app));
                let by = "ada".to_owned();
                self.plan(0, Plan::Deliver(Input::Freeze { app: app.clone(), by: by.clone() }));
                let after = self.below(600_000);
                self.plan(after, Plan::Deliver(Input::Thaw { app, by }));
            }
            11 => self.tell(n, Fact::Killed { signal: 1 }),
            12 => self.tell(n, Fact::Gap { reason: "rotated".to_owned() }),
            13 => {
                let rule = self.below(7) as usize;
                self.fire(n, rule);
            }
            14 => self.tell(n, Fact::Health { state: HealthState::Unhealthy }),
            _ => {
                let choice = self.random.next();
                self.pending_events.push(Event::Person(choice));
            }
        }
    }

    fn stop_by_hand(&mut self, n: usize) {
        self.stop(n);
        self.boxes[n].stopped = true;
    }

    fn cut(&mut self, host: usize) {
        self.reachable[host] = false;
        self.tell_host(host, Fact::HostUnreachable { reason: "cut".to_owned() });
        let after = self.below(900_000);
        self.plan(after, Plan::HostBack(host));
    }

    fn host_back(&mut self, host: usize) {
        if self.reachable[host] {
            return;
        }
        self.reachable[host] = true;
        self.tell_host(host, Fact::HostReachable);
        let name = Self::host(host);
        let (mine, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lost).into_iter().partition(|observation| observation.host == name);
        self.lost = others;
        for mut observation in mine {
            if self.chance(50) && !matches!(observation.fact, Fact::Deployed { .. } | Fact::State { .. }) {
                observation.freshness = Freshness::Backlog;
                self.send(host, observation);
            }
        }
        self.read_host(host);
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn make_peace(&mut self) {
        self.peace = true;
        for host in 0..HOSTS {
            self.host_back(host);
        }
        self.pending_events.push(Event::Thaw);
    }
}

fn millis(millis: i64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

/// The rules of the simulation: name, class, whether with state evidence, ladder.
fn rules(n: usize) -> (&'static str, Class, bool, Vec<Rung>) {
    let backoff = Some((Duration::from_secs(10), Duration::from_secs(120)));
    let restarts = Rung { per: Some(Duration::from_secs(3600)), backoff, ..restart_auto(2) };
    let young = Rung { if_deploy_younger_than: Some(Duration::from_secs(3600)), ..rollback_auto() };
    let redeploy = rung(Remedy::Redeploy, Mode::Auto, 1);
    match n {
        0 => ("core/crash", Class::AppCrash, true, vec![restarts, young, escalate()]),
        1 => (
            "core/oom",
            Class::OutOfMemory,
            true,
            vec![restart_auto(3), rung(Remedy::Rollback, Mode::Approve, 1)],
        ),
        2 => ("text/hang", Class::Hang, false, vec![restart_auto(2), redeploy]),
        3 => ("core/config", Class::BadConfig, true, vec![restart_auto(1), rollback_auto(), escalate()]),
        4 => (
            "text/dependency",
            Class::DependencyUnavailable,
            false,
            vec![rung(Remedy::Wait, Mode::Auto, 1), escalate()],
        ),
        5 => ("core/port", Class::PortConflict, true, vec![redeploy, restarts]),
        _ => ("core/bare", Class::ResourceExhaustion, true, Vec::new()),
    }
}
