//! A small fleet that goes wrong: releases that crash, leak or never start, hosts that go out of sight, operators
//! who stop and deploy, locks, lost and repeated messages. Time is true milliseconds here; the supervisor sees a wall
//! clock that is stepped back now and then, and every host has a clock of its own.

use std::collections::BTreeMap;

use super::*;

pub(super) const HOSTS: usize = 3;
const APPS: usize = 4;

/// Something for the run to do.
pub(super) enum Event {
    Input(Box<Input>),
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

pub(super) enum Plan {
    Deliver(Input),
    Die(usize, u64),
    Start(usize, u64),
    Complain(usize, u64),
    Finish(Action, ActionOutcome),
    Mischief,
    TakeOver(usize),
    HostBack(usize),
}

/// One app on one host, as it really is.
pub(super) struct Instance {
    pub(super) host: usize,
    pub(super) app: usize,
    pub(super) release: u32,
    pub(super) older: Vec<u32>,
    pub(super) deployed_at: Timestamp,
    pub(super) running: bool,
    pub(super) started_at: Timestamp,
    pub(super) stopped: bool,
    /// It is being tried, and does not have the app's name yet.
    pub(super) candidate: bool,
    /// Counts lives: what was planned for an earlier one does not happen.
    pub(super) life: u64,
    pub(super) once: bool,
}

pub(super) struct Fleet {
    pub(super) random: SplitMix,
    pub(super) now: u64,
    sequence: u64,
    pub(super) plans: BTreeMap<(u64, u64), Plan>,
    pub(super) instances: Vec<Instance>,
    pub(super) reachable: [bool; HOSTS],
    pub(super) lost: Vec<Observation>,
    /// When the last message of a host arrives: its stream is in order.
    pub(super) line: [u64; HOSTS],
    pub(super) set_back: i64,
    pub(super) peace: bool,
    pub(super) releases: u32,
    pub(super) pending_events: Vec<Event>,
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
            instances: Vec::new(),
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

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.random.next() % n
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn app(&self, n: usize) -> AppName {
        app(&format!("app{n}"))
    }

    pub(super) fn host(n: usize) -> HostName {
        host(&format!("web{n}"))
    }

    /// A host's own clock.
    pub(super) fn host_time(&self, n: usize) -> Timestamp {
        millis(EPOCH + self.now as i64 + (n as i64 - 1) * 40_000)
    }

    pub(super) fn plan(&mut self, after: u64, plan: Plan) {
        self.sequence += 1;
        self.plans.insert((self.now + after, self.sequence), plan);
    }

    pub(super) fn begin(&mut self) {
        for host in 0..HOSTS {
            for app in 0..APPS {
                let deployed_at = millis(EPOCH - 1000 * self.below(10_000) as i64);
                self.instances.push(Instance {
                    host,
                    app,
                    release: 2,
                    older: vec![1],
                    deployed_at,
                    running: false,
                    started_at: deployed_at,
                    stopped: false,
                    candidate: false,
                    life: 0,
                    once: false,
                });
            }
        }
        for n in 0..self.instances.len() {
            self.tell_deployed(n);
            self.start(n);
        }
        self.plan(1000, Plan::Mischief);
    }

