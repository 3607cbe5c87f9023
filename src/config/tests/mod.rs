//! The two files as people write them and get them wrong. What is rendered is compared to the character.

mod apps;
mod hosts;
mod problems;
mod values;

use std::path::Path;

use super::{Error, Fleet, Project, Result};

pub(super) fn project(text: &str) -> Result<Project> {
    Project::parse(Path::new("arcane.toml"), text.as_bytes())
}

pub(super) fn fleet(text: &str) -> Result<Fleet> {
    Fleet::parse(Path::new("fleet.toml"), text.as_bytes())
}

/// The problems of an arcane.toml, rendered.
pub(super) fn check(text: &str, expected: &str) {
    let error = project(text).expect_err(text).to_string();
    assert_eq!(error, expected.trim_matches('\n'), "\n{error}\n");
}

/// The problems of the lines of one app that is otherwise right, rendered without the file's name.
pub(super) fn check_app(lines: &str, expected: &str) {
    let text = format!("[app.shop]\nimage = 'shop:1'\n{lines}");
    let error = project(&text).expect_err(lines).to_string();
    assert_eq!(error.replace("arcane.toml:", ""), expected.trim_matches('\n'), "\n{error}\n");
}

pub(super) fn check_fleet(text: &str, expected: &str) {
    let error = fleet(text).expect_err(text).to_string();
    assert_eq!(error, expected.trim_matches('\n'), "\n{error}\n");
}

/// A fleet with three hosts and two groups.
const FLEET: &str = "
[host.web1]
ssh = 'a'
[host.web2]
ssh = 'b'
[host.stage1]
ssh = 'c'
[group]
production = ['web2', 'web1']
staging = ['stage1']
";
