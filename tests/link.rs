//! Story: a developer's machine talks to a real host. What a host allows, forbids or breaks is noticed and said.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::too_many_lines)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use arcane::docker::{
    ContainerSpec, Engine, ExecOptions, Kind, LogOptions, Publish, Signal, Source, Status, Transport,
};
use arcane::fleet::{Host, HostName};
use arcane::ssh::{ChannelFailure, Environment, Error, ExitStatus, HostKeyProblem, Session, Target, quote};
use futures_util::{StreamExt, TryStreamExt};
use support::{Lab, LabHost, Ran, TestEnv};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn run<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(120), story)
            .await
            .expect("the story ends within 2 minutes")
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// Where `ssh` would look, if this test's home were the user's.
fn environment(env: &TestEnv) -> Environment {
    Environment {
        home: Some(env.home()),
        agent: None,
        ..Environment::current()
    }
}

async fn target(env: &TestEnv, address: &str) -> Target {
    let host = Host {
        name: HostName::parse("web1").unwrap(),
        ssh: address.to_owned(),
    };
    Target::resolve_in(&host, &environment(env)).await.unwrap()
}

async fn connect(env: &TestEnv, address: &str) -> Result<Session, Error> {
    Session::connect(&target(env, address).await).await
}

/// A small image with a shell on the host.
fn busybox(host: &LabHost) {
    host.ssh("tar -C /usr/share/lab/busybox -c . | docker import - busybox:1")
        .succeeds();
}

fn shell(script: &str) -> ContainerSpec {
    ContainerSpec {
        image: "busybox:1".to_owned(),
        command: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
        stop_timeout: Some(Duration::from_secs(1)),
        ..ContainerSpec::default()
    }
}

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
            assert_eq!(
                session.run(command, b"").await.unwrap().status,
                status,
                "{command}"
            );
        }
        let hostile = "a'b $(id) `id` \\ \"\n;";
        let echoed = session
            .run(&format!("printf %s {}", quote(hostile)), b"")
            .await
            .unwrap();
        assert_eq!(String::from_utf8(echoed.stdout).unwrap(), hostile);
        let sorted = session.run("sort; echo done >&2", b"b\na\n").await.unwrap();
        assert_eq!(
            (sorted.text().as_str(), sorted.complaint().as_str()),
            ("a\nb", "done")
        );
        let flood = session.run("head -c 3000000 /dev/zero", b"").await.unwrap_err();
        assert!(matches!(flood, Error::TooLong { .. }), "{flood}");
        let slow = session
            .run_within("sleep 60", b"", Duration::from_secs(1))
            .await
            .unwrap_err();
        assert_eq!(slow.to_string(), "web1: a command took longer than 1s");

        // A dropped command is hung up on: a lock that it holds is free again.
        let mut lock = session
            .exec("flock /run/test.lock sh -c 'echo held; cat'")
            .await
            .unwrap();
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
        assert!(
            error.is_unreachable() && matches!(error, Error::Lost { .. }),
            "{error}"
        );
    });
}

