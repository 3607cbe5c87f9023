//! `arcane rules test --labelled FILE`: how well rules recognise failures in logs that somebody has labelled.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::rules::refuse_directory;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Ui, table};
use crate::fleet::text::{plural, printable};
use crate::rules::{Excerpt, Recognised, RuleSet, Scanner, Score, recognise, scores};

/// A larger file is not read.
const LIMIT: u64 = 256 << 20;

/// Prints precision and recall per class, and what was not recognised.
pub(super) fn run(ui: &Ui, rules: &RuleSet, path: &Path, json: bool) -> Result<u8, Failure> {
    let excerpts = read(path)?;
    let mut scanner = Scanner::new(Arc::new(rules.clone()));
    let results: Vec<Recognised> =
        excerpts.iter().map(|excerpt| recognise(rules, &mut scanner, excerpt)).collect();
    let scores = scores(&results);
    let right = results.iter().filter(|result| result.right).count();
    if json {
        let classes: Vec<_> = scores
            .iter()
            .map(|(class, score)| {
                json!({
                    "class": class, "excerpts": score.excerpts, "recognised": score.recognised, "said": score.said,
                    "rightly": score.rightly, "precision": score.precision(), "recall": score.recall(),
                })
            })
            .collect();
        let wrong: Vec<_> = results.iter().filter(|result| !result.right).map(shape).collect();
        ui.json(&json!({ "excerpts": results.len(), "right": right, "classes": classes, "wrong": wrong }));
        return Ok(exit::DONE);
    }
    for result in results.iter().filter(|result| !result.right) {
        let rules: Vec<_> =
            result.rules.iter().map(|(rule, line)| format!("{rule} on line {line}")).collect();
        let rules = if rules.is_empty() { "no rule".to_owned() } else { rules.join(", ") };
        ui.out(&format!("{}: {}, said {}: {rules}", printable(&result.id, 80), result.class, result.found));
    }
    let row = |(class, score): (&_, &Score)| {
        let percent =
            |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0));
        vec![
            format!("{class}"),
            score.excerpts.to_string(),
            percent(score.recall()),
            score.said.to_string(),
            percent(score.precision()),
        ]
    };
    let rows: Vec<_> = scores.iter().map(row).collect();
    ui.out(&table(&["CLASS", "EXCERPTS", "RECALL", "SAID", "PRECISION"], &rows));
    ui.out(&format!("{right} of {} right", plural(results.len(), "excerpt")));
    Ok(exit::DONE)
}

fn shape(result: &Recognised) -> serde_json::Value {
    let rules: Vec<_> =
        result.rules.iter().map(|(rule, line)| json!({ "rule": rule, "line": line })).collect();
    json!({ "id": result.id, "class": result.class, "found": result.found, "rules": rules })
}

fn read(path: &Path) -> Result<Vec<Excerpt>, Failure> {
    let fail = |what: String| Failure::new(exit::USAGE, format!("{}: {what}", path.display()));
    refuse_directory(path, "name the file of excerpts: `arcane rules test --labelled FILE`")?;
    let size = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if size > LIMIT {
        return Err(fail(format!("it has {size} bytes, {LIMIT} are allowed")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| fail(format!("line {}: {error}", number + 1)))
        })
        .collect()
}
