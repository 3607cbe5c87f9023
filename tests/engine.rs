//! Story: a developer's machine drives the Docker engine of a real host, and notices what goes wrong with it.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::too_many_lines)]

mod link;
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arcane::docker::{
    ContainerSpec, Engine, ExecOptions, ImageSummary, Kind, LogFrame, LogOptions, Publish, Signal, Source,
    Status, Transport,
};
use arcane::fleet::{MemoryLimit, Timestamp};
use futures_util::{StreamExt, TryStreamExt};
use link::{connect, run};
use support::{Lab, LabHost, TestEnv};
use tokio::io::AsyncWriteExt;

/// A small image with a shell on the host.
fn busybox(host: &LabHost) {
    host.ssh("tar -C /usr/share/lab/busybox -c . | docker import - busybox:1").succeeds();
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
    assert!(info.cpus > 0 && info.memory > 1 << 20 && info.system_time.is_some(), "{info:?}");
    assert!(engine.inspect("shop").await.unwrap().is_none());

    let mut events = engine.events(None).await.unwrap();
    let spec = ContainerSpec {
        labels: BTreeMap::from([("arcane.app".to_owned(), "shop".to_owned())]),
        env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        publish: vec![Publish { host_ip: None, host_port: 8001, container_port: 80 }],
        memory: Some(MemoryLimit(32 << 20)),
        ..shell("echo $GREETING; echo bad >&2; trap 'exit 3' TERM; while :; do sleep 0.1; done")
    };
    let id = engine.create_container("shop", &spec).await.unwrap();
    let conflict = engine.create_container("shop", &spec).await.unwrap_err();
    assert_eq!(conflict.kind(), Kind::Conflict, "{conflict}");
    engine.start("shop").await.unwrap();
    engine.start("shop").await.expect("starting a running container changes nothing");

    let shop = engine.inspect(&id.0).await.unwrap().unwrap();
    assert_eq!((shop.name.as_str(), shop.state.status), ("shop", Status::Running));
    assert!(shop.state.started_at.is_some() && shop.state.finished_at.is_none());
    assert_eq!((shop.ports[0].host_port, shop.ports[0].container_port), (8001, 80));
    assert_eq!(shop.memory_limit, Some(32 << 20));
    assert!(shop.addresses.contains_key("bridge"));
    let listed = engine.list_containers(false, &["arcane.app=shop"]).await.unwrap();
    assert_eq!(listed.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["shop"]);
    assert!(engine.list_containers(true, &["arcane.app=other"]).await.unwrap().is_empty());

    let taken = engine.create_container("rival", &spec).await.unwrap();
    let error = engine.start(&taken.0).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PortInUse, "{error}");
    engine.remove("rival", true).await.unwrap();
    engine.remove("rival", true).await.expect("what is gone need not be removed");

    logs_of_shop(engine).await;
    commands_in_shop(engine).await;
    logs_of_a_terminal(engine).await;
    let stats = engine.stats_once("shop").await.unwrap();
    assert!(stats.memory > 0 && stats.memory_limit == Some(32 << 20) && stats.pids > 0, "{stats:?}");

    engine.rename("shop", "shop_old").await.unwrap();
    engine.stop("shop_old", Duration::from_secs(5)).await.unwrap();
    engine
        .stop("shop_old", Duration::from_secs(5))
        .await
        .expect("stopping a stopped container changes nothing");
    let shop = engine.inspect("shop_old").await.unwrap().unwrap();
    assert_eq!((shop.state.status, shop.state.exit_code), (Status::Exited, 3));
    assert_eq!(engine.kill("shop_old", Signal::Kill).await.unwrap_err().kind(), Kind::Conflict);
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
    assert_eq!(actions, ["create", "start", "rename", "kill", "die", "stop", "destroy"]);
}

async fn logs_of_shop(engine: &Engine) {
    let text = |frames: &[LogFrame], source: Source| -> String {
        let frames = frames.iter().filter(|frame| frame.source == source);
        frames.map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect()
    };
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let frames: Vec<_> = engine.logs("shop", &follow).await.unwrap().take(2).try_collect().await.unwrap();
    let (out, err) = (text(&frames, Source::Stdout), text(&frames, Source::Stderr));
    let (stamp, line) = out.split_once(' ').unwrap();
    assert_eq!((line, err.split_once(' ').unwrap().1), ("hello\n", "bad\n"));
    let at = Timestamp::parse(stamp).unwrap();
    for (since, count) in [(at, 1), (at + Duration::from_nanos(1), 0)] {
        let options = LogOptions { since: Some(since), stderr: false, ..LogOptions::default() };
        let frames: Vec<_> = engine.logs("shop", &options).await.unwrap().try_collect().await.unwrap();
        assert_eq!(frames.len(), count, "since is inclusive, to the nanosecond");
    }
    let missing = engine.logs("nobody", &LogOptions::default()).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
}

