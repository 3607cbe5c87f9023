//! `arcane push --plan`: what a push would do on each host. It looks as a push does, and changes nothing.

use serde::Serialize;

use super::sequence::{Change, steps, swap_steps};
use super::steps::bytes;
use super::{context, push, rollout, status};
use crate::cli::args::Push;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::caddy::Route;
use crate::deploy::diff::{Difference, differences};
use crate::deploy::labels::spec_digest;
use crate::deploy::lock::Lock;
use crate::deploy::push::{check, leads};
use crate::deploy::remote::Deployed;
use crate::deploy::rollout::{AT_ONCE, OnFailure, Stage, on_each};
use crate::deploy::secrets::{NoSource, Values};
use crate::deploy::situation::{Found, Situation, back_name};
use crate::deploy::{Error, Remote, Step, build, caddyfile, preflight, transfer};
use crate::docker::{Engine, Image};
use crate::fleet::text::{plural, printable};
use crate::fleet::{
    App, AppName, BlueGreen, Hook, Host, HostName, Place, ReleaseId, Source, SpecDigest, Strategy, duration,
};

/// How much of a value is shown, in characters.
const VALUE: usize = 120;

/// What would be done on one host; a line of JSON.
#[derive(Debug, Serialize)]
struct Plan {
    event: &'static str,
    host: HostName,
    app: AppName,
    image: String,
    /// Whether the image is built first; then everything about it is about the one that was built last.
    builds: bool,
    layers: Option<usize>,
    bytes: Option<u64>,
    /// Whether the host has the image.
    has_image: bool,
    /// Layers that would be sent, and about how many bytes they are before they are compressed.
    layers_to_send: Option<usize>,
    bytes_to_send: Option<u64>,
    change: Change,
    live: Option<Live>,
    /// The settings that differ from those of the live release.
    changes: Vec<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interrupted: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_by: Option<String>,
    /// Why the host cannot take the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Which slot is live, which comes, and the line of the Caddyfile that is edited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<Swap>,
    health: String,
    /// What is run around the switch, in its order.
    runs: Vec<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bake: Option<String>,
    migrates: bool,
    keep: usize,
    prove: String,
    steps: Vec<Step>,
    removes: Vec<ReleaseId>,
}

/// A swap between two slots: which is live, which comes, and what is edited for it.
#[derive(Debug, Serialize)]
pub(super) struct Swap {
    live: u16,
    next: u16,
    file: &'static str,
    line: usize,
    before: String,
    after: String,
    drain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl Swap {
    /// The swap that would come, where Caddy leads to a slot now.
    pub(super) fn of(slots: &BlueGreen, route: &Route) -> Option<Self> {
        let live = route.running?;
        let next = slots.other(live);
        Some(Self {
            live,
            next,
            file: caddyfile::PATH,
            line: route.upstream.line,
            before: route.line(),
            after: route.line_moved(next),
            drain: duration::format(slots.drain),
            warning: route.cuts_streams(),
        })
    }

    pub(super) fn lines(&self, line: &mut impl FnMut(&str, String)) {
        line("slots", format!("localhost:{} is live, localhost:{} comes", self.live, self.next));
        line("caddy", format!("line {} of {}", self.line, self.file));
        line("", format!("- {}", self.before));
        line("", format!("+ {}", self.after));
        line("drains", format!("up to {}", self.drain));
        if let Some(warning) = &self.warning {
            line("warning", warning.clone());
        }
    }
}

/// A setting that differs, in a line.
pub(super) fn difference_text(Difference { what, old, new }: &Difference) -> String {
    let shown = |value: &Option<String>| {
        value.as_ref().map_or_else(|| "(none)".to_owned(), |it| format!("`{}`", printable(it, VALUE)))
    };
    format!("{}: {} -> {}", printable(what, VALUE), shown(old), shown(new))
}

/// Something that is run around the switch.
#[derive(Debug, Serialize)]
struct Run {
    /// `before`, `release` or `after`.
    what: &'static str,
    /// `here`, `host`, or `container`.
    on: &'static str,
    run: String,
    within: String,
}

/// The live release.
#[derive(Debug, Serialize)]
pub(super) struct Live {
    release: ReleaseId,
    image: String,
    running: bool,
}

impl Live {
    pub(super) fn of(situation: &Situation) -> Option<Self> {
        situation.live.as_ref().map(|live| Self {
            release: live.record.release.clone(),
            image: live.record.image.clone(),
            running: live.running,
        })
    }

