//! Commands that talk to servers. One runtime, one cancellation token: the first Ctrl-C asks everything to stop
//! cleanly, the second one ends the process.

mod context;
mod doctor;
mod doctor_secrets;
mod exec;
mod incidents;
mod init;
mod labelled;
mod logs;
mod masking;
mod meter;
mod plan;
mod prune;
mod push;
mod record;
mod releases;
mod rollback;
mod rollout;
pub(super) mod rules;
mod sequence;
mod status;
mod steps;
mod supervise;
mod unlock;
mod vault;
mod way_back;

use tokio_util::sync::CancellationToken;

use super::args::{Arguments, Command};
use super::exit;
use super::failure::Failure;
use super::ui::Ui;

/// Runs a command to its end.
pub(super) fn run(ui: &Ui, arguments: &Arguments, command: &Command) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::BUG, format!("cannot start the async runtime: {error}")))?;
    masking::begin(ui, arguments, command);
    let cancel = CancellationToken::new();
    let result = runtime.block_on(async {
        tokio::spawn(watch_signals(cancel.clone()));
        dispatch(ui, arguments, command, &cancel).await
    });
    // What still sits on other threads (a compressor, a read of the terminal) must not keep the process alive.
    runtime.shutdown_background();
    result
}

async fn dispatch(
    ui: &Ui,
    arguments: &Arguments,
    command: &Command,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    match command {
        Command::Push(options) => push::run(ui, arguments, options, cancel).await,
        Command::Init(options) => init::run(ui, arguments, &options.site, cancel).await,
        Command::Rollback(options) => rollback::run(ui, arguments, options, cancel).await,
        Command::Prune(options) => prune::run(ui, arguments, options, cancel).await,
        Command::Releases(options) => unless(cancel, releases::run(ui, arguments, options)).await,
        Command::Status(options) => unless(cancel, status::run(ui, arguments, options)).await,
        Command::Logs(options) => logs::run(ui, arguments, options, cancel).await,
        // In a terminal, a typed Ctrl-C goes to the command there, and this sees none of it.
        Command::Exec(options) => unless(cancel, exec::run(ui, arguments, options)).await,
        Command::Unlock(options) => unless(cancel, unlock::run(ui, arguments, options)).await,
        Command::Doctor(options) => unless(cancel, doctor::run(ui, arguments, options)).await,
        Command::Watch(options) => supervise::watch(ui, arguments, options, cancel).await,
        Command::Heal(options) => supervise::heal(ui, arguments, options, cancel).await,
        Command::Record(options) => record::run(ui, arguments, options, cancel).await,
        Command::Incidents(options) => incidents::list(ui, options),
        Command::Approve(options) => incidents::approve(ui, arguments, options, cancel).await,
        Command::Dismiss(options) => incidents::dismiss(ui, options),
        Command::Freeze(options) => incidents::freeze(ui, options),
        Command::Thaw(options) => incidents::thaw(ui, options),
        Command::Rules(command) => rules::run(ui, arguments, command),
        Command::Secrets(_)
        | Command::Team(_)
        | Command::Git(_)
        | Command::Scan(_)
        | Command::Run(_)
        | Command::Config(_)
        | Command::Completions { .. }
        | Command::Man => {
            Err(Failure::new(exit::BUG, "this command needs no server and was dispatched as if it did"))
        }
    }
}

/// Work that leaves nothing half-done when it is dropped: given up as soon as the operator interrupts.
async fn unless<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        result = work => result,
        () = cancel.cancelled() => Err(Failure::new(exit::INTERRUPTED, "interrupted")),
    }
}

/// Turns the first Ctrl-C or SIGTERM into a cancellation. The second one ends the process at once; the deploy lock is
/// then freed by the host, and the next push repairs what is left.
///
/// A terminal that is closed (SIGHUP) cancels too, however often it says so: a shell and the kernel both do. A process
/// that was told to outlive its terminal, as `nohup` tells it, does.
async fn watch_signals(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let outlives_terminal = std::fs::read_to_string("/proc/self/status").is_ok_and(|it| ignores_hangup(&it));
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut hangup = if outlives_terminal { None } else { signal(SignalKind::hangup()).ok() };
    loop {
        let gone = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = gone => {
                cancel.cancel();
                continue;
            }
        }
        if cancel.is_cancelled() {
            abort();
        }
        cancel.cancel();
    }
}

/// Whether a process ignores SIGHUP, by its `/proc/self/status`. To be asked before a handler is installed.
fn ignores_hangup(status: &str) -> bool {
    const SIGHUP: u64 = 1;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & SIGHUP != 0)
}

#[expect(clippy::exit, reason = "the operator asked twice")]
fn abort() {
    std::process::exit(i32::from(exit::INTERRUPTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_only_looks_ends_at_the_first_interruption() {
        let cancel = CancellationToken::new();
        assert_eq!(unless(&cancel, async { Ok(3) }).await.unwrap(), 3);
        cancel.cancel();
        let ended = unless(&cancel, std::future::pending::<Result<u8, Failure>>()).await;
        assert_eq!(ended.unwrap_err().code(), exit::INTERRUPTED);
    }

    #[test]
    fn a_process_under_nohup_is_known_by_its_mask() {
        for (status, ignores) in [
            ("Name:\tarcane\nSigIgn:\t0000000000000001\n", true),
            ("SigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n", true),
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", false),
            ("SigIgn:\tnonsense\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hangup(status), ignores, "{status:?}");
        }
    }
}
