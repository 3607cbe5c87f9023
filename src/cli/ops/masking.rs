//! Which values are masked: those of the vault around the working directory, of every environment that can be opened
//! without asking anybody anything.

use crate::cli::args::{Arguments, Command};
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::cli::vault;
use crate::fleet::{EnvironmentName, VariableName};
use crate::secrets::{Contents, Error, Redactor};

/// Masks what this command shows from now on.
pub(super) fn begin(ui: &Ui, arguments: &Arguments, command: &Command) {
    let (redactor, problems) = redactor(arguments);
    ui.set_redactor(redactor);
    if shows_logs(command) {
        tell(ui, &problems);
    }
}

/// Masks what can be read now, of a command that may have asked for a passphrase since it began.
pub(super) fn renew(ui: &Ui, arguments: &Arguments) {
    let (redactor, problems) = redactor(arguments);
    ui.set_redactor(redactor);
    tell(ui, &problems);
}

/// Says what is not masked. A command goes on all the same: what a server says may be needed most when a key is not at
/// hand.
fn tell(ui: &Ui, problems: &[(String, String)]) {
    for (of, why) in problems {
        ui.tagged(Tag::Warning, &format!("values{of} are not masked: {why}"));
    }
}

/// Whether a command shows or keeps what apps and their commands write, and asks for no passphrase before it does; who
/// asks, renews.
const fn shows_logs(command: &Command) -> bool {
    matches!(
        command,
        Command::Rollback(_)
            | Command::Status(_)
            | Command::Logs(_)
            | Command::Watch(_)
            | Command::Record(_)
            | Command::Incidents(_)
    )
}

/// What masks the values that can be read, and of what values there is nothing to mask them by, and why.
fn redactor(arguments: &Arguments) -> (Redactor, Vec<(String, String)>) {
    let all = |error: Error| vec![(String::new(), brief(error))];
    let vault = match vault::vault(arguments) {
        Ok(vault) => vault,
        Err(Error::NoVault { .. }) => return (Redactor::default(), Vec::new()),
        Err(error) => return (Redactor::default(), all(error)),
    };
    let environments = match vault.environments() {
        Ok(environments) if environments.is_empty() => return (Redactor::default(), Vec::new()),
        Ok(environments) => environments,
        Err(error) => return (Redactor::default(), all(error)),
    };
    // A passphrase is not asked for: a log may be read by nobody but a pipe.
    let identities = match vault::keys_unasked() {
        Ok(identities) => identities,
        Err(error) => return (Redactor::default(), all(error)),
    };
    let (mut opened, mut problems) = (Vec::new(), Vec::new());
    for environment in environments {
        match vault.read(&environment, identities) {
            Ok(contents) => opened.push(contents),
            Err(error) => problems.push((of(&environment), brief(error))),
        }
    }
    let values = opened.iter().flat_map(|contents: &Contents| {
        contents.secrets.iter().map(|(name, secret): (&VariableName, _)| (name, &secret.value))
    });
    let redactor = Redactor::new(values).unwrap_or_else(|| {
        problems.push((String::new(), "there are more than can be looked for".to_owned()));
        Redactor::default()
    });
    (redactor, problems)
}

fn of(environment: &EnvironmentName) -> String {
    format!(" of {environment}")
}

/// Why an environment cannot be opened, in a line.
fn brief(error: Error) -> String {
    match error {
        Error::NotForUs { .. } => "none of the keys at hand opens it".to_owned(),
        Error::NoPassphrase => "the key has a passphrase, which is not asked for here".to_owned(),
        error => Failure::from(error).line(),
    }
}
