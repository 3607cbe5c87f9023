//! The image on this machine: built from the app's directory, or found in the local engine.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use crate::docker::{Engine, Image};
use crate::fleet::{App, Source};

/// The most bytes of a line of the builder's that are told at once.
const LINE: u64 = 16 * 1024;

/// Takes a line of the builder's output.
pub type Tell<'a> = &'a (dyn Fn(&str) + Sync);

/// The image of an app, built first if that is what the app declares. The builder's output goes to `tell`, or, when there
/// is none, to this process's standard error as it comes: only there does the builder show how far it is.
///
/// # Errors
/// [`Error::Build`] when the build fails, [`Error::NoImage`] when there is no such image.
pub async fn image(
    local: &Engine,
    app: &App,
    tell: Option<Tell<'_>>,
    cancel: &CancellationToken,
) -> Result<(Image, String), Error> {
    let name = name(app);
    if let Source::Build(directory) = &app.source {
        build(app, directory, tell, cancel).await?;
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
    tell: Option<Tell<'_>>,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let tag = &name(app);
    let fail = |why: String| Error::Build { app: app.name.clone(), why };
    // The build is Docker's own: BuildKit's session protocol is not part of the Engine API.
    let mut child = Command::new("docker")
        .args(["build", "--tag", tag, "--"])
        .arg(directory)
        .stdin(Stdio::null())
        // Standard output is kept for results.
        .stdout(if tell.is_some() { Stdio::piped() } else { std::io::stderr().into() })
        .stderr(if tell.is_some() { Stdio::piped() } else { Stdio::inherit() })
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| fail(format!("cannot run `docker build`: {error}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let pass_on = async {
            if let Some(tell) = tell {
                tokio::join!(lines(stdout, tell), lines(stderr, tell));
            }
        };
        let (status, ()) = tokio::join!(child.wait(), pass_on);
        status
    };
    let status = tokio::select! {
        status = ended => status.map_err(|error| fail(error.to_string()))?,
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

/// Passes a stream on by lines, until it ends.
async fn lines(stream: Option<impl AsyncRead + Unpin>, tell: Tell<'_>) {
    let Some(stream) = stream else { return };
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(read) = (&mut stream).take(LINE).read_until(b'\n', &mut line).await
        && read > 0
    {
        tell(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}
