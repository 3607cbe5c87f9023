//! fleet.toml: groups, addresses, and what a selection selects.

use super::*;

#[test]
fn groups_hold_hosts_that_exist() {
    check_fleet(
        "[host.web1]\nssh = 'a'\n[group]\np = ['wbe1']\nq = []\nr = ['web1', 'web1', 'p']\nweb1 = ['web1']",
        "
fleet.toml:4:6: there is no host `wbe1`
  4 | p = ['wbe1']
    |      ^^^^^^ did you mean `web1`?
fleet.toml:5:5: group `q` is empty
  5 | q = []
    |     ^^ a group has at least one host
fleet.toml:6:14: `web1` is named twice
  6 | r = ['web1', 'web1', 'p']
    |              ^^^^^^
fleet.toml:6:22: there is no host `p`
  6 | r = ['web1', 'web1', 'p']
    |                      ^^^ a group has hosts only: web1
fleet.toml:7:1: `web1` is both a host and a group
  7 | web1 = ['web1']
    | ^^^^ a group here
  1 | [host.web1]
    |       ^^^^ a host here",
    );
    check_fleet(
        "[app.x]\nimage = 'a'",
        "
fleet.toml:1:2: `app` belongs in arcane.toml
  1 | [app.x]
    |  ^^^ fleet.toml has hosts and groups only",
    );
}

#[test]
fn addresses_cannot_pass_for_anything_else() {
    for address in
        ["web1", "deploy@203.0.113.10:22", "[2001:db8::1]:22", "a@[2001:db8::1]", "ssh.example.com"]
    {
        let fleet = fleet(&format!("[host.a]\nssh = '{address}'")).unwrap();
        assert_eq!(fleet.host("a").unwrap().ssh, address);
    }
    let long = "a".repeat(256);
    for (address, problem) in [
        ("-oProxyCommand=id", "starts with -"),
        ("user@-oProxyCommand=id", "starts with -"),
        ("", "has an empty part"),
        ("user@", "has an empty part"),
        ("@web1", "has an empty part"),
        ("a b", "has a space"),
        ("a\tb", "has a space"),
        ("a\u{a0}b", "has a space"),
        (&long, "is longer"),
    ] {
        let error = fleet(&format!("[host.a]\nssh = '{address}'")).unwrap_err().to_string();
        assert!(error.contains(problem), "{address}: {error}");
    }
}

#[test]
fn a_selection_is_exactly_what_was_named() {
    let fleet = fleet(FLEET).unwrap();
    for (text, expected) in [
        ("web1", &["web1"][..]),
        ("production", &["web2", "web1"]),
        ("web1,production", &["web1", "web2"]),
        (" staging , web1 ", &["stage1", "web1"]),
    ] {
        let hosts = fleet.select(text).unwrap();
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(names, expected, "{text}");
    }
    let gates = fleet.select_gates("web1,production,staging,web2").unwrap();
    let gates: Vec<(&str, Vec<&str>)> = gates
        .iter()
        .map(|gate| (gate.name.as_str(), gate.hosts.iter().map(|host| host.name.as_str()).collect()))
        .collect();
    // web1 goes where it was named first, and the last name adds nothing.
    assert_eq!(gates, [("web1", vec!["web1"]), ("production", vec!["web2"]), ("staging", vec!["stage1"])]);
    for (text, expected) in [
        ("", "no host is selected"),
        (" ", "no host is selected"),
        (",", "`,` has an empty name in it"),
        ("web1,", "`web1,` has an empty name in it"),
        ("web1,,web2", "`web1,,web2` has an empty name in it"),
    ] {
        let error = fleet.select(text).unwrap_err();
        assert!(matches!(error, Error::NothingSelected { .. }), "{text:?}: {error}");
        assert_eq!(error.to_string(), expected);
    }
    assert!(matches!(fleet.gates(Vec::<&str>::new()), Err(Error::NothingSelected { .. })));
    for (text, message, hint) in [
        (
            "prodution",
            "fleet.toml has no host or group `prodution`",
            "did you mean `production`? choose from stage1, web1, web2, production, staging",
        ),
        ("*", "fleet.toml has no host or group `*`", "choose from stage1, web1, web2, production, staging"),
        (
            "all",
            "fleet.toml has no host or group `all`",
            "choose from stage1, web1, web2, production, staging",
        ),
    ] {
        let error = fleet.select(text).unwrap_err();
        assert_eq!((error.to_string(), error.hint()), (message.to_owned(), Some(hint.to_owned())));
    }
    let error = fleet.host("staging").unwrap_err();
    assert_eq!(error.to_string(), "fleet.toml has no host `staging`");
}

/// A directory of this test alone, removed with everything in it.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("arcane-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_nearest_file_wins_and_an_explicit_one_beats_it() {
    let directory = Directory::new("config-find");
    let (start, home) = (directory.0.join("a/b"), directory.0.join("home"));
    let host = |name: &str| format!("[host.{name}]\nssh = 'a'");
    let found = |explicit| {
        let fleet = Fleet::find(explicit, &start, Some(&home)).unwrap();
        fleet.hosts.keys().next().unwrap().to_string()
    };
    directory.write("home/arcane/fleet.toml", &host("from-home"));
    assert_eq!(found(None), "from-home");
    directory.write("fleet.toml", &host("from-above"));
    assert_eq!(found(None), "from-above");
    directory.write("a/b/fleet.toml", &host("from-here"));
    assert_eq!(found(None), "from-here");
    let other = directory.write("other.toml", &host("explicit"));
    assert_eq!(found(Some(&other)), "explicit");

    let error = Fleet::find(Some(&directory.0.join("none.toml")), &start, Some(&home)).unwrap_err();
    assert!(matches!(&error, Error::Missing { looked, .. } if looked.len() == 1), "{error}");
    let error = Fleet::find(Some(&start), &start, None).unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
}

#[test]
fn a_missing_file_says_where_it_was_looked_for_and_how_to_write_it() {
    let directory = Directory::new("config-missing");
    let start = directory.0.join("a/b");
    let error = Project::find(&start).unwrap_err();
    let shown = error.to_string();
    let expected = format!("no arcane.toml was found; looked for {}", start.join("arcane.toml").display());
    assert!(shown.starts_with(&expected) && shown.ends_with(", /arcane.toml"), "{shown}");
    let hint = error.hint().unwrap();
    let (_, example) = hint.split_once("\n\n").unwrap();
    project(example).unwrap();

    let home = directory.0.join("home");
    let error = Fleet::find(None, &start, Some(&home)).unwrap_err();
    assert!(error.to_string().ends_with("home/arcane/fleet.toml"), "{error}");
    let hint = error.hint().unwrap();
    let (_, example) = hint.split_once("\n\n").unwrap();
    fleet(example).unwrap();

    directory.write("a/arcane.toml", "[app.shop]\nbuild = 'web'");
    let found = Project::find(&start).unwrap();
    let build = crate::fleet::Source::Build(directory.0.join("a/web"));
    assert_eq!(found.app("shop", None).unwrap().source, build);
}
