//! `strategy = "blue-green"`: two slots, the site that leads to one of them, how long the other may take to finish.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::report::Report;
use super::section::Field;
use crate::fleet::{BlueGreen, SiteAddress};

/// Longer than that, an old release is not being drained but kept.
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// The keys of an app that only blue/green reads, and those that it needs besides.
pub(super) struct Fields<'f, 't> {
    /// The app itself: where a missing key is missing.
    pub(super) entry: &'f Field<'t>,
    pub(super) ports: Option<&'f Field<'t>>,
    pub(super) domain: Option<&'f Field<'t>>,
    pub(super) drain: Option<&'f Field<'t>>,
    /// Whether the app declares its own port.
    pub(super) has_port: bool,
}

impl Fields<'_, '_> {
    /// Reads what blue/green needs, and where its two ports stand.
    pub(super) fn read(&self, report: &mut Report<'_>) -> Option<(BlueGreen, Vec<(u16, Range<usize>)>)> {
        let ports = self.ports(report);
        let domain = match self.domain {
            Some(field) => field.parsed::<SiteAddress>(report),
            None => {
                let label =
                    "add the site's address in the Caddyfile, for instance `domain = \"shop.example.com\"`";
                report.add(&self.entry.key_span, "blue-green needs `domain`", label);
                None
            }
        };
        let drain = self.drain.map(|field| field.duration(DRAIN, report));
        let ports = ports?;
        let [(first, _), (second, _)] = ports[..] else { return None };
        let drain = drain.unwrap_or(Some(BlueGreen::DEFAULT_DRAIN))?;
        Some((BlueGreen { ports: [first, second], domain: domain?, drain }, ports))
    }

    fn ports(&self, report: &mut Report<'_>) -> Option<Vec<(u16, Range<usize>)>> {
        let Some(field) = self.ports else {
            let label = "add two free ports of the host, for instance `ports = [8001, 8002]`";
            report.add(&self.entry.key_span, "blue-green needs `ports`", label);
            return None;
        };
        let entries = field.list("a list of two host ports, like [8001, 8002]", report)?;
        let [first, second] = &entries[..] else {
            let message = format!("`ports` has {} instead of two", entries_text(entries.len()));
            field.wrong(message, "blue-green has two slots, like [8001, 8002]", report);
            return None;
        };
        if !self.has_port {
            let label = "add `port`, for instance `port = 8080`";
            report.add(&field.key_span, "`ports` needs the app's own port", label);
        }
        let (one, other) = (first.port(report)?, second.port(report)?);
        if one == other {
            second.wrong("both slots have the same port", "take another one", report);
            return None;
        }
        Some(vec![(one, first.span.clone()), (other, second.span.clone())])
    }

    /// Refuses what only blue/green reads.
    pub(super) fn absent(&self, report: &mut Report<'_>) {
        for field in [self.domain, self.drain].into_iter().flatten() {
            let message = format!("{} belongs to blue-green", field.called());
            report.add(&field.key_span, message, "add `strategy = \"blue-green\"`, or leave this out");
        }
    }
}

/// How many entries, in words that fit before "instead of".
pub(super) fn entries_text(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}
