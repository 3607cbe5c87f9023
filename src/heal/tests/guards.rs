//! One test per guard, named after it: that it stops what it must stop, says so, and lets pass what it must not.

use super::*;
use IncidentState::{AwaitingApproval, Dismissed, Escalated, Open, Verifying, Waiting};

#[test]
fn nothing_stops_what_is_allowed() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1)]).expect_acts(1);
    assert_eq!(stage.done(), [(Remedy::Restart, "web1")]);
    let action = &stage.acts[0];
    assert_eq!((action.by.as_str(), &action.release), ("auto", &release(2)));
}

#[test]
fn freeze() {
    for of in [None, Some("shop")] {
        let mut stage = Stage::auto();
        stage.freeze(of).fails(vec![restart_auto(1)]).expect_acts(0);
        stage.expect(1, Waiting, "frozen by ada");
        stage.approve(1, None).expect_acts(0).expect_news(News::Refused, "guard `freeze`");
        stage.pass(2 * HOUR).expect_acts(0).expect(1, Waiting, "frozen by ada");
        stage.thaw(of).expect_acts(1);
    }
    let mut stage = Stage::auto();
    stage.freeze(Some("blog")).fails(vec![restart_auto(1)]).expect_acts(1);
}

#[test]
fn freeze_lets_what_is_under_way_end_and_then_stops() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(2)]).expect_acts(1).freeze(None).restarted();
    stage.expect(1, Verifying, "");
    stage.pass(5).died().pass(HOUR).expect_acts(1).expect(1, Waiting, "frozen by ada");
}

#[test]
fn reachable() {
    let mut stage = Stage::auto();
    stage.observe("web1", Fact::HostUnreachable { reason: "timed out".to_owned() });
    let signal = stage.crash(vec![restart_auto(1)]);
    stage.signal(signal).approve(1, None).expect_acts(0);
    stage.expect_news(News::Refused, "guard `reachable`: web1 cannot be reached (timed out)");
    stage.pass(5 * HOUR).expect_acts(0);
}

#[test]
fn doubt_after_a_host_was_out_of_sight() {
    let mut stage = Stage::auto();
    stage.freeze(None).fails(vec![restart_auto(1)]);
    stage.observe("web1", Fact::HostUnreachable { reason: "timed out".to_owned() });
    stage.observe("web1", Fact::HostReachable).thaw(None).pass(60);
    stage.expect_acts(0).expect(1, AwaitingApproval, "guard `doubt`: web1 was out of sight");
    let again = stage.crash(vec![restart_auto(1)]);
    stage.signal(again).expect_acts(1);
}

#[test]
fn doubt_of_a_signal_from_a_host_out_of_sight() {
    let mut stage = Stage::auto();
    stage.observe("web1", Fact::HostUnreachable { reason: "timed out".to_owned() });
    stage.fails(vec![restart_auto(1)]).observe("web1", Fact::HostReachable).pass(30);
    stage.expect_acts(0).expect(
        1,
        AwaitingApproval,
        "guard `doubt`: web1 was out of sight when the signal came",
    );
}

#[test]
fn a_relapse_is_worth_no_more_than_the_signal_that_tells_of_it() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(2)]).restarted().pass(70).expect(1, IncidentState::Healed, "");
    let signal = Signal { live: false, ..stage.crash(vec![restart_auto(2)]) };
    stage.signal(signal).pass(30).expect_acts(1).expect(1, AwaitingApproval, "guard `live`");
}

#[test]
fn doubt_after_this_machine_slept() {
    let mut stage = Stage::auto();
    stage.freeze(None).fails(vec![restart_auto(1)]);
    stage.now = stage.now + Duration::from_secs(8 * 3600);
    stage.send(Input::Tick).thaw(None).pass(60).expect_acts(0);
    stage.expect(1, AwaitingApproval, "guard `doubt`: this machine slept");
}

#[test]
fn known() {
    let mut stage = Stage::empty(settings());
    let signal = stage.crash(vec![restart_auto(1)]);
    stage.signal(signal).expect_acts(0).expect(
        1,
        Waiting,
        "guard `known`: no deployment of shop is known on web1",
    );
    stage.approve(1, None).expect_news(News::Refused, "guard `known`").expect_acts(0);
    let at = stage.now;
    stage.deployed("web1", deployment("shop", 2, at)).expect_acts(1);

    let mut stage = Stage::empty(settings());
    let signal = stage.crash(vec![restart_auto(1)]);
    stage.signal(signal).pass(HOUR).expect_acts(0).expect(
        1,
        Escalated,
        "held up for too long; guard `known`",
    );
}

