//! Reading a whole file: its header, and each rule.

use std::time::Duration;

use toml::de::DeTable;

use super::super::event::EventKind;
use super::super::problem::{Source, nearest};
use super::super::rule::{Key, Place, Rule, Trigger};
use super::super::say::{self, Template};
use super::fields::{Fields, Sink};
use super::{case, heal, trigger};
use crate::fleet::text::quoted;
use crate::fleet::{Class, duration};

/// The only version of the language so far.
const SCHEMA: i64 = 1;
/// The highest `count`; hits are remembered one by one.
const MOST_HITS: i64 = 1000;
/// The longest window: longer ones would outlive the memory they rest on.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// How long a log rule keeps quiet after firing when it does not say; an event rule does not.
const LOG_COOLDOWN: Duration = Duration::from_secs(60);

/// Reads the rules of a file, the `index`-th of its set. Problems go to `sink`; a rule with problems is left out.
pub(in super::super) fn read(source: &Source, index: usize, sink: &Sink<'_>) -> Vec<Rule> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        sink.report(&span, format!("not valid TOML: {}", error.message().replace('\n', ", ")));
    }
    if !errors.is_empty() {
        return Vec::new();
    }
    let file = Fields::new(document.get_ref(), 0..0, "the file".to_owned(), sink);
    let pack = file.required_text("pack").and_then(|text| file.read(&text, |text| name(text, "pack")));
    if !file.has("schema") {
        file.missing("schema");
    }
    if file.number("schema", 0..=i64::MAX).is_some_and(|schema| schema != SCHEMA) {
        sink.report(&file.span, format!("this version reads schema {SCHEMA}"));
    }
    let pack = pack.unwrap_or_default();
    let rules = file.tables("rule").into_iter().filter_map(|table| rule(table, &pack, index)).collect();
    file.close();
    rules
}

fn rule(mut fields: Fields<'_>, pack: &str, source: usize) -> Option<Rule> {
    let before = fields.sink.count();
    let header = fields.span.clone();
    fields.what = "a rule".to_owned();
    let id = fields.required_text("id").and_then(|text| {
        fields.span = text.span.clone();
        fields.read(&text, |text| name(text, "id"))
    });
    if let Some(id) = &id {
        fields.what = format!("rule {}", quoted(id));
    }
    let place = Place { source, span: if id.is_some() { fields.span.clone() } else { header } };
    let class = class(&fields);
    let trigger = trigger::trigger(&fields);
    let forbid = heal::forbid(&fields, class);
    let window = window(&fields, trigger.as_ref());
    let by = by(&fields, trigger.as_ref());
    let say = sentence(&fields, class, trigger.as_ref());
    let scope = trigger::scope(&fields);
    let require = trigger::require(&fields);
    let confirm = trigger::confirm(&fields);
    let heal = heal::ladder(&fields, class, &forbid);
    let verify = heal::verify(&fields);
    let fallback = fallback(&fields, trigger.as_ref());
    let cases = case::cases(&fields, source);
    let sink = fields.sink;
    fields.close();
    if sink.count() > before {
        return None;
    }
    let id = id?;
    let (count, within, cooldown) = window;
    Some(Rule {
        name: format!("{pack}/{id}"),
        id,
        class: class?,
        say: say?,
        scope,
        trigger: trigger?,
        by,
        count,
        within,
        cooldown,
        require,
        confirm,
        heal,
        verify,
        forbid,
        fallback,
        cases,
        place,
    })
}

/// A pack's or rule's name: it ends up in file names, commands and the journal.
fn name(text: &str, kind: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is no {kind}; use up to 64 of a-z, 0-9 and -", quoted(text)))
    }
}

fn class(rule: &Fields<'_>) -> Option<Class> {
    let text = rule.required_text("class")?;
    let class = text.value.parse::<Class>();
    if let Err(error) = &class {
        let meant = nearest(text.value, Class::ALL.map(Class::as_str));
        rule.sink.report_with_hint(
            &text.span,
            error.to_string(),
            meant.map(|meant| format!("did you mean `{meant}`?")),
        );
    }
    class.ok()
}

