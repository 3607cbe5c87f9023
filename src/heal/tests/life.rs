//! How an incident lives: joined, proved, relapsed, superseded, and gone on with after a crash of ours.

use super::*;
use IncidentState::{Acting, AwaitingApproval, Dismissed, Escalated, Healed, Verifying, Waiting};

#[test]
fn a_restart_that_helps() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1)]).expect(1, Acting, "").restarted().expect(1, Verifying, "");
    assert_eq!(stage.inspected, 1, "the host is asked what runs now");
    stage.pass(58).expect(1, Verifying, "").pass(3).expect(1, Healed, "restart helped");
    assert_eq!(outcomes(stage.incident(1)), [ActionOutcome::Healed]);
    for news in [News::Opened, News::Acting, News::Verifying, News::Healed] {
        stage.expect_news(news, "shop on web1");
    }
}

#[test]
fn the_events_of_our_own_restart_may_come_late() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(2)]).pass(1).ended(ActionOutcome::Done).pass(1);
    let on = ("web1", "shop", 2);
    stage.fact(on, Fact::Killed { signal: 15 }).died().fact(on, Fact::Stopped).pass(1);
    stage.started("web1", "shop", 2).expect(1, Verifying, "").pass(61).expect(1, Healed, "").expect_acts(1);
}

#[test]
fn a_death_during_the_proof_means_not_healed() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), rollback_auto()]).restarted().pass(30).died();
    stage.expect_acts(2);
    assert_eq!(stage.done()[1], (Remedy::Rollback, "web1"));
    assert_eq!(outcomes(stage.incident(1)), [ActionOutcome::NotHealed, ActionOutcome::Begun]);
}

#[test]
fn a_symptom_during_the_proof_means_not_healed() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), escalate()]).restarted().pass(30);
    let repeated = Signal { at: stage.now - Duration::from_secs(31), ..stage.crash(vec![]) };
    stage.signal(repeated).expect(1, Verifying, "");
    let again = stage.crash(vec![]);
    stage.signal(again).expect(1, Escalated, "restart (auto) did not help");
    assert_eq!(stage.incident(1).signals, 3);
}

#[test]
fn never_seen_running_means_not_healed() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), escalate()]).pass(1).ended(ActionOutcome::Done);
    stage.pass(119).expect(1, Verifying, "").pass(2).expect(1, Escalated, "did not help");
}

#[test]
fn a_health_check_that_is_still_starting_is_waited_for() {
    let mut stage = Stage::auto();
    let on = ("web1", "shop", 2);
    stage.fails(vec![restart_auto(1), escalate()]).restarted();
    stage.fact(on, Fact::Health { state: HealthState::Starting }).pass(90).expect(1, Verifying, "");
    stage.fact(on, Fact::Health { state: HealthState::Healthy }).expect(1, Healed, "");

    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), escalate()]).restarted();
    stage.fact(on, Fact::Health { state: HealthState::Starting }).pass(130).expect(
        1,
        Escalated,
        "did not help",
    );
}

#[test]
fn an_action_that_worked_but_whose_symptom_returns_counts_as_failed() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), rollback_auto()]).restarted().pass(70).expect(1, Healed, "");
    stage.pass(500).fails(vec![restart_auto(1), rollback_auto()]);
    assert_eq!(outcomes(stage.incident(1)), [ActionOutcome::NotHealed, ActionOutcome::Begun]);
    assert_eq!(stage.done()[1], (Remedy::Rollback, "web1"));
    assert_eq!(stage.supervisor.incidents().count(), 1);
}

#[test]
fn a_symptom_that_returns_much_later_is_a_new_incident() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(9)]).restarted().pass(70).expect(1, Healed, "");
    stage.pass(700).fails(vec![restart_auto(9)]).expect(1, Healed, "").expect(2, Acting, "");
}

