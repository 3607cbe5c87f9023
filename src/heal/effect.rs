//! Everything that the supervisor asks of its surroundings. Effects are carried out in order: a `Save` stands before
//! the `Act` that it records, and must be on disk before the action begins.

use std::fmt;

use crate::fleet::{AppName, HostName, Incident, IncidentId, ReleaseId, Remedy};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write this incident to the journal, over what was there under its id.
    Save(Incident),
    /// Carry this out and report [`super::Input::ActionEnded`].
    Act(Action),
    /// Read the app's state and deployment on this host anew, and feed both in as observations.
    Inspect {
        /// On this host.
        host: HostName,
        /// Of this app.
        app: AppName,
    },
    /// Write into the journal that an app is frozen: it holds here already, and must hold after a restart.
    Freeze {
        /// Which.
        app: AppName,
        /// Who froze it.
        by: String,
        /// Why.
        why: String,
    },
    /// Tell people.
    Announce(Announcement),
}

/// Names an action: the incident and the place of its record in it, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId {
    /// The incident.
    pub incident: IncidentId,
    /// The index of its record in [`Incident::actions`].
    pub index: usize,
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incident, self.index)
    }
}

/// An action to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Which.
    pub id: ActionId,
    /// For this incident.
    pub incident: IncidentId,
    /// On this host.
    pub host: HostName,
    /// To this app.
    pub app: AppName,
    /// What.
    pub remedy: Remedy,
    /// The release that is being cured. The action must refuse when another one is live by then.
    pub release: ReleaseId,
    /// The release to bring back, for a rollback.
    pub target: Option<ReleaseId>,
    /// Who decided: `auto`, or the person who approved.
    pub by: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// News for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Of this incident, if it belongs to one.
    pub incident: Option<IncidentId>,
    /// On this host, if it is about one.
    pub host: Option<HostName>,
    /// Of this app, if it is about one.
    pub app: Option<AppName>,
    /// What kind.
    pub news: News,
    /// In words.
    pub text: String,
}

/// The kinds of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum News {
    /// An incident was opened.
    Opened,
    /// A remedy is proposed, or waits for approval.
    Proposed,
    /// A remedy is held back until later.
    Waiting,
    /// A remedy begins.
    Acting,
    /// A remedy was carried out; now it must prove itself.
    Verifying,
    /// The symptom stayed away.
    Healed,
    /// The remedy failed, or the symptom came back.
    NotHealed,
    /// A human must look.
    Escalated,
    /// A request was refused by a guard.
    Refused,
    /// An incident was closed without us: dismissed, superseded, stopped by an operator.
    Closed,
    /// A signal was not taken up.
    Ignored,
    /// Healing was frozen.
    Frozen,
    /// Healing goes on.
    Thawed,
}
