//! `arcane logs`: one stream from every host an app runs on, in the order of Docker's stamps within each container.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::context;
use super::unless;
use crate::cli::args::{self, Arguments};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::deploy::remote::Pool;
use crate::deploy::rollout::{AT_ONCE, on_each};
use crate::fleet::text::{printable, printable_block};
use crate::fleet::{Fact, Host, HostName, Observation, Role};
use crate::watch::{Options, Watcher};

/// How much of a line is shown in a terminal; `--json` carries all of it.
const LINE: usize = 16 * 1024;

pub(super) async fn run(
    ui: &Ui,
    arguments: &Arguments,
    options: &args::Logs,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let app = context::app_name(ui, arguments, options.app.as_ref())?;
    let fleet = context::fleet(arguments)?;
    let pool = Pool::new(ui.redactor());
    let places = unless(cancel, context::places(&fleet, &pool, options.to.as_deref(), &app)).await?;
    let left_out = !places.unknown.is_empty();
    let mut hosts = places.warn(ui)?;
    let several = hosts.len() > 1;
    let mut unreachable = false;
    if several {
        let away = unless(cancel, async { Ok(connect(&pool, &hosts).await) }).await?;
        // Who follows is told by the watcher, which goes on trying.
        for (host, reason) in away.into_iter().filter(|_| !options.follow) {
            warn_unreachable(ui, &host.name, &reason);
            hosts.retain(|other| other.name != host.name);
            unreachable = true;
        }
    }
    let watch = Options::logs_of(app, options.tail, options.follow);
    let (watcher, mut observations) = Watcher::start(hosts, pool, watch, cancel.clone());
    while let Some(observation) = observations.recv().await {
        unreachable |= matches!(observation.fact, Fact::HostUnreachable { .. });
        show(ui, options, several, &observation);
        if ui.is_gone() {
            cancel.cancel();
        }
    }
    watcher.join().await;
    Ok(match () {
        () if options.follow => exit::DONE,
        () if cancel.is_cancelled() => exit::INTERRUPTED,
        () if left_out || unreachable && several => exit::SOME_FAILED,
        () if unreachable => exit::UNREACHABLE,
        () => exit::DONE,
    })
}

/// Makes the connections that the watcher will want all at the same moment, some at a time. Returns the hosts to which
/// there is none.
async fn connect(pool: &Pool, hosts: &[Host]) -> Vec<(Host, String)> {
    let tries = on_each(hosts, AT_ONCE, |host| async move {
        let failed = pool.get(&host).await.err().map(|error| Failure::from(error).line());
        failed.map(|reason| (host, reason))
    });
    tries.await.into_iter().flatten().collect()
}

fn warn_unreachable(ui: &Ui, host: &HostName, reason: &str) {
    ui.tagged(Tag::Warning, &format!("{host} is unreachable: {}", printable(reason, LINE)));
}

fn show(ui: &Ui, options: &args::Logs, several: bool, observation: &Observation) {
    let Some(subject) = &observation.subject else {
        if let Fact::HostUnreachable { reason } = &observation.fact {
            warn_unreachable(ui, &observation.host, reason);
        }
        return;
    };
    match &observation.fact {
        Fact::Line { stream, text } if options.json => ui.json(&json!({
            "at": observation.at, "host": observation.host, "app": subject.app, "release": subject.release,
            "container": subject.container.short(), "stream": stream, "line": text,
        })),
        Fact::Line { text, .. } => {
            let mut line = String::new();
            if options.timestamps {
                line.push_str(&format!("{} ", observation.at));
            }
            if several {
                line.push_str(&format!("{} ", observation.host));
            }
            if subject.role == Role::Candidate {
                line.push_str("(being tried) ");
            }
            // Behind what stands before a line, no line of a trace can pass for another host's.
            let indent = if line.is_empty() { "" } else { "  " };
            line.push_str(&printable_block(text, LINE, indent));
            ui.out(&line);
        }
        Fact::Gap { reason } => {
            ui.tagged(Tag::Warning, &format!("lines are missing here: {}", printable(reason, LINE)))
        }
        _ => {}
    }
}