#[test]
fn sockets_and_ports_of_the_host_can_be_reached_or_say_why_not() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    run(async {
        let session = connect(&env, &host.target()).await.unwrap();
        let mut banner = [0; 4];
        session
            .open_tcp("127.0.0.1", 22)
            .await
            .unwrap()
            .read_exact(&mut banner)
            .await
            .unwrap();
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
fn containers_live_and_die_under_the_engine_api() {
    let host = Lab::host();
    busybox(&host);
    let env = TestEnv::new().fleet(&[&host]);
    run(async {
        let session = connect(&env, &host.target()).await.unwrap();
        let engine = Engine::over_ssh(&session).await.unwrap();
        assert_eq!(engine.transport(), &Transport::Streamlocal);
        lives_and_dies(&engine).await;
    });
}

async fn lives_and_dies(engine: &Engine) {
    engine.ping().await.unwrap();
    let info = engine.info().await.unwrap();
    assert!(
        info.cpus > 0 && info.memory > 1 << 20 && info.system_time.is_some(),
        "{info:?}"
    );
    assert!(engine.inspect("shop").await.unwrap().is_none());

    let mut events = engine.events(None).await.unwrap();
    let spec = ContainerSpec {
        labels: BTreeMap::from([("arcane.app".to_owned(), "shop".to_owned())]),
        env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        publish: vec![Publish {
            host_ip: None,
            host_port: 8001,
            container_port: 80,
        }],
        memory: Some(arcane::fleet::MemoryLimit(32 << 20)),
        ..shell("echo $GREETING; echo bad >&2; trap 'exit 3' TERM; while :; do sleep 0.1; done")
    };
    let id = engine.create_container("shop", &spec).await.unwrap();
    let conflict = engine.create_container("shop", &spec).await.unwrap_err();
    assert_eq!(conflict.kind(), Kind::Conflict, "{conflict}");
    engine.start("shop").await.unwrap();
    engine
        .start("shop")
        .await
        .expect("starting a running container changes nothing");

    let shop = engine.inspect(&id.0).await.unwrap().unwrap();
    assert_eq!((shop.name.as_str(), shop.state.status), ("shop", Status::Running));
    assert!(shop.state.started_at.is_some() && shop.state.finished_at.is_none());
    assert_eq!(
        (shop.ports[0].host_port, shop.ports[0].container_port),
        (8001, 80)
    );
    assert_eq!(shop.memory_limit, Some(32 << 20));
    assert!(shop.addresses.contains_key("bridge"));
    let listed = engine.list_containers(false, &["arcane.app=shop"]).await.unwrap();
    assert_eq!(
        listed.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["shop"]
    );
    assert!(
        engine
            .list_containers(true, &["arcane.app=other"])
            .await
            .unwrap()
            .is_empty()
    );

    let taken = engine.create_container("rival", &spec).await.unwrap();
    let error = engine.start(&taken.0).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PortInUse, "{error}");
    engine.remove("rival", true).await.unwrap();
    engine
        .remove("rival", true)
        .await
        .expect("what is gone need not be removed");

    logs_of_shop(engine).await;
    commands_in_shop(engine).await;
    logs_of_a_terminal(engine).await;
    let stats = engine.stats_once("shop").await.unwrap();
    assert!(
        stats.memory > 0 && stats.memory_limit == Some(32 << 20) && stats.pids > 0,
        "{stats:?}"
    );

    engine.rename("shop", "shop_old").await.unwrap();
    engine.stop("shop_old", Duration::from_secs(5)).await.unwrap();
    engine
        .stop("shop_old", Duration::from_secs(5))
        .await
        .expect("stopping a stopped container changes nothing");
    let shop = engine.inspect("shop_old").await.unwrap().unwrap();
    assert_eq!((shop.state.status, shop.state.exit_code), (Status::Exited, 3));
    assert_eq!(
        engine.kill("shop_old", Signal::Kill).await.unwrap_err().kind(),
        Kind::Conflict
    );
    engine.remove("shop_old", false).await.unwrap();

    let mut actions = Vec::new();
    while actions.last().is_none_or(|last| last != "destroy") {
        let event = events.next().await.unwrap().unwrap();
        if event.actor == id.0 {
            if event.action == "die" {
                assert_eq!(event.attributes["exitCode"], "3");
            }
            actions.push(event.action);
        }
    }
    assert_eq!(
        actions,
        ["create", "start", "rename", "kill", "die", "stop", "destroy"]
    );
}

async fn logs_of_shop(engine: &Engine) {
    let text = |frames: &[arcane::docker::LogFrame], source: Source| -> String {
        let frames = frames.iter().filter(|frame| frame.source == source);
        frames
            .map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned())
            .collect()
    };
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let frames: Vec<_> = engine
        .logs("shop", &follow)
        .await
        .unwrap()
        .take(2)
        .try_collect()
        .await
        .unwrap();
    let (out, err) = (text(&frames, Source::Stdout), text(&frames, Source::Stderr));
    let (stamp, line) = out.split_once(' ').unwrap();
    assert_eq!((line, err.split_once(' ').unwrap().1), ("hello\n", "bad\n"));
    let at = arcane::fleet::Timestamp::parse(stamp).unwrap();
    for (since, count) in [(at, 1), (at + Duration::from_nanos(1), 0)] {
        let options = LogOptions {
            since: Some(since),
            stderr: false,
            ..LogOptions::default()
        };
        let frames: Vec<_> = engine
            .logs("shop", &options)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(frames.len(), count, "since is inclusive, to the nanosecond");
    }
    let missing = engine.logs("nobody", &LogOptions::default()).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
}

