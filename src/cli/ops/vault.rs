//! Where deploys get secrets from: the vault of the repository that arcane was started in.

use std::sync::OnceLock;

use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::vault as opener;
use crate::deploy::secrets::{Source, Unfit, Values, pin};
use crate::fleet::{App, EnvironmentName, VariableName};
use crate::secrets::{Contents, Identities, Vault};

/// The values of what an app declares, which is pinned to them. Without secrets no vault is looked for.
pub(super) fn values(
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
pub(super) struct VaultSource {
    vault: Result<Vault, String>,
    identities: OnceLock<Result<&'static Identities, String>>,
}

impl VaultSource {
    pub(super) fn new(arguments: &Arguments) -> Self {
        let vault = opener::vault(arguments).map_err(|error| error.to_string());
        Self { vault, identities: OnceLock::new() }
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
}

impl Source for VaultSource {
    fn values(&self, app: &App) -> Result<(Values, Vec<VariableName>), String> {
        let vault = self.vault.as_ref().map_err(Clone::clone)?;
        let versions = app.secrets.values().filter_map(|secret| secret.version.as_ref());
        let environment = versions.map(|version| &version.environment).next();
        let environment = environment.ok_or("the release does not say of which environment they are")?;
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
