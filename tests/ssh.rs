//! Story: a developer's machine logs in to a real host. What the host allows, forbids or breaks is noticed and said.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod link;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use arcane::fleet::{Host, HostName};
use arcane::ssh::{
    Agent, ChannelFailure, Environment, Error, ExitStatus, HostKeyProblem, Session, Target, quote,
};
use link::{connect, environment, run, target};
use support::{Lab, Ran, TestEnv};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn commands_run_and_end_as_they_do_on_the_host() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    run(async {
        let session = connect(&env, &host.target()).await.unwrap();
        for (command, status) in [
            ("true", ExitStatus::Code(0)),
            ("exit 7", ExitStatus::Code(7)),
            ("kill -KILL $$", ExitStatus::Signal("KILL".to_owned())),
        ] {
            assert_eq!(session.run(command, b"").await.unwrap().status, status, "{command}");
        }
        let hostile = "a'b $(id) `id` \\ \"\n;";
        let echoed = session.run(&format!("printf %s {}", quote(hostile)), b"").await.unwrap();
        assert_eq!(String::from_utf8(echoed.stdout).unwrap(), hostile);
        let sorted = session.run("sort; echo done >&2", b"b\na\n").await.unwrap();
        assert_eq!((sorted.text().as_str(), sorted.complaint().as_str()), ("a\nb", "done"));
        let flood = session.run("head -c 3000000 /dev/zero", b"").await.unwrap_err();
        assert!(matches!(flood, Error::TooLong { .. }), "{flood}");
        let slow = session.run_within("sleep 60", b"", Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(slow.to_string(), "web1: a command took longer than 1s");

        // A dropped command is hung up on: a lock that it holds is free again.
        let mut lock = session.exec("flock /run/test.lock sh -c 'echo held; cat'").await.unwrap();
        let mut word = [0; 5];
        lock.stdout.read_exact(&mut word).await.unwrap();
        let taken = session.run("flock -n /run/test.lock true", b"").await.unwrap();
        assert_eq!(taken.status, ExitStatus::Code(1));
        drop(lock);
        let freed = session.run("flock -w 5 /run/test.lock true", b"").await.unwrap();
        assert!(freed.status.success());

        // More than any window, both ways at once.
        let mut cat = session.exec("cat").await.unwrap();
        let sent = vec![7_u8; 20 << 20];
        let mut received = Vec::new();
        let (written, _) = tokio::join!(
            async {
                cat.stdin.write_all(&sent).await.unwrap();
                cat.stdin.shutdown().await
            },
            cat.stdout.read_to_end(&mut received)
        );
        written.unwrap();
        assert!(received == sent);
        assert!(cat.wait().await.unwrap().success());
        assert!(!session.is_closed());
        session.disconnect().await;
        let error = session.run("true", b"").await.unwrap_err();
        assert!(error.is_unreachable() && matches!(error, Error::Lost { .. }), "{error}");
    });
}

#[test]
fn sockets_and_ports_of_the_host_can_be_reached_or_say_why_not() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    run(async {
        let session = connect(&env, &host.target()).await.unwrap();
        let mut banner = [0; 4];
        session.open_tcp("127.0.0.1", 22).await.unwrap().read_exact(&mut banner).await.unwrap();
        assert_eq!(&banner, b"SSH-");
        let failure = |error: Error| match error {
            Error::Channel { failure, .. } => failure,
            other => panic!("{other}"),
        };
        let refused = session.open_tcp("127.0.0.1", 9).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "web1: cannot open a connection to 127.0.0.1 port 9: connection refused"
        );
        assert_eq!(failure(refused), ChannelFailure::ConnectFailed);
        let missing = session.open_unix("/run/nothing.sock").await.unwrap_err();
        assert_eq!(failure(missing), ChannelFailure::ConnectFailed);

        host.sshd_option("AllowTcpForwarding", "no");
        let session = connect(&env, &host.target()).await.unwrap();
        let prohibited = session.open_tcp("127.0.0.1", 22).await.unwrap_err();
        assert_eq!(failure(prohibited), ChannelFailure::Prohibited);
    });
}