async fn logs_of_a_terminal(engine: &Engine) {
    let spec = ContainerSpec {
        tty: true,
        ..shell("echo one; echo two >&2")
    };
    engine.create_container("tty", &spec).await.unwrap();
    engine.start("tty").await.unwrap();
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let frames: Vec<_> = engine
        .logs("tty", &follow)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let lines: Vec<_> = frames
        .iter()
        .map(|frame| String::from_utf8_lossy(&frame.bytes))
        .collect();
    let texts: Vec<_> = lines.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(texts, ["one\r\n", "two\r\n"]);
    engine.remove("tty", true).await.unwrap();
}

async fn commands_in_shop(engine: &Engine) {
    let command = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let options = ExecOptions {
        command: command(&["sh", "-c", "cat; echo $MOOD >&2; exit 5"]),
        stdin: true,
        env: vec!["MOOD=fine".to_owned()],
        ..ExecOptions::default()
    };
    let mut exec = engine.exec("shop", &options).await.unwrap();
    exec.input.write_all(b"over there").await.unwrap();
    exec.input.shutdown().await.unwrap();
    let mut output = BTreeMap::<&str, String>::new();
    while let Some(frame) = exec.output.next().await {
        let frame = frame.unwrap();
        let name = if frame.source == Source::Stderr {
            "err"
        } else {
            "out"
        };
        output
            .entry(name)
            .or_default()
            .push_str(std::str::from_utf8(&frame.bytes).unwrap());
    }
    assert_eq!(
        output,
        BTreeMap::from([("out", "over there".to_owned()), ("err", "fine\n".to_owned())])
    );
    assert_eq!(exec.control().exit_code().await.unwrap(), 5);

    let options = ExecOptions {
        command: command(&["sh", "-c", "read x; stty size"]),
        stdin: true,
        tty: true,
        ..options
    };
    let mut exec = engine.exec("shop", &options).await.unwrap();
    exec.control().resize(132, 43).await.unwrap();
    exec.input.write_all(b"\n").await.unwrap();
    let mut text = String::new();
    while let Some(frame) = exec.output.next().await {
        text.push_str(&String::from_utf8_lossy(&frame.unwrap().bytes));
    }
    assert!(text.contains("43 132"), "{text:?}");
}

