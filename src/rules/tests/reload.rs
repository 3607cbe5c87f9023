//! Other rules, the same memory.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Engine, RuleSet};
use super::world::{START, die, event, line};
use crate::fleet::{Fact, HealthState, LogState};

fn set(rules: &[(&str, &str)]) -> Arc<RuleSet> {
    let mut text = "pack = \"t\"\nschema = 1\n".to_owned();
    for (id, rule) in rules {
        text.push_str(&format!("\n[[rule]]\nid = \"{id}\"\nclass = \"hang\"\n{rule}\n"));
    }
    Arc::new(RuleSet::load(&[("t.toml".to_owned(), text)]).unwrap_or_else(|error| panic!("{error}")))
}

const COUNT: &str = "log = { any = ['boom'] }\ncount = 2\nwithin = '1m'";
const OTHER: &str = "log = { any = ['else'] }";

#[test]
fn an_unchanged_rule_keeps_its_window_wherever_it_stands() {
    for (after, expected) in [
        (set(&[("x", OTHER), ("r", COUNT)]), 1),
        (set(&[("r", &format!("{COUNT}\ntest = [{{ fires = 0, line = 'boom' }}]"))]), 1),
        (set(&[("r", &COUNT.replace("1m", "2m"))]), 0),
        (set(&[("q", COUNT)]), 0),
    ] {
        let mut engine = Engine::new(set(&[("r", COUNT)]));
        assert!(engine.observe(&line(0, "boom")).is_empty());
        engine.reload(after);
        assert_eq!(engine.observe(&line(1, "boom")).len(), expected);
    }
}

#[test]
fn quiet_times_and_what_waits_are_kept() {
    let quiet = "log = { any = ['boom'] }\ncooldown = '1m'";
    let waits = "log = { any = ['stuck'] }\nconfirm = { any = [{ event = 'die' }] }";
    let lasts = "on = 'health:unhealthy'\nfor = '1m'";
    let silent = "absent = { log = 'beat', for = '2m' }";
    let rules = [("quiet", quiet), ("waits", waits), ("lasts", lasts), ("silent", silent)];
    let mut engine = Engine::new(set(&rules));
    engine.advance(START);
    for one in [event(0, Fact::Started), event(0, Fact::Log { state: LogState::Live }), line(0, "beat")] {
        engine.observe(&one);
    }
    assert_eq!(engine.observe(&line(1, "boom")).len(), 1);
    assert!(engine.observe(&event(2, Fact::Health { state: HealthState::Unhealthy })).is_empty());
    let mut more = vec![("new", OTHER)];
    more.extend(rules.iter().rev());
    engine.reload(set(&more));
    assert!(engine.observe(&line(3, "boom")).is_empty(), "still quiet");
    let due = engine.advance(START + Duration::from_secs(70));
    assert_eq!(due.iter().map(|one| one.rule.as_str()).collect::<Vec<_>>(), ["t/lasts"]);
    assert!(engine.observe(&line(80, "stuck")).is_empty());
    engine.reload(set(&rules));
    let confirmed = engine.observe(&die(81, 1));
    assert_eq!(confirmed.iter().map(|one| one.rule.as_str()).collect::<Vec<_>>(), ["t/waits"]);
}

#[test]
fn what_was_dropped_stays_counted() {
    let rule = "log = { any = ['re:boom (?<who>\\w+)'] }\nby = [\"who\"]\ncount = 2\nwithin = \"1h\"";
    let mut engine = Engine::new(set(&[("r", rule)]));
    for number in 0..1500 {
        engine.observe(&line(0, &format!("boom {number}")));
    }
    assert_eq!(engine.dropped(), 500);
    engine.reload(set(&[("r", OTHER)]));
    assert_eq!(engine.dropped(), 500);
}
