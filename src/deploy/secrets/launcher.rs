//! What a container with secrets runs first, and how it is told to.

use super::super::error::Error;
use super::super::labels::Record;
use super::super::remote::Remote;
use super::keep::{FILES, LAUNCH, directory};
use crate::docker::{ContainerSpec, Image, Mount, MountKind};
use crate::fleet::{App, AppName, ReleaseId};

/// Where a container gets the launcher, and what it reads.
const BESIDE: &str = "/run/arcane";
/// The launcher.
const PROGRAM: &str = "/run/arcane/launch";
/// Where a container gets its secrets as files.
const SECRETS: &str = "/run/secrets";

/// The launchers that this arcane carries; empty where the toolchain that built it could not build one.
const LAUNCHERS: [(&str, &[u8]); 2] = [
    ("amd64", include_bytes!(concat!(env!("OUT_DIR"), "/launcher-amd64"))),
    ("arm64", include_bytes!(concat!(env!("OUT_DIR"), "/launcher-arm64"))),
];

/// With `shell` in it, the image's shell does what the launcher does. Never unasked: the helper is root of the host, and the
/// shell is whatever the image says it is.
const CHOICE: &str = "ARCANE_LAUNCHER";

/// What a container with secrets runs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Launcher {
    /// Our program.
    Program(&'static [u8]),
    /// A script for the shell of the image, which must have one, and what belongs to it.
    Shell,
}

/// The launcher for a host.
///
/// # Errors
/// [`Error::Preflight`] when there is none, and nobody has chosen the image's shell.
pub(in super::super) fn launcher(remote: &Remote) -> Result<Launcher, Error> {
    let architecture = &remote.engine.version().architecture;
    let found = LAUNCHERS.iter().find(|(of, program)| of == architecture && !program.is_empty());
    match found {
        _ if std::env::var_os(CHOICE).is_some_and(|choice| choice == "shell") => Ok(Launcher::Shell),
        Some((_, program)) => Ok(Launcher::Program(program)),
        None => Err(Error::Preflight {
            host: remote.name().clone(),
            why: format!(
                "this arcane was built without a launcher for {architecture}: build it with a toolchain that has the core \
                 library for that, or set {CHOICE}=shell, which trusts the image's own /bin/sh with root of the host"
            ),
        }),
    }
}

/// Makes a container of this image get the secrets of a release: mounted, and put into its environment by the launcher,
/// which runs what the image would have run. `spec.command` is the app's own, if it has one.
pub(super) fn dress(spec: &mut ContainerSpec, app: &AppName, release: &ReleaseId, image: &Image) {
    let mount = |part: &str, target: &str| Mount {
        kind: MountKind::Bind(format!("{}/{part}", directory(app, release))),
        target: target.to_owned(),
        read_only: true,
    };
    spec.mounts.extend([mount(LAUNCH, BESIDE), mount(FILES, SECRETS)]);
    // An empty word means none, to an engine.
    let own = image.entrypoint.iter().filter(|_| image.entrypoint.iter().any(|word| !word.is_empty()));
    spec.entrypoint = Some([PROGRAM.to_owned()].into_iter().chain(own.cloned()).collect());
    // With an entrypoint of our own, an engine would leave the image's command out.
    spec.command = Some(spec.command.take().unwrap_or_else(|| image.command.clone()));
    spec.healthcheck = healthcheck(image);
}

/// The image's `HEALTHCHECK`, with the same environment as the app.
fn healthcheck(image: &Image) -> Option<Vec<String>> {
    let word = |text: &str| text.to_owned();
    match image.healthcheck.split_first() {
        Some((kind, line)) if kind == "CMD-SHELL" => {
            let usual = || vec![word("/bin/sh"), word("-c")];
            let shell = if image.shell.is_empty() { usual() } else { image.shell.clone() };
            Some([vec![word("CMD"), word(PROGRAM)], shell, line.to_vec()].concat())
        }
        Some((kind, command)) if kind == "CMD" => {
            Some([vec![word("CMD"), word(PROGRAM)], command.to_vec()].concat())
        }
        _ => None,
    }
}

