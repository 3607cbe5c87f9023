//! Reading what a rule, or a step of one, is about: `scope`.

use super::super::scope::{Glob, Names, Scope};
use super::fields::Fields;
use crate::fleet::Stream;
use crate::fleet::text::quoted;

/// What the rule is about.
pub(super) fn scope(rule: &Fields<'_>) -> Scope {
    let Some(table) = rule.table("scope") else {
        return Scope::default();
    };
    let names =
        |only: &'static str, not: &'static str| Names { only: globs(&table, only), not: globs(&table, not) };
    let scope = Scope {
        app: names("app", "not_app"),
        host: names("host", "not_host"),
        image: names("image", "not_image"),
        role: names("role", "not_role"),
        environment: names("env", "not_env"),
        labels: labels(&table),
        stream: stream(&table),
    };
    table.close();
    scope
}

fn globs(table: &Fields<'_>, key: &'static str) -> Vec<Glob> {
    let texts = table.texts(key);
    if table.has(key) && texts.is_empty() && !key.starts_with("not_") {
        table.sink.report(
            &table.span,
            format!("`{key}` of {} names nothing, so the rule could never fire", table.what),
        );
    }
    texts.iter().map(|text| Glob::new(text.value)).collect()
}

/// `label` and `not_label`: tables of a label's name and the values asked for.
fn labels(table: &Fields<'_>) -> Vec<(String, Names)> {
    let mut labels = Vec::new();
    for (key, wanted) in [("label", true), ("not_label", false)] {
        let Some(table) = table.table(key) else { continue };
        for (label, texts) in table.lists() {
            let globs = texts.iter().map(|text| Glob::new(text.value)).collect();
            let (only, not) = if wanted { (globs, Vec::new()) } else { (Vec::new(), globs) };
            labels.push((label.to_owned(), Names { only, not }));
        }
    }
    labels
}

/// `stream` of a table.
fn stream(table: &Fields<'_>) -> Option<Stream> {
    table.parsed("stream", |text| match text {
        "stdout" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        other => Err(format!("{} is not a stream; choose from stdout, stderr", quoted(other))),
    })
}
