//! The room as a whole, against a host inside this process.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::fake::{FakeHost, known_hosts_line, new_key, write_key};
use super::*;

#[tokio::test]
async fn a_command_runs() {
    let (_wire, session) = FakeHost::default().connect().await;
    let output = session.run("cat", b"there and back").await.unwrap();
    assert_eq!((output.text().as_str(), output.status), ("there and back", ExitStatus::Code(0)));
    assert_eq!(session.run("exit 3", b"").await.unwrap().status, ExitStatus::Code(3));
    let error = session.run("vanish", b"").await.unwrap_err();
    assert_eq!(error.to_string(), "web1: the SSH connection is lost: the command's end was not reported");
}

#[tokio::test]
async fn a_host_key_that_is_not_known_is_refused_with_its_fingerprint() {
    let mut wire = FakeHost::default().start();
    std::fs::write(&wire.target.known_hosts[0], "").unwrap();
    let error = wire.connect().await.unwrap_err();
    assert!(error.is_unreachable());
    assert!(
        error
            .to_string()
            .starts_with("web1: the host key of [web1.example.com]:2201 is not known: ssh-ed25519 SHA256:"),
        "{error}"
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains("`ssh-keyscan -p 2201 web1.example.com >> ~/.ssh/known_hosts`"), "{hint}");
}

#[tokio::test]
async fn a_host_key_that_changed_is_refused_with_both_fingerprints() {
    let mut wire = FakeHost::default().start();
    let file = wire.target.known_hosts[0].clone();
    let old = new_key();
    std::fs::write(&file, format!("# mine\n{}", known_hosts_line("[web1.example.com]:2201", &old))).unwrap();
    let error = wire.connect().await.unwrap_err().to_string();
    let recorded =
        format!("{}:2 has ssh-ed25519 {}", file.display(), known_hosts::fingerprint(old.public_key()));
    assert!(error.contains("HAS CHANGED, refusing to connect: it shows ssh-ed25519 SHA256:"), "{error}");
    assert!(error.ends_with(&recorded), "{error}");
}

#[tokio::test]
async fn a_known_hosts_file_that_cannot_be_read_is_no_empty_one() {
    let mut wire = FakeHost::default().start();
    let directory = wire.target.known_hosts[0].parent().unwrap().to_owned();
    wire.target.known_hosts.push(directory);
    let error = wire.connect().await.unwrap_err();
    assert!(matches!(error, Error::KnownHosts { .. }), "{error}");
}

#[tokio::test]
async fn a_login_that_fails_names_what_was_tried() {
    let mut wire = FakeHost::default().start();
    wire.target.user = "root".to_owned();
    let second = wire.target.identities[0].with_file_name("second");
    write_key(&second, &new_key());
    wire.target.identities.push(second.clone());
    wire.target.identities.push(second.with_file_name("missing"));
    let garbage = second.with_file_name("garbage");
    std::fs::write(&garbage, "no key").unwrap();
    wire.target.identities.push(garbage.clone());
    let error = wire.connect().await.unwrap_err();
    let Error::Auth { login, offered, locked, .. } = &error else { panic!("{error}") };
    assert_eq!((login.as_str(), offered.len(), locked.len()), ("root@web1.example.com:2201", 3, 0));
    let origins: Vec<_> = offered.iter().map(|offer| offer.origin.as_str()).collect();
    assert!(origins.contains(&second.to_str().unwrap()) && origins.contains(&garbage.to_str().unwrap()));
    assert!(error.hint().unwrap().contains("`ssh-copy-id`"));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named() {
    let mut wire = FakeHost::default().start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    (wire.target.address, wire.target.port) = ("127.0.0.1".to_owned(), free.port());
    let error = Session::connect(&wire.target).await.unwrap_err();
    assert_eq!(error.to_string(), format!("web1: cannot connect to {free}"));
    assert!(error.is_unreachable() && std::error::Error::source(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_accepts_and_says_nothing_is_given_up() {
    let wire = FakeHost::default().start();
    let (near, _silent) = tokio::io::duplex(1 << 16);
    let error = Session::over(&wire.target, near, None).await.unwrap_err();
    assert_eq!(error.to_string(), "web1: the SSH handshake took longer than 10s");
}

#[tokio::test]
async fn too_many_commands_at_once_are_told_apart_from_a_refused_connection() {
    let (_wire, session) = FakeHost { max_sessions: 1, ..FakeHost::default() }.connect().await;
    let running = session.exec("hang").await.unwrap();
    let error = session.exec("hang").await.unwrap_err();
    assert!(matches!(error, Error::Channel { failure: ChannelFailure::NoRoom, .. }), "{error}");
    assert!(!error.is_unreachable());
    drop(running);
}

#[tokio::test]
async fn a_lost_connection_breaks_what_is_open() {
    let (wire, session) = FakeHost::default().connect().await;
    let mut reading = session.exec("cat").await.unwrap();
    let mut writing = session.exec("hang").await.unwrap();
    reading.stdin.write_all(b"x").await.unwrap();
    assert_eq!(reading.stdout.read_u8().await.unwrap(), b'x');
    // More than the window: the writer waits for a host that will never read.
    let blocked = tokio::spawn(async move { writing.stdin.write_all(&vec![0; 16 << 20]).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!blocked.is_finished());

    wire.cut();
    let mut rest = Vec::new();
    let error = reading.stdout.read_to_end(&mut rest).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    let error = blocked.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(session.closed().await, "the host closed it");
    assert!(session.is_closed());
    let error = session.run("cat", b"").await.unwrap_err();
    assert_eq!(error.to_string(), "web1: the SSH connection is lost: the host closed it");
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut_off_and_the_others_go_on() {
    let (_wire, session) = FakeHost::default().connect().await;
    let mut stalled = session.exec("flood").await.unwrap();
    // Long enough to fill what is kept for a reader, also on a busy machine, and for the patience with it to end. A reader
    // that began sooner would not be behind, and the flood has no end.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let output = session.run("cat", b"me too").await.unwrap();
    assert_eq!(output.text(), "me too");
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(60), stalled.stdout.read_to_end(&mut rest));
    let error = reading.await.expect("it was cut off").unwrap_err();
    assert_eq!(error.to_string(), "the reader fell behind");
    assert!(rest.len() >= 1 << 20, "what was taken in before is not lost");
}

#[tokio::test]
async fn silence_is_noticed_within_20_seconds() {
    let (wire, session) = FakeHost::default().connect().await;
    let mut reading = session.exec("cat").await.unwrap();
    tokio::time::pause();
    wire.freeze();
    let began = Instant::now();
    assert_eq!(session.closed().await, "the host does not answer any more");
    assert!(began.elapsed() < Duration::from_secs(21), "{:?}", began.elapsed());
    reading.stdout.read_u8().await.unwrap_err();
}