#[test]
fn a_rollback_that_does_not_help_ends_with_a_human() {
    let mut stage = Stage::auto();
    stage.fails(vec![rollback_auto(), restart_auto(5)]).rolled_back().expect(1, Verifying, "").pass(10);
    stage.fact(("web1", "shop", 1), Fact::Died { exit_code: 1 });
    stage
        .expect(1, Escalated, "rolled back, and it is still not well: it died with exit code 1")
        .expect_acts(1);
    // What the older release says now belongs to the same incident.
    let signal = Signal { release: release(1), ..stage.crash(vec![restart_auto(5)]) };
    stage.signal(signal).expect_acts(1);
    assert_eq!(stage.supervisor.incidents().count(), 1);
}

#[test]
fn waiting_was_enough_or_the_ladder_goes_on() {
    let wait = vec![rung(Remedy::Wait, Mode::Auto, 1), escalate()];
    let mut stage = Stage::auto();
    let signal = stage.text(wait.clone());
    stage.signal(signal).expect(1, Waiting, "waiting 5m").pass(301).expect(1, Healed, "came back by itself");
    stage.pass(60);
    let again = stage.text(wait.clone());
    stage.signal(again).expect(1, Escalated, "wait (auto) did not help");

    let mut stage = Stage::auto();
    for _ in 0..31 {
        let signal = stage.text(wait.clone());
        stage.signal(signal).pass(10);
    }
    stage.expect(1, Escalated, "wait (auto) did not help").expect_acts(0);
}

#[test]
fn signals_join_the_open_incident() {
    let mut stage = Stage::new(Settings { ceiling: Mode::Suggest, ..settings() });
    for n in 0..200 {
        stage.pass(1);
        let mut signal = stage.text(vec![restart_auto(1)]);
        signal.evidence[0].text = format!("line {n}");
        stage.signal(signal);
    }
    let incident = stage.incident(1);
    assert_eq!(incident.signals, 200);
    assert_eq!(incident.evidence.len(), 50);
    let kept: Vec<&str> = incident.evidence.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!((kept[0], kept[9], kept[10], kept[49]), ("line 0", "line 9", "line 160", "line 199"));
    assert_eq!(stage.supervisor.incidents().count(), 1);
}

#[test]
fn a_flood_of_signals_is_not_a_flood_of_writes() {
    let mut stage = Stage::new(Settings { ceiling: Mode::Suggest, ..settings() });
    let mut saves = 0;
    for n in 0..1000 {
        stage.now = stage.now + Duration::from_millis(10);
        let signal = Signal { at: stage.now, ..stage.text(vec![restart_auto(1)]) };
        let effects = stage.supervisor.step(stage.now, Input::Signal(signal));
        let others = effects.iter().filter(|effect| !matches!(effect, Effect::Save(_))).count();
        assert!(n == 0 || others == 0, "{effects:?}");
        saves += effects.len() - others;
    }
    assert!((2..6).contains(&saves), "{saves}");
}

#[test]
fn state_evidence_takes_an_incident_over() {
    let mut stage = Stage::auto();
    let text = Signal { class: Class::Hang, ..stage.text(vec![rollback_auto()]) };
    stage.signal(text).expect(1, AwaitingApproval, "state-evidence").pass(1);
    let crash = stage.crash(vec![restart_auto(1)]);
    stage.signal(crash).expect(1, Acting, "");
    assert_eq!(stage.done(), [(Remedy::Restart, "web1")]);
    assert_eq!((stage.incident(1).class, stage.incident(1).rule.as_str()), (Class::AppCrash, "core/crash"));
}

#[test]
fn another_rule_adds_what_it_suggests() {
    let mut stage = Stage::new(Settings { ceiling: Mode::Approve, ..settings() });
    stage.fails(vec![restart_auto(1)]).pass(1);
    let text = stage.text(vec![rollback_auto()]);
    stage.signal(text);
    let remedies: Vec<Remedy> = stage.incident(1).proposals.iter().map(|proposal| proposal.remedy).collect();
    assert_eq!(remedies, [Remedy::Restart, Remedy::Rollback]);
    assert_eq!(stage.incident(1).rule, "core/crash");
}

