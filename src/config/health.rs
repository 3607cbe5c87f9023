//! `health`: exactly one probe, and how long it may take.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::launch;
use super::report::Report;
use super::section::Field;
use crate::fleet::text::quoted;
use crate::fleet::{HealthCheck, Probe};

/// From the shortest probe that means anything to the longest that somebody would wait for.
const RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

const LONGEST_PATH: usize = 1024;

/// Reads a `health`. `has_port` says whether the app declares its own port, which two of the probes need.
pub(super) fn read(field: &Field<'_>, has_port: bool, report: &mut Report<'_>) -> Option<HealthCheck> {
    let mut section = field.section(report)?;
    let mut probes = Vec::new();
    if let Some(field) = section.field("http") {
        needs_port(&field, has_port, report);
        probes.push((field.clone(), path(&field, report).map(Probe::Http)));
    }
    if let Some(field) = section.field("tcp") {
        field.must_be_true(report);
        needs_port(&field, has_port, report);
        probes.push((field, Some(Probe::Tcp)));
    }
    if let Some(field) = section.field("docker") {
        field.must_be_true(report);
        probes.push((field, Some(Probe::Docker)));
    }
    if let Some(field) = section.field("command") {
        let command = launch::command(&field, report);
        probes.push((field, command.map(Probe::Command)));
    }
    if let Some(field) = section.field("stays_up") {
        let window = field.duration(RANGE, report);
        probes.push((field, window.map(Probe::StaysUp)));
    }
    let within = section.field("within");
    // Without a probe, an unknown key is most likely one misspelt: its own problem says enough.
    if !section.finish(report) && probes.is_empty() {
        return None;
    }
    one(field, probes, within.as_ref(), report)
}

fn one(
    field: &Field<'_>,
    mut probes: Vec<(Field<'_>, Option<Probe>)>,
    within: Option<&Field<'_>>,
    report: &mut Report<'_>,
) -> Option<HealthCheck> {
    let deadline = within.map(|within| (within, within.duration(RANGE, report)));
    probes.sort_by_key(|(field, _)| field.key_span.start);
    if let [(first, _), (second, _), ..] = &probes[..] {
        let message = "`health` has more than one probe".to_owned();
        report.add_pair(message, (&second.key_span, "choose between this"), (&first.key_span, "and this"));
        return None;
    }
    let Some((_, probe)) = probes.pop() else {
        field.wrong("`health` needs a probe", "add http, tcp, docker, command or stays_up", report);
        return None;
    };
    match (probe?, deadline) {
        (Probe::StaysUp(window), None) => Some(HealthCheck::stays_up(window)),
        (Probe::StaysUp(_), Some((within, _))) => {
            report.add(&within.key_span, "`stays_up` is its own deadline", "leave this out");
            None
        }
        (probe, None) => Some(HealthCheck { probe, within: HealthCheck::DEFAULT_WITHIN }),
        (probe, Some((_, within))) => Some(HealthCheck { probe, within: within? }),
    }
}

fn needs_port(field: &Field<'_>, has_port: bool, report: &mut Report<'_>) {
    if !has_port {
        let message = format!("{} needs the app's own port", field.called());
        report.add(&field.key_span, message, "add `port`, for instance `port = 8080`");
    }
}

/// A path to GET: what a request line can hold without any escaping of ours.
fn path(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = field.text(report)?;
    let problem = if !text.starts_with('/') {
        "does not start with /"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "has characters that a URL cannot hold unescaped"
    } else if text.contains('#') {
        "has a #, which is never sent to a server"
    } else if text.len() > LONGEST_PATH {
        "is longer than 1024 characters"
    } else {
        return Some(text.to_owned());
    };
    field.wrong(format!("path {} {problem}", quoted(text)), "", report);
    None
}
