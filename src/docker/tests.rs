//! The room as a whole, against an engine inside this process; once through SSH, once without.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};

use super::fake::{Answer, FakeEngine, json};
use super::*;
use crate::fleet::{HealthState, Timestamp};
use crate::ssh::fake::FakeHost;

const OK: &str = "{}";

fn engine_that(answers: impl Fn(&str) -> Answer + Send + Sync + 'static) -> FakeEngine {
    FakeEngine::start("1.12", "1.41", answers)
}

async fn local(fake: &FakeEngine) -> Engine {
    let engine = Engine::at(&fake.socket).await.unwrap();
    fake.asked();
    engine
}

#[tokio::test]
async fn the_socket_is_reached_through_ssh() {
    let fake = engine_that(|_| json(200, OK));
    let host = FakeHost { engine: Some(fake.socket.clone()), ..FakeHost::default() };
    let (_wire, session) = host.connect().await;
    let engine = Engine::over_ssh(&session).await.unwrap();
    assert_eq!(engine.transport(), &Transport::Streamlocal);
    assert_eq!(engine.host(), "web1");
    engine.ping().await.unwrap();
    engine.ping().await.unwrap();
    assert_eq!(fake.asked(), ["GET /version", "GET /v1.41/_ping", "GET /v1.41/_ping"]);
}

#[tokio::test]
async fn where_sockets_are_not_forwarded_the_docker_command_is_used() {
    let fake = engine_that(|_| json(200, OK));
    let host = FakeHost { engine: Some(fake.socket.clone()), forwarding: false, ..FakeHost::default() };
    let (_wire, session) = host.connect().await;
    let engine = Engine::over_ssh(&session).await.unwrap();
    let because =
        "sshd does not forward /var/run/docker.sock: the server's configuration forbids it".to_owned();
    assert_eq!(engine.transport(), &Transport::DialStdio { because });
    let pings = (0..40).map(|_| engine.ping());
    let answered = futures_util::future::join_all(pings).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(answered, 40, "sshd would refuse the eleventh session");
}

#[tokio::test]
async fn an_engine_that_cannot_be_used_says_why() {
    for (complaint, kind, expected) in [
        (
            "Got permission denied while trying to connect to the Docker daemon socket",
            Kind::PermissionDenied,
            "web1: deploy may not use the Docker engine",
        ),
        (
            "bash: docker: command not found",
            Kind::Unavailable,
            "web1: no Docker engine answers: bash: docker: command not found",
        ),
    ] {
        let host = FakeHost { dial_complaint: Some(complaint), ..FakeHost::default() };
        let (_wire, session) = host.connect().await;
        let error = Engine::over_ssh(&session).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, expected));
        assert!(error.is_unreachable());
    }
    let error = Engine::at("/nonexistent/docker.sock".as_ref()).await.unwrap_err();
    assert!(matches!(error, Error::NoEngine { .. }), "{error}");
}

#[tokio::test]
async fn a_version_is_agreed_on() {
    for (oldest, newest, negotiated) in [
        ("1.12", "1.40", "1.40"),
        ("1.24", "1.47", "1.47"),
        ("1.44", "1.54", "1.47"),
        ("1.50", "1.60", "1.50"),
    ] {
        let fake = FakeEngine::start(oldest, newest, |_| json(200, OK));
        let engine = local(&fake).await;
        engine.ping().await.unwrap();
        assert_eq!(fake.asked(), [format!("GET /v{negotiated}/_ping")]);
    }
    let fake = FakeEngine::start("1.12", "1.39", |_| json(200, OK));
    let error = Engine::at(&fake.socket).await.unwrap_err();
    assert_eq!(error.kind(), Kind::OldEngine);
    assert!(error.to_string().contains("speaks API 1.39, at least 1.40 is needed"), "{error}");
}

