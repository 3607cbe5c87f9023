//! Tests of the course: stories first, then any order of endings.

use proptest::prelude::*;

use super::super::stages::stages;
use super::*;
use crate::fleet::{Batch, Gate};
use Standing::{Changed, Failed, Returned, Stuck, Unchanged, Waiting};

/// Gates `a`, `b`, … of these sizes.
fn course(sizes: &[usize], batch: Batch, at_once: usize, on_failure: OnFailure) -> Course {
    let host = |gate: &str, number: usize| Host {
        name: HostName::parse(&format!("{gate}{number}")).unwrap(),
        ssh: "deploy@192.0.2.1".to_owned(),
    };
    let gates: Vec<_> = sizes
        .iter()
        .zip(["a", "b", "c", "d"])
        .map(|(size, name)| Gate {
            name: name.to_owned(),
            hosts: (1..=*size).map(|number| host(name, number)).collect(),
        })
        .collect();
    Course::new(stages(&gates, batch), at_once, on_failure)
}

/// Everything that can begin now.
fn begin(course: &mut Course) -> Vec<Errand> {
    let mut begun = Vec::new();
    while let Next::Begin(errand) = course.advance() {
        begun.push(errand);
    }
    begun
}

fn standings(course: &Course) -> Vec<Standing> {
    course.hosts().map(|(_, _, standing)| standing).collect()
}

/// The places of errands that all are changes.
fn changes(errands: &[Errand]) -> Vec<usize> {
    let place = |errand: &Errand| match errand {
        Errand::Change(place) => *place,
        Errand::GiveBack(_) => panic!("{errands:?}"),
    };
    errands.iter().map(place).collect()
}

#[test]
fn each_stage_waits_for_the_one_before() {
    let mut course = course(&[1, 5], Batch::Hosts(2), 8, OnFailure::Stop);
    for expected in [&[0][..], &[1], &[2, 3], &[4, 5]] {
        let begun = begin(&mut course);
        assert_eq!(changes(&begun), expected);
        for errand in begun {
            assert_eq!(course.advance(), Next::Wait);
            course.ended(errand, Ended::Done);
        }
    }
    assert_eq!(course.advance(), Next::Over);
    assert_eq!(standings(&course), [Changed; 6]);
}

#[test]
fn a_failure_ends_it_but_what_is_under_way_is_waited_for() {
    let mut course = course(&[6], Batch::Hosts(3), 2, OnFailure::Stop);
    let canary = begin(&mut course);
    course.ended(canary[0], Ended::Unchanged);
    // Two at once, though the batch has three.
    let begun = begin(&mut course);
    assert_eq!(changes(&begun), [1, 2]);
    course.ended(begun[0], Ended::Failed);
    assert_eq!(course.advance(), Next::Wait);
    course.ended(begun[1], Ended::Done);
    assert_eq!(course.advance(), Next::Over);
    assert_eq!(standings(&course), [Unchanged, Failed, Changed, Waiting, Waiting, Waiting]);
}

#[test]
fn all_or_nothing_gives_back_what_was_changed_and_nothing_else() {
    let mut course = course(&[5], Batch::Hosts(4), 8, OnFailure::GiveBack);
    let canary = begin(&mut course);
    course.ended(canary[0], Ended::Done);
    let begun = begin(&mut course);
    course.ended(begun[0], Ended::Done);
    course.ended(begun[1], Ended::Unchanged);
    course.ended(begun[2], Ended::Failed);
    assert_eq!(course.advance(), Next::Wait, "the last one may still fail by itself");
    course.ended(begun[3], Ended::Done);
    let back = begin(&mut course);
    assert_eq!(back, [Errand::GiveBack(0), Errand::GiveBack(1), Errand::GiveBack(4)]);
    course.ended(back[0], Ended::Done);
    course.ended(back[1], Ended::Failed);
    assert_eq!(course.advance(), Next::Wait);
    course.ended(back[2], Ended::Done);
    assert_eq!(course.advance(), Next::Over);
    assert_eq!(standings(&course), [Returned, Stuck, Unchanged, Failed, Returned]);
}