    /// How a release is, the same on every host.
    fn quality(&self, n: usize) -> Quality {
        let thing = &self.instances[n];
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
                return Some(Event::Input(Box::new(Input::Tick)));
            }
            let ((at, _), plan) = self.plans.pop_first()?;
            self.now = self.now.max(at);
            match plan {
                Plan::Deliver(input) => return Some(Event::Input(Box::new(input))),
                Plan::Die(n, life) => self.die(n, life),
                Plan::Start(n, life) if self.instances[n].life == life && !self.instances[n].stopped => {
                    self.start(n)
                }
                Plan::Start(..) => {}
                Plan::Complain(n, life) => self.complain(n, life),
                Plan::Finish(action, outcome) => self.finish(&action, outcome),
                Plan::Mischief => self.mischief(),
                Plan::TakeOver(n) => self.take_over(n),
                Plan::HostBack(host) => self.host_back(host),
            }
        }
    }

    // What happens on the hosts.

    pub(super) fn start(&mut self, n: usize) {
        let time = self.host_time(self.instances[n].host);
        let thing = &mut self.instances[n];
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

    pub(super) fn die(&mut self, n: usize, life: u64) {
        if self.instances[n].life != life || !self.instances[n].running || self.peace {
            return;
        }
        self.instances[n].running = false;
        self.instances[n].once = true;
        self.tell(n, Fact::Died { exit_code: 1 });
        if self.chance(60) {
            let rule = [0, 1, 3, 5, 6][self.below(5) as usize];
            self.fire(n, rule);
        }
        if self.chance(50) {
            self.plan(500, Plan::Start(n, life));
        }
    }

    pub(super) fn complain(&mut self, n: usize, life: u64) {
        if self.instances[n].life != life || !self.instances[n].running || self.peace {
            return;
        }
        let rule = [2, 4][self.below(2) as usize];
        self.fire(n, rule);
        self.plan(60_000, Plan::Complain(n, life));
    }

    pub(super) fn stop(&mut self, n: usize) {
        self.tell(n, Fact::Killed { signal: 15 });
        if self.instances[n].running {
            self.instances[n].running = false;
            self.tell(n, Fact::Died { exit_code: 143 });
        }
        self.tell(n, Fact::Stopped);
        self.instances[n].life += 1;
    }

    /// A new container takes over, at once or after it has been tried for a while.
    pub(super) fn deploy(&mut self, n: usize, release: u32, trial: Option<u64>) {
        self.stop(n);
        let time = self.host_time(self.instances[n].host);
        let thing = &mut self.instances[n];
        let old = std::mem::replace(&mut thing.release, release);
        if release > old {
            thing.older.push(old);
            thing.deployed_at = time;
        } else {
            thing.older.retain(|older| *older < release);
        }
        thing.once = false;
        thing.candidate = true;
        self.start(n);
        match trial {
            Some(after) => self.plan(after, Plan::TakeOver(n)),
            None => self.take_over(n),
        }
    }

    pub(super) fn take_over(&mut self, n: usize) {
        self.instances[n].candidate = false;
        self.tell_deployed(n);
        if self.chance(50) {
            self.tell_state(n);
        }
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

    pub(super) fn index(&self, host: &HostName, of: &AppName) -> usize {
        self.instances
            .iter()
            .position(|thing| Self::host(thing.host) == *host && self.app(thing.app) == *of)
            .expect("the supervisor knows no other places")
    }

    pub(super) fn finish(&mut self, action: &Action, outcome: ActionOutcome) {
        let n = self.index(&action.host, &action.app);
        let live = release(self.instances[n].release);
        let outcome = if self.reachable[self.instances[n].host] { outcome } else { ActionOutcome::Failed };
        let busy = live != action.release || self.instances[n].candidate;
        let outcome = if busy { ActionOutcome::Refused } else { outcome };
        if outcome == ActionOutcome::Done {
            self.apply(n, action.remedy);
        } else if outcome == ActionOutcome::Failed
            && self.chance(50)
            && self.reachable[self.instances[n].host]
        {
            self.stop(n);
        }
        let release = Some(release(self.instances[n].release));
        let ended =
            Input::ActionEnded { action: action.id, outcome, detail: "simulated".to_owned(), release };
        let after = self.below(3000);
        self.plan(after, Plan::Deliver(ended.clone()));
        if self.chance(10) {
            self.plan(after + 2000, Plan::Deliver(ended));
        }
    }

    pub(super) fn apply(&mut self, n: usize, remedy: Remedy) {
        match remedy {
            Remedy::Rollback => {
                if let Some(older) = self.instances[n].older.last().copied() {
                    self.deploy(n, older, None);
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
                    let ready = self.reachable[self.instances[n].host] && !self.instances[n].candidate;
                    if ready && release(self.instances[n].release) == action.release {
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
}

pub(super) fn millis(millis: i64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}
