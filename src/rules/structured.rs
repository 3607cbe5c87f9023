//! Fields of structured lines: JSON objects and logfmt. A rule that names a field sees that field only, so that text
//! a stranger got into another one (a request path, a user name) cannot fire it.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::Value;

/// Fields of a logfmt line that are read, repeated ones included; those of a program come first.
const FIELDS: usize = 256;
/// A longer line is not read as JSON. The watcher keeps no more of a line; other files may have anything.
const JSON: usize = 64 << 10;

/// A line and, once somebody asks for them, its fields: they are read at most once.
#[derive(Debug)]
pub(super) struct Structured<'l> {
    line: &'l str,
    json: OnceCell<Option<Value>>,
    logfmt: OnceCell<Option<Vec<(&'l str, Cow<'l, str>)>>>,
}

impl<'l> Structured<'l> {
    pub(super) const fn of(line: &'l str) -> Self {
        Self { line, json: OnceCell::new(), logfmt: OnceCell::new() }
    }

    /// The line itself.
    pub(super) const fn line(&self) -> &'l str {
        self.line
    }

    /// A member of a line that is one JSON object, as [`member`] gives it.
    pub(super) fn json(&self, path: &str) -> Option<Cow<'_, str>> {
        member(self.json.get_or_init(|| json(self.line)).as_ref()?, path)
    }

    /// Whether the line is one JSON object.
    pub(super) fn is_json(&self) -> bool {
        self.json.get_or_init(|| json(self.line)).is_some()
    }

    /// Whether the line is logfmt.
    pub(super) fn is_logfmt(&self) -> bool {
        self.logfmt.get_or_init(|| logfmt(self.line)).is_some()
    }

    /// A field of a line that is logfmt.
    pub(super) fn logfmt(&self, name: &str) -> Option<Cow<'_, str>> {
        let fields = self.logfmt.get_or_init(|| logfmt(self.line)).as_ref()?;
        fields.iter().find(|(known, _)| *known == name).map(|(_, value)| Cow::Borrowed(&**value))
    }
}

/// The members of a line that is one JSON object.
fn json(line: &str) -> Option<Value> {
    let line = line.trim();
    if !(line.starts_with('{') && line.ends_with('}')) || line.len() > JSON {
        return None;
    }
    // How deep it may be is bounded by the parser, at 128.
    serde_json::from_str(line).ok().filter(Value::is_object)
}

/// A member as text; `path` is a name, or names joined by dots for a member of a member.
fn member<'o>(object: &'o Value, path: &str) -> Option<Cow<'o, str>> {
    let value =
        object.get(path).or_else(|| path.split('.').try_fold(object, |value, name| value.get(name)))?;
    Some(match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => return None,
        other => Cow::Owned(other.to_string()),
    })
}

/// The fields of a logfmt line: `level=error msg="could not start"`. A line counts as logfmt only when it begins with
/// a field; of two fields with one name the first counts, since a program writes its own before a stranger's text.
fn logfmt(line: &str) -> Option<Vec<(&str, Cow<'_, str>)>> {
    let mut fields = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() && fields.len() < FIELDS {
        let name_end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(name_end);
        match after.strip_prefix('=') {
            Some(value) if !name.is_empty() => {
                let (value, remaining) = logfmt_value(value);
                // A repeated one is never found behind the first: to look for that here would be quadratic.
                fields.push((name, value));
                rest = remaining.trim_start();
            }
            _ if fields.is_empty() => return None,
            _ => rest = after.find(' ').map_or("", |space| after[space..].trim_start()),
        }
    }
    (!fields.is_empty()).then_some(fields)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@')
}

/// A value and what follows it: quoted with backslash escapes, or up to the next space. An escape that is none stays as
/// it is written: words of a value are words of the line, which is how the index finds them.
fn logfmt_value(text: &str) -> (Cow<'_, str>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(' ').unwrap_or(text.len());
        return (Cow::Borrowed(&text[..end]), &text[end..]);
    };
    let mut value = String::new();
    let mut rest = quoted;
    while let Some(end) = rest.find(['"', '\\']) {
        let (plain, after) = (&rest[..end], &rest[end + 1..]);
        if rest[end..].starts_with('"') {
            return (joined(value, plain), after);
        }
        value.push_str(plain);
        let mut characters = after.chars();
        match characters.next() {
            Some('n') => value.push('\n'),
            Some('t') => value.push('\t'),
            Some(escaped @ ('"' | '\\')) => value.push(escaped),
            Some(other) => value.extend(['\\', other]),
            None => value.push('\\'),
        }
        rest = characters.as_str();
    }
    (joined(value, rest), "")
}

/// A value whose end has no escapes; mostly that is all of it.
fn joined(mut value: String, end: &str) -> Cow<'_, str> {
    if value.is_empty() {
        return Cow::Borrowed(end);
    }
    value.push_str(end);
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logfmt_lines() {
        let field = |line: &str, name: &str| {
            let fields = logfmt(line)?;
            fields.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.into_owned())
        };
        let line = r#"time=2026-11-25T10:00:00Z level=error msg="bad \"thing\" level=fatal" err=EOF"#;
        assert_eq!(field(line, "level").as_deref(), Some("error"));
        assert_eq!(field(line, "msg").as_deref(), Some(r#"bad "thing" level=fatal"#));
        assert_eq!(field(line, "err").as_deref(), Some("EOF"));
        assert_eq!(field("level=info path=/?level=fatal level=fatal", "level").as_deref(), Some("info"));
        assert_eq!(field("GET /?level=fatal level=fatal", "level"), None);
        assert_eq!(field("", "level"), None);
        assert_eq!(field("level=\"open", "level").as_deref(), Some("open"));
        assert_eq!(field("level= free text x=1", "x").as_deref(), Some("1"));
        assert_eq!(field(r#"msg="C:\temp\new \\\"x\" \"#, "msg").as_deref(), Some("C:\temp\new \\\"x\" \\"));
    }

    #[test]
    fn json_members() {
        let object = json(r#" {"level":"fatal","err":{"code":5,"a.b":null},"a.b":"dot"} "#).unwrap();
        assert_eq!(member(&object, "level").as_deref(), Some("fatal"));
        assert_eq!(member(&object, "err.code").as_deref(), Some("5"));
        assert_eq!(member(&object, "a.b").as_deref(), Some("dot"));
        assert_eq!(member(&object, "err.missing"), None);
        assert!(json("[1]").is_none() && json("{not json}").is_none() && json(r#"x {"a":1}"#).is_none());
    }

    #[test]
    fn no_more_is_read_than_is_bounded() {
        let many = |count: usize| (0..count).map(|number| format!("f{number}=v ")).collect::<String>();
        let last = |line: &str, name: &str| Structured::of(line).logfmt(name).map(Cow::into_owned);
        assert_eq!(last(&many(FIELDS), "f255").as_deref(), Some("v"));
        assert_eq!(last(&many(FIELDS + 1), "f256"), None);
        assert_eq!(logfmt(&many(10_000)).unwrap().len(), FIELDS);
        // Not even repeated ones.
        assert_eq!(last(&format!("{}late=1", "a=b ".repeat(16_000)), "late"), None);
        assert_eq!(logfmt(&"a=b ".repeat(16_000)).unwrap().len(), FIELDS);
        let object = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        assert!(json(&object(JSON)).is_some() && json(&object(JSON + 1)).is_none());
        let deep = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(json(&deep(100)).is_some() && json(&deep(30_000)).is_none());
    }
}
