//! What is written down, and what is found again.

use std::time::Duration;

use super::*;

#[test]
fn a_decision_needs_an_incident_that_is_not_over() {
    let directory = Directory::new("decide");
    let mut journal = directory.open();
    assert_eq!(journal.last_decision_seq().unwrap(), 0);
    journal.save_incident(&incident(1, IncidentState::AwaitingApproval)).unwrap();
    journal.save_incident(&incident(2, IncidentState::Healed)).unwrap();
    let approve = Decision::Approve { remedy: Some(Remedy::Rollback) };
    // The other process sees it at once.
    let record = directory.open().decide(IncidentId(1), approve, "mia", at(3)).unwrap();
    assert_eq!(journal.decisions_after(0).unwrap(), [record]);
    let error = journal.decide(IncidentId(9), Decision::Dismiss, "mia", at(3)).unwrap_err();
    assert_eq!(error.to_string(), "there is no incident 9");
    let error = journal.decide(IncidentId(2), Decision::Dismiss, "mia", at(3)).unwrap_err();
    assert_eq!(error.to_string(), "incident 2 is already healed");
    assert_eq!(journal.last_decision_seq().unwrap(), 1);
}

#[test]
fn incidents_are_updated_and_listed_newest_first() {
    let directory = Directory::new("incidents");
    let mut journal = directory.open();
    for (id, state) in [(1, IncidentState::Open), (2, IncidentState::Escalated), (3, IncidentState::Open)] {
        journal.save_incident(&incident(id, state)).unwrap();
    }
    let mut other = incident(4, IncidentState::Open);
    other.app = app("api");
    other.actions = vec![action(1550, "other app")];
    journal.save_incident(&other).unwrap();
    journal.save_incident(&incident(3, IncidentState::Dismissed)).unwrap();

    let ids = |incidents: Vec<Incident>| incidents.iter().map(|incident| incident.id.0).collect::<Vec<_>>();
    assert_eq!(ids(journal.incidents(false, 10).unwrap()), [4, 3, 2, 1]);
    assert_eq!(ids(journal.incidents(true, 10).unwrap()), [4, 2, 1]);
    assert_eq!(ids(journal.incidents(true, 1).unwrap()), [4]);
    assert_eq!(journal.incident(IncidentId(99)).unwrap(), None);
}

#[test]
fn of_two_supervisors_the_one_that_has_not_read_the_others_word_writes_nothing() {
    let directory = Directory::new("two-writers");
    let (mut heal, mut watch) = (directory.open(), directory.open());
    let odd = Timestamp::from_nanos(2_000_000_000_123_456_789);
    let as_it = |state, updated_at| Incident { updated_at, ..incident(1, state) };
    let opened = as_it(IncidentState::AwaitingApproval, odd);
    assert_eq!(heal.save_incident_if(&opened, None).unwrap(), Saved::Written);

    // A watcher that says what is there already, later, leaves no trace; the healer goes on undisturbed.
    let repeated = as_it(IncidentState::AwaitingApproval, at(2_000_000_005));
    assert_eq!(watch.save_incident_if(&repeated, Some(odd)).unwrap(), Saved::Same);
    let acting = as_it(IncidentState::Acting, at(2_000_000_010));
    assert_eq!(heal.save_incident_if(&acting, Some(odd)).unwrap(), Saved::Written);

    // What the watcher loaded before is old by now; so is what it never saw, and a clock that is ahead changes nothing.
    let stale = as_it(IncidentState::Open, at(3_000_000_000));
    for seen in [Some(odd), None] {
        let refused = watch.save_incident_if(&stale, seen).unwrap();
        assert_eq!(refused, Saved::Changed(Box::new(acting.clone())), "{seen:?}");
    }
    assert_eq!(heal.incident(IncidentId(1)).unwrap(), Some(acting.clone()));
    // Once it has read it, it may.
    assert_eq!(watch.save_incident_if(&stale, Some(acting.updated_at)).unwrap(), Saved::Written);
    assert_eq!(heal.incident(IncidentId(1)).unwrap(), Some(stale));
}

