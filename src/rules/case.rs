//! The tests that rules carry, as they were read.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rule::Place;
use crate::fleet::{AppName, Fact, HostName, Profile, Stream};

/// A test that a rule carries.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) fires: usize,
    /// Each is played by itself and must fire as often.
    pub(super) scripts: Vec<Vec<Played>>,
    pub(super) setting: Setting,
    pub(super) surroundings: Surroundings,
    pub(super) captures: BTreeMap<String, String>,
    /// The app that every signal must be about.
    pub(super) target: Option<AppName>,
    /// Other rules that may fire as well.
    pub(super) also: Vec<String>,
    pub(super) place: Place,
}

/// The world that a test, or a log file that is being explained, plays in.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The app that writes the lines.
    pub app: AppName,
    /// Its host.
    pub host: HostName,
    /// How long ago its release was deployed.
    pub deploy_age: Duration,
    /// How long the release before ran; `None` when there is none.
    pub previous: Option<Duration>,
    /// Since when its process runs.
    pub uptime: Duration,
    /// Where it writes the lines.
    pub stream: Stream,
    /// What its container is.
    pub profile: Profile,
}

/// What else there is on a test's stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Surroundings {
    /// What the containers of other apps are; those that are not listed are nothing special.
    pub(super) profiles: BTreeMap<AppName, Profile>,
    /// How much time passes after the last step.
    pub(super) advance: Duration,
    /// Whether the log breaks off after the last step.
    pub(super) disconnected: bool,
}

/// A container of a test: of the app and on the host named, or of the test's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Actor {
    pub(super) host: Option<HostName>,
    pub(super) app: Option<AppName>,
}

/// Something that happens in a test.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Played {
    pub(super) at: Duration,
    /// Where, unless it is to the test's own app on its own host.
    pub(super) actor: Actor,
    pub(super) fact: Fact,
}