#[test]
fn what_a_text_forbids_keeps_no_fault_from_being_healed() {
    let mut stage = Stage::auto();
    let text = Signal { forbid: vec![Remedy::Restart], ..stage.text(vec![escalate()]) };
    stage.signal(text).pass(1).expect_acts(0).fails(vec![restart_auto(1)]).expect_acts(1);
}

#[test]
fn a_new_release_supersedes() {
    for approve in [false, true] {
        let mut stage = Stage::new(Settings { ceiling: Mode::Approve, ..settings() });
        stage.fails(vec![restart_auto(1)]);
        if approve {
            stage.approve(1, None).restarted().expect(1, Verifying, "");
        }
        let at = stage.now;
        stage.deployed("web1", deployment("shop", 3, at)).expect(
            1,
            Dismissed,
            "superseded by 20261125-000003-0000",
        );
    }
}

#[test]
fn a_failed_action_is_tried_again_and_then_the_next_rung() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(2), rollback_auto()]).ended(ActionOutcome::Failed);
    stage.expect(1, Waiting, "backoff").pass(20).expect_acts(2).ended(ActionOutcome::Failed).expect_acts(3);
    assert_eq!(stage.done()[2], (Remedy::Rollback, "web1"));
    stage.expect_news(News::NotHealed, "restart failed: so it ended");
}

#[test]
fn a_failed_restart_that_left_it_stopped_is_no_operators_wish() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), rollback_auto()]).pass(1);
    stage.fact(("web1", "shop", 2), Fact::Stopped).ended(ActionOutcome::Failed);
    assert_eq!(stage.done()[1], (Remedy::Rollback, "web1"));
}

#[test]
fn an_unreachable_host_stops_the_clock_of_the_proof() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), escalate()]).restarted().pass(30);
    stage.observe("web1", Fact::HostUnreachable { reason: "timed out".to_owned() });
    stage.pass(2 * HOUR).expect(1, Verifying, "");
    stage.observe("web1", Fact::HostReachable).pass(1).running(2).pass(58).expect(1, Verifying, "");
    stage.pass(3).expect(1, Healed, "");
}

#[test]
fn sleep_is_not_proof() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), escalate()]).restarted();
    stage.now = stage.now + Duration::from_secs(3600);
    stage.send(Input::Tick).expect(1, Verifying, "").pass(61).expect(1, Healed, "");
}

#[test]
fn a_clock_that_steps_back_stops_nothing() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1)]).restarted().pass(30);
    stage.now = stage.now - Duration::from_secs(3600);
    stage.send(Input::Tick).expect(1, Verifying, "").pass(32).expect(1, Healed, "");
}

#[test]
fn an_action_that_never_ends_is_told_and_stays_in_flight() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(3)]).pass(901).expect(1, Escalated, "the action has not ended after 15m");
    stage.approve(1, Some(Remedy::Restart)).expect_acts(1).expect_news(News::Refused, "guard `in-flight`");
    stage.restarted().expect(1, Verifying, "").ended(ActionOutcome::Failed).expect(1, Verifying, "");
}

#[test]
fn without_a_ladder_the_taxonomy_helps() {
    let mut stage = Stage::auto();
    let at = stage.now - Duration::from_secs(600);
    stage.deployed("web1", deployment("shop", 2, at));
    stage
        .fails(vec![])
        .restarted()
        .pass(10)
        .died()
        .expect_acts(2)
        .rolled_back()
        .pass(70)
        .expect(1, Healed, "");
    assert_eq!(stage.done(), [(Remedy::Restart, "web1"), (Remedy::Rollback, "web1")]);
    let mut stage = Stage::auto();
    let benign = Signal { class: Class::Benign, ..stage.crash(vec![]) };
    stage.signal(benign).expect_acts(0);
    assert!(stage.supervisor.incidents().next().is_none());
}