#[test]
fn operator_stop() {
    for fact in [Fact::Killed { signal: 15 }, Fact::Stopped, Fact::Destroyed, Fact::Paused] {
        let mut stage = Stage::auto();
        stage.freeze(None).fails(vec![restart_auto(1)]).pass(1);
        stage.fact(("web1", "shop", 2), fact.clone()).thaw(None).expect_acts(0);
        stage.expect(1, Waiting, "guard `operator-stop`");
        stage.approve(1, None).expect_acts(0).expect_news(News::Refused, "guard `operator-stop`");
        stage.pass(15).expect(1, Dismissed, "by someone else").expect_acts(0);
        let signal = stage.crash(vec![restart_auto(1)]);
        stage.signal(signal).expect_acts(0).expect_news(News::Ignored, "guard `operator-stop`");
        stage.pass(HOUR).started("web1", "shop", 2).pass(1).fails(vec![restart_auto(1)]).expect_acts(1);
    }
}

#[test]
fn operator_stop_during_the_proof_is_respected() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(3)]).restarted().pass(20);
    stage.fact(("web1", "shop", 2), Fact::Killed { signal: 15 }).died();
    stage.fact(("web1", "shop", 2), Fact::Stopped);
    stage.pass(HOUR).expect_acts(1).expect(1, Dismissed, "it was stopped by someone else");
    assert_eq!(outcomes(stage.incident(1)), [ActionOutcome::Done], "nobody has proved that it failed");
}

#[test]
fn operator_stop_seen_too_late_is_respected() {
    let mut stage = Stage::auto();
    stage.freeze(None).fails(vec![restart_auto(1)]).pass(1);
    stage.fact_of(("web1", "shop", 2), Role::Live, Freshness::Backlog, Fact::Stopped);
    stage.thaw(None).pass(HOUR).expect_acts(0).expect(1, Dismissed, "stopped by someone else");
}

#[test]
fn a_restart_by_hand_is_no_operator_stop() {
    let mut stage = Stage::auto();
    stage.freeze(None).fails(vec![restart_auto(1)]).pass(1);
    stage.fact(("web1", "shop", 2), Fact::Killed { signal: 15 }).pass(3).started("web1", "shop", 2);
    stage.pass(15).expect(1, Waiting, "frozen");
}

#[test]
fn role() {
    for role in [Role::Candidate, Role::Kept] {
        let mut stage = Stage::auto();
        stage.fact_of(("web1", "shop", 3), role, Freshness::Live, Fact::Started);
        let signal = Signal {
            release: release(3),
            container: container("web1", "shop", 3),
            ..stage.crash(vec![restart_auto(1)])
        };
        stage.signal(signal).expect_acts(0).expect_news(News::Ignored, "guard `role`");
        assert_eq!(stage.supervisor.incidents().count(), 0);
    }
}

#[test]
fn release_that_is_not_live_is_left_alone() {
    let mut stage = Stage::auto();
    let old = Signal { release: release(1), ..stage.crash(vec![restart_auto(1)]) };
    stage.signal(old).expect_acts(0).expect_news(News::Ignored, "is live, not");
    let newer = Signal { release: release(3), ..stage.crash(vec![restart_auto(1)]) };
    stage.signal(newer).expect_acts(0).expect(1, Waiting, "guard `release`");
    let at = stage.now;
    stage.deployed("web1", deployment("shop", 3, at)).expect_acts(1);
    assert_eq!(stage.acts[0].release, release(3));
}

#[test]
fn in_flight_is_one_per_app_across_hosts() {
    let mut stage = Stage::auto();
    let at = stage.now - Duration::from_secs(7200);
    stage.deployed("web2", deployment("shop", 2, at)).deployed("web2", deployment("blog", 2, at));
    stage.fails(vec![restart_auto(1)]).expect_acts(1);
    let shop = Signal {
        host: host("web2"),
        container: container("web2", "shop", 2),
        ..stage.crash(vec![restart_auto(1)])
    };
    let blog = Signal { app: app("blog"), container: container("web2", "blog", 2), ..shop.clone() };
    stage.signal(shop).expect_acts(1).expect(
        2,
        Waiting,
        "guard `in-flight`: a restart of shop is under way on web1",
    );
    stage.approve(2, None).expect_acts(1).expect_news(News::Refused, "guard `in-flight`");
    stage.signal(blog).expect_acts(2);
}

