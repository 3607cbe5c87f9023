//! From a log line to a rule with its tests: what varies from line to line becomes a capture or a wildcard, the words
//! stay. Every draft is loaded, tested and linted before it is handed out, so that what an author begins with works.
//! The same line always gives the same draft.

mod class;
mod fields;
mod neighbour;
mod pattern;
mod tokens;
mod write;

use std::fmt::Write as _;
use std::sync::Arc;

use super::ansi;
use super::set::{RuleSet, Scanner};
use crate::fleet::Class;
use crate::fleet::text::printable;

use fields::Form;
use pattern::Drafted;
use write::text as toml_text;

/// Bytes of a line that a rule is made from.
const LINE: usize = 8 << 10;

/// What the author has decided already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What the rule is called.
    pub id: Option<String>,
    /// Its class.
    pub class: Option<Class>,
    /// Its pack.
    pub pack: String,
}

/// Why no rule can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// A rule must be told by words, and the line has none but those that every log has.
    #[error("the line has no words of its own that a rule could know it by")]
    NoWords,
    /// The wishes do not make a rule.
    #[error("the rule would be refused: {0}")]
    Refused(String),
}

/// Makes a rule file from a line. `known` are the rules that are there already: they say what class the line is of, and
/// whether it is known.
///
/// # Errors
/// When the line has no words to go by, or the wishes are refused.
pub fn draft(line: &str, wish: &Wish, known: &Arc<RuleSet>) -> Result<String, DraftError> {
    let mut room = String::new();
    let stripped = ansi::strip(line, &mut room);
    let line = stripped[..super::hit::boundary(stripped, LINE)].trim();
    let form = Form::of(line);
    let mut failed = DraftError::NoWords;
    for drafted in pattern::drafts(form.message(line)) {
        let text = write_out(line, &form, &drafted, wish, known);
        match check(&text) {
            Ok(()) => return Ok(text),
            Err(problem) => failed = DraftError::Refused(problem),
        }
    }
    Err(failed)
}

/// A draft must load, pass its tests and have nothing that lint would find.
fn check(text: &str) -> Result<(), String> {
    let rules =
        RuleSet::load(&[("the draft".to_owned(), text.to_owned())]).map_err(|error| error.to_string())?;
    let report = rules.test();
    if !report.passed() {
        return Err(report.to_string());
    }
    match rules.lint().first() {
        None => Ok(()),
        Some(problem) => Err(problem.to_string()),
    }
}

fn write_out(line: &str, form: &Form, drafted: &Drafted, wish: &Wish, known: &Arc<RuleSet>) -> String {
    let guess = class::guess(line, known);
    let class = wish.class.unwrap_or(guess.class);
    let why = if wish.class.is_some() { "As you wished.".to_owned() } else { guess.why };
    let id = wish.id.clone().unwrap_or_else(|| drafted.id());
    let mut out = format!("# Made from this line:\n#   {}\n", printable(line, 200));
    for remark in guess.remarks {
        let _ = writeln!(out, "# {remark}");
    }
    let _ = write!(out, "\npack   = {}\nschema = 1\n\n[[rule]]\n", toml_text(&wish.pack));
    let _ = write!(out, "id    = {}\n# {why}\nclass = \"{class}\"\n", toml_text(&id));
    let _ = writeln!(out, "say   = {}", toml_text(&drafted.say()));
    for remark in drafted.remarks() {
        let _ = writeln!(out, "# {remark}");
    }
    let _ = writeln!(out, "log   = {}", form.trigger(drafted));
    out.push_str("# One such line fires it. If only many of them are a problem, say how many, and within which time:\n");
    out.push_str("# count  = 3\n# within = \"1m\"\n");
    out.push_str(
        "# What is tried is what fits the class, until you write down a ladder: heal = [{ do = … }]\n",
    );
    out.push_str("test  = [\n");
    let captures = drafted.captured();
    let captures = if captures.is_empty() { String::new() } else { format!("captures = {captures}, ") };
    let _ = writeln!(out, "  {{ name = \"the line\", fires = 1, {captures}line = {} }},", toml_text(line));
    for (name, line) in form.neighbours(line, drafted) {
        let _ = writeln!(out, "  {{ name = {}, fires = 0, line = {} }},", toml_text(name), toml_text(&line));
    }
    out.push_str("]\n");
    out
}