#[test]
fn crash_of_ours_before_the_restart_was_recorded_as_done() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(2), escalate()]).crash_and_restore().expect(1, Acting, "");
    assert_eq!(stage.inspected, 1);
    stage.expect_acts(1).pass(2);
    let at = stage.now - Duration::from_secs(7200);
    stage.deployed("web1", deployment("shop", 2, at)).running(2).expect(1, Verifying, "");
    stage.pass(61).expect(1, Healed, "restart helped").expect_acts(1);
}

#[test]
fn crash_of_ours_before_the_rollback_happened() {
    let mut stage = Stage::auto();
    stage.fails(vec![rollback_auto(), escalate()]).crash_and_restore().pass(2);
    let at = stage.now - Duration::from_secs(7200);
    stage.deployed("web1", deployment("shop", 2, at)).pass(30).expect_acts(1);
    assert_eq!(outcomes(stage.incident(1)), [ActionOutcome::Failed]);
    stage.expect(1, Escalated, "rollback (auto) failed");
}

#[test]
fn crash_of_ours_after_the_rollback_happened() {
    let mut stage = Stage::auto();
    stage.fails(vec![rollback_auto(), escalate()]).crash_and_restore().pass(2);
    let mut back = deployment("shop", 1, Timestamp::from_seconds(1_600_000_000));
    back.previous = None;
    stage.deployed("web1", back).running(1).expect(1, Verifying, "").pass(61).expect(
        1,
        Healed,
        "rolled back",
    );
    assert_eq!(outcomes(stage.incident(1)), [ActionOutcome::Healed]);
}

#[test]
fn crash_of_ours_while_waiting_asks_before_it_goes_on() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(2), rollback_auto()]).ended(ActionOutcome::Failed);
    stage.expect(1, Waiting, "backoff").crash_and_restore().pass(11);
    let at = stage.now - Duration::from_secs(7200);
    stage.deployed("web1", deployment("shop", 2, at)).pass(60).expect_acts(1);
    stage.expect(1, AwaitingApproval, "guard `doubt`: this supervisor was restarted");
    // The rule fires again: the evidence is fresh, and the ladder is the rule's own again.
    stage.fails(vec![restart_auto(2), rollback_auto()]).expect_acts(2);
    assert_eq!(stage.done()[1], (Remedy::Restart, "web1"));
}

#[test]
fn a_crash_of_ours_forgets_no_budget() {
    let mut settings = settings();
    settings.budgets.app = Budget::new(1, 3600);
    let mut stage = Stage::new(settings);
    stage.fails(vec![restart_auto(9)]).restarted().pass(70).expect(1, Healed, "").crash_and_restore();
    let at = stage.now - Duration::from_secs(7200);
    stage.pass(700).deployed("web1", deployment("shop", 2, at)).started("web1", "shop", 2).pass(1);
    stage.fails(vec![restart_auto(9)]).expect_acts(1).expect(2, AwaitingApproval, "guard `budget-app`");
}

#[test]
fn the_engine_restarted_it_already() {
    let mut stage = Stage::auto();
    stage.dies(vec![restart_auto(2), escalate()], 0).expect_acts(0);
    stage.expect(1, IncidentState::Waiting, "guard `engine`");
    stage.pass(1).started("web1", "shop", 2).pass(2).expect_acts(0).expect(1, IncidentState::Verifying, "");
    let record = stage.incident(1).actions[0].clone();
    assert_eq!((record.by.as_str(), record.outcome), ("engine", ActionOutcome::Done));
    // It counts as a try: the second one that does not help is the last.
    stage.pass(5).died().pass(1).started("web1", "shop", 2).pass(400).expect(1, IncidentState::Healed, "");
    assert_eq!(stage.incident(1).actions[0].outcome, ActionOutcome::NotHealed);
}

