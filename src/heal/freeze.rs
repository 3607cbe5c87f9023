//! Freezes: the switch that stops every action at once, of one app or of all.

use std::collections::BTreeMap;

use crate::fleet::AppName;

/// Who has frozen what.
#[derive(Debug, Default)]
pub(super) struct Freezes {
    everything: Option<String>,
    apps: BTreeMap<AppName, String>,
}

impl Freezes {
    /// Freezes an app, or everything.
    pub(super) fn freeze(&mut self, app: Option<AppName>, by: String) {
        match app {
            Some(app) => {
                self.apps.insert(app, by);
            }
            None => self.everything = Some(by),
        }
    }

    /// Takes a freeze back. Returns whether there was one.
    pub(super) fn thaw(&mut self, app: Option<&AppName>) -> bool {
        match app {
            Some(app) => self.apps.remove(app).is_some(),
            None => self.everything.take().is_some(),
        }
    }

    /// Who has frozen an app, if that one is.
    pub(super) fn by(&self, app: &AppName) -> Option<&str> {
        self.apps.get(app).map(String::as_str)
    }

    /// Why nothing may begin for an app, if so.
    pub(super) fn holds(&self, app: &AppName) -> Option<String> {
        if let Some(by) = &self.everything {
            return Some(format!("everything is frozen by {by}"));
        }
        let by = self.apps.get(app)?;
        Some(format!("{app} is frozen by {by}"))
    }
}