#[test]
fn without_socket_forwarding_the_docker_command_is_used() {
    let host = Lab::host();
    busybox(&host);
    host.sshd_option("AllowStreamLocalForwarding", "no");
    let env = TestEnv::new().fleet(&[&host]);
    run(async {
        let session = connect(&env, &host.target()).await.unwrap();
        let engine = Engine::over_ssh(&session).await.unwrap();
        assert!(
            matches!(engine.transport(), Transport::DialStdio { .. }),
            "{}",
            engine.transport()
        );
        lives_and_dies(&engine).await;

        engine
            .create_container("busy", &shell("while :; do sleep 1; done"))
            .await
            .unwrap();
        engine.start("busy").await.unwrap();
        let follow = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let mut streams = Vec::new();
        let error = loop {
            match engine.logs("busy", &follow).await {
                Ok(stream) => streams.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(streams.len(), 5);
        assert!(
            error.to_string().contains("5 streams are open already"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("AllowStreamLocalForwarding"));
        let requests = (0..30).map(|_| engine.inspect("busy"));
        for inspected in futures_util::future::join_all(requests).await {
            assert!(inspected.unwrap().is_some(), "requests go on beside the streams");
        }
        session
            .run("true", b"")
            .await
            .expect("commands go on beside the streams");
    });
}

#[test]
fn images_go_out_and_come_in() {
    let host = Lab::host();
    busybox(&host);
    let env = TestEnv::new().fleet(&[&host]);
    run(async {
        let session = connect(&env, &host.target()).await.unwrap();
        let engine = Engine::over_ssh(&session).await.unwrap();
        let image = engine.image("busybox:1").await.unwrap().unwrap();
        assert_eq!(
            (image.os.as_str(), image.layers.len(), image.has_healthcheck),
            ("linux", 1, false)
        );
        let tar: Vec<_> = engine
            .export_image("busybox:1")
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        engine.tag_image("busybox:1", "other", "2").await.unwrap();
        engine.remove_image("busybox:1").await.unwrap();
        assert!(engine.image("busybox:1").await.unwrap().is_none());
        let names = |images: Vec<arcane::docker::ImageSummary>| -> Vec<String> {
            images.into_iter().flat_map(|image| image.tags).collect()
        };
        assert_eq!(
            names(engine.list_images(Some("other:*")).await.unwrap()),
            ["other:2"]
        );
        engine.remove_image("other:2").await.unwrap();
        assert!(engine.image(&image.id).await.unwrap().is_none());

        let half: Vec<_> = tar[..tar.len() / 2].to_vec();
        let cut = futures_util::stream::iter(half.into_iter().map(Ok));
        let error = engine.load_image(cut).await.unwrap_err();
        assert!(
            !error.is_unreachable(),
            "half of a tar is refused, not a broken engine: {error}"
        );
        let loaded = engine
            .load_image(futures_util::stream::iter(tar.into_iter().map(Ok)))
            .await
            .unwrap();
        assert_eq!(loaded.images, ["busybox:1"]);
        assert_eq!(engine.image("busybox:1").await.unwrap().unwrap().id, image.id);
        let broken = futures_util::stream::iter([Err(std::io::Error::other("the disk is gone"))]);
        let error = engine.load_image(broken).await.unwrap_err();
        assert!(chain(&error).contains("the disk is gone"), "{}", chain(&error));
    });
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn only_known_host_keys_are_trusted() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    let file = env.path("~/.ssh/known_hosts");
    let name = format!("[127.0.0.1]:{}", host.port());
    let lines = fs::read_to_string(&file).unwrap();
    let of = |algorithm: &str| -> String {
        let line = lines
            .lines()
            .find(|line| line.starts_with(&name) && line.contains(algorithm))
            .unwrap();
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
    let shown = Ran::of(
        std::process::Command::new("ssh-keygen")
            .arg("-lf")
            .arg(env.path("key.pub")),
    );
    assert!(shown.stdout.contains(&error.fingerprint), "{error} / {shown}");
    assert!(error.hint().contains(&format!(
        "`ssh-keyscan -p {} 127.0.0.1 >> ~/.ssh/known_hosts`",
        host.port()
    )));

    fs::write(&file, &ed25519).unwrap();
    Ran::of(std::process::Command::new("ssh-keygen").arg("-Hf").arg(&file)).succeeds();
    let hashed = fs::read_to_string(&file).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    with(&hashed).expect("hashed names are understood");

    let other = ed25519.replacen(&name, "other.example.com", 1);
    assert_eq!(
        problem(with(&other).unwrap_err()).problem,
        HostKeyProblem::Unknown
    );
    let key = Ran::of(
        std::process::Command::new("ssh-keygen")
            .args(["-qt", "ed25519", "-N", "", "-f"])
            .arg(env.path("k")),
    );
    key.succeeds();
    let forged = format!(
        "# a comment\n{name} {}",
        fs::read_to_string(env.path("k.pub")).unwrap()
    );
    let error = problem(with(&forged).unwrap_err());
    let HostKeyProblem::Changed(recorded) = &error.problem else {
        panic!("{error}")
    };
    assert_eq!((recorded[0].line, recorded.len()), (2, 1));
    assert!(error.to_string().contains("HAS CHANGED"), "{error}");
    let revoked = format!("{ed25519}@revoked {ed25519}");
    assert!(matches!(
        problem(with(&revoked).unwrap_err()).problem,
        HostKeyProblem::Revoked(_)
    ));
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
            error.to_string().starts_with(&format!(
                "web1: {} was not let in: refused ssh-ed25519 SHA256:",
                at("nobody")
            )),
            "{error}"
        );
        assert!(
            error.to_string().ends_with(&format!("({})", key.display())),
            "{error}"
        );

        let plain = fs::read_to_string(&key).unwrap();
        let keygen = |args: &[&str]| {
            Ran::of(
                std::process::Command::new("ssh-keygen")
                    .args(args)
                    .arg("-f")
                    .arg(&key),
            )
            .succeeds();
        };
        keygen(&["-qp", "-P", "", "-N", "correct horse"]);
        let error = connect(&env, &at("root")).await.unwrap_err();
        assert!(
            error.to_string().contains("has a passphrase and is in no agent"),
            "{error}"
        );
        assert_eq!(
            error.hint().unwrap(),
            format!("add the key to an agent: `ssh-add {}`", key.display())
        );

        let agent = AgentGuard::start(&env);
        fs::write(env.path("plain"), &plain).unwrap();
        fs::set_permissions(env.path("plain"), fs::Permissions::from_mode(0o600)).unwrap();
        agent.add(&env.path("plain"));
        let host_entry = Host {
            name: HostName::parse("web1").unwrap(),
            ssh: at("root"),
        };
        let with_agent = Environment {
            agent: Some(agent.socket.clone()),
            ..environment(&env)
        };
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
        Ran::of(
            keygen
                .args(["-q", "-N", "", "-C", ""])
                .args(kind)
                .arg("-f")
                .arg(&key),
        )
        .succeeds();
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        host.ssh(&format!(
            "echo {} > /home/deploy/.ssh/authorized_keys",
            quote(public.trim())
        ))
        .succeeds();
        agent.add(&key);
        run(async {
            let mut target = target(&env, &format!("deploy@127.0.0.1:{}", host.port())).await;
            target.identities = vec![key.clone()];
            Session::connect(&target)
                .await
                .unwrap_or_else(|error| panic!("{kind:?} from a file: {error}"));
            target.identities = vec![key.with_extension("pub")];
            target.agent = arcane::ssh::Agent::Socket(agent.socket.clone());
            target.identities_only = true;
            Session::connect(&target)
                .await
                .unwrap_or_else(|error| panic!("{kind:?} from an agent: {error}"));
        });
    }
    // The server hangs up after six keys: what was tried is still told.
    for number in 5..9 {
        let key = env.path(&format!("~/.ssh/key{number}"));
        let mut keygen = std::process::Command::new("ssh-keygen");
        Ran::of(keygen.args(["-qt", "ed25519", "-N", "", "-f"]).arg(&key)).succeeds();
        agent.add(&key);
    }
    host.ssh("echo > /home/deploy/.ssh/authorized_keys").succeeds();
    run(async {
        let mut target = target(&env, &format!("deploy@127.0.0.1:{}", host.port())).await;
        target.agent = arcane::ssh::Agent::Socket(agent.socket.clone());
        let error = Session::connect(&target).await.unwrap_err();
        let Error::Auth { offered, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(offered.len(), 6, "{error}");
        assert!(
            error.hint().unwrap().contains("IdentitiesOnly"),
            "{:?}",
            error.hint()
        );
    });
}

struct AgentGuard {
    socket: std::path::PathBuf,
    child: std::process::Child,
}

impl AgentGuard {
    fn start(env: &TestEnv) -> Self {
        let socket = env.path("agent.sock");
        let child = std::process::Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .spawn()
            .unwrap();
        support::eventually("the agent listens", Duration::from_secs(5), || {
            socket.exists().then_some(())
        });
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
        assert_eq!(
            (explicit.user.as_str(), explicit.address.as_str()),
            ("root", "127.0.0.1")
        );
        let host_entry = Host {
            name: HostName::parse("web1").unwrap(),
            ssh: "tunnel".to_owned(),
        };
        let error = Target::resolve_in(&host_entry, &environment(&env))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("ProxyCommand `nc %h %p`, which is not supported"),
            "{error}"
        );
    });
}

#[test]
fn an_engine_that_cannot_be_used_says_why() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    host.ssh("id visitor 2>&1 || useradd -m -s /bin/bash visitor; cp -a /root/.ssh /home/visitor/; chown -R visitor: /home/visitor/.ssh")
        .succeeds();
    run(async {
        let address = format!("visitor@127.0.0.1:{}", host.port());
        let session = connect(&env, &address).await.unwrap();
        let error = Engine::over_ssh(&session).await.unwrap_err();
        assert_eq!(error.kind(), Kind::PermissionDenied, "{error}");
        assert_eq!(error.to_string(), "web1: visitor may not use the Docker engine");
        assert!(error.hint().unwrap().contains("sudo usermod -aG docker visitor"));

        let session = connect(&env, &host.target()).await.unwrap();
        let engine = Engine::over_ssh(&session).await.unwrap();
        let mut events = engine.events(None).await.unwrap();
        host.dockerd("stop");
        let ended = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
        assert!(
            !matches!(ended, Ok(Some(Ok(_))) | Err(_)),
            "an engine that stops ends its streams: {ended:?}"
        );
        let error = engine.ping().await.unwrap_err();
        assert!(error.is_unreachable(), "{error}");
        assert_eq!(error.to_string(), "web1: no Docker engine answers");
        let error = Engine::over_ssh(&session).await.unwrap_err();
        assert!(
            error.to_string().starts_with("web1: no Docker engine answers: "),
            "{error}"
        );
        host.dockerd("start");
        engine
            .ping()
            .await
            .expect("the same connection reaches the engine when it is back");
    });
}

