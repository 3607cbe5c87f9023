//! `arcane rules`, and loading of rules for the commands that need them.

pub(in crate::cli) mod args;
mod bench;
mod explain;
mod files;
mod input;
mod marks;
mod new;
pub(in crate::cli::ops) mod replaced;
mod replay;
mod why_not;

pub(in crate::cli::ops) use files::RuleWatch;
pub(in crate::cli::ops) use input::refuse_directory;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::labelled;
use crate::cli::args::{Arguments, RuleFiles, RuleTest, Rules};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Ui, table};
use crate::fleet::text::{plural, quoted};
use crate::rules::{RuleSet, TestResult};

pub(in crate::cli::ops) fn run(ui: &Ui, arguments: &Arguments, command: &Rules) -> Result<u8, Failure> {
    match command {
        Rules::Lint(files) => lint(ui, arguments, files),
        Rules::Test(RuleTest { files, labelled: Some(excerpts), .. }) => {
            labelled::run(ui, &named(arguments, files)?, excerpts, files.json)
        }
        Rules::Test(RuleTest { files, rule, .. }) => test(ui, arguments, files, rule.as_deref()),
        Rules::List(files) => list(ui, arguments, files),
        Rules::Explain(options) => explain::run(ui, arguments, options),
        Rules::New(options) => new::run(ui, arguments, options),
        Rules::WhyNot(options) => why_not::run(ui, arguments, options),
        Rules::Replay(options) => replay::run(ui, arguments, options),
        Rules::Bench(options) => bench::run(ui, arguments, options),
    }
}

/// The rules in force in a directory: the built-in ones, and over them those of the user, of the project and of further
/// files and directories.
pub(in crate::cli::ops) fn load(directory: &Path, paths: &[PathBuf]) -> Result<RuleSet, Failure> {
    RuleSet::layered(&files::layers(directory, paths)?)
        .map_err(|error| Failure::from_error(exit::USAGE, &error))
}

/// The rules that a `rules` command is about: those named, which may extend all that are in force without them; or, when
/// none are named, those in force.
fn named(arguments: &Arguments, files: &RuleFiles) -> Result<RuleSet, Failure> {
    let below = files::layers(&arguments.directory, &[])?;
    let rules = if files.paths.is_empty() {
        RuleSet::layered(&below)
    } else {
        RuleSet::over(&below, &files::read(&files.paths)?)
    };
    rules.map_err(|error| Failure::from_error(exit::USAGE, &error))
}

/// The rule that is meant by ID or PACK/ID, as an index.
fn one(rules: &RuleSet, wanted: &str) -> Result<usize, Failure> {
    let found: Vec<usize> = (0..rules.rules().len())
        .filter(|&number| {
            let name = rules.rules()[number].name();
            name == wanted || name.rsplit_once('/').is_some_and(|(_, id)| id == wanted)
        })
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let failure = Failure::new(exit::USAGE, format!("there is no rule {}", quoted(wanted)));
            let meant = rules.nearest(wanted).map(|name| format!("did you mean `{name}`?"));
            Err(failure.hint(
                meant.unwrap_or_else(|| "`arcane rules list` lists them; --rules adds yours".to_owned()),
            ))
        }
        _ => {
            let names: Vec<_> = found.iter().map(|&number| rules.rules()[number].name()).collect();
            Err(Failure::new(exit::USAGE, format!("{} could be {}", quoted(wanted), names.join(" or "))))
        }
    }
}

fn lint(ui: &Ui, arguments: &Arguments, files: &RuleFiles) -> Result<u8, Failure> {
    let rules = named(arguments, files)?;
    let problems = rules.lint();
    if files.json {
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        ui.json(&json!({ "rules": rules.rules().len(), "problems": texts }));
    } else {
        for problem in &problems {
            ui.out(&problem.to_string());
        }
        ui.out(&format!("{}, {}", plural(rules.rules().len(), "rule"), plural(problems.len(), "problem")));
    }
    Ok(if problems.is_empty() { exit::DONE } else { exit::FAILED })
}

fn test(ui: &Ui, arguments: &Arguments, files: &RuleFiles, rule: Option<&str>) -> Result<u8, Failure> {
    let rules = named(arguments, files)?;
    let report = match rule {
        Some(rule) => rules.test_one(one(&rules, rule)?),
        None => rules.test(),
    };
    let failures: Vec<_> = report.failures().collect();
    if files.json {
        let shape = |failure: &&TestResult| {
            json!({
                "rule": failure.rule, "test": failure.test, "why": failure.why,
                "problem": failure.problem.as_ref().map(ToString::to_string),
            })
        };
        ui.json(&json!({
            "passed": report.results.len() - failures.len(), "failed": failures.len(),
            "failures": failures.iter().map(shape).collect::<Vec<_>>(),
        }));
    } else {
        ui.out(&report.to_string());
    }
    Ok(if report.passed() { exit::DONE } else { exit::FAILED })
}

fn list(ui: &Ui, arguments: &Arguments, files: &RuleFiles) -> Result<u8, Failure> {
    let rules = named(arguments, files)?;
    let row = |rule: &crate::rules::Rule| {
        let ladder: Vec<_> =
            rule.ladder().iter().map(|rung| format!("{} ({})", rung.remedy, rung.mode)).collect();
        vec![rule.name().to_owned(), rule.class().to_string(), ladder.join(", then ")]
    };
    let rows: Vec<_> = rules.rules().iter().map(row).collect();
    if files.json {
        let list: Vec<_> =
            rows.iter().map(|row| json!({ "rule": row[0], "class": row[1], "ladder": row[2] })).collect();
        ui.json(&list);
    } else {
        ui.out(&table(&["RULE", "CLASS", "LADDER"], &rows));
        for one in rules.replacements() {
            ui.note(&replaced::words(&one));
        }
    }
    Ok(exit::DONE)
}