#[tokio::test]
async fn answers_are_sorted_by_what_they_mean() {
    let fake = engine_that(|question| match question {
        "POST /containers/shop/start" => {
            json(500, r#"{"message":"Bind for 0.0.0.0:80: port is already allocated"}"#)
        }
        "POST /containers/idle/start" | "POST /containers/shop/stop?t=10" => json(304, ""),
        "GET /containers/nobody/json" => json(404, r#"{"message":"No such container: nobody"}"#),
        "GET /containers/odd/json" => json(200, "[1]"),
        "DELETE /containers/nobody?v=1&force=1" => json(404, r#"{"message":"No such container: nobody"}"#),
        question => json(400, &format!(r#"{{"message":"unexpected {question}"}}"#)),
    });
    let engine = local(&fake).await;
    let error = engine.start("shop").await.unwrap_err();
    assert_eq!(error.kind(), Kind::PortInUse);
    assert_eq!(
        error.to_string(),
        "local: cannot start container shop: Bind for 0.0.0.0:80: port is already allocated"
    );
    engine.start("idle").await.unwrap();
    engine.stop("shop", Duration::from_millis(9001)).await.unwrap();
    assert!(engine.inspect("nobody").await.unwrap().is_none());
    engine.discard("nobody").await.unwrap();
    let error = engine.inspect("odd").await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    let error = engine.rename("../x?y", "z").await.unwrap_err();
    assert!(error.to_string().contains("POST /containers/..%2Fx%3Fy/rename?name=z"), "{error}");
}

#[tokio::test]
async fn an_engine_that_says_nothing_runs_into_the_deadline() {
    let fake = engine_that(|_| Answer::Silence);
    let engine = local(&fake).await;
    tokio::time::pause();
    let error = engine.ping().await.unwrap_err();
    assert_eq!(error.to_string(), "local: cannot ping the engine: no answer within 10s");
    assert_eq!(error.kind(), Kind::Deadline);
}

#[tokio::test]
async fn a_container_is_described() {
    let body = r#"{
        "Id": "2a", "Name": "/shop", "Image": "sha256:1b", "Created": "2026-11-25T18:42:03.12Z", "RestartCount": 2,
        "State": {"Status": "running", "Running": true, "ExitCode": 0, "OOMKilled": false, "Error": "", "Pid": 42,
                  "StartedAt": "2026-11-25T18:42:04Z", "FinishedAt": "0001-01-01T00:00:00Z",
                  "Health": {"Status": "unhealthy", "Log": [{"Output": "first"}, {"Output": "last"}]}},
        "Config": {"Image": "shop:1.4", "Labels": {"arcane.app": "shop"}, "Tty": false,
                   "Env": ["A=b=c", "odd"], "Cmd": ["serve"]},
        "Mounts": [{"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data",
                    "Destination": "/data", "RW": true},
                   {"Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": false}],
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}, "Memory": 1024,
                       "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8001"}], "81/tcp": null}},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8001"}], "81/udp": null},
                            "Networks": {"bridge": {"IPAddress": "172.17.0.2"}, "none": {"IPAddress": ""}}}
    }"#;
    let fake = engine_that(move |_| json(200, body));
    let shop = local(&fake).await.inspect("shop").await.unwrap().unwrap();
    assert_eq!((shop.name.as_str(), shop.image.as_str(), shop.restart_count), ("shop", "shop:1.4", 2));
    assert!(shop.state.is_running() && shop.restarts);
    assert_eq!(shop.state.started_at, Timestamp::parse("2026-11-25T18:42:04Z").ok());
    assert_eq!(shop.state.finished_at, None, "the year 1 means never");
    assert_eq!((shop.health, shop.health_output.as_deref()), (HealthState::Unhealthy, Some("last")));
    assert_eq!(shop.ports.len(), 1);
    assert_eq!(shop.addresses.keys().collect::<Vec<_>>(), ["bridge"]);
    assert_eq!(shop.memory_limit, Some(1024));
    assert_eq!(shop.made.env.into_iter().collect::<Vec<_>>(), [("A".to_owned(), "b=c".to_owned())]);
    assert_eq!(
        (shop.made.command, shop.made.restart_policy.as_str()),
        (vec!["serve".to_owned()], "unless-stopped")
    );
    assert_eq!(shop.made.publish.into_iter().collect::<Vec<_>>(), [(8001, 80)]);
    let mounts: Vec<_> =
        shop.made.mounts.iter().map(|(to, it)| (to.as_str(), it.source.as_str(), it.read_only)).collect();
    assert_eq!(mounts, [("/data", "data", false), ("/srv", "/srv", true)]);
    assert_eq!(shop.made.networks.into_iter().collect::<Vec<_>>(), ["bridge", "none"]);
}

fn frame(kind: u8, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[kind, 0, 0, 0], &length[..], text.as_bytes()].concat()
}

async fn frames_of(fake: &FakeEngine) -> Vec<Result<LogFrame, Error>> {
    let logs = local(fake).await.logs("shop", &LogOptions::default()).await.unwrap();
    logs.collect().await
}

