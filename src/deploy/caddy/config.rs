//! Caddy's own form of a configuration: what it leads to, and how two of them differ. Pure.

use serde_json::Value;

use crate::deploy::caddyfile::slot_of_dial;
use crate::fleet::BlueGreen;
use crate::fleet::text::printable;

/// How much of the place of a difference is shown, in characters.
const PLACE: usize = 120;

/// Where a configuration leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leads {
    /// To neither slot.
    Nowhere,
    /// To this one, and not to the other.
    To(u16),
    /// To both.
    Both,
}

/// Where a configuration leads, whichever of its parts does.
pub(super) fn leads(config: &Value, app: &BlueGreen) -> Leads {
    let [first, second] = app.ports.map(|port| place_of(config, port, app).is_some());
    match (first, second) {
        (false, false) => Leads::Nowhere,
        (true, false) => Leads::To(app.ports[0]),
        (false, true) => Leads::To(app.ports[1]),
        (true, true) => Leads::Both,
    }
}

/// The first place that dials a slot.
pub(super) fn place_of(config: &Value, port: u16, app: &BlueGreen) -> Option<String> {
    fn walk(value: &Value, dials: bool, wanted: &dyn Fn(&str) -> bool, place: &str) -> Option<String> {
        match value {
            Value::String(text) if dials && wanted(text) => Some(printable(place, PLACE)),
            Value::Array(items) => {
                let mut items = items.iter().enumerate();
                items.find_map(|(index, item)| walk(item, dials, wanted, &format!("{place}[{index}]")))
            }
            Value::Object(fields) => fields
                .iter()
                .find_map(|(key, item)| walk(item, dials || key == "dial", wanted, &below(place, key))),
            _ => None,
        }
    }
    walk(config, false, &|dial| slot_of_dial(dial, app) == Some(port), "")
}

fn below(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// The first place in which two configurations differ, but for what `same` says of two texts.
fn difference(one: &Value, other: &Value, same: &dyn Fn(&str, &str) -> bool, place: &str) -> Option<String> {
    let differ = || Some(printable(if place.is_empty() { "everything" } else { place }, PLACE));
    match (one, other) {
        (Value::String(one), Value::String(other)) => {
            if one == other || same(one, other) {
                None
            } else {
                differ()
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(index, (one, other))| difference(one, other, same, &format!("{place}[{index}]")))
        }
        (Value::Object(one), Value::Object(other)) => {
            let lone = other.keys().find(|key| !one.contains_key(*key));
            if let Some(key) = lone {
                return Some(printable(&below(place, key), PLACE));
            }
            one.iter().find_map(|(key, value)| match other.get(key) {
                Some(other) => difference(value, other, same, &below(place, key)),
                None => Some(printable(&below(place, key), PLACE)),
            })
        }
        (one, other) => {
            if one == other {
                None
            } else {
                differ()
            }
        }
    }
}

/// The first place in which two configurations differ in more than the slot that they lead to.
pub(super) fn drift(one: &Value, other: &Value, app: &BlueGreen) -> Option<String> {
    let slots =
        |one: &str, other: &str| slot_of_dial(one, app).is_some() && slot_of_dial(other, app).is_some();
    difference(one, other, &slots, "")
}

/// The first place in which `after` differs from `before` in more than that it leads to `to` instead of `from`.
pub(super) fn surprise(before: &Value, after: &Value, from: u16, to: u16, app: &BlueGreen) -> Option<String> {
    let moved = |one: &str, other: &str| {
        let (host, other_host) = (one.rsplit_once(':'), other.rsplit_once(':'));
        slot_of_dial(one, app) == Some(from)
            && slot_of_dial(other, app) == Some(to)
            && host.map(|(host, _)| host) == other_host.map(|(host, _)| host)
    };
    difference(before, after, &moved, "")
}

/// The configuration that a file would give under another path: a file server hides the file it is configured by.
pub(super) fn renamed(config: Value, from: &str, to: &str) -> Value {
    match config {
        Value::String(text) if text == from => Value::String(to.to_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| renamed(item, from, to)).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, item)| (key, renamed(item, from, to))).collect())
        }
        other => other,
    }
}