#[test]
fn only_known_host_keys_are_trusted() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    let file = env.path("~/.ssh/known_hosts");
    let name = format!("[127.0.0.1]:{}", host.port());
    let lines = fs::read_to_string(&file).unwrap();
    let of = |algorithm: &str| -> String {
        let line = lines.lines().find(|line| line.starts_with(&name) && line.contains(algorithm)).unwrap();
        format!("{line}\n")
    };
    let (ed25519, ecdsa) = (of("ssh-ed25519"), of("ecdsa-sha2"));
    let with = |text: &str| {
        fs::write(&file, text).unwrap();
        run(connect(&env, &host.target()))
    };
    let problem = |error: Error| match error {
        Error::HostKey(error) => error,
        other => panic!("{other}"),
    };
    with(&ed25519).unwrap();
    with(&ecdsa).expect("a host that is known by one kind of key is asked for that one");

    let error = problem(with("").unwrap_err());
    assert_eq!(error.problem, HostKeyProblem::Unknown);
    let keys = Ran::of(std::process::Command::new("ssh-keyscan").args([
        "-t",
        "ed25519",
        "-p",
        &host.port().to_string(),
        "127.0.0.1",
    ]));
    fs::write(env.path("key.pub"), keys.stdout.split_once(' ').unwrap().1).unwrap();
    let shown = Ran::of(std::process::Command::new("ssh-keygen").arg("-lf").arg(env.path("key.pub")));
    assert!(shown.stdout.contains(&error.fingerprint), "{error} / {shown}");
    assert!(
        error.hint().contains(&format!("`ssh-keyscan -p {} 127.0.0.1 >> ~/.ssh/known_hosts`", host.port()))
    );

    fs::write(&file, &ed25519).unwrap();
    Ran::of(std::process::Command::new("ssh-keygen").arg("-Hf").arg(&file)).succeeds();
    let hashed = fs::read_to_string(&file).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    with(&hashed).expect("hashed names are understood");

    let other = ed25519.replacen(&name, "other.example.com", 1);
    assert_eq!(problem(with(&other).unwrap_err()).problem, HostKeyProblem::Unknown);
    let key = Ran::of(
        std::process::Command::new("ssh-keygen").args(["-qt", "ed25519", "-N", "", "-f"]).arg(env.path("k")),
    );
    key.succeeds();
    let forged = format!("# a comment\n{name} {}", fs::read_to_string(env.path("k.pub")).unwrap());
    let error = problem(with(&forged).unwrap_err());
    let HostKeyProblem::Changed(recorded) = &error.problem else { panic!("{error}") };
    assert_eq!((recorded[0].line, recorded.len()), (2, 1));
    assert!(error.to_string().contains("HAS CHANGED"), "{error}");
    let revoked = format!("{ed25519}@revoked {ed25519}");
    assert!(matches!(problem(with(&revoked).unwrap_err()).problem, HostKeyProblem::Revoked(_)));
}

#[test]
fn a_login_that_fails_names_what_was_tried() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    let key = env.path("~/.ssh/id_ed25519");
    run(async {
        let at = |user: &str| format!("{user}@127.0.0.1:{}", host.port());
        connect(&env, &at("deploy")).await.unwrap();
        let error = connect(&env, &at("nobody")).await.unwrap_err();
        assert!(error.is_unreachable());
        assert!(
            error
                .to_string()
                .starts_with(&format!("web1: {} was not let in: refused ssh-ed25519 SHA256:", at("nobody"))),
            "{error}"
        );
        assert!(error.to_string().ends_with(&format!("({})", key.display())), "{error}");

        let plain = fs::read_to_string(&key).unwrap();
        let keygen = |args: &[&str]| {
            Ran::of(std::process::Command::new("ssh-keygen").args(args).arg("-f").arg(&key)).succeeds();
        };
        keygen(&["-qp", "-P", "", "-N", "correct horse"]);
        let error = connect(&env, &at("root")).await.unwrap_err();
        assert!(error.to_string().contains("has a passphrase and is in no agent"), "{error}");
        assert_eq!(error.hint().unwrap(), format!("add the key to an agent: `ssh-add {}`", key.display()));

        let agent = AgentGuard::start(&env);
        fs::write(env.path("plain"), &plain).unwrap();
        fs::set_permissions(env.path("plain"), fs::Permissions::from_mode(0o600)).unwrap();
        agent.add(&env.path("plain"));
        let host_entry = Host { name: HostName::parse("web1").unwrap(), ssh: at("root") };
        let with_agent = Environment { agent: Some(agent.socket.clone()), ..environment(&env) };
        let target = Target::resolve_in(&host_entry, &with_agent).await.unwrap();
        Session::connect(&target).await.expect("the agent has the key");

        fs::remove_file(&key).unwrap();
        let error = connect(&env, &at("root")).await.unwrap_err();
        assert!(error.to_string().contains("there is no key to offer"), "{error}");
    });
}