/// Of several lines, the one to make a rule from: the first that speaks of a fault, else the first that says anything.
#[must_use]
pub fn telling_line<'l>(lines: &[&'l str]) -> Option<&'l str> {
    let faulty = lines.iter().find(|line| tokens::words(line).any(neighbour::is_fault));
    faulty.or_else(|| lines.iter().find(|line| !line.trim().is_empty())).copied()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::builtin()));

    fn wish() -> Wish {
        Wish { id: None, class: None, pack: "local".to_owned() }
    }

    fn made(line: &str) -> String {
        draft(line, &wish(), &RULES).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn value<'t>(text: &'t str, key: &str) -> &'t str {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once('=').map_or("", |(_, value)| value.trim())
    }

    #[test]
    fn what_varies_becomes_a_capture() {
        for (line, log) in [
            (
                "2026-11-25T10:00:00Z ERROR payment gateway 10.0.0.7:443 refused",
                r"{ any = ['re:payment gateway (?P<peer>[0-9A-Za-z.:\[\]-]+) refused'] }",
            ),
            (
                "FATAL:  remaining connection slots are reserved",
                "{ any = ['remaining connection slots are reserved'] }",
            ),
            ("job 42 failed after 3 tries", r"{ any = ['re:job \d+ failed after \d+ tries'] }"),
            ("got signal 11", "{ any = ['got signal 11'] }"),
            (
                r#"{"level":"error","msg":"pool \"main\" is empty"}"#,
                r#"{ json = { level = 'error', msg = 're:pool "(?P<value>[^"]*)" is empty' } }"#,
            ),
            (
                "level=error msg=\"cannot write /var/lib/x\" user=ada",
                r#"{ fields = { level = 'error', msg = 're:cannot write (?P<path>[^\s''"]+)' } }"#,
            ),
        ] {
            let text = made(line);
            let expected = log.replace("''\"", "\\'\"");
            let found = value(&text, "log ").replace("\\\\", "\\");
            let bare = |text: &str| text.replace(['\'', '"', '\\'], "");
            assert_eq!(bare(&found), bare(&expected), "{line}\n{text}");
        }
    }

    #[test]
    fn the_class_is_guessed_and_said_to_be_a_guess() {
        let text = made("No space left on device: cannot write segment");
        assert_eq!(value(&text, "class"), "\"disk_full\"");
        assert!(text.contains("# As ") || text.contains("# A guess"), "{text}");
        let mut scanner = Scanner::new(Arc::clone(&RULES));
        let mut counts = |line: &String| {
            scanner.counted(line).first().is_some_and(|found| !RULES.rules()[found.rule].is_fallback())
        };
        let known = crate::rules::tests::sample_lines(&RULES).into_iter().find(|line| counts(line)).unwrap();
        assert!(made(&known).contains("knows this line already"), "{known}");
        assert!(made("the frobnicator hiccuped badly").contains("A guess"), "nothing speaks for any class");
    }

    #[test]
    fn wishes_are_granted_or_refused() {
        let wish = Wish { id: Some("Bad Id".to_owned()), class: None, pack: "p".to_owned() };
        assert!(matches!(draft("all pumps failed", &wish, &RULES), Err(DraftError::Refused(_))));
        let wish = Wish { id: Some("pumps".to_owned()), class: Some(Class::Hang), pack: "p".to_owned() };
        let text = draft("all pumps failed", &wish, &RULES).unwrap();
        assert_eq!((value(&text, "id"), value(&text, "class")), ("\"pumps\"", "\"hang\""));
        for line in ["", "   ", "12:00:00", "ERROR 42", "{}", "{\"level\":\"error\"}", "== --"] {
            assert!(draft(line, &self::wish(), &RULES).is_err(), "{line}");
        }
    }

    /// The promise: a line that the built-in packs know gives a file that passes `rules test` and `rules lint`. Left out
    /// are the few that say nothing of their own, which are refused with just that.
    #[test]
    fn every_sample_of_the_built_in_packs_makes_a_rule() {
        let samples = crate::rules::tests::sample_lines(&RULES);
        let mut wordless = 0;
        for line in &samples {
            match draft(line, &wish(), &RULES) {
                Ok(_) => {}
                Err(DraftError::NoWords) => wordless += 1,
                Err(DraftError::Refused(why)) if why.contains("lines of almost every log") => wordless += 1,
                Err(error) => panic!("{line}\n    {error}"),
            }
        }
        assert!(samples.len() > 100 && wordless * 100 <= samples.len(), "{wordless} of {}", samples.len());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        /// Whatever a line is, it makes a sound file or none; [`draft`] itself sees to the first, so this is the second.
        #[test]
        fn any_line_is_drafted_or_refused(line in "(?s)[\\PC\"'{}\\[\\]=:/0-9 \\\\]{0,60}( failed)?") {
            if let Ok(text) = draft(&line, &wish(), &RULES) {
                proptest::prop_assert_eq!(check(&text), Ok(()));
                proptest::prop_assert_eq!(draft(&line, &wish(), &RULES), Ok(text));
            }
        }
    }

    #[test]
    fn a_fault_that_is_part_of_a_longer_word_is_no_reason_to_refuse() {
        for line in ["4missing requirement", "job 4missing requirement", r#"{"l":"g"4missing requi":"g"2.2}"#]
        {
            let text = made(line);
            assert!(text.contains("the same without its rarest word"), "{text}");
        }
        assert!(made("missing requirement").contains("the same without the fault"));
    }

    #[test]
    fn hostile_lines_make_sound_files_or_none() {
        for line in [
            "it's \"quoted\" 'twice' \u{7} and rung",
            "pool {app} is {{empty}} and }{ broken",
            "'''\"\"\" = ''' [[rule]] \\u0000 failed",
            "re:(unclosed failed",
            "größe überschritten: 12 käse\u{202e}",
            "a\nsecond = \"line\"\nfailed",
            &format!("needle {}", "x".repeat(100_000)),
            "\u{1b}[31mdisk\u{1b}[0m quota exceeded",
        ] {
            if let Ok(text) = draft(line, &wish(), &RULES) {
                check(&text).unwrap();
            }
        }
        made("pool {app} is {{empty}} and }{ broken");
        made("it's \"quoted\" 'twice' \u{7} and rung");
    }
}
