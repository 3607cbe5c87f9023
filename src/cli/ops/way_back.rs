//! `arcane rollback --plan`: what a rollback would do on each host. It looks as a rollback does, and changes nothing.

use serde::Serialize;

use super::plan::{Alike, Live, Swap, difference_text};
use super::sequence::steps_back;
use super::{context, rollback, status};
use crate::cli::args::Rollback;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::caddy::Route;
use crate::deploy::diff::{Difference, differences};
use crate::deploy::lock::Lock;
use crate::deploy::remote::Pool;
use crate::deploy::rollout::{AT_ONCE, on_each};
use crate::deploy::target::{How, WayBack, look};
use crate::deploy::{Error, Step};
use crate::fleet::{AppName, Host, HostName, ReleaseId};

/// What would be done on one host; a line of JSON.
#[derive(Debug, Serialize)]
struct Plan {
    event: &'static str,
    host: HostName,
    app: AppName,
    /// What would be live; absent where only the end of an interrupted change can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    how: How,
    live: Option<Live>,
    /// The settings that differ from those of the live release.
    changes: Vec<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interrupted: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<Swap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<String>,
    steps: Vec<Step>,
}

pub(super) async fn run(
    ui: &Ui,
    options: &Rollback,
    pool: &Pool,
    app: &AppName,
    hosts: &[Host],
) -> Result<u8, Failure> {
    let looks = on_each(hosts, AT_ONCE, |host| async move {
        let seen = plan(options, pool, app, &host).await;
        (host, seen)
    });
    let (mut failures, mut alike) = (Vec::new(), Alike::default());
    for (host, seen) in looks.await {
        match seen {
            Ok(plan) if options.json => ui.json(&plan),
            Ok(plan) => alike.add(&host, plan.text()),
            Err(error) => {
                let failure = Failure::from(error);
                failure.render_about(ui, options.json, &host.name, app);
                failures.push(failure);
            }
        }
    }
    alike.show(ui, app);
    Ok(context::exit_code(&failures, hosts.len()))
}

async fn plan(options: &Rollback, pool: &Pool, app: &AppName, host: &Host) -> Result<Plan, Error> {
    let remote = pool.get(host).await?;
    let WayBack { deployed, target, how, slots } = look(&remote, app, rollback::wanted(options)).await?;
    let situation = &deployed.situation;
    let locked_by = Lock::holder(&remote.session).await.ok().flatten();
    let swap = match &slots {
        Some(slots) => Swap::of(slots, &Route::look(&remote, slots).await?),
        None => None,
    };
    let live = situation.live.as_ref().map(|live| &live.record.app);
    Ok(Plan {
        event: "plan",
        host: host.name.clone(),
        app: app.clone(),
        release: target.as_ref().map(|target| target.release.clone()),
        image: target.as_ref().map(|target| target.image.clone()),
        how,
        live: Live::of(situation),
        changes: live.zip(target.as_ref()).map_or_else(Vec::new, |(live, to)| differences(live, &to.app)),
        interrupted: situation.interruption().map(status::interruption_text),
        locked_by: locked_by.map(|holder| holder.to_string()),
        health: target.as_ref().map(|target| target.app.health.to_string()),
        steps: steps_back(situation, target.as_ref(), how, slots.is_some()),
        slots: swap,
    })
}

impl Plan {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        let mut line = |what: &str, text: String| lines.push(format!("  {what:<8} {text}"));
        match (&self.release, &self.image) {
            (Some(release), Some(image)) => line("back to", format!("{release} ({image})")),
            _ => line("back to", "whatever is due once the interrupted change is at its end".to_owned()),
        }
        line(
            "how",
            match self.how {
                How::Start => "its container is there, stopped, and is started",
                How::Make => "a container is made anew of its image and its record",
                How::Repair => {
                    "an interrupted change is brought to its end first, which may be all that is done"
                }
            }
            .to_owned(),
        );
        if let Some(live) = &self.live {
            line("replaces", live.text());
        }
        if let Some(interrupted) = self.interrupted {
            line("repairs", interrupted.to_owned());
        }
        if let Some(holder) = &self.locked_by {
            line("locked", format!("by {holder}"));
        }
        if let Some(swap) = &self.slots {
            swap.lines(&mut line);
        }
        for difference in &self.changes {
            line("changes", difference_text(difference));
        }
        if let Some(health) = &self.health {
            line("health", health.clone());
        }
        line("steps", self.steps.iter().map(|step| step.verb()).collect::<Vec<_>>().join(", "));
        lines.join("\n")
    }
}