    pub(super) fn text(&self) -> String {
        format!("{} ({}){}", self.release, self.image, if self.running { "" } else { ", which is stopped" })
    }
}

pub(super) async fn run(
    ui: &Ui,
    options: &Push,
    local: &Engine,
    app: &App,
    stages: &[Stage],
    on_failure: OnFailure,
) -> Result<u8, Failure> {
    let name = build::name(app);
    let image = local.image(&name).await.map_err(Error::from)?;
    if image.is_none() && matches!(app.source, Source::Image(_)) {
        return Err(Error::NoImage { image: name }.into());
    }
    let hosts: Vec<_> = stages.iter().flat_map(|stage| &stage.hosts).cloned().collect();
    if hosts.len() > 1 {
        rollout::show_order(ui, options.json, &app.name, stages, on_failure);
    }
    let (image, name) = (image.as_ref(), name.as_str());
    let looks = on_each(&hosts, AT_ONCE, |host| async move {
        let seen = look(local, options, app, image, name, &host).await;
        (host, seen)
    });
    let (mut failures, mut alike) = (Vec::new(), Alike::default());
    for (host, seen) in looks.await {
        let (plan, failure) = match seen {
            Ok((plan, refused)) => (Some(plan), refused.map(Failure::from)),
            Err(error) => (None, Some(Failure::from(error))),
        };
        match plan {
            Some(plan) if options.json => ui.json(&plan),
            Some(plan) => alike.add(&host, plan.text()),
            None => {}
        }
        if let Some(failure) = failure {
            failure.render_about(ui, options.json, &host.name, &app.name);
            failures.push(failure);
        }
    }
    alike.show(ui, &app.name);
    Ok(context::exit_code(&failures, hosts.len()))
}

/// Hosts with the same plan, which is shown once: of fifty hosts most are alike.
#[derive(Debug, Default)]
pub(super) struct Alike(Vec<(Vec<Host>, String)>);

impl Alike {
    pub(super) fn add(&mut self, host: &Host, text: String) {
        match self.0.iter_mut().find(|(_, other)| *other == text) {
            Some((hosts, _)) => hosts.push(host.clone()),
            None => self.0.push((vec![host.clone()], text)),
        }
    }

