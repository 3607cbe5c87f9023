//! `arcane init --caddy`: the site block through which Caddy leads to an app's slots, written where it is missing.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{context, unless};
use crate::cli::args::{Arguments, InitSite};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::deploy::caddy::{Caddyfile, Route};
use crate::deploy::lock::{Lock, Owner};
use crate::deploy::{Error, Remote, caddyfile};
use crate::fleet::{App, BlueGreen, Host};

/// What became of a host's Caddyfile.
enum Became {
    /// The site is there and leads to a slot.
    Unchanged { line: usize },
    /// The block was added, or would be.
    Added { block: String },
}

pub(super) async fn run(
    ui: &Ui,
    arguments: &Arguments,
    options: &InitSite,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let project = context::project(ui, arguments)?;
    let app = context::app(&project, options.app.as_ref(), None)?;
    let Some(slots) = &app.blue_green else {
        return Err(Failure::new(
            exit::USAGE,
            format!("{} has no site: it is not swapped blue/green", app.name),
        )
        .hint("add `strategy = \"blue-green\"`, `domain` and two `ports` to it in arcane.toml"));
    };
    let fleet = context::fleet(arguments)?;
    let gates = context::targets(&fleet, options.to.as_deref(), &app)?;
    let mut hosts: Vec<Host> = Vec::new();
    for host in gates.into_iter().flat_map(|gate| gate.hosts) {
        if hosts.iter().all(|known| known.name != host.name) {
            hosts.push(host);
        }
    }
    let mut failures = Vec::new();
    for host in &hosts {
        match unless(cancel, async { Ok(one(options, &app, slots, host).await) }).await? {
            Ok(became) => show(ui, options, &app, host, slots, &became),
            Err(error) => {
                let failure = Failure::from(error);
                failure.render(ui, options.json);
                failures.push(failure);
            }
        }
    }
    Ok(context::exit_code(&failures, hosts.len()))
}

async fn one(options: &InitSite, app: &App, slots: &BlueGreen, host: &Host) -> Result<Became, Error> {
    let remote = Remote::connect(host).await?;
    let owner = Owner {
        who: context::who(),
        doing: format!("init --caddy {}", app.name),
        since: crate::clock::now(),
        pid: std::process::id(),
    };
    if options.plan {
        return site(&remote, app, slots, false).await;
    }
    let lock = Lock::acquire(&remote.session, &owner, std::time::Duration::ZERO, &|_| ()).await?;
    let became = site(&remote, app, slots, true).await;
    lock.release().await;
    became
}

async fn site(remote: &Remote, app: &App, slots: &BlueGreen, write: bool) -> Result<Became, Error> {
    let file = Caddyfile::read(remote).await?;
    let refusal = |why: String| Error::Preflight { host: remote.name().clone(), why };
    let found = caddyfile::site_line(&file.text, &slots.domain);
    if found.map_err(|problem| refusal(problem.to_string()))?.is_some() {
        let route = Route::look(remote, slots).await?;
        return Ok(Became::Unchanged { line: route.upstream.line });
    }
    if file.answers_for(slots.domain.host()) {
        return Err(refusal(format!(
            "its Caddy answers for {} already, by a site that is not in {} itself or has another port; take that one out",
            slots.domain,
            caddyfile::PATH
        )));
    }
    let block =
        format!("# {}, swapped by arcane\n{}", app.name, caddyfile::block(slots, file.can_keep_streams()));
    if write {
        file.add(remote, slots, &block).await?;
    }
    Ok(Became::Added { block })
}

fn show(ui: &Ui, options: &InitSite, app: &App, host: &Host, slots: &BlueGreen, became: &Became) {
    let (path, done) = (caddyfile::PATH, !options.plan);
    if options.json {
        let (outcome, block) = match became {
            Became::Unchanged { .. } => ("unchanged", None),
            Became::Added { block } if done => ("added", Some(block)),
            Became::Added { block } => ("planned", Some(block)),
        };
        ui.json(&json!({
            "event": "init", "host": host.name, "app": app.name, "site": slots.domain, "file": path, "outcome": outcome,
            "block": block,
        }));
        return;
    }
    match became {
        Became::Unchanged { line } => {
            ui.out(&format!(
                "{} on {} leads to {} already: line {line} of {path}",
                slots.domain, host.name, app.name
            ));
        }
        Became::Added { block } => {
            let what = if done { "Added to" } else { "Would be added to" };
            ui.out(&format!("{what} {path} on {}:\n\n{}", host.name, block.trim_end()));
            if done {
                ui.out("\nCaddy has loaded it. Nothing answers behind it until the first push.");
                ui.tagged(Tag::Hint, &format!("deploy with `arcane push {} --to {}`", app.name, host.name));
            }
        }
    }
}
