//! What people can ask for, and what they are told.

use super::*;
use IncidentState::{Acting, AwaitingApproval, Dismissed, Escalated, Open};

fn asking() -> Stage {
    Stage::new(Settings { ceiling: Mode::Approve, ..settings() })
}

#[test]
fn an_approval_acts_in_the_name_of_who_gave_it() {
    let mut stage = asking();
    stage.fails(vec![restart_auto(1), rollback_auto()]).expect(1, AwaitingApproval, "guard `mode`");
    stage.expect_news(News::Proposed, "restart waits for approval").approve(1, None).expect(1, Acting, "");
    assert_eq!((stage.acts[0].by.as_str(), stage.acts[0].remedy), ("ada", Remedy::Restart));
}

#[test]
fn nobody_is_called_auto() {
    let mut stage = asking();
    stage.fails(vec![restart_auto(1)]);
    stage.send(Input::Approve { incident: IncidentId(1), remedy: None, by: "auto".to_owned() });
    assert_eq!(stage.acts[0].by, "someone called `auto`");
}

#[test]
fn a_human_may_choose_another_remedy_and_what_auto_may_not() {
    let mut stage = asking();
    let text = stage.text(vec![restart_auto(1), rollback_auto()]);
    stage.signal(text).approve(1, Some(Remedy::Rollback)).expect_acts(1);
    assert_eq!(stage.done(), [(Remedy::Rollback, "web1")]);
    // A suggestion can be taken up, too.
    let mut stage = Stage::auto();
    stage
        .fails(vec![rung(Remedy::Restart, Mode::Suggest, 1)])
        .expect(1, Open, "")
        .approve(1, None)
        .expect_acts(1);
}

#[test]
fn a_human_may_try_again_what_was_tried_often_enough() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1), escalate()]).restarted().pass(5).died().expect(1, Escalated, "");
    stage.approve(1, Some(Remedy::Restart)).expect_acts(2);
}

#[test]
fn an_approved_action_that_does_not_help_goes_on_up_the_ladder() {
    let mut stage = asking();
    stage.fails(vec![restart_auto(1), rollback_auto()]).approve(1, None).restarted().pass(5).died();
    stage.expect(1, AwaitingApproval, "").expect_acts(1);
    assert_eq!(stage.incident(1).proposals[0].remedy, Remedy::Rollback);
}

#[test]
fn a_watching_supervisor_changes_nothing() {
    let mut stage = Stage::new(Settings { ceiling: Mode::Suggest, ..settings() });
    stage.fails(vec![restart_auto(1)]).approve(1, None).expect_acts(0);
    stage.expect_news(News::Refused, "this supervisor only watches");
}

#[test]
fn what_cannot_be_approved_is_refused_with_the_reason() {
    let mut stage = asking();
    stage.approve(7, None).expect_news(News::Refused, "guard `incident`: there is no incident 7");
    stage.fails(vec![escalate()]).approve(1, None).expect_news(News::Refused, "name a remedy");
    stage.send(Input::Dismiss { incident: IncidentId(1), by: "ada".to_owned() });
    stage.expect(1, Dismissed, "dismissed by ada");
    stage.approve(1, Some(Remedy::Restart)).expect_acts(0);
    stage.expect_news(News::Refused, "incident 1 is dismissed");
    stage.send(Input::Dismiss { incident: IncidentId(1), by: "ada".to_owned() });
}

#[test]
fn dismissed_means_quiet_for_a_while() {
    let mut stage = asking();
    stage.fails(vec![restart_auto(1)]);
    stage.send(Input::Dismiss { incident: IncidentId(1), by: "ada".to_owned() });
    stage.started("web1", "shop", 2).pass(60).fails(vec![restart_auto(1)]);
    assert_eq!(stage.supervisor.incidents().count(), 1);
    assert_eq!(stage.incident(1).signals, 2);
    let other = Signal { at: stage.now, ..stage.text(vec![restart_auto(1)]) };
    stage.signal(other).expect(2, AwaitingApproval, "");
    stage.send(Input::Dismiss { incident: IncidentId(2), by: "ada".to_owned() });
    stage.pass(2 * HOUR).fails(vec![restart_auto(1)]).expect(3, AwaitingApproval, "");
}

#[test]
fn dismissing_does_not_stop_what_is_under_way() {
    let mut stage = Stage::auto();
    stage.fails(vec![restart_auto(1)]);
    stage.send(Input::Dismiss { incident: IncidentId(1), by: "ada".to_owned() });
    let signal = Signal { rule: "core/other".to_owned(), ..stage.crash(vec![restart_auto(2)]) };
    stage.signal(signal).expect_acts(1).expect(2, IncidentState::Waiting, "guard `in-flight`");
    stage.restarted().expect(1, Dismissed, "");
    assert_eq!(outcomes(stage.incident(1)), [ActionOutcome::Done]);
}

#[test]
fn hostile_text_is_bounded_and_escaped() {
    let mut stage = asking();
    let mut signal = stage.crash(vec![restart_auto(1)]);
    signal.say = format!("\u{1b}[2J{}", "x".repeat(100_000));
    signal.rule = "pack/\nrule".to_owned();
    signal.evidence[0].text = "\u{202e}gnp.exe\r".to_owned();
    stage.signal(signal);
    let shown = format!("{:?}", stage.incident(1).say)
        + &stage.incident(1).rule
        + &stage.incident(1).evidence[0].text;
    assert!(!shown.contains(['\u{1b}', '\n', '\r', '\u{202e}']), "{shown}");
    assert!(stage.incident(1).say.len() < 600);
}

#[test]
fn one_approval_is_one_action() {
    let mut stage = asking();
    stage.fails(vec![restart_auto(1)]).approve(1, None).approve(1, None).expect_acts(1);
    stage.expect_news(News::Refused, "guard `in-flight`").restarted().expect(1, IncidentState::Verifying, "");
    stage.approve(1, Some(Remedy::Restart)).expect_acts(1);
}

#[test]
fn operator_stop_is_not_a_reload() {
    for (signal, acts) in [(1, 1), (3, 1), (21, 1), (15, 0)] {
        let mut stage = Stage::auto();
        stage.fact(("web1", "shop", 2), Fact::Killed { signal });
        stage.pass(60).fails(vec![restart_auto(1)]).expect_acts(acts);
    }
}