#[test]
fn one_host_at_a_time_and_the_next_after_proof() {
    let mut stage = Stage::auto();
    let at = stage.now - Duration::from_secs(7200);
    stage.deployed("web2", deployment("shop", 2, at));
    stage.fails(vec![restart_auto(1)]).restarted();
    let signal = Signal {
        host: host("web2"),
        container: container("web2", "shop", 2),
        ..stage.crash(vec![restart_auto(1)])
    };
    stage.signal(signal).expect_acts(1).expect(2, Waiting, "guard `one-host`");
    stage.pass(61).expect_acts(2);
    assert_eq!(stage.done()[1], (Remedy::Restart, "web2"));
}

#[test]
fn class_a_restart_cannot_help() {
    for class in Class::ALL.into_iter().filter(|class| *class != Class::Benign) {
        let mut stage = Stage::auto();
        let signal = Signal { class, ..stage.crash(vec![restart_auto(3), escalate()]) };
        stage.signal(signal).expect_acts(usize::from(class.restart_can_help()));
        if !class.restart_can_help() {
            stage.expect(1, Escalated, "guard `class`: restart cannot help against");
            stage
                .approve(1, Some(Remedy::Restart))
                .expect_acts(0)
                .expect_news(News::Refused, "guard `class`");
        }
    }
}

#[test]
fn forbid() {
    let mut stage = Stage::auto();
    let signal =
        Signal { forbid: vec![Remedy::Restart], ..stage.crash(vec![restart_auto(1), rollback_auto()]) };
    stage.signal(signal);
    assert_eq!(stage.done(), [(Remedy::Rollback, "web1")]);
}

/// A rollback against a deployment that was changed a little, and which guard says no.
#[track_caller]
fn rollback_is_refused(edit: impl FnOnce(&mut Deployment), guard: &str) {
    let mut stage = Stage::auto();
    let mut changed = deployment("shop", 2, stage.now);
    edit(&mut changed);
    stage.deployed("web1", changed).fails(vec![rollback_auto(), escalate()]);
    stage.expect_acts(0).expect(1, Escalated, guard);
    stage.approve(1, Some(Remedy::Rollback)).expect_acts(0).expect_news(News::Refused, guard);
}

#[test]
fn rollback_target() {
    rollback_is_refused(
        |deployment| deployment.previous = None,
        "guard `rollback-target`: no older release is kept on web1",
    );
}

#[test]
fn rollback_proved() {
    rollback_is_refused(
        |deployment| deployment.previous.as_mut().unwrap().ran_for = Duration::from_secs(599),
        "guard `rollback-proved`: 20261125-000001-0000 ran for 10m only, 10m would prove it",
    );
}

#[test]
fn rollback_spec() {
    rollback_is_refused(
        |deployment| deployment.previous.as_mut().unwrap().spec = deployment.spec.clone(),
        "guard `rollback-spec`",
    );
}

#[test]
fn rollback_migration() {
    rollback_is_refused(
        |deployment| deployment.previous.as_mut().unwrap().across_migration = true,
        "guard `rollback-migration`: 20261125-000001-0000 is older than the data",
    );
}

#[test]
fn rollback_once() {
    let mut stage = Stage::auto();
    stage.fails(vec![rollback_auto()]);
    assert_eq!(stage.acts[0].target, Some(release(1)));
    stage.rolled_back().pass(61).expect(1, IncidentState::Healed, "20261125-000001-0000 runs now");
    // An hour later the old release fails too, and there would be one that is older still.
    stage.pass(HOUR);
    let mut back = deployment("shop", 1, Timestamp::from_seconds(1_600_000_000));
    back.previous.as_mut().unwrap().ran_for = Duration::from_secs(86_400);
    stage.deployed("web1", back);
    let signal = Signal {
        release: release(1),
        container: container("web1", "shop", 1),
        ..stage.crash(vec![rollback_auto(), escalate()])
    };
    stage.signal(signal.clone()).expect_acts(1).expect(2, Escalated, "guard `rollback-once`");
    // The bad release is deployed on another host, and then a newer one: never back to the bad one.
    stage.deployed("web2", deployment("shop", 3, Timestamp::from_seconds(1_600_000_000)));
    let elsewhere =
        Signal { host: host("web2"), release: release(3), container: container("web2", "shop", 3), ..signal };
    stage.signal(elsewhere).expect_acts(1).expect(3, Escalated, "itself was rolled back on web1");
}