#[test]
fn a_host_that_falls_silent_is_noticed_within_20_seconds() {
    let host = Lab::host();
    busybox(&host);
    let env = TestEnv::new().fleet(&[&host]);
    run(async {
        let session = connect(&env, &host.target()).await.unwrap();
        let engine = Engine::over_ssh(&session).await.unwrap();
        engine
            .create_container("quiet", &shell("sleep 1000"))
            .await
            .unwrap();
        engine.start("quiet").await.unwrap();
        let follow = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let mut logs = engine
            .logs("quiet", &follow)
            .await
            .expect("a silent container's log opens at once");
        let uploading = connect(&env, &host.target()).await.unwrap();
        let mut sink = uploading.exec("cat >/dev/null").await.unwrap();
        sink.stdin.write_all(&[0; 1 << 20]).await.unwrap();

        host.freeze();
        let began = Instant::now();
        let upload = async {
            loop {
                if let Err(error) = sink.stdin.write_all(&[0; 1 << 20]).await {
                    break error;
                }
            }
        };
        let (frame, reason, upload) = tokio::join!(logs.next(), session.closed(), upload);
        host.thaw();
        let frame = frame
            .expect("a lost connection is an error, not an end")
            .unwrap_err();
        assert!(frame.is_unreachable(), "{frame}");
        assert_eq!(reason, "the host does not answer any more");
        assert!(
            began.elapsed() < Duration::from_secs(26),
            "took {:?}: {upload}",
            began.elapsed()
        );
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
        session
            .run("true", b"")
            .await
            .expect("others get through when the stalled one is cut off");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let mut rest = Vec::new();
        let error = stalled.stdout.read_to_end(&mut rest).await.unwrap_err();
        assert_eq!(error.to_string(), "the reader fell behind");
        let began = Instant::now();
        session.run("true", b"").await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    });
}
