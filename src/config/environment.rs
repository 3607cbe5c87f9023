//! Environment variables, and what one environment (`--env staging`) changes about an app.

use std::collections::BTreeMap;

use super::report::Report;
use super::section::Field;
use super::target::{self, Target};
use crate::fleet::text::quoted;
use crate::fleet::{App, EnvironmentName, VariableName};

/// What `[app.NAME.environment.E]` changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlay {
    /// Variables added to the app's, or put in their place.
    pub(super) env: BTreeMap<VariableName, String>,
    /// The hosts and groups instead of the app's, when it says.
    pub(super) to: Option<Vec<Target>>,
}

impl Overlay {
    /// The app as it is in this environment.
    pub(super) fn over(&self, app: &App) -> App {
        let mut app = app.clone();
        app.env.extend(self.env.clone());
        if let Some(to) = &self.to {
            app.to = target::names(to);
        }
        app
    }
}

/// Reads the tables below `[app.NAME.environment]`.
pub(super) fn overlays(
    field: &Field<'_>,
    report: &mut Report<'_>,
    warnings: &mut Report<'_>,
) -> BTreeMap<EnvironmentName, Overlay> {
    let mut overlays = BTreeMap::new();
    for entry in field.entries(report) {
        let name = entry.name::<EnvironmentName>(report);
        let Some(mut section) = entry.section(report) else {
            continue;
        };
        let env = section.field("env");
        let to = section.field("to");
        let overlay = Overlay {
            env: env.map(|field| variables(&field, report, warnings)).unwrap_or_default(),
            to: to.map(|field| target::read(&field, report)),
        };
        section.finish(report);
        overlays.extend(name.map(|name| (name, overlay)));
    }
    overlays
}

/// Reads an `env`, and warns of variables that look like secrets.
pub(super) fn variables(
    field: &Field<'_>,
    report: &mut Report<'_>,
    warnings: &mut Report<'_>,
) -> BTreeMap<VariableName, String> {
    let mut variables = BTreeMap::new();
    for entry in field.entries(report) {
        let name = entry.name::<VariableName>(report);
        let value = entry.scalar(report);
        if value.as_ref().is_some_and(|value| value.contains('\0')) {
            entry.wrong(format!("{} holds a NUL, which no variable can", entry.called()), "", report);
        }
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if looks_secret(name.as_str()) && !value.is_empty() {
            let message = format!("{} looks like a secret", quoted(name.as_str()));
            let reason = "Docker stores `env` on the server's disk and shows it in `docker inspect`";
            warnings.add(&entry.key_span, message, reason);
        }
        variables.insert(name, value);
    }
    variables
}

/// Whether a variable of this name usually holds a secret. `…_FILE` holds the path of one, which is fine.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words = ["SECRET", "TOKEN", "PASSWORD", "PRIVATE_KEY", "API_KEY"];
    !name.ends_with("_FILE") && words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::looks_secret;

    #[test]
    fn secrets_are_recognised_by_their_names() {
        for name in ["DB_PASSWORD", "API_KEY", "stripe_secret", "GH_TOKEN", "TLS_PRIVATE_KEY", "PASSWORD"] {
            assert!(looks_secret(name), "{name}");
        }
        for name in ["LOG_LEVEL", "POSTGRES_PASSWORD_FILE", "KEY", "PUBLIC_KEY", "PORT"] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
