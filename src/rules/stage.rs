//! The world that a rule's test plays in: the script's steps as observations, after those that set the scene.

use std::sync::Arc;
use std::time::Duration;

use super::case::{Actor, Played, Setting, Surroundings};
use crate::fleet::{
    AppName, ContainerId, Deployment, Fact, Freshness, HealPolicy, HealthState, HostName, LogState,
    Observation, PreviousRelease, ReleaseId, Role, SpecDigest, Subject, Timestamp,
};

/// When tests begin: some moment far from the epoch, so that ages can lie before it.
pub(super) const START: Timestamp = Timestamp::from_seconds(1_767_225_600);
/// How long a test's release must run to count as proved.
const PROVE: Duration = Duration::from_secs(600);

/// A container on the stage.
struct Player {
    host: HostName,
    subject: Arc<Subject>,
}

/// A stage: its setting, what else there is, and when the play begins.
#[derive(Clone, Copy)]
pub(super) struct Stage<'s> {
    pub(super) setting: &'s Setting,
    pub(super) surroundings: &'s Surroundings,
    pub(super) start: Timestamp,
}

/// What is observed of a script.
pub(super) fn observations(stage: Stage<'_>, script: &[Played]) -> Vec<Observation> {
    let mut players: Vec<Player> = Vec::new();
    enter(&mut players, stage, &Actor::default());
    let parts: Vec<usize> = script.iter().map(|step| enter(&mut players, stage, &step.actor)).collect();
    let mut observations: Vec<Observation> = players.iter().flat_map(|player| scene(player, stage)).collect();
    let played = script.iter().zip(parts);
    observations.extend(
        played.map(|(step, part)| players[part].observation(stage.start + step.at, fact(stage, &step.fact))),
    );
    if stage.surroundings.disconnected {
        let end = stage.start + script.last().map_or(Duration::ZERO, |step| step.at);
        let lost = |player: &Player| {
            player.observation(end, Fact::Log { state: LogState::Interrupted { since: end } })
        };
        observations.extend(players.iter().map(lost));
    }
    observations
}

/// A step's fact. A container that is looked at has run as long as the setting says, unless it was started since.
fn fact(stage: Stage<'_>, fact: &Fact) -> Fact {
    let mut fact = fact.clone();
    if let Fact::State { started_at: started_at @ None, .. } = &mut fact {
        *started_at = Some(stage.start - stage.setting.uptime);
    }
    fact
}

/// The number of the player of a part, who enters when it is new.
fn enter(players: &mut Vec<Player>, stage: Stage<'_>, actor: &Actor) -> usize {
    let setting = stage.setting;
    let host = actor.host.as_ref().unwrap_or(&setting.host);
    let app = actor.app.as_ref().unwrap_or(&setting.app);
    let known = players.iter().position(|player| player.host == *host && player.subject.app == *app);
    known.unwrap_or_else(|| {
        let number = players.len();
        players.push(Player { host: host.clone(), subject: Arc::new(subject(stage, app, number)) });
        number
    })
}

fn subject(stage: Stage<'_>, app: &AppName, number: usize) -> Subject {
    Subject {
        app: app.clone(),
        release: release(stage),
        container: ContainerId(format!("{number:064x}")),
        role: Role::Live,
        profile: if *app == stage.setting.app {
            stage.setting.profile.clone()
        } else {
            stage.surroundings.profiles.get(app).cloned().unwrap_or_default()
        },
    }
}

fn release(stage: Stage<'_>) -> ReleaseId {
    ReleaseId::new(stage.start - stage.setting.deploy_age, 0)
}

/// What is known of a container before the script begins.
fn scene(player: &Player, stage: Stage<'_>) -> [Observation; 3] {
    let (setting, start) = (stage.setting, stage.start);
    let deployed_at = start - setting.deploy_age;
    let deployment = Deployment {
        policy: HealPolicy::default(),
        app: player.subject.app.clone(),
        release: release(stage),
        deployed_at,
        spec: SpecDigest("1".repeat(64)),
        prove: PROVE,
        previous: setting.previous.map(|ran_for| PreviousRelease {
            release: ReleaseId::new(deployed_at - ran_for, 0),
            spec: SpecDigest("0".repeat(64)),
            ran_for,
            across_migration: false,
        }),
    };
    let state = Fact::State {
        running: true,
        started_at: Some(start - setting.uptime),
        restart_count: 0,
        health: HealthState::None,
    };
    let live = Fact::Log { state: LogState::Live };
    [Fact::Deployed { deployment }, state, live].map(|fact| player.observation(start, fact))
}

impl Player {
    fn observation(&self, at: Timestamp, fact: Fact) -> Observation {
        Observation {
            at,
            host: self.host.clone(),
            subject: Some(Arc::clone(&self.subject)),
            freshness: Freshness::Live,
            fact,
        }
    }
}