#[test]
fn an_interruption_begins_no_further_host_and_gives_back_if_it_was_all_or_nothing() {
    for (on_failure, expected) in
        [(OnFailure::Stop, [Changed, Changed, Waiting]), (OnFailure::GiveBack, [Returned, Returned, Waiting])]
    {
        let mut course = course(&[1, 1, 1], Batch::DEFAULT, 8, on_failure);
        let first = begin(&mut course);
        course.ended(first[0], Ended::Done);
        let second = begin(&mut course);
        course.interrupt();
        assert_eq!(course.advance(), Next::Wait);
        // It was past the point of being interrupted.
        course.ended(second[0], Ended::Done);
        for back in begin(&mut course) {
            course.ended(back, Ended::Done);
        }
        assert_eq!(course.advance(), Next::Over);
        assert_eq!(standings(&course), expected, "{on_failure:?}");
    }
}

#[test]
fn a_host_that_cannot_take_it_keeps_all_from_being_begun() {
    for on_failure in [OnFailure::Stop, OnFailure::GiveBack] {
        let mut course = course(&[3], Batch::DEFAULT, 8, on_failure);
        course.refuse(&HostName::parse("a2").unwrap());
        assert_eq!(course.advance(), Next::Over);
        assert_eq!(standings(&course), [Waiting, Failed, Waiting]);
    }
}

#[test]
fn where_failures_mean_nothing_every_host_gets_its_turn() {
    let mut course = course(&[4], Batch::Percent(100), 2, OnFailure::GoOn);
    let mut turns = Vec::new();
    loop {
        match course.advance() {
            Next::Begin(errand) => turns.push(errand),
            Next::Wait => course.ended(turns.remove(0), Ended::Failed),
            Next::Over => break,
        }
    }
    assert_eq!(standings(&course), [Failed; 4]);
}

fn how() -> impl Strategy<Value = Ended> {
    prop_oneof![6 => Just(Ended::Done), 2 => Just(Ended::Unchanged), 1 => Just(Ended::Failed), 1 => Just(Ended::Stuck)]
}

proptest! {
    /// Whatever ends in whatever order: the bound holds, no host begins twice or too early, nothing begins after a
    /// failure, all or nothing leaves nobody changed but those that could not be changed back, and it always ends.
    #[test]
    fn a_course_keeps_its_promises(
        sizes in prop::collection::vec(1_usize..20, 1..4),
        batch in (1_usize..8).prop_map(Batch::Hosts),
        at_once in 1_usize..9,
        on_failure in prop_oneof![
            Just(OnFailure::GoOn),
            Just(OnFailure::Stop),
            Just(OnFailure::GiveBack),
        ],
        endings in prop::collection::vec((any::<prop::sample::Index>(), how()), 200),
        interrupted_at in prop::option::of(0_usize..100),
    ) {
        let mut course = course(&sizes, batch, at_once, on_failure);
        let (mut flying, mut begun) = (Vec::new(), Vec::new());
        let mut endings = endings.into_iter();
        let mut halted = false;
        for turn in 0.. {
            prop_assert!(turn < 1_000, "it never ends");
            if interrupted_at == Some(turn) {
                course.interrupt();
                halted = true;
            }
            match course.advance() {
                Next::Begin(errand) => {
                    prop_assert!(!begun.contains(&errand), "{errand:?} twice");
                    if let Errand::Change(place) = errand {
                        prop_assert!(!halted, "{errand:?} after a failure");
                        let stage_of = |at: usize| course.places[at].stage;
                        let early = flying.iter().any(|other| {
                            matches!(other, Errand::Change(other) if stage_of(*other) < stage_of(place))
                        });
                        prop_assert!(!early, "{errand:?} before its turn");
                    }
                    begun.push(errand);
                    flying.push(errand);
                    prop_assert!(flying.len() <= at_once);
                }
                Next::Wait => {
                    prop_assert!(!flying.is_empty(), "it waits for nothing");
                    let (which, how) = endings.next().expect("fewer errands than endings");
                    let errand = flying.swap_remove(which.index(flying.len()));
                    course.ended(errand, how);
                    halted |= matches!(how, Ended::Failed | Ended::Stuck)
                        && matches!(errand, Errand::Change(_))
                        && on_failure != OnFailure::GoOn;
                }
                Next::Over => break,
            }
        }
        prop_assert!(flying.is_empty());
        let standings = standings(&course);
        if halted && on_failure == OnFailure::GiveBack {
            prop_assert!(!standings.contains(&Changed), "{standings:?}");
        }
        if !halted {
            prop_assert!(!standings.contains(&Waiting), "{standings:?}");
        }
    }
}