#[tokio::test]
async fn a_log_is_framed_whatever_the_engine_calls_it() {
    const RAW: &str = "application/vnd.docker.raw-stream";
    const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";
    let framed = [frame(1, "t1 a\n"), frame(3, "Error grabbing logs"), frame(2, "t2 b\n")].concat();
    // Before API 1.42 a terminal's log is called the same; from then on nothing need be asked.
    for (newest, kind, tty, body, sources) in [
        ("1.41", RAW, false, framed.clone(), vec![Source::Stdout, Source::Engine, Source::Stderr]),
        ("1.43", MULTIPLEXED, false, framed, vec![Source::Stdout, Source::Engine, Source::Stderr]),
        ("1.41", RAW, true, b"t1 a\r\nt2 b".to_vec(), vec![Source::Stdout; 2]),
        ("1.43", RAW, true, b"t1 a\r\nt2 b".to_vec(), vec![Source::Stdout; 2]),
    ] {
        let fake = FakeEngine::start("1.12", newest, move |question| {
            if question.starts_with("GET /containers/shop/logs?timestamps=1") {
                return Answer::Whole(200, kind, body.clone());
            }
            json(
                200,
                &format!(r#"{{"Id":"2a","Name":"/shop","Image":"","State":{{}},"Config":{{"Tty":{tty}}}}}"#),
            )
        });
        let got: Vec<_> = frames_of(&fake).await.into_iter().map(|frame| frame.unwrap().source).collect();
        assert_eq!(got, sources, "API {newest}, {kind}, terminal: {tty}");
        assert_eq!(fake.asked().len(), if newest == "1.41" { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_log_that_breaks_off_is_no_log_that_ends() {
    let fake = FakeEngine::start("1.12", "1.43", |_| {
        Answer::Broken("application/vnd.docker.multiplexed-stream", frame(1, "t1 a\n"))
    });
    let frames = frames_of(&fake).await;
    assert!(frames[0].is_ok());
    let error = frames[1].as_ref().unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert_eq!(error.to_string(), "local: cannot read the log of container shop: the engine does not answer");
}

#[tokio::test]
async fn events_are_asked_for_and_understood() {
    let lines = concat!(
        r#"{"Type":"container","Action":"die","Actor":{"ID":"2a","Attributes":{"exitCode":"137","name":"shop"}},"#,
        r#""time":1764096123,"timeNano":1764096123120000001}"#,
        "\n",
        r#"{"Type":"container","Action":"health_status: unhealthy","Actor":{"ID":"2a","Attributes":null},"time":7}"#,
        "\n"
    );
    let fake = engine_that(move |_| json(200, lines));
    let engine = local(&fake).await;
    let since = Timestamp::from_nanos(1_500_000_000);
    let events: Vec<_> = engine.events(Some(since)).await.unwrap().try_collect().await.unwrap();
    assert_eq!((events[0].action.as_str(), events[0].attributes["exitCode"].as_str()), ("die", "137"));
    assert_eq!(events[0].at.as_nanos(), 1_764_096_123_120_000_001);
    assert_eq!(
        (events[1].action.as_str(), events[1].at),
        ("health_status: unhealthy", Timestamp::from_seconds(7))
    );
    let asked = fake.asked().remove(0);
    assert!(asked.ends_with("&since=1.500000000") && asked.contains("health_status"), "{asked}");
}

#[tokio::test]
async fn a_load_fails_by_what_it_reports() {
    let load = |body: &'static str| async move {
        let fake = engine_that(move |_| json(200, body));
        let tar =
            futures_util::stream::iter([Ok(Bytes::from_static(b"tar")), Ok(Bytes::from_static(b"ball"))]);
        local(&fake).await.load_image(tar).await
    };
    let loaded = load("{\"stream\":\"Loaded image: shop:1\\n\"}\n{\"stream\":\"failed to unpack\\n\"}\n")
        .await
        .unwrap();
    assert_eq!(
        (loaded.images, loaded.notes),
        (vec!["shop:1".to_owned()], vec!["failed to unpack".to_owned()])
    );
    let error =
        load("{\"errorDetail\":{\"message\":\"open x/layer.tar: no such file\"},\"error\":\"open\"}").await;
    assert_eq!(error.unwrap_err().to_string(), "local: cannot load an image: open x/layer.tar: no such file");
}

#[tokio::test]
async fn a_sample_leaves_the_page_cache_out() {
    let body = r#"{"read":"2026-11-25T18:42:03Z","cpu_stats":{"cpu_usage":{"total_usage":5}},"pids_stats":{"current":3},
        "memory_stats":{"usage":100,"limit":9223372036854771712,"stats":{"inactive_file":30}}}"#;
    let fake = engine_that(move |_| json(200, body));
    let stats = local(&fake).await.stats_once("shop").await.unwrap();
    assert_eq!((stats.memory, stats.memory_limit, stats.cpu_nanos, stats.pids), (70, None, 5, 3));
    assert_eq!(fake.asked(), ["GET /v1.41/containers/shop/stats?stream=0&one-shot=1"]);
}