async fn logs_of_a_terminal(engine: &Engine) {
    let spec = ContainerSpec { tty: true, ..shell("echo one; echo two >&2") };
    engine.create_container("tty", &spec).await.unwrap();
    engine.start("tty").await.unwrap();
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let frames: Vec<_> = engine.logs("tty", &follow).await.unwrap().try_collect().await.unwrap();
    let lines: Vec<_> = frames.iter().map(|frame| String::from_utf8_lossy(&frame.bytes)).collect();
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
        let name = if frame.source == Source::Stderr { "err" } else { "out" };
        output.entry(name).or_default().push_str(std::str::from_utf8(&frame.bytes).unwrap());
    }
    assert_eq!(output, BTreeMap::from([("out", "over there".to_owned()), ("err", "fine\n".to_owned())]));
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
        assert!(matches!(engine.transport(), Transport::DialStdio { .. }), "{}", engine.transport());
        lives_and_dies(&engine).await;

        engine.create_container("busy", &shell("while :; do sleep 1; done")).await.unwrap();
        engine.start("busy").await.unwrap();
        let follow = LogOptions { follow: true, ..LogOptions::default() };
        let mut streams = Vec::new();
        let error = loop {
            match engine.logs("busy", &follow).await {
                Ok(stream) => streams.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(streams.len(), 5);
        assert!(error.to_string().contains("5 streams are open already"), "{error}");
        assert!(error.hint().unwrap().contains("AllowStreamLocalForwarding"));
        let requests = (0..30).map(|_| engine.inspect("busy"));
        for inspected in futures_util::future::join_all(requests).await {
            assert!(inspected.unwrap().is_some(), "requests go on beside the streams");
        }
        session.run("true", b"").await.expect("commands go on beside the streams");
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
        assert_eq!((image.os.as_str(), image.layers.len(), image.has_healthcheck), ("linux", 1, false));
        let tar: Vec<_> = engine.export_image("busybox:1").await.unwrap().try_collect().await.unwrap();
        engine.tag_image("busybox:1", "other", "2").await.unwrap();
        engine.remove_image("busybox:1").await.unwrap();
        assert!(engine.image("busybox:1").await.unwrap().is_none());
        let names = |images: Vec<ImageSummary>| -> Vec<String> {
            images.into_iter().flat_map(|image| image.tags).collect()
        };
        assert_eq!(names(engine.list_images(Some("other:*")).await.unwrap()), ["other:2"]);
        engine.remove_image("other:2").await.unwrap();
        assert!(engine.image(&image.id).await.unwrap().is_none());

        let half: Vec<_> = tar[..tar.len() / 2].to_vec();
        let cut = futures_util::stream::iter(half.into_iter().map(Ok));
        let error = engine.load_image(cut).await.unwrap_err();
        assert!(!error.is_unreachable(), "half of a tar is refused, not a broken engine: {error}");
        let loaded = engine.load_image(futures_util::stream::iter(tar.into_iter().map(Ok))).await.unwrap();
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
        assert!(error.to_string().starts_with("web1: no Docker engine answers: "), "{error}");
        host.dockerd("start");
        engine.ping().await.expect("the same connection reaches the engine when it is back");
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
        engine.create_container("quiet", &shell("sleep 1000")).await.unwrap();
        engine.start("quiet").await.unwrap();
        let follow = LogOptions { follow: true, ..LogOptions::default() };
        let mut logs = engine.logs("quiet", &follow).await.expect("a silent container's log opens at once");
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
        let frame = frame.expect("a lost connection is an error, not an end").unwrap_err();
        assert!(frame.is_unreachable(), "{frame}");
        assert_eq!(reason, "the host does not answer any more");
        assert!(began.elapsed() < Duration::from_secs(26), "took {:?}: {upload}", began.elapsed());
    });
}