#[test]
fn what_the_engine_does_not_restart_is_restarted() {
    let mut stage = Stage::auto();
    stage.dies(vec![restart_auto(1)], 0).expect_acts(0).pass(3).expect_acts(1);
}

#[test]
fn a_start_before_the_signal_is_no_cure() {
    let mut stage = Stage::auto();
    stage.died().pass(1).started("web1", "shop", 2).pass(5);
    let signal = stage.crash(vec![restart_auto(1)]);
    stage.signal(signal).expect_acts(1);
}

#[test]
fn time_spent_down_is_no_quiet() {
    let mut stage = Stage::auto();
    stage.freeze(None).fails(vec![restart_auto(1)]).pass(50).started("web1", "shop", 2).pass(20).thaw(None);
    stage.expect_acts(0).expect(1, IncidentState::Verifying, "");
}

/// What the engine says after an orderly reboot: it stopped the app itself, and cannot start it.
fn rebooted_without_secrets(stage: &mut Stage) -> Signal {
    let shop = ("web1", "shop", 2);
    stage
        .fact(shop, Fact::Killed { signal: 15 })
        .fact(shop, Fact::Died { exit_code: 0 })
        .fact(shop, Fact::Stopped);
    stage.observe("web1", Fact::HostUnreachable { reason: "timed out".to_owned() }).pass(20);
    stage.observe("web1", Fact::HostReachable);
    let down = Fact::State { running: false, started_at: None, restart_count: 0, health: HealthState::None };
    stage.fact(shop, down);
    let ladder = vec![rung(Remedy::Reinject, Mode::Auto, 2), escalate()];
    Signal { class: Class::BadConfig, rule: "core/secrets-gone".to_owned(), ..stage.crash(ladder) }
}

#[test]
fn secrets_that_a_reboot_wiped_are_brought_again() {
    let mut stage = Stage::auto();
    let signal = rebooted_without_secrets(&mut stage);
    stage.fact(("web1", "shop", 2), Fact::SecretsGone).signal(signal).expect_acts(1);
    assert_eq!(stage.done(), [(Remedy::Reinject, "web1")]);
    stage.restarted().pass(120).expect(1, IncidentState::Healed, "");
}

#[test]
fn what_somebody_stopped_is_not_started_by_bringing_secrets() {
    // Without the engine's word that it tried to start it, the stop counts.
    let mut stage = Stage::auto();
    let signal = rebooted_without_secrets(&mut stage);
    stage.signal(signal).pass(300).expect_acts(0).expect_news(News::Ignored, "guard `operator-stop`");
    // And neither does an owner who did not say so.
    let mut stage = Stage::new(Settings {
        default_policy: HealPolicy { remedies: vec![Remedy::Restart], ..settings().default_policy },
        ..settings()
    });
    let policy = stage.supervisor.settings.default_policy.clone();
    stage.deployed("web1", Deployment { policy, ..deployment("shop", 2, stage.now) });
    let signal = rebooted_without_secrets(&mut stage);
    stage.fact(("web1", "shop", 2), Fact::SecretsGone).signal(signal).expect_acts(0);
    stage.expect(1, IncidentState::AwaitingApproval, "guard `remedies`");
}

#[test]
fn a_clock_that_is_set_back_does_not_make_us_deaf() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1)]).restarted().pass(61).expect(1, Healed, "");
    stage.pass(7200);
    let seconds_before = Signal { at: stage.now - Duration::from_secs(7262), ..stage.crash(vec![]) };
    stage
        .signal(Signal { live: false, ..seconds_before.clone() })
        .expect_news(News::Ignored, "and it is healed");
    assert_eq!(stage.supervisor.incidents().count(), 1, "it came late");
    stage.signal(Signal { at: stage.now - Duration::from_secs(9000), ..seconds_before });
    assert_eq!(stage.supervisor.incidents().count(), 2, "it has just happened, by a clock that was set back");
}