/// Whether the handler that leads to a slot has a transport of its own, which a Caddy closes when it is done with it.
pub(super) fn has_transport(config: &Value, app: &BlueGreen) -> bool {
    match config {
        Value::Object(fields) => {
            let dials = fields.get("upstreams").and_then(Value::as_array).into_iter().flatten();
            let mut dials = dials.filter_map(|upstream| upstream.get("dial")).filter_map(Value::as_str);
            if dials.any(|dial| slot_of_dial(dial, app).is_some()) {
                return fields.contains_key("transport");
            }
            fields.values().any(|item| has_transport(item, app))
        }
        Value::Array(items) => items.iter().any(|item| has_transport(item, app)),
        _ => false,
    }
}

/// The hosts that a configuration answers for.
pub(super) fn answers_for(config: &Value, host: &str) -> bool {
    match config {
        Value::Object(fields) => fields.iter().any(|(key, item)| match (key.as_str(), item) {
            ("host", Value::Array(hosts)) => hosts.iter().any(|known| known.as_str() == Some(host)),
            _ => answers_for(item, host),
        }),
        Value::Array(items) => items.iter().any(|item| answers_for(item, host)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fleet::SiteAddress;

    fn app() -> BlueGreen {
        BlueGreen {
            ports: [8001, 8002],
            domain: SiteAddress::parse("a.com").unwrap(),
            drain: BlueGreen::DEFAULT_DRAIN,
        }
    }

    fn config(dials: &[&str], body: &str) -> Value {
        let upstreams: Vec<_> = dials.iter().map(|dial| json!({ "dial": dial })).collect();
        json!({ "apps": { "http": { "servers": { "srv0": { "routes": [
            { "match": [{ "host": ["a.com"] }], "handle": [{ "handler": "reverse_proxy", "upstreams": upstreams }] },
            { "handle": [{ "handler": "static_response", "body": body }] },
        ] } } } } })
    }

    #[test]
    fn where_it_leads_is_what_it_dials_and_nothing_else() {
        for (dials, expected) in [
            (&[][..], Leads::Nowhere),
            (&["localhost:80010"], Leads::Nowhere),
            (&["localhost:8001", "localhost:9000"], Leads::To(8001)),
            (&[":8002"], Leads::To(8002)),
            (&["localhost:8001", "127.0.0.1:8002"], Leads::Both),
        ] {
            assert_eq!(leads(&config(dials, "localhost:8001"), &app()), expected, "{dials:?}");
        }
    }

    #[test]
    fn a_move_is_told_from_any_other_change() {
        let before = config(&["localhost:8001", "localhost:9000"], "hi");
        for (after, surprised, drifted) in [
            (config(&["localhost:8002", "localhost:9000"], "hi"), false, false),
            (config(&["127.0.0.1:8002", "localhost:9000"], "hi"), true, false),
            (config(&["localhost:8002", "localhost:9001"], "hi"), true, true),
            (config(&["localhost:8002"], "hi"), true, true),
            (config(&["localhost:8002", "localhost:9000"], "ho"), true, true),
            (json!({}), true, true),
        ] {
            assert_eq!(surprise(&before, &after, 8001, 8002, &app()).is_some(), surprised, "{after}");
            assert_eq!(drift(&before, &after, &app()).is_some(), drifted, "{after}");
        }
        let other = config(&["localhost:8001", "localhost:9000"], "ho");
        let at = drift(&before, &other, &app()).unwrap();
        assert_eq!(at, "apps.http.servers.srv0.routes[1].handle[0].body");
    }

    #[test]
    fn a_transport_counts_only_where_the_slot_is() {
        let mut with = config(&["localhost:8001"], "");
        assert!(!has_transport(&with, &app()));
        let routes = "/apps/http/servers/srv0/routes";
        with.pointer_mut(&format!("{routes}/1/handle/0")).unwrap()["transport"] =
            json!({ "protocol": "http" });
        assert!(!has_transport(&with, &app()));
        with.pointer_mut(&format!("{routes}/0/handle/0")).unwrap()["transport"] =
            json!({ "protocol": "http" });
        assert!(has_transport(&with, &app()));
    }

    #[test]
    fn a_host_is_answered_for_wherever_it_is_matched() {
        assert!(answers_for(&config(&[], ""), "a.com") && !answers_for(&config(&[], ""), "b.com"));
    }
}
