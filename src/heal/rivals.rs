//! Other supervisors of this machine. Two that heal the same host would each count their own budgets and write two
//! incidents about one problem, so the second is refused; and who only watches leaves the writing to who heals.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::shell::BEAT_MAX_AGE;
use crate::fleet::{HostName, Mode, Timestamp};
use crate::journal::{self, Journal, SupervisorBeat};

/// The supervisors that live: they gave a sign of life of late, and their process is there. One that was killed is not
/// waited for.
///
/// # Errors
/// When the journal cannot be read.
pub fn running(journal: &Journal, now: Timestamp) -> Result<Vec<SupervisorBeat>, journal::Error> {
    let beats = journal.live_supervisors(now, BEAT_MAX_AGE)?;
    Ok(beats.into_iter().filter(|beat| is_alive(beat.pid)).collect())
}

/// Whoever else heals one of the hosts that `ours` would heal.
pub(super) fn healer(others: &[SupervisorBeat], ours: &SupervisorBeat) -> Option<SupervisorBeat> {
    let shared = |other: &SupervisorBeat| other.hosts.iter().any(|host| ours.hosts.contains(host));
    others.iter().find(|other| other.id != ours.id && other.mode >= Mode::Approve && shared(other)).cloned()
}

/// Whether somebody else writes the incidents of a host down: one who may do more, or of equals the one with the
/// smaller id.
pub(super) fn writes(others: &[SupervisorBeat], id: &str, mode: Mode, host: &HostName) -> bool {
    others.iter().any(|other| {
        let first = other.mode > mode || (other.mode == mode && other.id.as_str() < id);
        other.id != id && other.hosts.contains(host) && first
    })
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(id: &str, mode: Mode, hosts: &[&str]) -> SupervisorBeat {
        let hosts = hosts.iter().map(|host| HostName::parse(host).unwrap()).collect();
        SupervisorBeat { id: id.to_owned(), pid: 1, hosts, mode, at: Timestamp::from_seconds(0) }
    }

    #[test]
    fn one_healer_per_host() {
        let ours = beat("b", Mode::Auto, &["web1", "web2"]);
        let check = |other: SupervisorBeat, expected: bool| {
            assert_eq!(healer(&[ours.clone(), other.clone()], &ours).is_some(), expected, "{other:?}");
        };
        check(beat("a", Mode::Approve, &["web2", "web3"]), true);
        check(beat("c", Mode::Auto, &["web1"]), true);
        check(beat("a", Mode::Suggest, &["web1"]), false);
        check(beat("a", Mode::Auto, &["web3"]), false);
    }

    #[test]
    fn one_writer_per_host() {
        let web1 = HostName::parse("web1").unwrap();
        let check = |other: SupervisorBeat, expected: bool| {
            assert_eq!(
                writes(std::slice::from_ref(&other), "b", Mode::Suggest, &web1),
                expected,
                "{other:?}"
            );
        };
        check(beat("c", Mode::Approve, &["web1"]), true);
        check(beat("c", Mode::Approve, &["web2"]), false);
        check(beat("a", Mode::Suggest, &["web1"]), true);
        check(beat("c", Mode::Suggest, &["web1"]), false);
        check(beat("b", Mode::Suggest, &["web1"]), false);
    }

    #[test]
    fn a_process_that_is_gone_is_not_waited_for() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!((is_alive(std::process::id()), is_alive(pid), is_alive(0)), (true, false, false));
    }
}
