//! What is to be done about an app with two slots, by what runs in them and where Caddy leads. Pure.
//!
//! What Caddy leads to is what serves, whatever its name: it is never stopped here. From that everything else follows.
//! If Caddy leads to the candidate, the swap has happened, and what is left is to give names and let the release before
//! finish; that is how a swap ends when nothing goes wrong, too. If it leads to the release before, the swap has not
//! happened, and the candidate goes. So a change that was cut off on whatever line has one way to go on, and the way may
//! itself be cut off anywhere.

use super::situation::{Found, Situation, back_name, kept_name, old_name};
use crate::fleet::{AppName, ContainerId, ReleaseId};

/// One change on the way to a settled state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mend {
    /// Make file and Caddy lead to this slot.
    Route(u16),
    /// Start what should serve.
    Start(ContainerId),
    /// Give a container a name.
    Rename(ContainerId, String),
    /// Let a container finish what it answers on its port, then stop it.
    Retire(ContainerId),
    /// Stop and remove a release that never served, with its image.
    Discard(ContainerId, ReleaseId),
    /// Remove a container whose release is there once more.
    Remove(ContainerId),
}

/// Caddy leads to a kept release, which no change of ours leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dispute {
    /// The slot.
    pub(super) port: u16,
    /// The container there.
    pub(super) container: String,
}

/// Where Caddy leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Routed {
    /// The two slots.
    pub(super) ports: [u16; 2],
    /// The slot that the file says.
    pub(super) file: u16,
    /// The slot that the running Caddy leads to; `None` when no Caddy runs.
    pub(super) running: Option<u16>,
}

/// The changes that settle the situation, in order; none when it is settled.
pub(super) fn mends(app: &AppName, situation: &Situation, routed: Routed) -> Result<Vec<Mend>, Dispute> {
    let serves = |found: &&Found| found.running && found.record.host_port() == routed.running;
    // A candidate without a slot is one of a smart swap, and was never led to.
    let candidate = situation.candidate.as_ref().filter(|it| it.record.slot.is_some()).filter(serves);
    if let (Some(candidate), Some(port)) = (candidate, routed.running) {
        return Ok(forward(app, situation, candidate, routed, port));
    }
    let before = situation.live.as_ref().or(situation.old.as_ref());
    let elsewhere = situation.restorable().filter(|found| Some(&found.id) != before.map(|before| &before.id));
    if let (Some(kept), Some(port)) = (elsewhere.into_iter().find(serves), routed.running) {
        return Err(Dispute { port, container: kept.name.clone() });
    }
    Ok(back(app, situation, before, routed))
}

/// Whether anything was cut off, as far as the containers show.
pub(super) fn unsettled(situation: &Situation) -> bool {
    situation.candidate.is_some()
        || situation.live.is_none() && situation.old.is_some()
        || situation.restorable().any(|found| found.running)
}

/// The candidate serves: it gets the app's name, and the release before is let go.
fn forward(app: &AppName, situation: &Situation, candidate: &Found, routed: Routed, port: u16) -> Vec<Mend> {
    let mut mends = route(routed, port);
    if let Some(live) = &situation.live {
        if let Some(old) = &situation.old {
            mends.push(if situation.has_twice(&old.record.release) {
                Mend::Remove(old.id.clone())
            } else {
                Mend::Rename(old.id.clone(), kept_name(app, &old.record.release))
            });
        }
        mends.push(Mend::Rename(live.id.clone(), old_name(app)));
    }
    mends.push(Mend::Rename(candidate.id.clone(), app.to_string()));
    let others = situation.live.iter().chain(situation.restorable());
    let gone =
        |id: &ContainerId| mends.iter().any(|mend| matches!(mend, Mend::Remove(removed) if removed == id));
    let running: Vec<_> = others
        .filter(|other| other.running && !gone(&other.id))
        .map(|other| Mend::Retire(other.id.clone()))
        .collect();
    mends.extend(running);
    mends
}