fn fallback(rule: &Fields<'_>, trigger: Option<&Trigger>) -> bool {
    let fallback = rule.flag("fallback").unwrap_or(false);
    if fallback && matches!(trigger, Some(Trigger::Event { .. })) {
        rule.sink.report(&rule.span, format!("{} has `fallback`, which only lines can be", rule.what));
    }
    fallback
}

/// `count`, `within` and `cooldown`.
fn window(rule: &Fields<'_>, trigger: Option<&Trigger>) -> (usize, Duration, Duration) {
    let count =
        rule.number("count", 1..=MOST_HITS).and_then(|count| usize::try_from(count).ok()).unwrap_or(1);
    let within = rule.parsed("within", time);
    match (count, rule.has("within")) {
        (1, true) => rule.sink.report(&rule.span, format!("{} has `within` but no `count`", rule.what)),
        (2.., false) => rule.sink.report(&rule.span, format!("{} has a `count` but no `within`", rule.what)),
        _ => {}
    }
    let default = match trigger {
        Some(Trigger::Log(_)) => LOG_COOLDOWN,
        _ => Duration::ZERO,
    };
    let cooldown = rule.parsed("cooldown", time).unwrap_or(default);
    (count, within.unwrap_or(LONGEST), cooldown)
}

fn time(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text).map_err(|error| error.to_string())?;
    if time > LONGEST { Err(format!("{} is longer than 7d", quoted(text))) } else { Ok(time) }
}

fn by(rule: &Fields<'_>, trigger: Option<&Trigger>) -> Vec<Key> {
    if !rule.has("by") {
        return vec![Key::Host, Key::App];
    }
    let captures = capture_names(trigger);
    let key = |word: &str| {
        let known = Key::WORDS.into_iter().find(|(name, _)| *name == word).map(|(_, key)| key);
        let captured = captures.iter().any(|(name, _)| name == word).then(|| Key::Capture(word.to_owned()));
        known.or(captured).ok_or_else(|| {
            format!("{} is nothing to group by; choose from host, app, container, or a capture", quoted(word))
        })
    };
    rule.texts("by").iter().filter_map(|text| rule.read(text, key)).collect()
}

/// The names that a trigger captures, and whether each of its matches has it.
fn capture_names(trigger: Option<&Trigger>) -> Vec<(String, bool)> {
    match trigger {
        Some(Trigger::Log(pattern)) => {
            let (always, sometimes) = pattern.capture_names();
            let always = always.into_iter().map(|name| (name, true));
            always.chain(sometimes.into_iter().map(|name| (name, false))).collect()
        }
        Some(Trigger::Event { on, .. }) => {
            vec![("exit_code".to_owned(), on.kinds.iter().all(|kind| *kind == EventKind::Die))]
        }
        None => Vec::new(),
    }
}

fn sentence(rule: &Fields<'_>, class: Option<Class>, trigger: Option<&Trigger>) -> Option<Template> {
    let captures = capture_names(trigger);
    for (name, _) in &captures {
        if say::KNOWN.contains(&name.as_str()) {
            rule.sink.report(
                &rule.span,
                format!("{} captures `{name}`, a name that has a meaning already", rule.what),
            );
        }
    }
    let Some(text) = rule.text("say") else {
        let meaning = class.map_or("", Class::meaning);
        return Template::parse(&format!("{{app}}: {meaning}")).ok();
    };
    let template = rule.read(&text, Template::parse)?;
    for (name, optional) in template.captures() {
        let known = say::KNOWN.contains(&name);
        let captured = captures.iter().find(|(captured, _)| captured == name);
        if trigger.is_none() || known {
            continue;
        }
        match captured {
            None => {
                let names = say::KNOWN.into_iter().chain(captures.iter().map(|(name, _)| name.as_str()));
                let meant = nearest(name, names).map(|meant| format!("did you mean `{{{meant}}}`?"));
                rule.sink.report_with_hint(
                    &text.span,
                    format!("`say` names `{{{name}}}`, which nothing captures"),
                    meant,
                );
            }
            Some((_, false)) if !optional => rule.sink.report_with_hint(
                &text.span,
                format!("`say` names `{{{name}}}`, which not every pattern captures"),
                Some(format!("write `{{{name}?}}`")),
            ),
            Some(_) => {}
        }
    }
    Some(template)
}