#[test]
fn deploy_age() {
    for (age, acts) in [(600, 1), (897, 1), (901, 0)] {
        let mut stage = Stage::auto();
        let young = Rung { if_deploy_younger_than: Some(Duration::from_secs(900)), ..rollback_auto() };
        let at = stage.now - Duration::from_secs(age);
        stage.deployed("web1", deployment("shop", 2, at)).fails(vec![young, escalate()]).expect_acts(acts);
    }
}

#[test]
fn attempts_within_a_window() {
    let mut stage = Stage::auto();
    let ladder = vec![Rung { per: Some(Duration::from_secs(6 * 3600)), ..restart_auto(2) }, escalate()];
    for acts in [1, 2, 2] {
        stage.fails(ladder.clone()).expect_acts(acts);
        if acts > stage.incident(stage.supervisor.incidents().count() as u64).actions.len() + 2 {
            break;
        }
        if stage.incident(stage.supervisor.incidents().count() as u64).state == IncidentState::Acting {
            stage.restarted().pass(HOUR);
        }
    }
    stage.expect(3, Escalated, "guard `attempts`: restart was tried 2 times in 6h, 2 allowed");
    // When the window has passed there is a new chance, for a new incident.
    stage.send(Input::Dismiss { incident: IncidentId(3), by: "ada".to_owned() });
    stage.started("web1", "shop", 2).pass(6 * HOUR).fails(ladder).expect_acts(3);
}

#[test]
fn attempts_per_release() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), escalate()]).restarted().pass(48 * HOUR);
    stage.fails(vec![restart_auto(1), escalate()]).expect_acts(1).expect(2, Escalated, "guard `attempts`");
    let at = stage.now;
    stage.deployed("web1", deployment("shop", 3, at)).expect(2, Dismissed, "superseded");
    let signal = Signal { release: release(3), ..stage.crash(vec![restart_auto(1)]) };
    stage.pass(1).signal(signal).expect_acts(2);
}

#[test]
fn attempts_end_even_in_a_short_window() {
    let mut stage = Stage::auto();
    let ladder = vec![Rung { per: Some(Duration::from_secs(60)), ..restart_auto(2) }, escalate()];
    stage.fails(ladder.clone());
    for _ in 0..5 {
        if stage.incident(1).state == IncidentState::Acting {
            stage.restarted();
        }
        stage.pass(50).fails(ladder.clone()).pass(400);
    }
    stage.expect_acts(2).expect(1, Escalated, "2 allowed");
}

#[test]
fn mode_is_the_most_careful_of_three() {
    let check = |rung_mode: Mode, policy: Mode, ceiling: Mode, state: IncidentState, note: &str| {
        let mut settings = settings();
        settings.ceiling = ceiling;
        let by_app = HealPolicy { mode: policy, ..settings.default_policy.clone() };
        settings.policies.insert(app("shop"), by_app);
        let mut stage = Stage::new(settings);
        stage.fails(vec![rung(Remedy::Restart, rung_mode, 1)]).expect_acts(0).expect(1, state, note);
        assert_eq!(stage.incident(1).proposals.len(), usize::from(policy != Mode::Off));
    };
    use Mode::{Approve, Auto, Off, Suggest};
    check(Approve, Auto, Auto, AwaitingApproval, "core/crash lets restart at most approve");
    check(Auto, Approve, Auto, AwaitingApproval, "the policy of shop is approve");
    check(Auto, Auto, Approve, AwaitingApproval, "this supervisor may at most approve");
    check(Auto, Auto, Suggest, Open, "this supervisor may at most suggest");
    check(Suggest, Auto, Auto, Open, "core/crash lets restart at most suggest");
    check(Auto, Off, Auto, Open, "healing is off for shop");
}

#[test]
fn the_policy_that_was_deployed_holds_where_this_machine_has_none() {
    let mut stage = Stage::auto();
    let mut careful = deployment("shop", 2, stage.now);
    careful.policy = HealPolicy::default();
    stage.deployed("web1", careful).fails(vec![restart_auto(1)]);
    stage.expect_acts(0).expect(1, AwaitingApproval, "the policy of shop is approve");
}

