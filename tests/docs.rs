//! docs/commands.md says what the binary says: its help texts are printed into the file, and what was written by hand
//! between the markers stays.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
const ASK: &str = "regenerate with ARCANE_UPDATE_DOCS=1 cargo test --test docs";
const END: &str = "<!-- end -->";

/// What begins a text that is written by hand; the introduction's name is `introduction`, a command's its own.
fn begin(name: &str) -> String {
    format!("<!-- by hand: {name} -->")
}

/// The help of a command, printed as in a terminal of 100 columns without colours.
fn help(path: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_arcane"))
        .arg("help")
        .args(path)
        .env_clear()
        .envs([("COLUMNS", "100"), ("NO_COLOR", "1")])
        .output()
        .expect("arcane can be run");
    assert!(output.status.success(), "`arcane help {}` failed", path.join(" "));
    let text = String::from_utf8(output.stdout).expect("help is UTF-8");
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// The commands that a help text lists; `help` itself is everywhere.
fn listed(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands.take_while(|line| !line.is_empty()).filter_map(|line| {
        // A description may go on in a further line, indented deeper.
        let name = line.strip_prefix("  ")?.split_whitespace().next()?;
        (!line.starts_with("   ")).then(|| name.to_owned())
    });
    names.filter(|name| name != "help").collect()
}

/// What was written by hand, by name.
fn kept(text: &str) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for part in text.split("<!-- by hand: ").skip(1) {
        let (name, rest) = part.split_once(" -->\n").expect("a marker ends with -->");
        let (by_hand, _) = rest.split_once(END).unwrap_or_else(|| panic!("`{name}` has no {END}"));
        kept.insert(name.to_owned(), by_hand.trim().to_owned());
    }
    kept
}

/// A command's section, and those of the commands below it.
fn section(path: &[String], by_hand: &mut BTreeMap<String, String>, page: &mut Vec<String>) {
    let name = path.join(" ");
    let text = help(path);
    let sentence = text.lines().next().unwrap_or_default();
    page.push(format!("{} arcane {name}", "#".repeat(path.len() + 1)));
    page.push(format!("{sentence}."));
    page.push(format!("{}\n{}\n{END}", begin(&name), by_hand.remove(&name).unwrap_or_default()));
    page.push(format!("```text\n$ arcane {name} --help\n{text}\n```"));
    for below in listed(&text) {
        section(&[path, &[below]].concat(), by_hand, page);
    }
}

/// The whole page, with what `before` holds by hand.
fn render(before: &str) -> String {
    let mut by_hand = kept(before);
    let top = help(&[]);
    let introduction = by_hand.remove("introduction").unwrap_or_default();
    let mut page = vec![
        "# Commands".to_owned(),
        format!("{}\n{introduction}\n{END}", begin("introduction")),
        format!("```text\n$ arcane --help\n{top}\n```"),
    ];
    for name in listed(&top) {
        section(&[name], &mut by_hand, &mut page);
    }
    assert!(by_hand.is_empty(), "written by hand for no command: {:?}", by_hand.keys());
    page.join("\n\n") + "\n"
}

#[test]
fn the_commands_are_documented_as_they_are() {
    let before = fs::read_to_string(FILE).unwrap_or_default();
    let after = render(&before);
    if env::var_os("ARCANE_UPDATE_DOCS").is_some() {
        fs::write(FILE, after).expect("docs/commands.md can be written");
        return;
    }
    let line = before.lines().zip(after.lines()).position(|(is, should)| is != should);
    assert!(before == after, "{FILE} differs from line {} on; {ASK}", line.map_or(0, |line| line + 1));
}

#[test]
fn every_command_is_listed_with_those_below_it() {
    let top = listed(&help(&[]));
    assert!(["push", "heal", "rules", "config"].iter().all(|name| top.iter().any(|found| found == name)));
    assert!(!top.iter().any(|name| name == "help"));
    assert_eq!(listed(&help(&["config".to_owned()])), ["check"]);
    assert!(
        listed("Commands:\n  one  does\n         much\n  two  does\n\nOptions:\n  -h\n").eq(&["one", "two"])
    );
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let folder = Path::new(FILE).parent().expect("the file is in a folder");
    let pages = fs::read_dir(folder).expect("docs can be read").map(|entry| entry.expect("an entry").path());
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&page).expect("a page can be read");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, place) =
                link.split_once('#').map_or((link, None), |(file, place)| (file, Some(place)));
            if link.contains("://") {
                continue;
            }
            let there = if file.is_empty() { page.clone() } else { folder.join(file) };
            let target = fs::read_to_string(&there);
            let target = target.unwrap_or_else(|_| panic!("{}: {link} leads nowhere", page.display()));
            let found = place.is_none_or(|place| headings(&target).any(|heading| heading == place));
            assert!(found, "{}: {link} has no such heading", page.display());
        }
    }
}

/// A page's headings as links name them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}
