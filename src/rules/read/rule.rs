//! Reading one rule.

use super::super::event::EventKind;
use super::super::log::LogPattern;
use super::super::problem::nearest;
use super::super::require::Require;
use super::super::rule::{EventTrigger, Rule, StepTrigger, Trigger};
use super::super::say::{self, Template};
use super::fields::Fields;
use super::heal::Target;
use super::pack::Header;
use super::{case, counting, heal, require, scope, sequence, trigger};
use crate::fleet::{Class, Remedy, Rung};

/// Reads a rule. `None` when there are problems, which have gone to the sink of `fields`.
pub(super) fn rule(fields: Fields<'_>, header: &Header) -> Option<Rule> {
    let before = fields.sink.count();
    fields.known(&["id", "extends", "off"]);
    let class = class(&fields);
    let trigger = trigger::trigger(&fields);
    let forbid = heal::forbid(&fields, class);
    let threshold = counting::threshold(&fields, trigger.as_ref());
    let cooldown = counting::cooldown(&fields, trigger.as_ref());
    let by = counting::by(&fields, trigger.as_ref());
    let say = sentence(&fields, class, trigger.as_ref());
    let scope = scope::scope(&fields);
    let require = require::require(&fields, "require");
    let confirm = require::confirm(&fields);
    let inhibit = sequence::inhibit(&fields);
    let (heal, conditions, heals_cause) = ladder(&fields, class, &forbid, trigger.as_ref());
    let verify = heal::verify(&fields);
    let on_fail = heal::on_fail(&fields);
    let fallback = fallback(&fields, trigger.as_ref());
    let cases = case::cases(&fields, header.place.source);
    let sink = fields.sink;
    fields.close();
    if sink.count() > before {
        return None;
    }
    Some(Rule {
        id: header.id.clone(),
        name: header.name.clone(),
        class: class?,
        say: say?,
        scope,
        trigger: trigger?,
        by,
        threshold,
        cooldown,
        require,
        confirm,
        inhibit,
        heal,
        conditions,
        heals_cause,
        verify,
        forbid,
        on_fail,
        fallback,
        cases,
        digest: header.digest,
        place: header.place.clone(),
    })
}

/// The ladder, what its rungs ask for, and whether they heal the cause: all of them or none, for an incident is about one
/// app.
fn ladder(
    rule: &Fields<'_>,
    class: Option<Class>,
    forbid: &[Remedy],
    trigger: Option<&Trigger>,
) -> (Vec<Rung>, Vec<Require>, bool) {
    let rungs = heal::ladder(rule, class, forbid);
    let changing = || rungs.iter().filter(|(rung, ..)| rung.remedy.changes_server());
    let cause = changing().any(|(.., target)| *target == Target::Cause);
    let here = changing().any(|(.., target)| *target == Target::Here);
    let is_sequence = matches!(trigger, Some(Trigger::Sequence(_)));
    if cause && here {
        let message =
            format!("the rungs of {} have different targets; an incident is about one app", rule.what);
        rule.sink.report(&rule.span, message);
    }
    let special = cause || rungs.iter().any(|(rung, ..)| rung.then_dependents);
    if special && trigger.is_some() && !is_sequence {
        let message = format!("{} names a cause or dependents, which only a `sequence` has", rule.what);
        rule.sink.report(&rule.span, message);
    }
    let (heal, conditions): (Vec<_>, Vec<_>) =
        rungs.into_iter().map(|(rung, condition, _)| (rung, condition)).unzip();
    (heal, conditions, cause)
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
    if fallback && trigger.is_some_and(|trigger| !matches!(trigger, Trigger::Log(_))) {
        rule.sink.report(&rule.span, format!("{} has `fallback`, which only lines can be", rule.what));
    }
    fallback
}

/// The names that a trigger captures, and whether each of its matches has it.
pub(super) fn capture_names(trigger: Option<&Trigger>) -> Vec<(String, bool)> {
    match trigger {
        Some(Trigger::Log(pattern)) => of_log(pattern),
        Some(Trigger::Event(event)) => of_event(event),
        Some(Trigger::Stat(bound)) => vec![("value".to_owned(), true), (bound.stat.to_string(), true)],
        Some(Trigger::Signal(_)) => vec![("trigger".to_owned(), true)],
        Some(Trigger::Sequence(steps)) => {
            let of_steps = steps.iter().flat_map(|step| match &step.on {
                StepTrigger::Log(pattern) => of_log(pattern),
                StepTrigger::Event(event) => of_event(event),
            });
            let mut names: Vec<(String, bool)> =
                vec![("cause".to_owned(), true), ("symptoms".to_owned(), true)];
            for (name, always) in of_steps {
                match names.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known |= always,
                    None => names.push((name, always)),
                }
            }
            names
        }
        Some(Trigger::Absent(_)) | None => Vec::new(),
    }
}

fn of_log(pattern: &LogPattern) -> Vec<(String, bool)> {
    let (always, sometimes) = pattern.capture_names();
    let always = always.into_iter().map(|name| (name, true));
    always.chain(sometimes.into_iter().map(|name| (name, false))).collect()
}

fn of_event(event: &EventTrigger) -> Vec<(String, bool)> {
    vec![("exit_code".to_owned(), event.on.kinds.iter().all(|kind| *kind == EventKind::Die))]
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