    pub(super) fn show(self, ui: &Ui, app: &AppName) {
        for (hosts, text) in self.0 {
            ui.out(&format!("{app} on {}\n{text}", context::names(&hosts)));
        }
    }
}

/// The plan for one host, and why the host would refuse it.
async fn look(
    local: &Engine,
    options: &Push,
    app: &App,
    image: Option<&Image>,
    image_name: &str,
    host: &Host,
) -> Result<(Plan, Option<Error>), Error> {
    let remote = Remote::connect(host).await?;
    let deployed = remote.app(&app.name).await?;
    let situation = &deployed.situation;
    let locked_by = Lock::holder(&remote.session).await.ok().flatten();
    let (mut lacking, mut refused, mut route) = (None, None, None);
    if let Some(image) = image {
        let found = transfer::look(local, &remote, image).await?;
        lacking = Some(found);
        // What is planned is not brought.
        let values = Values::default();
        let order = push::order(options, app, image, image_name.to_owned(), (&values, &NoSource));
        let checked = match check(&remote, &order).await {
            Ok(found_route) if !found.has_image => {
                let taken = preflight::takes(&remote, &remote.engine.info().await?, &found).await;
                taken.map(|()| found_route)
            }
            checked => checked,
        };
        refused = match checked {
            Ok(found) => {
                route = found;
                None
            }
            Err(error @ Error::Preflight { .. }) => Some(error),
            Err(error) => return Err(error),
        };
    }
    let has_image = lacking.is_some_and(|lacking| lacking.has_image);
    let spec = image.map(|image| spec_digest(app, &image.id)).filter(|_| !options.force);
    let change = match change(situation, spec.as_ref()) {
        Change::None if !leads(situation, route.as_ref()) => Change::Replace,
        change => change,
    };
    let removes = if change == Change::None { Vec::new() } else { removed(app, situation) };
    let builds = matches!(app.source, Source::Build(_));
    let plan = Plan {
        event: "plan",
        host: host.name.clone(),
        app: app.name.clone(),
        image: image_name.to_owned(),
        builds,
        layers: image.map(|image| image.layers.len()),
        bytes: image.map(|image| image.size),
        has_image,
        layers_to_send: lacking.map(|lacking| lacking.layers),
        bytes_to_send: lacking.map(|lacking| lacking.bytes),
        change,
        live: Live::of(situation),
        changes: if change == Change::None { Vec::new() } else { changes(app, image, image_name, &deployed) },
        interrupted: situation.interruption().map(status::interruption_text),
        locked_by: locked_by.map(|holder| holder.to_string()),
        refused: refused.as_ref().map(ToString::to_string),
        slots: route
            .filter(|_| change != Change::None)
            .zip(app.blue_green.as_ref())
            .and_then(|(route, slots)| Swap::of(slots, &route)),
        health: app.health.to_string(),
        runs: if change == Change::None { Vec::new() } else { runs(app) },
        bake: Some(app.bake).filter(|bake| !bake.is_zero()).map(duration::format),
        migrates: app.migrates,
        keep: app.keep,
        prove: duration::format(app.prove),
        steps: match app.strategy {
            Strategy::SmartSwap => steps(app, situation, change, builds, has_image, !removes.is_empty()),
            Strategy::BlueGreen => swap_steps(app, situation, change, builds, has_image, !removes.is_empty()),
        },
        removes,
    };
    Ok((plan, refused))
}

/// What becomes of the live release. `spec` is that of the new one; `None` when it differs whatever it is.
fn change(situation: &Situation, spec: Option<&SpecDigest>) -> Change {
    match &situation.live {
        None if situation.old.is_none() => Change::New,
        Some(live)
            if live.running && spec == Some(&live.record.spec) && situation.interruption().is_none() =>
        {
            Change::None
        }
        _ => Change::Replace,
    }
}

/// What differs from the live release, its image first. Of an image that is built first only the build can tell.
fn changes(app: &App, image: Option<&Image>, image_name: &str, deployed: &Deployed) -> Vec<Difference> {
    let Some(live) = &deployed.situation.live else { return Vec::new() };
    let short = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect::<String>();
    let old = deployed.live.as_ref().map(|container| container.image_id.as_str());
    let differs = image.filter(|image| Some(image.id.as_str()) != old).map(|image| Difference {
        what: "image".to_owned(),
        old: Some(format!("{} ({})", live.record.image, old.map_or_else(|| "?".to_owned(), short))),
        new: Some(format!("{image_name} ({})", short(&image.id))),
    });
    differs.into_iter().chain(differences(&live.record.app, app)).collect()
}

/// What is run around the switch, in its order.
fn runs(app: &App) -> Vec<Run> {
    let hook = |what, hook: &Hook| Run {
        what,
        on: if hook.on == Place::Host { "host" } else { "here" },
        run: hook.run.clone(),
        within: duration::format(hook.within),
    };
    let release = app.release.as_ref().map(|command| Run {
        what: "release",
        on: if command.volumes { "container with the volumes" } else { "container" },
        run: command.command.join(" "),
        within: duration::format(command.within),
    });
    let before = app.hooks.before.as_ref().map(|it| hook("before", it));
    let after = app.hooks.after.as_ref().map(|it| hook("after", it));
    before.into_iter().chain(release).chain(after).collect()
}

/// The kept releases that would be too many once another one is live.
fn removed(app: &App, situation: &Situation) -> Vec<ReleaseId> {
    let (before, older) = match (&situation.live, &situation.old) {
        (Some(live), old) => (Some(live), old.as_ref()),
        (None, old) => (old.as_ref(), None),
    };
    // What was being brought back is kept again by the repair.
    let back = situation.candidate.as_ref().filter(|candidate| candidate.name == back_name(&app.name));
    let mut kept: Vec<_> = older.into_iter().chain(back).chain(&situation.kept).cloned().collect();
    kept.sort_by(|a, b| b.record.release.cmp(&a.record.release));
    // The release that would come, as far as what is kept depends on it: it has not run yet.
    let Some(coming) = before.cloned() else { return Vec::new() };
    let now = crate::clock::now();
    let mut live = Found { running: true, started_at: Some(now), ..coming };
    live.record.app = app.clone();
    let after = Situation { live: Some(live), old: before.cloned(), kept, ..Situation::default() };
    after.surplus(now).iter().map(|found| found.record.release.clone()).collect()
}

impl Plan {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        let mut line = |what: &str, text: String| lines.push(format!("  {what:<8} {text}"));
        line("image", self.image_text());
        line("sent", self.sent_text());
        match (self.change, &self.live) {
            (Change::None, _) if self.builds => {
                line("change", "none, if the build gives the same image again".to_owned());
            }
            (Change::None, _) => line("change", "none, it is live already".to_owned()),
            (_, Some(live)) => line("replaces", live.text()),
            (Change::Replace, None) => line("replaces", "the release before, once it is back".to_owned()),
            (Change::New, None) => line("replaces", "nothing, it is new there".to_owned()),
        }
        if let Some(interrupted) = self.interrupted {
            line("repairs", interrupted.to_owned());
        }
        if let Some(holder) = &self.locked_by {
            line("locked", format!("by {holder}"));
        }
        if let Some(refused) = &self.refused {
            line("refused", refused.clone());
        }
        if let Some(swap) = &self.slots {
            swap.lines(&mut line);
        }
        for difference in &self.changes {
            line("changes", difference_text(difference));
        }
        for Run { what, on, run, within } in &self.runs {
            line(what, format!("{} ({on}, within {within})", printable(run, VALUE)));
        }
        if self.migrates {
            line("migrates", "the data, for good: no rollback across this release unasked".to_owned());
        }
        line("health", self.health.clone());
        if let Some(bake) = &self.bake {
            line("watched", format!("for {bake} before it counts as released"));
        }
        let kept = plural(self.keep, "release");
        line("keeps", format!("{kept} for a rollback, {} proves a release", self.prove));
        if !self.removes.is_empty() {
            let names: Vec<_> = self.removes.iter().map(ReleaseId::as_str).collect();
            line("removes", names.join(", "));
        }
        line("steps", self.steps.iter().map(|step| step.verb()).collect::<Vec<_>>().join(", "));
        lines.join("\n")
    }

