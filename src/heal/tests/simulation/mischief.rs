//! Mischief: what people and networks do to a fleet, at random; and peace, after which they do it no more.

use super::fleet::{Event, Fleet, HOSTS, Plan};
use super::*;

impl Fleet {
    pub(super) fn mischief(&mut self) {
        if self.peace {
            return;
        }
        let next = 1000 + self.below(120_000);
        self.plan(next, Plan::Mischief);
        let n = self.below(self.instances.len() as u64) as usize;
        let host = self.instances[n].host;
        match self.below(20) {
            _ if self.instances[n].candidate => {}
            0 | 1 => self.stop_by_hand(n),
            2 | 3 if !self.instances[n].running => self.start(n),
            4 | 5 => {
                self.releases += 1;
                let trial = self.below(20_000);
                self.deploy(n, self.releases, Some(trial));
            }
            6 | 7 if self.reachable[host] => self.cut(host),
            8 => self.pending_events.push(Event::Crash),
            9 => self.set_back += 1000 * self.below(4000) as i64,
            10 => {
                let app = self.chance(70).then(|| self.app(self.instances[n].app));
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

    pub(super) fn stop_by_hand(&mut self, n: usize) {
        self.stop(n);
        self.instances[n].stopped = true;
    }

    pub(super) fn cut(&mut self, host: usize) {
        self.reachable[host] = false;
        self.tell_host(host, Fact::HostUnreachable { reason: "cut".to_owned() });
        let after = self.below(900_000);
        self.plan(after, Plan::HostBack(host));
    }

    pub(super) fn host_back(&mut self, host: usize) {
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
