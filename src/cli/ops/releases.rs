//! `arcane releases`: what is kept on the hosts, and what this machine remembers of the rest.

use serde_json::json;

use super::context;
use crate::cli::args::{Arguments, Releases};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui, table};
use crate::deploy::labels::Record;
use crate::deploy::rollout::{AT_ONCE, on_each};
use crate::deploy::target::forgotten;
use crate::deploy::{Error, Remote};
use crate::fleet::{HostName, ReleaseId, duration};
use crate::journal::Journal;

/// How many remembered releases are shown.
const REMEMBERED: usize = 20;

pub(super) async fn run(ui: &Ui, arguments: &Arguments, options: &Releases) -> Result<u8, Failure> {
    let app = context::app_name(ui, arguments, options.app.as_ref())?;
    let fleet = context::fleet(arguments)?;
    let hosts = context::hosts(&fleet, options.to.as_deref())?;
    let now = crate::clock::now();
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    let wanted = &app;
    let looks = on_each(&hosts, AT_ONCE, |host| async move {
        let remote = Remote::connect(&host).await?;
        let situation = remote.app(wanted).await?.situation;
        let image_only = forgotten(&remote, wanted, &situation).await?;
        let image_only: Vec<Record> = image_only.into_iter().cloned().collect();
        Ok::<_, Error>((situation, image_only))
    });
    for (host, looked) in hosts.iter().zip(looks.await) {
        let (situation, image_only) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                failures.push(Failure::from(error));
                continue;
            }
        };
        let live = situation.live.iter().map(|found| (found, "live"));
        let tried = situation.candidate.iter().map(|found| (found, "being tried"));
        let kept = situation.restorable().map(|found| (found, "kept"));
        let row = |record: &Record, state: &str, ran: Option<String>| Row {
            host: host.name.clone(),
            release: record.release.clone(),
            state: state.to_owned(),
            image: record.image.clone(),
            by: record.by.clone(),
            age: duration::brief(now.since(record.at)),
            ran,
        };
        let here = live.chain(tried).chain(kept);
        rows.extend(
            here.map(|(found, state)| row(&found.record, state, Some(duration::brief(found.ran_for(now))))),
        );
        rows.extend(image_only.iter().map(|record| row(record, "kept as an image", None)));
    }
    remembered(&app, &hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>(), &mut rows)
        .unwrap_or_else(|error| ui.tagged(Tag::Warning, &format!("the journal cannot be read: {error}")));
    if options.json {
        let list: Vec<_> = rows
            .iter()
            .map(|row| json!({ "host": row.host, "release": row.release, "state": row.state, "image": row.image, "by": row.by }))
            .collect();
        ui.json(&list);
    } else {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let ran = row.ran.clone().unwrap_or_else(|| "-".to_owned());
                vec![
                    row.host.to_string(),
                    row.release.to_string(),
                    row.state.clone(),
                    row.age.clone(),
                    ran,
                    row.by.clone(),
                    row.image.clone(),
                ]
            })
            .collect();
        ui.out(&table(&["HOST", "RELEASE", "STATE", "AGE", "RAN", "BY", "IMAGE"], &rows));
    }
    for failure in &failures {
        failure.render(ui, false);
    }
    if rows.is_empty() && failures.is_empty() {
        return Err(Failure::new(exit::FAILED, format!("no release of {app} is known"))
            .hint(format!("deploy it with `arcane push {app}`")));
    }
    Ok(context::exit_code(&failures, hosts.len()))
}

struct Row {
    host: HostName,
    release: ReleaseId,
    state: String,
    image: String,
    by: String,
    age: String,
    ran: Option<String>,
}

/// Adds what the journal remembers of releases that are no longer on their host.
fn remembered(
    app: &crate::fleet::AppName,
    hosts: &[HostName],
    rows: &mut Vec<Row>,
) -> Result<(), crate::journal::Error> {
    let journal = Journal::open(&Journal::default_path()?)?;
    let now = crate::clock::now();
    for record in journal.releases(Some(app), None, REMEMBERED)? {
        let there = rows.iter().any(|row| row.host == record.host && row.release == record.release);
        if there || !hosts.contains(&record.host) {
            continue;
        }
        rows.push(Row {
            host: record.host,
            release: record.release,
            state: format!("gone ({})", record.outcome.as_str().replace('_', " ")),
            image: record.image,
            by: record.by,
            age: duration::brief(now.since(record.at)),
            ran: None,
        });
    }
    Ok(())
}