#[test]
fn remedies() {
    let mut settings = settings();
    settings.default_policy.remedies = vec![Remedy::Restart];
    settings.policies.insert(app("shop"), settings.default_policy.clone());
    let mut stage = Stage::new(settings);
    stage.fails(vec![rollback_auto()]).expect_acts(0);
    stage.expect(1, AwaitingApproval, "guard `remedies`: the policy of shop does not let auto rollback");
    stage.approve(1, None).expect_acts(1);
}

#[test]
fn state_evidence() {
    let mut stage = Stage::auto();
    let signal = stage.text(vec![restart_auto(1)]);
    stage.signal(signal).expect_acts(0);
    stage.expect(1, AwaitingApproval, "guard `state-evidence`: core/text has the text of a log only");
}

#[test]
fn live() {
    let mut stage = Stage::auto();
    let signal = Signal { live: false, ..stage.crash(vec![restart_auto(1)]) };
    stage.signal(signal).expect_acts(0).expect(1, AwaitingApproval, "guard `live`");
    let mut stage = Stage::auto();
    let signal = stage.crash(vec![restart_auto(1)]);
    stage.now = stage.now + Duration::from_secs(600);
    stage.signal(signal).expect_acts(0).expect(1, AwaitingApproval, "the evidence is old");
}

#[test]
fn backoff_doubles_and_is_waited_for() {
    let mut stage = Stage::auto();
    let ladder =
        vec![Rung { backoff: Some((Duration::from_secs(40), Duration::from_secs(3600))), ..restart_auto(3) }];
    stage.fails(ladder).restarted().pass(5).died();
    stage
        .expect_acts(1)
        .expect(1, Waiting, "guard `backoff`")
        .pass(39)
        .expect_acts(1)
        .pass(12)
        .expect_acts(2);
    stage.restarted().pass(5).died().pass(79).expect_acts(2).pass(22).expect_acts(3);
}

#[test]
fn grace_is_for_text_only() {
    let young = |stage: &mut Stage| {
        let at = stage.now - Duration::from_secs(5);
        stage.deployed("web1", deployment("shop", 2, at));
    };
    let mut stage = Stage::auto();
    young(&mut stage);
    let signal = stage.text(vec![restart_auto(1)]);
    stage.signal(signal).expect(1, Waiting, "guard `grace`").pass(100);
    stage.expect(1, IncidentState::Healed, "went away by itself");

    let mut stage = Stage::auto();
    young(&mut stage);
    let signal = stage.text(vec![restart_auto(1)]);
    stage.signal(signal).pass(27);
    let signal = stage.text(vec![restart_auto(1)]);
    stage.signal(signal).expect(1, AwaitingApproval, "guard `state-evidence`");

    let mut stage = Stage::auto();
    young(&mut stage);
    stage.fails(vec![restart_auto(1)]).expect_acts(1);
}

/// Many apps on some hosts fail at once; `acts` of them are cured unattended, the next asks.
#[track_caller]
fn budget(budgets: Budgets, places: &[(&str, &str)], acts: usize, note: &str) {
    let mut stage = Stage::empty(Settings { budgets, ..settings() });
    let at = stage.now - Duration::from_secs(7200);
    for (on, of) in places {
        stage.deployed(on, deployment(of, 2, at));
    }
    for (on, of) in places {
        let signal = Signal {
            host: host(on),
            app: app(of),
            container: container(on, of, 2),
            ..stage.crash(vec![restart_auto(1)])
        };
        stage.signal(signal);
        if !stage.acts.is_empty()
            && stage.incident(stage.acts.last().unwrap().incident.0).state == IncidentState::Acting
        {
            stage.pass(1).started(on, of, 2).ended(ActionOutcome::Done).pass(62);
        }
    }
    stage.expect_acts(acts);
    let held = stage.supervisor.incidents().last().unwrap().id.0;
    stage.expect(held, AwaitingApproval, note);
    // A human may; and when the window has moved on it goes by itself.
    stage.pass(2 * HOUR).expect_acts(acts + 1);
}

const PLENTY: Budget = Budget::new(1000, 600);

