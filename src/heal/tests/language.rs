//! What rules ask of the supervisor: quiet hours, conditions of a rung, proof by health and quiet, a freeze in the end.

use crate::fleet::{OnFail, QuietHours, Symptom, Verify};

use super::*;

fn verify(health: bool, quiet: Symptom) -> Option<Verify> {
    let (running, deadline) = (Duration::from_secs(60), Duration::from_secs(180));
    Some(Verify { running, deadline, health, quiet })
}

#[test]
fn nobody_is_woken_in_the_quiet_hours() {
    // It is 22:13:20 UTC.
    let hours = QuietHours::parse("22:00-06:00 UTC").unwrap();
    for rung in [restart_auto(1), rung(Remedy::Restart, Mode::Approve, 1)] {
        let mut stage = Stage::auto();
        let asks = rung.mode == Mode::Approve;
        stage.fails(vec![Rung { quiet_hours: Some(hours.clone()), ..rung }]);
        stage.expect(
            1,
            IncidentState::Waiting,
            "guard `quiet-hours`: no restart in the quiet hours 22:00-06:00 UTC",
        );
        stage.pass(5 * HOUR).expect_acts(0);
        stage.pass(3 * HOUR);
        if asks {
            stage.expect(1, IncidentState::AwaitingApproval, "").expect_acts(0);
        } else {
            stage.expect_acts(1);
        }
    }
    let mut stage = Stage::auto();
    stage.fails(vec![Rung { quiet_hours: Some(hours), ..restart_auto(1) }]);
    stage.approve(1, Some(Remedy::Restart)).expect_acts(1);
}

#[test]
fn a_rung_is_passed_by_while_what_it_asks_for_does_not_hold() {
    let unmet = |why: Option<&str>| Rung { unmet: why.map(str::to_owned), ..restart_auto(1) };
    let mut stage = Stage::auto();
    stage.fails(vec![unmet(Some("restart_count >3 is required, but it is 1")), rollback_auto()]);
    assert_eq!(stage.done(), [(Remedy::Rollback, "web1")]);
    let mut stage = Stage::auto();
    stage.fails(vec![unmet(Some("restart_count >3 is required, but it is 1"))]);
    stage.expect(
        1,
        IncidentState::Escalated,
        "guard `condition`: core/crash does not restart now: restart_count >3",
    );
    let mut stage = Stage::auto();
    let hold = Rung { mode: Mode::Suggest, ..unmet(None) };
    stage.fails(vec![hold, escalate()]);
    assert_eq!(stage.incident(1).proposals.len(), 1);
    stage.pass(5);
    let later = stage.crash(vec![Rung { mode: Mode::Suggest, ..unmet(Some("it is too late")) }, escalate()]);
    stage.signal(later);
    stage.expect(1, IncidentState::Escalated, "it is too late");
}

#[test]
fn another_symptom_can_disprove_a_remedy() {
    for (quiet, class, expected) in [
        (Symptom::Own, Class::AppCrash, IncidentState::Verifying),
        (Symptom::Class, Class::AppCrash, IncidentState::Escalated),
        (Symptom::Class, Class::Hang, IncidentState::Verifying),
        (Symptom::App, Class::Hang, IncidentState::Escalated),
    ] {
        let mut stage = Stage::auto();
        stage.died();
        let signal =
            Signal { verify: verify(false, quiet), ..stage.crash(vec![restart_auto(1), escalate()]) };
        stage.signal(signal).pass(5).restarted().pass(5);
        let other = Signal { rule: "core/other".to_owned(), class, ..stage.crash(Vec::new()) };
        stage.signal(other);
        assert_eq!(stage.incident(1).state, expected, "{quiet:?} {class}");
    }
}

#[test]
fn health_that_is_not_known_proves_nothing_where_it_is_asked_for() {
    for (asked, health, expected) in [
        (true, None, IncidentState::Verifying),
        (true, Some(HealthState::Healthy), IncidentState::Healed),
        (true, Some(HealthState::None), IncidentState::Healed),
        (false, None, IncidentState::Healed),
    ] {
        let mut stage = Stage::auto();
        stage.died();
        let signal = Signal { verify: verify(asked, Symptom::Own), ..stage.crash(vec![restart_auto(1)]) };
        stage.signal(signal).pass(5).restarted();
        if let Some(health) = health {
            let started_at = Some(stage.now);
            let state = Fact::State { running: true, started_at, restart_count: 0, health };
            stage.fact(("web1", "shop", 2), state);
        }
        stage.pass(70);
        assert_eq!(stage.incident(1).state, expected, "{asked} {health:?}");
    }
}

#[test]
fn what_could_not_be_healed_is_frozen_when_the_rule_says_so() {
    let mut stage = Stage::auto();
    let failing = |stage: &Stage| Signal {
        on_fail: OnFail { freeze: true },
        ..stage.crash(vec![restart_auto(1), escalate()])
    };
    stage.died();
    let signal = failing(&stage);
    stage.signal(signal).pass(5).restarted().pass(5);
    assert!(stage.frozen.is_empty());
    stage.died();
    let signal = failing(&stage);
    stage.signal(signal).expect(1, IncidentState::Escalated, "");
    assert_eq!(stage.frozen, [(app("shop"), "the rule core/crash".to_owned())]);
    stage.expect_news(News::Frozen, "nothing more is begun until `arcane thaw shop`");
    let acts = stage.acts.len();
    stage.approve(1, Some(Remedy::Rollback)).expect_acts(acts);
    stage.thaw(Some("shop")).approve(1, Some(Remedy::Rollback)).expect_acts(acts + 1);
}

#[test]
fn a_rule_that_tried_nothing_freezes_nothing() {
    let mut stage = Stage::auto();
    let signal = Signal { on_fail: OnFail { freeze: true }, ..stage.crash(vec![escalate()]) };
    stage.signal(signal).expect(1, IncidentState::Escalated, "");
    assert!(stage.frozen.is_empty());
}

#[test]
fn dependents_are_named_where_they_are_left_to_a_human() {
    let mut stage = Stage::auto();
    let restart = Rung { then_dependents: true, mode: Mode::Approve, ..restart_auto(1) };
    let signal = Signal { dependents: vec![app("api"), app("web")], ..stage.crash(vec![restart]) };
    stage.died().signal(signal);
    let proposal = &stage.incident(1).proposals[0];
    assert!(
        proposal.reason.contains("yours to restart if it does not recover: api, web"),
        "{}",
        proposal.reason
    );
    stage.approve(1, None).restarted().pass(70);
    stage.expect(1, IncidentState::Healed, "api, web");
}
