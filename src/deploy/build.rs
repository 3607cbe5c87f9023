//! The image on this machine: built from the app's directory, or found in the local engine.

use std::process::Stdio;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use crate::docker::{Engine, Image};
use crate::fleet::{App, Source};

/// The image of an app, built first if that is what the app declares. The builder's output goes to this process's
/// standard error, where a person watches it.
///
/// # Errors
/// [`Error::Build`] when the build fails, [`Error::NoImage`] when there is no such image.
pub async fn image(local: &Engine, app: &App, cancel: &CancellationToken) -> Result<(Image, String), Error> {
    let name = name(app);
    if let Source::Build(directory) = &app.source {
        build(app, directory, &name, cancel).await?;
    }
    let image = local.image(&name).await?;
    image.map(|image| (image, name.clone())).ok_or(Error::NoImage { image: name })
}

/// The name of an app's image on this machine.
#[must_use]
pub fn name(app: &App) -> String {
    match &app.source {
        Source::Image(image) => image.to_string(),
        Source::Build(_) => format!("arcane/{}:latest", app.name),
    }
}

async fn build(
    app: &App,
    directory: &std::path::Path,
    tag: &str,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let fail = |why: String| Error::Build { app: app.name.clone(), why };
    // The build is Docker's own: BuildKit's session protocol is not part of the Engine API.
    let mut child = Command::new("docker")
        .args(["build", "--tag", tag, "--"])
        .arg(directory)
        .stdin(Stdio::null())
        // Standard output is kept for results.
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| fail(format!("cannot run `docker build`: {error}")))?;
    let status = tokio::select! {
        status = child.wait() => status.map_err(|error| fail(error.to_string()))?,
        () = cancel.cancelled() => {
            return Err(Error::Interrupted { state: "the build was stopped, nothing was changed".to_owned() });
        }
    };
    if status.success() {
        Ok(())
    } else {
        Err(fail(format!("`docker build` ended with {status}; its output is above")))
    }
}
