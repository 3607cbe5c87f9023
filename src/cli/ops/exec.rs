//! `arcane exec`: a command inside an app's live container. Its exit code becomes ours.

use std::io::IsTerminal as _;

use futures_util::StreamExt as _;
use rustix::termios::{self, OptionalActions, Termios};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};

use super::context;
use crate::cli::args::{Arguments, Exec};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::remote::Pool;
use crate::deploy::{Error, secrets};
use crate::docker::{ExecControl, ExecOptions, Source};

pub(super) async fn run(ui: &Ui, arguments: &Arguments, options: &Exec) -> Result<u8, Failure> {
    let fleet = context::fleet(arguments)?;
    let on = options.on.as_ref().map(|host| host.as_str());
    let pool = Pool::new(ui.redactor());
    let hosts = context::places(&fleet, &pool, on, &options.app).await?.warn(ui)?;
    let [host] = &hosts[..] else {
        return Err(Failure::new(exit::USAGE, format!("{} runs on several hosts", options.app))
            .hint(format!("say on which with `--on`: {}", context::names(&hosts))));
    };
    let remote = pool.get(host).await?;
    let deployed = remote.app(&options.app).await?;
    let (Some(container), Some(live)) = (deployed.live, deployed.situation.live) else {
        return Err(Error::NotDeployed { app: options.app.clone(), host: host.name.clone() }.into());
    };
    let tty = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let command = secrets::command(&live.record.app, &options.command);
    let wanted = ExecOptions { command, stdin: true, tty, ..ExecOptions::default() };
    let exec = remote.engine.exec(&container.id.0, &wanted).await.map_err(Error::from)?;
    let raw = tty.then(RawTerminal::enter).flatten();
    let sizes = tty.then(|| tokio::spawn(follow_size(exec.control().clone())));
    let code = pass_through(exec).await;
    if let Some(sizes) = sizes {
        sizes.abort();
    }
    drop(raw);
    Ok(u8::try_from(code?).unwrap_or(exit::FAILED))
}

/// Passes both directions through until the command has closed its output.
async fn pass_through(mut exec: crate::docker::Exec) -> Result<i64, Failure> {
    let control = exec.control().clone();
    let (mut input, output) = (exec.input, &mut exec.output);
    let feeding = tokio::spawn(async move {
        let mut stdin = tokio::io::stdin();
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read) = stdin.read(&mut buffer).await {
            if read == 0 || input.write_all(&buffer[..read]).await.is_err() || input.flush().await.is_err() {
                break;
            }
        }
        let _ = input.shutdown().await;
    });
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let ended = async {
        while let Some(frame) = output.next().await {
            let frame = frame.map_err(Error::from)?;
            // The operator's own command, on the operator's own terminal: passed on as it is.
            let written = match frame.source {
                Source::Stderr => stderr.write_all(&frame.bytes).await.and(stderr.flush().await),
                _ => stdout.write_all(&frame.bytes).await.and(stdout.flush().await),
            };
            if written.is_err() {
                break;
            }
        }
        control.exit_code().await.map_err(Error::from)
    }
    .await;
    feeding.abort();
    Ok(ended?)
}

/// Tells the command the terminal's size, now and whenever it changes.
async fn follow_size(control: ExecControl) {
    let Ok(mut changed) = signal(SignalKind::window_change()) else { return };
    loop {
        if let Ok(size) = termios::tcgetwinsize(std::io::stdout()) {
            let _ = control.resize(size.ws_col, size.ws_row).await;
        }
        if changed.recv().await.is_none() {
            return;
        }
    }
}

/// The terminal in raw mode: keys go to the command as they are typed. Put back when dropped, on errors too.
struct RawTerminal(Termios);

impl RawTerminal {
    fn enter() -> Option<Self> {
        let before = termios::tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
