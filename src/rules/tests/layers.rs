//! Layers of rule files: what replaces, what extends, what is switched off.

use super::super::RuleSet;

type Layer<'t> = &'t [(&'t str, &'t str)];

fn load(layers: &[Layer<'_>]) -> Result<RuleSet, String> {
    let layers: Vec<Vec<(String, String)>> = layers
        .iter()
        .map(|files| {
            let whole = |(name, text): &(&str, &str)| ((*name).to_owned(), format!("schema = 1\n{text}"));
            files.iter().map(whole).collect()
        })
        .collect();
    RuleSet::layered(&layers).map_err(|error| error.to_string())
}

const BASE: &str = "pack = 'pg'
[[rule]]
id = 'slots'
class = 'resource_exhaustion'
log = { any = ['too many clients'] }
count = 10
within = '60s'
test = [{ fires = 1, line = 'too many clients', repeat = 10 }]
[[rule]]
id = 'other'
class = 'hang'
log = { any = ['stuck'] }
";

fn names(rules: &RuleSet) -> Vec<&str> {
    rules.rules().iter().map(super::super::Rule::name).collect()
}

#[test]
fn a_rule_of_a_higher_layer_replaces_its_namesake() {
    let mine =
        "pack = 'pg'\n[[rule]]\nid = 'slots'\nclass = 'overload'\nlog = { any = ['too many clients'] }";
    let rules = load(&[&[("pg.toml", BASE)], &[("mine.toml", mine)]]).unwrap();
    assert_eq!(names(&rules), ["pg/other", "pg/slots"]);
    assert_eq!(rules.rules()[1].class(), crate::fleet::Class::Overload);
    let replaced = rules.replacements();
    assert_eq!((replaced[0].rule.as_str(), replaced[0].off), ("pg/slots", false));
    assert_eq!((replaced[0].was.as_str(), replaced[0].by.as_str()), ("pg.toml:4", "mine.toml:4"));
    let twice = load(&[&[("pg.toml", BASE), ("mine.toml", mine)]]).unwrap_err();
    assert!(twice.contains("is there already, at pg.toml:4"), "{twice}");
}

#[test]
fn what_is_extended_inherits_everything_else() {
    let mine = "pack = 'mine'\n[[rule]]\nextends = 'pg/slots'\ncount = 2\ntest = [{ fires = 1, line = 'too many clients', repeat = 2 }]";
    let rules = load(&[&[("pg.toml", BASE)], &[("mine.toml", mine)]]).unwrap();
    assert_eq!(names(&rules), ["pg/other", "pg/slots"], "without an id it is the rule itself, changed");
    assert!(rules.test().passed(), "{}", rules.test());
    let beside =
        mine.replace("extends", "id = 'few'\nextends").replace("fires = 1", "fires = 1, also = ['slots']");
    let rules = load(&[&[("pg.toml", BASE)], &[("mine.toml", &beside)]]).unwrap();
    assert_eq!(names(&rules), ["pg/slots", "pg/other", "mine/few"]);
    assert!(rules.replacements().is_empty());
}

#[test]
fn an_inherited_test_that_fails_is_shown_where_it_is_inherited() {
    let mine = "pack = 'mine'\n[[rule]]\nextends = 'pg/slots'\ncount = 20";
    let rules = load(&[&[("pg.toml", BASE)], &[("mine.toml", mine)]]).unwrap();
    let report = rules.test().to_string();
    assert!(report.contains("mine.toml:4:11: test of `slots` wants it to fire 1 time"), "{report}");
}

#[test]
fn a_rule_is_switched_off() {
    for mine in [
        "pack = 'mine'\n[[rule]]\nextends = 'pg/slots'\noff = true",
        "pack = 'pg'\n[[rule]]\nid = 'slots'\noff = true",
    ] {
        let rules = load(&[&[("pg.toml", BASE)], &[("mine.toml", mine)]]).unwrap();
        assert_eq!(names(&rules), ["pg/other"]);
        assert!(rules.replacements()[0].off);
    }
    // And a still higher layer may bring it back.
    let off = "pack = 'pg'\n[[rule]]\nid = 'slots'\noff = true";
    let again = "pack = 'pg'\n[[rule]]\nid = 'slots'\nclass = 'hang'\nlog = { any = ['too many clients'] }";
    let rules = load(&[&[("pg.toml", BASE)], &[("off.toml", off)], &[("again.toml", again)]]).unwrap();
    assert_eq!(names(&rules), ["pg/other", "pg/slots"]);
}

#[test]
fn mistakes_are_told() {
    for (mine, expected) in [
        ("[[rule]]\nextends = 'pg/slot'", "`pg/slot` is no rule that could be extended"),
        ("[[rule]]\nextends = 'pg/slot'", "did you mean `pg/slots`?"),
        ("[[rule]]\nid = 'nobody'\noff = true", "no rule `mine/nobody` to switch off"),
        ("[[rule]]\nextends = 'pg/slots'\noff = true\ncount = 3", "it says nothing else"),
        ("[[rule]]\nid = 'x'\nextends = 'pg/slots'\noff = true", "one of `id` and `extends`"),
        ("[[rule]]\nextends = 'pg/slots'\ncount = 1", "has `within` but no `count`"),
        ("[[rule]]\nid = 'a'\nextends = 'mine/b'\n[[rule]]\nid = 'b'\nextends = 'mine/a'", "extends itself"),
        ("[[rule]]\nextends = 'pg/slots'\ncuont = 3", "did you mean `count`?"),
    ] {
        let error =
            load(&[&[("pg.toml", BASE)], &[("mine.toml", &format!("pack = 'mine'\n{mine}"))]]).unwrap_err();
        assert!(error.contains(expected), "{mine}: {error}");
    }
}