/// The candidate does not serve: it goes, and what was live before stays so, or runs again.
fn back(app: &AppName, situation: &Situation, before: Option<&Found>, routed: Routed) -> Vec<Mend> {
    let home = before.and_then(|before| before.record.host_port()).filter(|home| routed.ports.contains(home));
    // Without a release on a slot there is only the file to be made to say what Caddy does.
    let leads = home.or(routed.running).map(|port| route(routed, port)).unwrap_or_default();
    let runs = before.is_some_and(|before| before.running);
    let mut mends = if runs { leads.clone() } else { Vec::new() };
    mends.extend(situation.candidate.iter().flat_map(|candidate| dismiss(app, candidate)));
    if !runs {
        let start = before.filter(|_| unsettled(situation)).map(|before| Mend::Start(before.id.clone()));
        mends.extend(start.into_iter().chain(leads));
    }
    if let (None, Some(old)) = (&situation.live, &situation.old) {
        mends.push(Mend::Rename(old.id.clone(), app.to_string()));
    }
    let running = situation.restorable().filter(|found| found.running);
    let spare = running.filter(|found| Some(&found.id) != before.map(|before| &before.id));
    mends.extend(spare.map(|found| Mend::Retire(found.id.clone())));
    mends
}

/// A candidate that does not serve: a new one is removed, one that was being brought back is kept again.
fn dismiss(app: &AppName, candidate: &Found) -> Vec<Mend> {
    let (id, release) = (candidate.id.clone(), candidate.record.release.clone());
    if candidate.name != back_name(app) {
        return vec![Mend::Discard(id, release)];
    }
    let retire = candidate.running.then(|| Mend::Retire(id.clone()));
    retire.into_iter().chain([Mend::Rename(id, kept_name(app, &release))]).collect()
}

