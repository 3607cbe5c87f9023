//! Where deploys get secrets from: the vault of the repository that arcane was started in.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::context;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::vault as opener;
use crate::config::{self, Fleet, Project, config_home};
use crate::deploy::secrets::{Source, Unfit, Values, pin};
use crate::fleet::{App, EnvironmentName, Host, VariableName};
use crate::secrets::{Contents, Identities, Vault};

/// The values of what an app declares, which is pinned to them. Without secrets no vault is looked for.
pub(super) fn values(
    ui: &Ui,
    arguments: &Arguments,
    app: &mut App,
    environment: Option<&EnvironmentName>,
) -> Result<Values, Failure> {
    if app.secrets.is_empty() {
        return Ok(Values::default());
    }
    let vault = opener::vault(arguments)?;
    let environment = vault.environment(environment)?;
    let contents = vault.read(&environment, opener::keys()?)?;
    opener::warn_of_older(ui, &vault, &contents);
    let missing = missing(app, &contents);
    if !missing.is_empty() {
        return Err(contents.no_secret(missing).into());
    }
    pin(app, &contents);
    Values::of(app, &contents).map_err(unfit)
}

fn missing(app: &App, contents: &Contents) -> Vec<VariableName> {
    app.secrets.keys().filter(|name| !contents.secrets.contains_key(*name)).cloned().collect()
}

fn unfit(why: Unfit) -> Failure {
    let failure = Failure::from_error(exit::USAGE, &why);
    match why {
        Unfit::Nul(name) | Unfit::Large(name) => failure
            .hint(format!("name {name} in `secret_files` instead: the app finds it in /run/secrets/{name}")),
        Unfit::AllTooLarge => {
            failure.hint("name the largest in `secret_files`: the app finds them in /run/secrets")
        }
    }
}

/// The vault, for when secrets have to be brought again. Opened when that is so; a passphrase is asked for once.
///
/// What asks is a host: its labels name app, environment and secrets. Whoever may write labels there would otherwise get any
/// value out of this vault, or an app the values of another repository. So what is asked for must be what arcane.toml here
/// says that a push would bring to this very host.
pub(super) struct VaultSource {
    directory: PathBuf,
    fleet: Option<PathBuf>,
    vault: Result<Vault, String>,
    identities: OnceLock<Result<&'static Identities, String>>,
}

impl VaultSource {
    pub(super) fn new(arguments: &Arguments) -> Self {
        let vault = opener::vault(arguments).map_err(|error| error.to_string());
        let (directory, fleet) = (arguments.directory.clone(), arguments.fleet.clone());
        Self { directory, fleet, vault, identities: OnceLock::new() }
    }

    /// The same, with the keys at hand: a supervisor asks for no passphrase in the middle of the night.
    pub(super) fn ready(arguments: &Arguments) -> Self {
        let source = Self::new(arguments);
        if source.vault.is_ok() {
            source.keys();
        }
        source
    }

    fn keys(&self) -> &Result<&'static Identities, String> {
        self.identities.get_or_init(|| opener::keys().map_err(|error| error.to_string()))
    }

    /// Whether a push from here would bring these secrets there.
    fn may_have(
        &self,
        app: &App,
        environment: &EnvironmentName,
        is_only: bool,
        host: &Host,
    ) -> Result<(), String> {
        let name = &app.name;
        let text = |error: config::Error| Failure::from(error).line();
        let project = Project::find(&self.directory).map_err(text)?;
        let declared = project.app(name.as_str(), Some(environment)).map_err(text)?;
        if let Some(other) = app.secrets.keys().find(|secret| !declared.secrets.contains_key(*secret)) {
            return Err(format!("{name} in arcane.toml here declares no secret {other}"));
        }
        if !is_only && !project.says_where(name, environment) {
            return Err(format!(
                "the vault has several environments, and arcane.toml does not say which hosts get {environment}: add `to` to \
                 [app.{name}.environment.{environment}]"
            ));
        }
        let fleet =
            Fleet::find(self.fleet.as_deref(), &self.directory, config_home().as_deref()).map_err(text)?;
        let gates = context::targets(&fleet, None, &declared).map_err(|failure| failure.line())?;
        if gates.iter().flat_map(|gate| &gate.hosts).any(|target| target == host) {
            return Ok(());
        }
        Err(format!("arcane.toml here does not send {name} to {}; add it to `to`", host.name))
    }
}

impl Source for VaultSource {
    fn values(&self, app: &App, host: &Host) -> Result<(Values, Vec<VariableName>), String> {
        let vault = self.vault.as_ref().map_err(Clone::clone)?;
        let versions = app.secrets.values().filter_map(|secret| secret.version.as_ref());
        let environment = versions.map(|version| &version.environment).next();
        let environment = environment.ok_or("the release does not say of which environment they are")?;
        let known = vault.environments().map_err(|error| error.to_string())?;
        self.may_have(app, environment, known.len() == 1, host)?;
        let identities = self.keys().as_ref().map_err(Clone::clone)?;
        let contents = vault.read(environment, identities).map_err(|error| error.to_string())?;
        if let [first, ..] = &missing(app, &contents)[..] {
            return Err(format!("{environment} holds no {first} any more"));
        }
        let values = Values::of(app, &contents).map_err(|error| error.to_string())?;
        let mut now = app.clone();
        pin(&mut now, &contents);
        let newer = app.secrets.iter().filter(|(name, secret)| now.secrets.get(*name) != Some(secret));
        Ok((values, newer.map(|(name, _)| name.clone()).collect()))
    }
}
