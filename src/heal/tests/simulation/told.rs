//! What the supervisor is told of the fleet: in order per host, sometimes late, sometimes twice, sometimes never.

use super::fleet::{Fleet, HOSTS, Plan};
use super::*;

impl Fleet {
    pub(super) fn observation(&self, n: usize, fact: Fact) -> Observation {
        let thing = &self.instances[n];
        let deployed = matches!(fact, Fact::Deployed { .. });
        Observation {
            at: self.host_time(thing.host),
            host: Self::host(thing.host),
            subject: (!deployed).then(|| Arc::new(self.subject(n))),
            freshness: Freshness::Live,
            fact,
        }
    }

    pub(super) fn subject(&self, n: usize) -> Subject {
        let thing = &self.instances[n];
        Subject {
            app: self.app(thing.app),
            release: release(thing.release),
            container: ContainerId(format!("{}-{}-{}", thing.host, thing.app, thing.release)),
            role: if thing.candidate { Role::Candidate } else { Role::Live },
            profile: crate::fleet::Profile::default(),
        }
    }

    pub(super) fn tell(&mut self, n: usize, fact: Fact) {
        // No two events of a host happen at the same instant.
        self.now += 1;
        let observation = self.observation(n, fact);
        let host = self.instances[n].host;
        if self.reachable[host] {
            self.send(host, observation);
        } else {
            self.lost.push(observation);
        }
    }

    pub(super) fn send(&mut self, host: usize, observation: Observation) {
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

    pub(super) fn tell_deployed(&mut self, n: usize) {
        if self.instances[n].candidate {
            return;
        }
        let deployment = self.deployment(n);
        self.tell(n, Fact::Deployed { deployment });
    }

    pub(super) fn deployment(&self, n: usize) -> Deployment {
        let thing = &self.instances[n];
        let previous = thing.older.last().map(|older| {
            let mut die = SplitMix::new(u64::from(*older) + 77);
            PreviousRelease {
                release: release(*older),
                spec: SpecDigest(format!(
                    "spec{}",
                    if die.next().is_multiple_of(8) { thing.release } else { *older }
                )),
                ran_for: Duration::from_secs(if die.next().is_multiple_of(5) { 30 } else { 90_000 }),
                across_migration: false,
            }
        });
        Deployment { previous, ..deployment(self.app(thing.app).as_str(), thing.release, thing.deployed_at) }
    }

    pub(super) fn tell_state(&mut self, n: usize) {
        let thing = &self.instances[n];
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
        if self.reachable[self.instances[n].host] {
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

    pub(super) fn read_host(&mut self, host: usize) {
        for n in 0..self.instances.len() {
            if self.instances[n].host == host {
                self.tell_deployed(n);
                self.tell_state(n);
            }
        }
    }

    pub(super) fn tell_host(&mut self, host: usize, fact: Fact) {
        let observation = Observation {
            at: self.host_time(host),
            host: Self::host(host),
            subject: None,
            freshness: Freshness::Live,
            fact,
        };
        self.send(host, observation);
    }

    pub(super) fn fire(&mut self, n: usize, rule: usize) {
        let subject = self.subject(n);
        let (name, class, state, ladder) = rules(rule);
        let signal = Signal {
            at: self.host_time(self.instances[n].host),
            rule: name.to_owned(),
            class,
            say: "simulated".to_owned(),
            host: Self::host(self.instances[n].host),
            app: subject.app,
            release: subject.release,
            container: subject.container,
            captures: BTreeMap::new(),
            evidence: vec![Evidence { at: self.host_time(0), text: format!("line {}", self.now) }],
            state_evidence: state,
            live: self.chance(90) && self.reachable[self.instances[n].host],
            ladder,
            verify: None,
            forbid: if self.chance(5) { vec![Remedy::Rollback] } else { Vec::new() },
            novelty: Vec::new(),
            on_fail: crate::fleet::OnFail::default(),
            dependents: Vec::new(),
        };
        let after = if self.chance(80) { self.below(500) } else { self.below(20_000) };
        self.plan(after, Plan::Deliver(Input::Signal(signal.clone())));
        if self.chance(10) {
            let after = self.below(900_000);
            self.plan(after, Plan::Deliver(Input::Signal(signal)));
        }
    }
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