/// A command that somebody wants run in a container of the app, so that it has the app's environment.
#[must_use]
pub fn command(app: &App, command: &[String]) -> Vec<String> {
    let launcher = (!app.secrets.is_empty()).then(|| PROGRAM.to_owned());
    launcher.into_iter().chain(command.iter().cloned()).collect()
}

/// Whether a mount of a release's container is there for its secrets.
pub(in super::super) fn is_ours(record: &Record, target: &str, source: &str) -> bool {
    let part = match target {
        BESIDE => LAUNCH,
        SECRETS => FILES,
        _ => return false,
    };
    source == format!("{}/{part}", directory(&record.app.name, &record.release))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::sample::found;

    fn image(entrypoint: &[&str], command: &[&str], healthcheck: &[&str]) -> Image {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        Image {
            id: "sha256:1".to_owned(),
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            size: 0,
            tags: Vec::new(),
            layers: Vec::new(),
            has_healthcheck: !healthcheck.is_empty(),
            healthcheck: words(healthcheck),
            shell: Vec::new(),
            labels: Default::default(),
            entrypoint: words(entrypoint),
            command: words(command),
            created: None,
        }
    }

    #[test]
    fn a_container_runs_what_the_image_would_have_run() {
        let record = found("shop", 1, true).record;
        let (app, release) = (&record.app.name, &record.release);
        for (entrypoint, command, own, expected) in [
            (&[][..], &["serve"][..], None, "/run/arcane/launch | serve"),
            (&["/app"], &[], None, "/run/arcane/launch /app | "),
            (&["/app"], &["--port", "80"], None, "/run/arcane/launch /app | --port 80"),
            (&["/app"], &["--port", "80"], Some("--port 81"), "/run/arcane/launch /app | --port 81"),
            (&[""], &["serve"], None, "/run/arcane/launch | serve"),
            (&["sh", "-c", "a  b"], &[], None, "/run/arcane/launch sh -c a  b | "),
        ] {
            let command_of = |text: &str| text.split(' ').map(str::to_owned).collect();
            let mut spec = ContainerSpec { command: own.map(command_of), ..ContainerSpec::default() };
            dress(&mut spec, app, release, &image(entrypoint, command, &[]));
            let words = |words: Option<Vec<String>>| words.unwrap().join(" ");
            assert_eq!(format!("{} | {}", words(spec.entrypoint), words(spec.command)), expected);
            assert!(spec.mounts.iter().all(|mount| mount.read_only) && spec.healthcheck.is_none());
        }
    }

    #[test]
    fn a_healthcheck_has_the_same_environment() {
        for (declared, expected) in [
            (&["CMD", "curl", "x"][..], Some("CMD /run/arcane/launch curl x")),
            (&["CMD-SHELL", "curl $A"], Some("CMD /run/arcane/launch /bin/sh -c curl $A")),
            (&["NONE"], None),
            (&[], None),
        ] {
            let found = healthcheck(&image(&[], &[], declared));
            assert_eq!(found.map(|words| words.join(" ")).as_deref(), expected);
        }
        let shell = Image {
            shell: vec!["bash".to_owned(), "-ec".to_owned()],
            ..image(&[], &[], &["CMD-SHELL", "x"])
        };
        assert_eq!(healthcheck(&shell).unwrap().join(" "), "CMD /run/arcane/launch bash -ec x");
    }

    #[test]
    fn only_the_mounts_of_its_own_secrets_belong_to_a_release() {
        let record = found("shop", 1, true).record;
        let of = |release: &ReleaseId| format!("/run/arcane/shop/{release}/files");
        assert!(is_ours(&record, "/run/secrets", &of(&record.release)));
        let other = found("shop", 2, true).record;
        assert!(!is_ours(&record, "/run/secrets", &of(&other.release)));
        assert!(!is_ours(&record, "/run/secrets", "/etc"));
        assert!(!is_ours(&record, "/data", &of(&record.release)));
    }
}
