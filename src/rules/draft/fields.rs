//! The form of a line: plain text, JSON or logfmt. Of a structured line a rule looks at the level and at the message,
//! each in its own field, so that a stranger's text in another one cannot fire it.

use std::borrow::Cow;

use serde_json::Value;

use super::super::structured::Structured;
use super::neighbour;
use super::pattern::Drafted;
use super::write;

/// Fields that hold the message, the likeliest first.
const MESSAGES: [&str; 9] =
    ["msg", "message", "error.message", "err.message", "error", "err", "event", "exception", "log"];
/// Fields that hold the level.
const LEVELS: [&str; 5] = ["level", "severity", "lvl", "log.level", "levelname"];
/// Levels of lines that need no rule.
const CALM: [&str; 8] = ["trace", "debug", "info", "notice", "10", "20", "30", "log"];

/// The form of a line.
pub(super) enum Form {
    Text,
    Json(Fields),
    Logfmt(Fields),
}

/// The fields that count, each with its value.
pub(super) struct Fields {
    level: Option<(String, String)>,
    message: (String, String),
}

impl Fields {
    fn of(value: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let find = |names: &[&str]| {
            let field = |name: &&str| Some(((*name).to_owned(), value(name)?));
            names.iter().find_map(field).filter(|(_, value)| !value.trim().is_empty())
        };
        let level = find(&LEVELS).filter(|(_, value)| !value.contains('|') && !value.trim().is_empty());
        Some(Self { level, message: find(&MESSAGES)? })
    }
}

impl Form {
    pub(super) fn of(line: &str) -> Self {
        let line = Structured::of(line);
        if line.is_json() {
            // A member that is an object itself is no message.
            let plain = |path: &str| {
                line.json(path).filter(|value| !value.starts_with(['{', '['])).map(Cow::into_owned)
            };
            return Fields::of(plain).map_or(Self::Text, Self::Json);
        }
        Fields::of(|name| line.logfmt(name).map(Cow::into_owned)).map_or(Self::Text, Self::Logfmt)
    }

    /// The text that a pattern is made from.
    pub(super) fn message<'a>(&'a self, line: &'a str) -> &'a str {
        match self {
            Self::Text => line,
            Self::Json(fields) | Self::Logfmt(fields) => &fields.message.1,
        }
    }

    /// The `log` trigger.
    pub(super) fn trigger(&self, drafted: &Drafted) -> String {
        let (key, fields) = match self {
            Self::Text => return format!("{{ any = [{}] }}", write::text(&drafted.for_line())),
            Self::Json(fields) => ("json", fields),
            Self::Logfmt(fields) => ("fields", fields),
        };
        let level = fields
            .level
            .as_ref()
            .filter(|(_, value)| !CALM.contains(&value.to_ascii_lowercase().as_str()))
            .map(|(name, value)| format!("{} = {}, ", write::key(name), write::text(value)));
        let message = format!("{} = {}", write::key(&fields.message.0), write::text(&drafted.for_field()));
        format!("{{ {key} = {{ {}{message} }} }}", level.unwrap_or_default())
    }

    /// Lines that are like this one and on which the rule must not fire.
    pub(super) fn neighbours(&self, line: &str, drafted: &Drafted) -> Vec<(&'static str, String)> {
        let fields = match self {
            Self::Text => return neighbour::of(line, drafted),
            Self::Json(fields) | Self::Logfmt(fields) => fields,
        };
        let message = neighbour::of(&fields.message.1, drafted);
        let message =
            message.into_iter().map(|(name, text)| (name, self.written(fields, &fields.message.0, &text)));
        // The words of the message, in a field that strangers fill.
        let forged = self.written(fields, "path", &fields.message.1);
        message.chain([("its words in another field", forged)]).collect()
    }

    /// A line of this form with a level and one text.
    fn written(&self, fields: &Fields, name: &str, text: &str) -> String {
        let level = fields.level.as_ref().map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs = level.into_iter().chain([(name, text)]);
        match self {
            Self::Logfmt(_) => {
                let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
                let pairs: Vec<_> = pairs.map(|(name, text)| format!("{name}={}", quoted(text))).collect();
                pairs.join(" ")
            }
            _ => {
                let member = |(name, text): (&str, &str)| (name.to_owned(), Value::String(text.to_owned()));
                Value::Object(pairs.map(member).collect()).to_string()
            }
        }
    }
}