    fn sent_text(&self) -> String {
        match (self.layers_to_send, self.bytes_to_send, self.layers) {
            _ if self.has_image => "nothing, the host has it".to_owned(),
            (Some(lacking), Some(size), Some(all)) if lacking < all => {
                format!("{lacking} of {}, {} before compression", plural(all, "layer"), bytes(size))
            }
            _ => "all of it".to_owned(),
        }
    }

    fn image_text(&self) -> String {
        let size = match (self.layers, self.bytes) {
            (Some(layers), Some(size)) => Some(format!("{}, {}", plural(layers, "layer"), bytes(size))),
            _ => None,
        };
        match (self.builds, size) {
            (false, size) => format!("{} ({})", self.image, size.unwrap_or_default()),
            (true, Some(size)) => {
                format!("built first with docker build; the last one is {} ({size})", self.image)
            }
            (true, None) => "built first with docker build; none was built yet".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::sample::{app, found};

    fn situation(containers: &[(&str, u16, bool)]) -> Situation {
        let name = AppName::parse("shop").unwrap();
        Situation::of(
            &name,
            containers.iter().map(|(name, release, running)| found(name, *release, *running)),
        )
    }

    #[test]
    fn only_the_steps_that_come_are_listed() {
        use Step::*;
        let live: &[_] = &[("shop", 2, true)];
        let cases: &[(&[(&str, u16, bool)], u16, bool, Change, &[Step])] = &[
            (&[], 3, false, Change::New, &[Look, Transfer, Lock, Create, Start, Health, Switch]),
            (live, 2, true, Change::None, &[Look]),
            (live, 3, true, Change::Replace, &[Look, Lock, Create, Stop, Rename, Start, Health, Switch]),
            // The same image, but it does not run.
            (
                &[("shop", 2, false)],
                2,
                true,
                Change::Replace,
                &[Look, Lock, Create, Stop, Rename, Start, Health, Switch],
            ),
            // An interrupted change: the release before comes back first.
            (
                &[("shop_old", 2, false), ("shop_new", 3, true)],
                4,
                false,
                Change::Replace,
                &[Look, Transfer, Lock, Repair, Create, Stop, Rename, Start, Health, Switch],
            ),
            (
                &[("shop", 2, true), ("shop_old", 1, false)],
                3,
                true,
                Change::Replace,
                &[Look, Lock, Create, Rename, Stop, Rename, Start, Health, Switch],
            ),
        ];
        for (containers, new, has_image, expected, expected_steps) in cases {
            let situation = situation(containers);
            let spec = found("shop", *new, true).record.spec;
            let change = change(&situation, Some(&spec));
            assert_eq!(change, *expected, "{containers:?}");
            let steps = steps(&app("shop"), &situation, change, false, *has_image, false);
            assert_eq!(steps, *expected_steps, "{containers:?}");
        }
    }

    #[test]
    fn what_is_run_around_the_switch_has_its_place_in_the_steps() {
        use Step::*;
        let hook = |on| {
            Some(crate::fleet::Hook { run: "make".to_owned(), on, within: std::time::Duration::from_secs(1) })
        };
        let command = |volumes| crate::fleet::ReleaseCommand {
            command: vec!["migrate".to_owned()],
            within: std::time::Duration::from_secs(1),
            volumes,
        };
        let mut app = App {
            release: Some(command(false)),
            bake: std::time::Duration::from_secs(9),
            hooks: crate::fleet::Hooks { before: hook(Place::Host), after: hook(Place::Here(".".into())) },
            ..app("shop")
        };
        let live = situation(&[("shop", 2, true)]);
        let steps = |app: &App, change| steps(app, &live, change, false, true, false);
        let expected = [Look, Lock, Hook, Release, Create, Stop, Rename, Start, Health, Bake, Switch, Hook];
        assert_eq!(steps(&app, Change::Replace), expected);
        assert_eq!(steps(&app, Change::None), [Look]);
        let said: Vec<_> =
            runs(&app).iter().map(|run| format!("{} {} {}", run.what, run.on, run.run)).collect();
        assert_eq!(said, ["before host make", "release container migrate", "after here make"]);
        app.release = Some(command(true));
        let expected = [Look, Lock, Hook, Create, Stop, Rename, Release, Start, Health, Bake, Switch, Hook];
        assert_eq!(steps(&app, Change::Replace), expected);
    }

    #[test]
    fn force_makes_a_new_release_of_what_is_live() {
        assert_eq!(change(&situation(&[("shop", 2, true)]), None), Change::Replace);
    }

    #[test]
    fn what_would_be_too_many_is_named() {
        let kept = ("shop_20261125-000001-0001", 1, false);
        let id = |release: u16| found("x", release, false).record.release;
        let cases: &[(&[(&str, u16, bool)], usize, &[u16])] = &[
            (&[], 1, &[]),
            (&[("shop", 2, true)], 1, &[]),
            (&[("shop", 3, true), ("shop_old", 2, false), kept], 3, &[]),
            (&[("shop", 3, true), ("shop_old", 2, false), kept], 2, &[1]),
            (&[("shop", 3, true), ("shop_old", 2, false), kept], 1, &[2, 1]),
            // Interrupted: `shop_old` is live again, and what was being brought back is kept again.
            (&[("shop_old", 3, false), ("shop_back", 2, true), kept], 1, &[2, 1]),
            (&[("shop_old", 3, false), ("shop_new", 4, true), kept], 1, &[1]),
        ];
        for (containers, keep, expected) in cases {
            // Nothing is proved, so nothing is kept beyond `keep`.
            let app = App { keep: *keep, prove: std::time::Duration::MAX, ..app("shop") };
            let expected: Vec<_> = expected.iter().map(|release| id(*release)).collect();
            assert_eq!(removed(&app, &situation(containers)), expected, "{containers:?}");
        }
    }
}