#[test]
fn every_kind_of_key_opens_the_door() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    fs::remove_file(env.path("~/.ssh/id_ed25519")).unwrap();
    // Not one of the lab's users: their keys are the lab's.
    host.ssh("id guest 2>&1 || useradd -m -s /bin/bash guest; install -d -o guest -m 700 /home/guest/.ssh")
        .succeeds();
    let kinds: [&[&str]; 5] = [
        &["-t", "ed25519"],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "rsa", "-b", "2048", "-m", "PEM"],
    ];
    let agent = AgentGuard::start(&env);
    for (number, kind) in kinds.into_iter().enumerate() {
        let key = env.path(&format!("~/.ssh/key{number}"));
        let mut keygen = std::process::Command::new("ssh-keygen");
        Ran::of(keygen.args(["-q", "-N", "", "-C", ""]).args(kind).arg("-f").arg(&key)).succeeds();
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        host.ssh(&format!("echo {} > /home/guest/.ssh/authorized_keys", quote(public.trim()))).succeeds();
        agent.add(&key);
        run(async {
            let mut target = target(&env, &format!("guest@127.0.0.1:{}", host.port())).await;
            target.identities = vec![key.clone()];
            Session::connect(&target).await.unwrap_or_else(|error| panic!("{kind:?} from a file: {error}"));
            target.identities = vec![key.with_extension("pub")];
            target.agent = Agent::Socket(agent.socket.clone());
            target.identities_only = true;
            Session::connect(&target).await.unwrap_or_else(|error| panic!("{kind:?} from an agent: {error}"));
        });
    }
    // The server hangs up after six keys: what was tried is still told.
    for number in 5..9 {
        let key = env.path(&format!("~/.ssh/key{number}"));
        let mut keygen = std::process::Command::new("ssh-keygen");
        Ran::of(keygen.args(["-qt", "ed25519", "-N", "", "-f"]).arg(&key)).succeeds();
        agent.add(&key);
    }
    host.ssh("echo > /home/guest/.ssh/authorized_keys").succeeds();
    run(async {
        let mut target = target(&env, &format!("guest@127.0.0.1:{}", host.port())).await;
        target.agent = Agent::Socket(agent.socket.clone());
        let error = Session::connect(&target).await.unwrap_err();
        let Error::Auth { offered, .. } = &error else { panic!("{error}") };
        assert_eq!(offered.len(), 6, "{error}");
        assert!(error.hint().unwrap().contains("IdentitiesOnly"), "{:?}", error.hint());
    });
}

struct AgentGuard {
    socket: std::path::PathBuf,
    child: std::process::Child,
}

impl AgentGuard {
    fn start(env: &TestEnv) -> Self {
        let socket = env.path("agent.sock");
        let child = std::process::Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).spawn().unwrap();
        support::eventually("the agent listens", Duration::from_secs(5), || socket.exists().then_some(()));
        Self { socket, child }
    }

    fn add(&self, key: &std::path::Path) {
        let mut command = std::process::Command::new("ssh-add");
        Ran::of(command.arg(key).env("SSH_AUTH_SOCK", &self.socket)).succeeds();
    }
}

impl Drop for AgentGuard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_operators_ssh_configuration_holds() {
    let host = Lab::host();
    let port = host.port();
    let config = format!(
        "Host door\n  HostName 127.0.0.1\n  Port {port}\n  User root\n\
         Host inner\n  HostName 127.0.0.1\n  Port 22\n  User deploy\n  ProxyJump door\n  HostKeyAlias [127.0.0.1]:{port}\n\
         Host tunnel\n  ProxyCommand nc %h %p\n"
    );
    let env = TestEnv::new().fleet(&[&host]).write("~/.ssh/config", &config);
    run(async {
        let session = connect(&env, "inner").await.unwrap();
        let output = session.run("id -un; echo $SSH_CONNECTION", b"").await.unwrap();
        assert!(output.text().starts_with("deploy\n127.0.0.1 "), "{output:?}");
        session.disconnect().await;
        let explicit = target(&env, &format!("root@door:{port}")).await;
        assert_eq!((explicit.user.as_str(), explicit.address.as_str()), ("root", "127.0.0.1"));
        let host_entry = Host { name: HostName::parse("web1").unwrap(), ssh: "tunnel".to_owned() };
        let error = Target::resolve_in(&host_entry, &environment(&env)).await.unwrap_err();
        assert!(error.to_string().contains("ProxyCommand `nc %h %p`, which is not supported"), "{error}");
    });
}

#[test]
fn a_reader_that_stalls_does_not_hold_the_others_up_for_ever() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    run(async {
        let session = connect(&env, &host.target()).await.unwrap();
        let mut stalled = session.exec("cat /dev/zero").await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let began = Instant::now();
        session.run("true", b"").await.expect("others get through when the stalled one is cut off");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let mut rest = Vec::new();
        let error = stalled.stdout.read_to_end(&mut rest).await.unwrap_err();
        assert_eq!(error.to_string(), "the reader fell behind");
        let began = Instant::now();
        session.run("true", b"").await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    });
}