#[test]
fn actions_are_found_by_time_across_incidents() {
    let directory = Directory::new("actions");
    let mut journal = directory.open();
    journal.save_incident(&incident(1, IncidentState::Acting)).unwrap();
    let mut other = incident(2, IncidentState::Acting);
    other.app = app("api");
    other.actions = vec![action(1550, "other app")];
    journal.save_incident(&other).unwrap();
    // Saved again, an incident's actions are not counted twice.
    let mut again = incident(1, IncidentState::Verifying);
    again.actions[1].outcome = ActionOutcome::Done;
    journal.save_incident(&again).unwrap();

    let found = |app: Option<&AppName>, since| -> Vec<(u64, String)> {
        let actions = journal.actions_since(Some(&host("web1")), app, at(since)).unwrap();
        actions.into_iter().map(|(id, action)| (id.0, action.detail)).collect()
    };
    let all = [(1, "first".to_owned()), (2, "other app".to_owned()), (1, "second".to_owned())];
    assert_eq!(found(None, 1500), all);
    assert_eq!(found(None, 1501), all[1..]);
    assert_eq!(found(Some(&app("shop")), 1501), all[2..]);
    assert_eq!(found(None, 1601), []);
    assert!(journal.actions_since(Some(&host("web2")), None, at(0)).unwrap().is_empty());
    let fleet = journal.actions_since(None, None, at(1600)).unwrap();
    assert_eq!(fleet[0].1.outcome, ActionOutcome::Done);
}

#[test]
fn releases_are_listed_by_app_and_host() {
    let directory = Directory::new("releases");
    let mut journal = directory.open();
    for (n, app_name, host_name) in
        [(1, "shop", "web1"), (2, "shop", "web2"), (3, "api", "web1"), (4, "shop", "web1")]
    {
        journal.record_release(&release(n, app_name, host_name)).unwrap();
    }
    let seconds = |app: Option<&str>, host_name: Option<&str>, limit| -> Vec<i64> {
        let (app, host) = (app.map(self::app), host_name.map(self::host));
        let records = journal.releases(app.as_ref(), host.as_ref(), limit).unwrap();
        records.iter().map(|record| record.at.as_seconds()).collect()
    };
    assert_eq!(seconds(None, None, 10), [4, 3, 2, 1]);
    assert_eq!(seconds(Some("shop"), None, 10), [4, 2, 1]);
    assert_eq!(seconds(Some("shop"), Some("web1"), 10), [4, 1]);
    assert_eq!(seconds(None, Some("web1"), 2), [4, 3]);
    assert!(seconds(Some("none"), None, 10).is_empty());
}

#[test]
fn a_freeze_covers_its_app_or_every_app() {
    let directory = Directory::new("freeze");
    let mut journal = directory.open();
    journal.freeze(Some(&app("shop")), "mia", at(1), "sale").unwrap();
    journal.freeze(None, "leo", at(2), "incident").unwrap();
    journal.freeze(None, "leo", at(3), "longer").unwrap();
    let freezes = journal.freezes().unwrap();
    let shown: Vec<_> = freezes.iter().map(|freeze| (freeze.app.clone(), freeze.why.as_str())).collect();
    assert_eq!(shown, [(None, "longer"), (Some(app("shop")), "sale")]);
    assert!(
        freezes[0].covers(&app("api")) && freezes[1].covers(&app("shop")) && !freezes[1].covers(&app("api"))
    );
    assert!(journal.thaw(None).unwrap());
    assert!(!journal.thaw(None).unwrap());
    assert_eq!(journal.freezes().unwrap().len(), 1);
    assert!(journal.thaw(Some(&app("shop"))).unwrap());
    assert!(journal.freezes().unwrap().is_empty());
}

#[test]
fn supervisors_are_live_while_they_beat() {
    let directory = Directory::new("supervisors");
    let mut journal = directory.open();
    let (one, two) = (journal.new_supervisor_id().unwrap(), journal.new_supervisor_id().unwrap());
    assert_ne!(one, two);
    let beat = |id: &str, seconds| SupervisorBeat {
        id: id.to_owned(),
        pid: 42,
        hosts: vec![host("web1"), host("web2")],
        mode: Mode::Auto,
        at: at(seconds),
    };
    let day = 86_400;
    for (id, seconds) in [(&one, day), (&two, day + 50), (&one, day + 60)] {
        journal.heartbeat(&beat(id, seconds)).unwrap();
    }
    let live = |journal: &Journal, now, age| -> Vec<String> {
        let beats = journal.live_supervisors(at(now), Duration::from_secs(age)).unwrap();
        beats.into_iter().map(|beat| beat.id).collect()
    };
    assert_eq!(live(&journal, day + 60, 10), [one.clone(), two.clone()]);
    assert_eq!(live(&journal, day + 61, 10), std::slice::from_ref(&one));
    assert_eq!(journal.live_supervisors(at(day + 60), Duration::ZERO).unwrap(), [beat(&one, day + 60)]);
    journal.retire(&one).unwrap();
    assert_eq!(live(&journal, day + 60, 60), [two]);
    journal.heartbeat(&beat(&one, 3 * day)).unwrap();
    assert_eq!(live(&journal, 3 * day, 10_000_000), [one]);
}

