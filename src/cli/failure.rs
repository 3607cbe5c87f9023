//! A command that failed: what happened, why, what to type next, and the exit code. The one place where errors of the
//! library become text.

use serde_json::json;

use super::exit;
use super::ui::{Tag, Ui};
use crate::config;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    /// Lines that belong to the failure and are shown as they are: a container's last words.
    details: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new(), hints: Vec::new(), details: Vec::new() }
    }

    /// From an error of the library, with all its causes.
    pub(crate) fn from_error(code: u8, error: &dyn std::error::Error) -> Self {
        let mut failure = Self::new(code, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            failure.causes.push(cause.to_string());
            source = cause.source();
        }
        failure
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    #[cfg(feature = "ops")]
    pub(crate) fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    pub(crate) const fn code(&self) -> u8 {
        self.code
    }

    /// The message with its causes, in one line.
    pub(crate) fn line(&self) -> String {
        std::iter::once(&self.message).chain(&self.causes).cloned().collect::<Vec<_>>().join(": ")
    }

    pub(crate) fn render(&self, ui: &Ui, as_json: bool) {
        if as_json {
            ui.json(&json!({ "error": self.to_json() }));
        }
        self.tell(ui);
    }

    /// A failure on one host of perhaps several: the line of JSON says which.
    #[cfg(feature = "ops")]
    pub(crate) fn render_about(
        &self,
        ui: &Ui,
        as_json: bool,
        host: &crate::fleet::HostName,
        app: &crate::fleet::AppName,
    ) {
        if as_json {
            ui.json(&json!({ "event": "failed", "host": host, "app": app, "error": self.to_json() }));
        }
        self.tell(ui);
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "code": self.code, "message": self.message, "causes": self.causes, "hints": self.hints,
            "details": self.details,
        })
    }

    fn tell(&self, ui: &Ui) {
        ui.tagged(Tag::Error, &self.message);
        for cause in &self.causes {
            ui.tagged(Tag::Cause, cause);
        }
        for detail in &self.details {
            ui.note(&format!("  | {detail}"));
        }
        for hint in &self.hints {
            ui.tagged(Tag::Hint, hint);
        }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        let hint = error.hint();
        let failure = Self::from_error(exit::USAGE, &error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<crate::git::Error> for Failure {
    fn from(error: crate::git::Error) -> Self {
        Self::from_error(exit::FAILED, &error)
    }
}

impl From<crate::secrets::Error> for Failure {
    fn from(error: crate::secrets::Error) -> Self {
        use crate::secrets::Error;
        let code = match &error {
            Error::NoVault { .. }
            | Error::NoEnvironment { .. }
            | Error::WhichEnvironment { .. }
            | Error::NoSecret { .. }
            | Error::NoMember { .. }
            | Error::Recipient(_) => exit::USAGE,
            Error::Busy { .. }
            | Error::LastReader { .. }
            | Error::TeamDiffers { .. }
            | Error::Older { .. }
            | Error::Seen { .. }
            | Error::Changed { .. } => exit::REFUSED,
            _ => exit::FAILED,
        };
        let hint = error.hint();
        let failure = Self::from_error(code, &error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(feature = "ops")]
impl From<crate::deploy::Error> for Failure {
    fn from(error: crate::deploy::Error) -> Self {
        use crate::deploy::Error;
        let code = match &error {
            Error::Ssh(error) if error.is_unreachable() => exit::UNREACHABLE,
            Error::Docker(error) if error.is_unreachable() => exit::UNREACHABLE,
            Error::LockHeld { .. }
            | Error::LockLost { .. }
            | Error::HolderSilent { .. }
            | Error::AcrossMigration { .. } => exit::REFUSED,
            Error::RolledBack(failed) if failed.interrupted => exit::INTERRUPTED,
            Error::RolledBack(_) => exit::ROLLED_BACK,
            Error::Interrupted { .. } => exit::INTERRUPTED,
            _ => exit::FAILED,
        };
        let hint = error.hint();
        let details = match &error {
            Error::RolledBack(failed) | Error::NotRestored { failure: failed, .. } => {
                failed.last_lines.clone()
            }
            Error::ReleaseCommand { last_lines, .. }
            | Error::BeforeHook { last_lines, .. }
            | Error::AfterHook { last_lines, .. } => last_lines.clone(),
            _ => Vec::new(),
        };
        let failure = Self::from_error(code, &error).details(details);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
