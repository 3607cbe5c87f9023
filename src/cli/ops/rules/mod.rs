//! `arcane rules`, and loading of rules for the commands that need them.

pub(in crate::cli) mod args;
mod bench;
mod explain;
mod input;
mod marks;
mod new;
mod replay;
mod why_not;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::labelled;
use crate::cli::args::{Arguments, RuleFiles, RuleTest, Rules};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Ui, table};
use crate::fleet::text::{plural, quoted};
use crate::rules::{RuleSet, TestResult};

/// A rule file larger than this is not one.
const LIMIT: u64 = 1 << 20;

pub(in crate::cli::ops) fn run(ui: &Ui, arguments: &Arguments, command: &Rules) -> Result<u8, Failure> {
    match command {
        Rules::Lint(files) => lint(ui, files),
        Rules::Test(RuleTest { files, labelled: Some(excerpts), .. }) => {
            labelled::run(ui, &named(files)?, excerpts, files.json)
        }
        Rules::Test(RuleTest { files, rule, .. }) => test(ui, files, rule.as_deref()),
        Rules::List(files) => list(ui, files),
        Rules::Explain(options) => explain::run(ui, options),
        Rules::New(options) => new::run(ui, options),
        Rules::WhyNot(options) => why_not::run(ui, options),
        Rules::Replay(options) => replay::run(ui, arguments, options),
        Rules::Bench(options) => bench::run(ui, options),
    }
}

/// The built-in rules and those of further files and directories.
pub(in crate::cli::ops) fn load(paths: &[PathBuf]) -> Result<RuleSet, Failure> {
    let mut sources = RuleSet::builtin_files();
    sources.extend(read(paths)?);
    RuleSet::load(&sources).map_err(|error| Failure::from_error(exit::USAGE, &error))
}

/// The rules that a `rules` command is about: those named, or the built-in ones.
fn named(files: &RuleFiles) -> Result<RuleSet, Failure> {
    let sources = if files.paths.is_empty() { RuleSet::builtin_files() } else { read(&files.paths)? };
    RuleSet::load(&sources).map_err(|error| Failure::from_error(exit::USAGE, &error))
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

fn read(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut files: Vec<_> = std::fs::read_dir(path)
                .map_err(|error| unreadable(path, &error))?
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
                .collect();
            files.sort();
            if files.is_empty() {
                return Err(Failure::new(exit::USAGE, format!("{} holds no .toml file", path.display())));
            }
            for file in files {
                sources.push(read_one(&file)?);
            }
        } else {
            sources.push(read_one(path)?);
        }
    }
    Ok(sources)
}

fn read_one(path: &Path) -> Result<(String, String), Failure> {
    let size = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if size > LIMIT {
        return Err(Failure::new(
            exit::USAGE,
            format!("{} has {size} bytes, {LIMIT} are allowed", path.display()),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Ok((path.display().to_string(), text))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(exit::USAGE, format!("cannot read rules from {}: {error}", path.display()))
}

fn lint(ui: &Ui, files: &RuleFiles) -> Result<u8, Failure> {
    let rules = named(files)?;
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

fn test(ui: &Ui, files: &RuleFiles, rule: Option<&str>) -> Result<u8, Failure> {
    let rules = named(files)?;
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

fn list(ui: &Ui, files: &RuleFiles) -> Result<u8, Failure> {
    let rules = named(files)?;
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
    }
    Ok(exit::DONE)
}