#[test]
fn whatever_comes_in_is_cut_to_a_size() {
    let directory = Directory::new("bounds");
    let mut journal = directory.open();
    let flood = "ä".repeat(100_000);
    let mut huge = incident(1, IncidentState::Open);
    huge.say.clone_from(&flood);
    huge.note = Some(flood.clone());
    huge.evidence = (0..5000).map(|n| Evidence { at: at(n), text: flood[..10_000].to_owned() }).collect();
    huge.actions = (0..1000).map(|n| action(n, &flood[..10_000])).collect();
    journal.save_incident(&huge).unwrap();
    let kept = journal.incident(IncidentId(1)).unwrap().unwrap();
    assert_eq!((kept.say.len(), kept.note.unwrap().len()), (4096, 4096));
    assert_eq!((kept.evidence.len(), kept.evidence[99].at), (100, at(4999)));
    assert_eq!((kept.actions.len(), kept.actions[199].at), (200, at(999)));
    assert_eq!(kept.actions[0].detail.len(), 4096);
}

#[test]
fn no_value_that_is_masked_is_written_down() {
    let (name, value) = (VariableName::parse("API_KEY").unwrap(), Value::from("tok_9f8e7d6c5b4a"));
    let redactor = Redactor::new([(&name, &value)].into_iter()).unwrap();
    let directory = Directory::new("masked");
    let mut journal = directory.open().masking(redactor);
    let said = |what: &str| format!("{what} tok_9f8e7d6c5b4a");
    let mut incident = incident(1, IncidentState::Escalated);
    incident.say = said("say");
    incident.note = Some(said("note"));
    incident.evidence[0].text = format!("{}tok_9f8e7d6c5b4a", "x".repeat(4090));
    incident.proposals[0].reason = said("reason");
    incident.actions = vec![action(1500, &said("detail"))];
    assert!(matches!(journal.save_incident_if(&incident, None), Ok(Saved::Written)));
    // The same again is the same, though it was masked in between.
    assert!(matches!(journal.save_incident_if(&incident, Some(incident.updated_at)), Ok(Saved::Same)));
    journal.freeze(None, &said("by"), at(1), &said("why")).unwrap();
    journal.decide(incident.id, Decision::Dismiss, &said("by"), at(2)).unwrap();
    journal.record_release(&ReleaseRecord { detail: said("detail"), ..release(1, "shop", "web1") }).unwrap();
    let kept = journal.incident(incident.id).unwrap().unwrap();
    assert_eq!(kept.note.as_deref(), Some("note [secret API_KEY]"));
    assert_eq!(journal.freezes().unwrap()[0].why, "why [secret API_KEY]");
    journal.close().unwrap();
    let file = std::fs::read(directory.file()).unwrap();
    assert!(!file.windows(8).any(|window| window == b"tok_9f8e"));
}

#[test]
fn what_is_known_of_a_log_is_kept_in_place_of_what_was() {
    let directory = Directory::new("logs");
    let mut journal = directory.open();
    let (shop, api) = (AppName::parse("shop").unwrap(), AppName::parse("api").unwrap());
    journal.keep_log(&shop, "one", at(1)).unwrap();
    journal.keep_log(&api, "other", at(2)).unwrap();
    journal.keep_log(&shop, "größe", at(3)).unwrap();
    journal.keep_log(&shop, &"x".repeat((1 << 20) + 1), at(4)).unwrap();
    let kept = [(api, "other".to_owned()), (shop, "größe".to_owned())];
    assert_eq!(journal.kept_logs().unwrap(), kept);
    for number in 0..1_001 {
        let app = AppName::parse(&format!("app{number}")).unwrap();
        journal.keep_log(&app, "", at(10 + number)).unwrap();
    }
    assert_eq!(journal.kept_logs().unwrap().len(), 1_000);
}
