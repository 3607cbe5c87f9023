//! The file as several processes use it, and as it is found after the worst.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::*;

#[test]
fn everything_survives_a_reopening() {
    let directory = Directory::new("reopen");
    let mut journal = directory.open();
    journal.record_release(&release(1, "shop", "web1")).unwrap();
    journal.save_incident(&incident(7, IncidentState::AwaitingApproval)).unwrap();
    journal.freeze(None, "mia", at(5), "sale").unwrap();
    journal.close().unwrap();

    let mut journal = directory.open();
    assert_eq!(journal.releases(None, None, 10).unwrap(), [release(1, "shop", "web1")]);
    let kept = incident(7, IncidentState::AwaitingApproval);
    assert_eq!(journal.incident(IncidentId(7)).unwrap(), Some(kept));
    assert_eq!(journal.freezes().unwrap().len(), 1);
    // A number that was brought along is not handed out again.
    assert_eq!(journal.next_incident_id().unwrap(), IncidentId(8));
}

#[test]
fn only_the_user_can_read_it() {
    let directory = Directory::new("modes");
    let mut journal = directory.open();
    journal.next_incident_id().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = directory.file();
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&file.with_extension("db-wal")), 0o600);
    drop(journal);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(directory.open());
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let directory = Directory::new("foreign");
    let file = directory.file();
    directory.open().close().unwrap();
    let raw = Connection::open(&file).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    raw.close().unwrap();
    let error = Journal::open(&file).unwrap_err();
    let expected =
        format!("the journal {} has version 99; this Arcane knows versions up to 3", file.display());
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().unwrap().contains("newer Arcane"));
    let version: i64 =
        Connection::open(&file).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);

    std::fs::remove_file(&file).unwrap();
    let raw = Connection::open(&file).unwrap();
    raw.execute_batch("CREATE TABLE theirs (a)").unwrap();
    raw.close().unwrap();
    let error = Journal::open(&file).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error:?}");
}

#[test]
fn a_damaged_file_is_named_and_says_what_to_do() {
    let directory = Directory::new("damaged");
    let file = directory.file();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "not a database, but long enough to be taken for one\n".repeat(100)).unwrap();
    let error = Journal::open(&file).unwrap_err();
    assert_eq!(error.to_string(), format!("the journal {} is damaged", file.display()));
    assert!(error.hint().unwrap().starts_with(&format!("move {} away", file.display())));

    // Damage in the middle shows when it is read.
    std::fs::remove_file(&file).unwrap();
    let mut journal = directory.open();
    for n in 1..200 {
        journal.record_release(&release(n, "shop", "web1")).unwrap();
    }
    journal.close().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    assert!(bytes.len() > 20_000);
    bytes[4096..].fill(0x5a);
    std::fs::write(&file, bytes).unwrap();
    let error = Journal::open(&file).and_then(|journal| journal.releases(None, None, 1000)).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    let error = Journal::open(directory.0.as_path()).unwrap_err();
    assert!(matches!(error, Error::Unmakeable { .. }), "{error:?}");
}

#[test]
fn an_empty_file_becomes_a_journal_once() {
    let directory = Directory::new("migrate");
    std::fs::create_dir_all(directory.file().parent().unwrap()).unwrap();
    std::fs::write(directory.file(), "").unwrap();
    directory.open().close().unwrap();
    directory.open().close().unwrap();
    let raw = Connection::open(directory.file()).unwrap();
    let mode: String = raw.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    let version: i64 = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!((mode.as_str(), version), ("wal", schema::known()));
}

#[test]
fn racing_processes_never_share_a_number() {
    let directory = Directory::new("race");
    let file = directory.file();
    // All four make the file, migrate it, and take numbers at the same time.
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let file = file.clone();
            std::thread::spawn(move || {
                let mut journal = Journal::open(&file).unwrap();
                let mut ids = Vec::new();
                for _ in 0..25 {
                    let id = journal.next_incident_id().unwrap();
                    journal.save_incident(&incident(id.0, IncidentState::Open)).unwrap();
                    let decision = Decision::Approve { remedy: None };
                    let record = journal.decide(id, decision, &format!("thread {n}"), at(1)).unwrap();
                    ids.push((id, record.seq));
                }
                ids
            })
        })
        .collect();
    let pairs: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let ids: BTreeSet<u64> = pairs.iter().map(|(id, _)| id.0).collect();
    let seqs: BTreeSet<u64> = pairs.iter().map(|(_, seq)| *seq).collect();
    assert_eq!(ids, (1..=100).collect());
    assert_eq!(seqs, (1..=100).collect());
    let journal = directory.open();
    let read: Vec<_> =
        journal.decisions_after(0).unwrap().iter().map(|record| (record.incident, record.seq)).collect();
    let mut expected = pairs;
    expected.sort_by_key(|(_, seq)| *seq);
    assert_eq!(read, expected);
    assert_eq!(journal.last_decision_seq().unwrap(), 100);
    assert_eq!(journal.decisions_after(98).unwrap().len(), 2);
}

/// What the process that is killed does: an incident and its actions grow together, as fast as they can.
#[test]
#[ignore = "run by a_killed_process_leaves_nothing_half_written, in a process of its own"]
fn write_until_killed() {
    let Some(file) = std::env::var_os("ARCANE_TEST_JOURNAL") else {
        return;
    };
    let mut journal = Journal::open(Path::new(&file)).unwrap();
    let id = journal.next_incident_id().unwrap();
    let mut growing = incident(id.0, IncidentState::Acting);
    growing.actions.clear();
    for n in 0.. {
        growing.actions.push(action(n, "again"));
        growing.actions.drain(..growing.actions.len().saturating_sub(150));
        growing.signals = growing.actions.len() as u64;
        journal.save_incident(&growing).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_nothing_half_written() {
    let directory = Directory::new("killed");
    let mut journal = directory.open();
    for round in 1..=3_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["journal::tests::file::write_until_killed", "--exact", "--ignored"])
            .env("ARCANE_TEST_JOURNAL", directory.file())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let written =
            |journal: &Journal| journal.incident(IncidentId(round)).unwrap().map_or(0, |i| i.actions.len());
        while written(&journal) < 20 {
            assert!(std::time::Instant::now() < deadline, "the child wrote nothing");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let kept = journal.incident(IncidentId(round)).unwrap().unwrap();
        assert_eq!(kept.signals, kept.actions.len() as u64);
        let actions = journal.actions_since(None, None, at(0)).unwrap();
        let recorded: Vec<_> =
            actions.into_iter().filter(|(id, _)| *id == kept.id).map(|(_, action)| action).collect();
        assert_eq!(recorded, kept.actions);
    }
    // The dead hold no lock, and the file is whole.
    assert_eq!(journal.next_incident_id().unwrap(), IncidentId(4));
    let check: String = Connection::open(directory.file())
        .unwrap()
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}
