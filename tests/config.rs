//! A user's story: somebody writes arcane.toml and fleet.toml by hand, gets a few things wrong, and repairs them with
//! nothing but what the errors say.

use std::path::{Path, PathBuf};

use arcane::config::{Error, Fleet, Project};

/// A directory of one test, removed with everything in it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("arcane-story-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("src/deep")).expect("the temporary directory is writable");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("the temporary directory is writable");
    }

    /// An error as it is shown, with this directory's name taken out.
    fn shown(&self, error: &Error) -> String {
        error.to_string().replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const WRONG: &str = r#"[app.shop]
build    = "."
stratgey = "smart-swap"
to       = ["web1", "prodution"]
ports    = [8001]
port     = 8080
helth    = { http = "/healthz", within = "20" }
memory   = "64"
[app.shop.heal]
mode     = "automatic"
"#;

#[test]
fn a_hand_written_project_is_repaired_by_its_errors() {
    let directory = Directory::new("repair");
    let deep = directory.0.join("src/deep");
    let find = || Project::find(&deep);

    let error = find().unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.starts_with("write one, for instance:\n\n[app.shop]\n"), "{hint}");

    directory.write("arcane.toml", WRONG);
    let expected = r#"
arcane.toml:3:1: unknown key `stratgey` in [app.shop]
  3 | stratgey = "smart-swap"
    | ^^^^^^^^ did you mean `strategy`?
arcane.toml:7:1: unknown key `helth` in [app.shop]
  7 | helth    = { http = "/healthz", within = "20" }
    | ^^^^^ did you mean `health`?
arcane.toml:8:12: `64` is not a size of memory; write it like 64m, 512MB or 1g
  8 | memory   = "64"
    |            ^^^^
arcane.toml:10:12: `automatic` is not a mode
  10 | mode     = "automatic"
     |            ^^^^^^^^^^^ choose from off, suggest, approve, auto"#;
    assert_eq!(directory.shown(&find().unwrap_err()), expected.trim_start());

    let repaired = WRONG
        .replace("stratgey", "strategy")
        .replace("helth", "health")
        .replace("\"64\"", "\"64m\"")
        .replace("automatic", "auto");
    directory.write("arcane.toml", &repaired);
    let expected = r#"
arcane.toml:7:43: `20` is not a duration; write it like 5s, 250ms, 2m, 1m30s or 7d
  7 | health    = { http = "/healthz", within = "20" }
    |                                           ^^^^"#;
    assert_eq!(directory.shown(&find().unwrap_err()), expected.trim_start());

    directory.write("arcane.toml", &repaired.replace("\"20\"", "\"20s\""));
    let project = find().unwrap();
    directory.write(
        "fleet.toml",
        "[host.web1]\nssh = \"deploy@203.0.113.10:22\"\n[group]\nproduction = [\"web1\"]\n",
    );
    let fleet = Fleet::find(None, &deep, None).unwrap();
    let error = project.check_targets(&fleet).unwrap_err();
    let expected = r#"
arcane.toml:4:21: fleet.toml has no host or group `prodution`
  4 | to       = ["web1", "prodution"]
    |                     ^^^^^^^^^^^ did you mean `production`?"#;
    assert_eq!(directory.shown(&error), expected.trim_start());

    directory.write("arcane.toml", &repaired.replace("\"20\"", "\"20s\"").replace("prodution", "production"));
    let project = find().unwrap();
    project.check_targets(&fleet).unwrap();
    let shop = project.app("shop", None).unwrap();
    let gates = fleet.gates(&shop.to).unwrap();
    assert_eq!(gates.len(), 1, "web1 is named twice, by itself and by its group");
    assert_eq!(gates[0].hosts[0].ssh, "deploy@203.0.113.10:22");
}

#[test]
fn the_file_of_the_design_page_is_understood() {
    let text = r#"[app.shop]
build    = "."
strategy = "blue-green"
ports    = [8001, 8002]
port     = 8080
domain   = "shop.example.com"
health   = { http = "/healthz", within = "20s" }
secrets  = ["DATABASE_URL", "API_KEY"]
env      = { LOG_LEVEL = "info" }
keep     = 3
[app.shop.heal]
mode     = "approve"
remedies = ["restart", "rollback"]
"#;
    let project = Project::parse(Path::new("arcane.toml"), text.as_bytes()).unwrap();
    let app = project.app("shop", None).unwrap();
    let names: Vec<&str> = app.secrets.keys().map(AsRef::as_ref).collect();
    assert_eq!(names, ["API_KEY", "DATABASE_URL"]);
}