#[test]
fn budget_host() {
    let budgets = Budgets { app: PLENTY, host: Budget::new(2, 600), fleet: PLENTY };
    budget(
        budgets,
        &[("web1", "a"), ("web1", "b"), ("web1", "c")],
        2,
        "guard `budget-host`: 2 actions on web1 in 10m, 2 allowed",
    );
}

#[test]
fn budget_fleet() {
    let budgets = Budgets { app: PLENTY, host: PLENTY, fleet: Budget::new(2, 600) };
    budget(
        budgets,
        &[("web1", "a"), ("web2", "b"), ("web3", "c")],
        2,
        "guard `budget-fleet`: 2 actions in the fleet in 10m, 2 allowed",
    );
}

#[test]
fn budget_app() {
    let budgets = Budgets { app: Budget::new(2, 600), host: PLENTY, fleet: PLENTY };
    budget(
        budgets,
        &[("web1", "a"), ("web2", "a"), ("web3", "a")],
        2,
        "guard `budget-app`: 2 actions of a in 10m, 2 allowed",
    );
}

#[test]
fn lock_held_is_waited_for_and_then_escalated() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1)]).ended(ActionOutcome::Refused);
    stage.expect(1, Waiting, "guard `lock`: so it ended").pass(5).expect_acts(1).pass(15).expect_acts(2);
    for _ in 0..5 {
        stage.ended(ActionOutcome::Refused).pass(HOUR / 10);
    }
    stage.expect_acts(6).expect(1, Escalated, "refused too often");
    // It was never carried out: a lock uses up neither tries nor budgets.
    stage.approve(1, Some(Remedy::Restart)).expect_acts(7);
}

#[test]
fn lock_held_keeps_an_approval_for_a_while() {
    let mut settings = settings();
    settings.ceiling = Mode::Approve;
    let mut stage = Stage::new(settings);
    stage.fails(vec![restart_auto(1)]).approve(1, None).expect_acts(1).ended(ActionOutcome::Refused);
    stage.pass(60).expect_acts(2);
    assert_eq!(stage.acts[1].by, "ada");
}

#[test]
fn limit_of_incidents() {
    let mut settings = settings();
    settings.ceiling = Mode::Suggest;
    settings.limits.incidents = 3;
    let mut stage = Stage::empty(settings);
    for n in 0..5 {
        let signal = Signal { app: app(&format!("app{n}")), ..stage.crash(vec![restart_auto(1)]) };
        stage.signal(signal);
    }
    assert_eq!(stage.supervisor.incidents().count(), 3);
    stage.expect_news(News::Ignored, "guard `limit`");
    stage.send(Input::Dismiss { incident: IncidentId(2), by: "ada".to_owned() });
    let signal = Signal { app: app("app9"), ..stage.crash(vec![restart_auto(1)]) };
    stage.signal(signal);
    let ids: Vec<u64> = stage.supervisor.incidents().map(|incident| incident.id.0).collect();
    assert_eq!(ids, [1, 3, 4]);
}

#[test]
fn limit_of_actions() {
    let mut settings = settings();
    settings.limits.actions = 2;
    let mut stage = Stage::new(settings);
    stage.fails(vec![restart_auto(9)]);
    for _ in 0..3 {
        stage.ended(ActionOutcome::Failed).pass(HOUR);
    }
    stage.expect_acts(2).expect(1, Escalated, "guard `limit`: 2 actions were recorded");
    stage.approve(1, Some(Remedy::Restart)).expect_acts(2).expect_news(News::Refused, "guard `limit`");
}

#[test]
fn role_that_was_lost_meanwhile() {
    let mut stage = Stage::auto();
    stage.freeze(None).fails(vec![restart_auto(1)]);
    stage.fact_of(("web1", "shop", 2), Role::Kept, Freshness::Live, Fact::Died { exit_code: 0 });
    stage.thaw(None).expect_acts(0).expect(1, Waiting, "guard `role`: its container is not the live one");
}

#[test]
fn release_that_was_rolled_back_is_not_worked_on_any_more() {
    let mut stage = Stage::auto();
    stage.fails(vec![rollback_auto(), restart_auto(5)]).rolled_back().pass(10);
    stage.fact(("web1", "shop", 1), Fact::Died { exit_code: 1 });
    stage.expect(1, Escalated, "rolled back");
    assert_eq!(stage.incident(1).proposals, []);
}