/// What makes file and Caddy lead to a port, if they do not.
fn route(routed: Routed, port: u16) -> Vec<Mend> {
    let leads = routed.file == port && routed.running.is_none_or(|running| running == port);
    if leads { Vec::new() } else { vec![Mend::Route(port)] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::sample::found;
    use crate::deploy::situation::new_name;

    const A: u16 = 8001;
    const B: u16 = 8002;

    fn name() -> AppName {
        AppName::parse("shop").unwrap()
    }

    fn slotted(name: &str, release: u16, running: bool, slot: u16) -> Found {
        let mut found = found(name, release, running);
        found.record.slot = Some(slot);
        found
    }

    /// A host with two slots and a Caddy, in memory: it refuses what a real one would.
    #[derive(Debug, Clone)]
    struct Model {
        containers: Vec<Found>,
        file: u16,
        running: Option<u16>,
    }

    impl Model {
        fn find(&mut self, id: &ContainerId) -> &mut Found {
            self.containers.iter_mut().find(|found| found.id == *id).unwrap()
        }

        fn mends(&self) -> Vec<Mend> {
            let situation = Situation::of(&name(), self.containers.clone());
            mends(&name(), &situation, Routed { ports: [A, B], file: self.file, running: self.running })
                .unwrap()
        }

        fn apply(&mut self, mend: &Mend) {
            match mend {
                Mend::Route(port) => {
                    self.file = *port;
                    self.running = self.running.map(|_| *port);
                }
                Mend::Start(id) => {
                    let port = self.find(id).record.host_port();
                    let taken = self.containers.iter().any(|it| it.running && it.record.host_port() == port);
                    assert!(!taken, "the port is taken");
                    self.find(id).running = true;
                }
                Mend::Rename(id, to) => {
                    assert!(self.containers.iter().all(|it| it.name != *to), "the name {to} is taken");
                    self.find(id).name.clone_from(to);
                }
                Mend::Retire(id) => self.find(id).running = false,
                Mend::Discard(id, _) => self.containers.retain(|it| it.id != *id),
                Mend::Remove(id) => {
                    assert!(!self.find(id).running, "a running container cannot be removed");
                    self.containers.retain(|it| it.id != *id);
                }
            }
        }

        /// Somebody runs where Caddy leads.
        fn serves(&self) -> bool {
            let port = self.running.unwrap_or(self.file);
            self.containers.iter().any(|it| it.running && it.record.host_port() == Some(port))
        }
    }

    type Step = Box<dyn Fn(&mut Model)>;

    /// A swap as it is made, up to where Caddy leads to the candidate. What comes then are mends.
    fn swap(candidate: Found, slot: u16) -> Vec<Step> {
        let id = candidate.id.clone();
        let started = id.clone();
        vec![
            Box::new(move |m| match m.containers.iter_mut().find(|it| it.id == candidate.id) {
                Some(kept) => kept.name.clone_from(&candidate.name),
                None => m.containers.push(candidate.clone()),
            }),
            Box::new(move |m| m.apply(&Mend::Start(started.clone()))),
            Box::new(move |m| m.file = slot),
            Box::new(move |m| m.running = m.running.map(|_| slot)),
        ]
    }

    #[test]
    fn a_swap_cut_off_anywhere_goes_on_one_way_and_something_always_serves() {
        let live = slotted("shop", 2, true, A);
        let old = slotted("shop_old", 1, false, B);
        let smart = found("shop", 2, true);
        let hosts = [
            ("two releases", vec![live.clone(), old.clone()]),
            ("one release", vec![live]),
            ("from a smart swap", vec![smart]),
        ];
        let candidates = [
            ("push", slotted("shop_new", 3, false, B)),
            ("rollback", slotted("shop_back", 1, false, B)),
            ("redeploy", Found { id: ContainerId("f".repeat(64)), ..slotted("shop_new", 2, false, B) }),
        ];
        for (host, containers) in &hosts {
            for (what, candidate) in &candidates {
                if *what == "rollback" && containers.len() < 2 {
                    continue;
                }
                let mut start = Model { containers: containers.clone(), file: A, running: Some(A) };
                if containers[0].record.slot.is_none() {
                    start.containers[0].record.app.publish = Some(A);
                }
                let steps = swap(candidate.clone(), B);
                for cut in 0..=steps.len() {
                    let mut cut_off = start.clone();
                    for step in &steps[..cut] {
                        step(&mut cut_off);
                        assert!(cut_off.serves());
                    }
                    let first = cut_off.mends();
                    // The mending may be cut off, too.
                    for done in 0..=first.len() {
                        let mut host_now = cut_off.clone();
                        for mend in &first[..done] {
                            host_now.apply(mend);
                            assert!(host_now.serves(), "{host}, {what}, cut {cut}, after {mend:?}");
                        }
                        for mend in host_now.mends() {
                            host_now.apply(&mend);
                            assert!(
                                host_now.serves(),
                                "{host}, {what}, cut {cut}, {done} done, after {mend:?}"
                            );
                        }
                        let context = format!("{host}, {what}, cut {cut}, {done} mends done: {host_now:?}");
                        assert_eq!(host_now.mends(), [], "{context}");
                        let settled = Situation::of(&name(), host_now.containers.clone());
                        assert!(!unsettled(&settled), "{context}");
                        let live = settled.live.as_ref().expect(&context);
                        let forward = cut == steps.len();
                        assert_eq!(live.id == candidate.id, forward, "{context}");
                        assert_eq!(live.record.host_port(), Some(host_now.file), "{context}");
                        assert_eq!(Some(host_now.file), host_now.running, "{context}");
                        assert_eq!(
                            host_now.containers.iter().filter(|it| it.running).count(),
                            1,
                            "{context}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_candidate_that_caddy_leads_to_but_that_died_gives_way_to_the_release_before() {
        let containers = vec![slotted("shop", 2, true, A), slotted("shop_new", 3, false, B)];
        let mut host = Model { containers, file: B, running: Some(B) };
        let mends = host.mends();
        assert_eq!(mends[0], Mend::Route(A));
        mends.iter().for_each(|mend| host.apply(mend));
        assert!(host.serves() && host.mends().is_empty());
    }

    #[test]
    fn without_a_caddy_the_release_before_stays() {
        let containers = vec![slotted("shop", 2, true, A), slotted(&new_name(&name()), 3, true, B)];
        let mut host = Model { containers, file: B, running: None };
        host.mends().iter().for_each(|mend| host.apply(mend));
        assert_eq!((host.file, host.containers.len(), host.serves()), (A, 1, true));
    }

    #[test]
    fn a_first_release_that_was_cut_off_goes_and_the_file_says_what_caddy_does() {
        let containers = vec![slotted("shop_new", 1, true, B)];
        let mut host = Model { containers, file: B, running: Some(A) };
        host.mends().iter().for_each(|mend| host.apply(mend));
        assert_eq!((host.file, host.running, host.containers.len()), (A, Some(A), 0));
        assert_eq!(host.mends(), []);
    }

    #[test]
    fn what_is_stopped_and_was_not_touched_stays_stopped() {
        let containers = vec![slotted("shop", 2, false, A), slotted("shop_old", 1, false, B)];
        let host = Model { containers, file: A, running: Some(A) };
        assert_eq!(host.mends(), []);
    }

    #[test]
    fn a_kept_release_that_caddy_leads_to_is_a_question_for_a_human() {
        let situation =
            Situation::of(&name(), [slotted("shop", 2, true, A), slotted("shop_old", 1, true, B)]);
        let routed = Routed { ports: [A, B], file: B, running: Some(B) };
        let dispute = Dispute { port: B, container: "shop_old".to_owned() };
        assert_eq!(mends(&name(), &situation, routed), Err(dispute));
    }
}
