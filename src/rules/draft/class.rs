//! What class a line is of: what the rules that are there say, else a guess by its words.

use std::sync::Arc;

use super::{RuleSet, Scanner};
use crate::fleet::Class;

/// Words, in lower case, that speak for a class; the first that is found decides.
const WORDS: [(&str, Class); 44] = [
    ("out of memory", Class::OutOfMemory),
    ("cannot allocate", Class::OutOfMemory),
    ("heap", Class::OutOfMemory),
    ("no space", Class::DiskFull),
    ("disk full", Class::DiskFull),
    ("quota", Class::DiskFull),
    ("read-only file system", Class::DiskFull),
    ("address already in use", Class::PortConflict),
    ("port is already", Class::PortConflict),
    ("certificate", Class::TlsFailure),
    ("x509", Class::TlsFailure),
    ("handshake", Class::TlsFailure),
    ("tls", Class::TlsFailure),
    ("ssl", Class::TlsFailure),
    ("password", Class::AuthFailure),
    ("authentication", Class::AuthFailure),
    ("unauthorized", Class::AuthFailure),
    ("credential", Class::AuthFailure),
    ("no such host", Class::NameResolution),
    ("name resolution", Class::NameResolution),
    ("resolve", Class::NameResolution),
    ("permission denied", Class::PermissionDenied),
    ("not permitted", Class::PermissionDenied),
    ("access denied", Class::PermissionDenied),
    ("migration", Class::SchemaMismatch),
    ("relation", Class::SchemaMismatch),
    ("column", Class::SchemaMismatch),
    ("schema", Class::SchemaMismatch),
    ("exec format", Class::BrokenImage),
    ("shared librar", Class::BrokenImage),
    ("corrupt", Class::DataCorruption),
    ("checksum", Class::DataCorruption),
    ("deadlock", Class::Hang),
    ("watchdog", Class::Hang),
    ("too many", Class::ResourceExhaustion),
    ("exhausted", Class::ResourceExhaustion),
    ("rate limit", Class::Overload),
    ("queue", Class::Overload),
    ("overload", Class::Overload),
    ("config", Class::BadConfig),
    ("environment", Class::BadConfig),
    ("refused", Class::DependencyUnavailable),
    ("timeout", Class::DependencyUnavailable),
    ("unreachable", Class::DependencyUnavailable),
];

/// A class, and why.
pub(super) struct Guess {
    pub(super) class: Class,
    pub(super) why: String,
    /// What an author should know of the rules that are there.
    pub(super) remarks: Vec<String>,
}

pub(super) fn guess(line: &str, known: &Arc<RuleSet>) -> Guess {
    let mut scanner = Scanner::new(Arc::clone(known));
    let name = |number: usize| known.rules()[number].name();
    let matches = scanner.matches(line);
    let mut remarks = Vec::new();
    let benign = matches.iter().find(|found| known.rules()[found.rule].is_suppressor());
    remarks.extend(benign.map(|found| {
        format!("{} calls this line normal: beside that rule, this one does not fire.", name(found.rule))
    }));
    let counted = scanner.counted(line);
    let is_fallback = |number: usize| known.rules()[number].is_fallback();
    if let Some(found) = counted.first() {
        // A fallback gives way to the new rule.
        if !is_fallback(found.rule) {
            remarks.push(format!("{} knows this line already.", name(found.rule)));
        }
        let why = format!("As {} says.", name(found.rule));
        return Guess { class: known.rules()[found.rule].class(), why, remarks };
    }
    let lower = line.to_lowercase();
    let spoken = WORDS.iter().find(|(word, _)| lower.contains(word));
    let (class, why) = match spoken {
        Some((word, class)) => {
            (*class, format!("A guess, for `{word}` is in it; docs/taxonomy.md has the others."))
        }
        None => (
            Class::AppCrash,
            "A guess, for nothing in it speaks for another one; docs/taxonomy.md has them all.".to_owned(),
        ),
    };
    Guess { class, why, remarks }
}
