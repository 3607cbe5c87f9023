//! One approval that this process carries out itself, because no supervisor is running that could: it is handed in
//! once the app was seen on its host, and the process ends when the incident needs it no more.

use std::time::Duration;

use tokio::time::Instant;

use super::effect::{Announcement, News};
use super::input::Input;
use super::shell::{Error, input};
use crate::fleet::{AppName, Fact, HostName, Incident, IncidentId, IncidentState, Observation};
use crate::journal::DecisionRecord;

/// How long the app's host may take to show the app.
const SIGHT: Duration = Duration::from_secs(90);
/// How long the whole may take: an action, its proof, and a lock that is waited for.
const WHOLE: Duration = Duration::from_secs(3600);

/// An approval on its way.
#[derive(Debug)]
pub(super) struct Errand {
    approval: DecisionRecord,
    place: Option<(HostName, AppName)>,
    begun: Instant,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is known of the app yet; approved now, it would be refused.
    Blind,
    /// The app was seen.
    Sighted,
    /// The supervisor has the approval.
    Given,
    /// A guard has refused it.
    Refused(String),
    /// The host cannot be reached.
    Unreachable(String),
}

impl Errand {
    /// An approval to carry out, of this incident if the supervisor knows it.
    pub(super) fn new(approval: DecisionRecord, incident: Option<&Incident>) -> Self {
        let place = incident.map(|incident| (incident.host.clone(), incident.app.clone()));
        // The supervisor refuses what it does not know; there is nothing to wait for.
        let stage = if place.is_some() { Stage::Blind } else { Stage::Sighted };
        Self { approval, place, begun: Instant::now(), stage }
    }

    /// The incident it is about.
    pub(super) fn incident(&self) -> IncidentId {
        self.approval.incident
    }

    /// Takes in what a host shows.
    pub(super) fn see(&mut self, seen: &Observation) {
        let Some((host, app)) = &self.place else { return };
        if self.stage != Stage::Blind || seen.host != *host {
            return;
        }
        match &seen.fact {
            Fact::Deployed { deployment } if deployment.app == *app => self.stage = Stage::Sighted,
            Fact::HostUnreachable { reason } => self.stage = Stage::Unreachable(reason.clone()),
            _ => {}
        }
    }

    /// The approval, once, when it is time to hand it in.
    pub(super) fn due(&mut self) -> Option<Input> {
        if self.stage != Stage::Sighted {
            return None;
        }
        self.stage = Stage::Given;
        Some(input(self.approval.clone()))
    }

    /// Takes in what the supervisor says.
    pub(super) fn hear(&mut self, said: &Announcement) {
        let ours = said.incident == Some(self.approval.incident) && said.news == News::Refused;
        if ours && self.stage == Stage::Given {
            self.stage = Stage::Refused(said.text.clone());
        }
    }

    /// Whether the incident has come to an end or needs a human.
    ///
    /// # Errors
    /// When it cannot come to that.
    pub(super) fn is_over(&self, incident: Option<&Incident>) -> Result<bool, Error> {
        use IncidentState::{Acting, Verifying, Waiting};
        let id = self.approval.incident;
        let late = |limit| self.begun.elapsed() >= limit;
        match (&self.stage, &self.place) {
            (Stage::Refused(reason), _) => Err(Error::Refused { reason: reason.clone() }),
            (Stage::Unreachable(reason), Some((host, _))) => {
                let reason = crate::fleet::text::printable(reason, 500);
                Err(Error::Unreachable { host: host.clone(), reason })
            }
            (Stage::Blind, Some((host, app))) if late(SIGHT) => {
                Err(Error::Unseen { app: app.clone(), host: host.clone(), waited: SIGHT })
            }
            (Stage::Given, _) => match incident.map(|incident| incident.state) {
                Some(Acting | Verifying | Waiting) if late(WHOLE) => {
                    Err(Error::Unsettled { incident: id, waited: WHOLE })
                }
                state => Ok(!matches!(state, Some(Acting | Verifying | Waiting))),
            },
            _ => Ok(false),
        }
    }
}
