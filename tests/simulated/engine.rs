//! A Docker engine that only pretends: it keeps a list of containers and answers what a push asks of it.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    BufReader,
};

const NOW: &str = "2026-11-25T18:00:00Z";

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// A container that is started ends at once.
    Crashes,
}

struct Container {
    id: String,
    name: String,
    image: String,
    labels: Value,
    status: &'static str,
}

pub(crate) struct Engine {
    containers: Mutex<Vec<Container>>,
    fault: Mutex<Fault>,
    /// What every container has written.
    written: Mutex<Vec<String>>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        Self { containers: Mutex::default(), fault: Mutex::new(Fault::None), written: Mutex::default() }
    }

    pub(crate) fn breaks(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Lets every container have written these lines.
    pub(crate) fn writes(&self, lines: &[String]) {
        *self.written.lock().unwrap() = lines.to_vec();
    }

    /// The names of its containers, with a star at those that run.
    pub(crate) fn names(&self) -> Vec<String> {
        let star = |one: &Container| if one.status == "running" { "*" } else { "" };
        let mut names: Vec<_> =
            self.containers.lock().unwrap().iter().map(|one| format!("{}{}", one.name, star(one))).collect();
        names.sort();
        names
    }

    /// Answers requests until the other side hangs up.
    pub(crate) async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut stream = BufReader::new(stream);
        while let Some((question, body)) = request(&mut stream).await {
            let (status, answer) = self.answer(&question, &body);
            if question.contains("/start") || question.contains("/stop") {
                // As long as a real one takes, so that hosts of a batch meet.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let is_log = question.contains("/logs?");
            let body = match &answer {
                _ if is_log => self.log(),
                Value::Null => Vec::new(),
                answer => answer.to_string().into_bytes(),
            };
            let kind = if is_log { "vnd.docker.multiplexed-stream" } else { "json" };
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/{kind}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err()
                || stream.flush().await.is_err()
            {
                return;
            }
        }
    }

    /// What was written, as an engine frames it: a line of more than 16 KiB in parts.
    fn log(&self) -> Vec<u8> {
        let mut log = Vec::new();
        for line in self.written.lock().unwrap().iter() {
            for part in format!("{line}\n").as_bytes().chunks(16 << 10) {
                let frame = [b"2026-11-25T18:00:01.000000000Z ", part].concat();
                log.extend([1, 0, 0, 0]);
                log.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
                log.extend(frame);
            }
        }
        log
    }

    /// The status and the body for a question such as `POST /containers/4/rename?name=shop`.
    fn answer(&self, question: &str, body: &[u8]) -> (u16, Value) {
        let (method, target) = question.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let name = query.split('&').find_map(|part| part.strip_prefix("name=")).unwrap_or_default();
        let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty() && !is_version(word)).collect();
        let mut containers = self.containers.lock().unwrap();
        let place = |containers: &Vec<Container>, id: &str| containers.iter().position(|one| one.id == id);
        match (method, &words[..]) {
            ("GET", ["version"]) => (
                200,
                json!({
                    "Version": "27.0.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24", "Os": "linux",
                    "Arch": architecture(),
                }),
            ),
            ("GET", ["images", id, "json"]) => (
                200,
                json!({
                    "Id": id.replace("%3A", ":"), "Architecture": architecture(), "Os": "linux", "Size": 1,
                    "RootFS": { "Layers": [] },
                }),
            ),
            ("GET", ["images", "json"]) => (200, json!([])),
            ("POST", ["images", _, "tag"]) | ("POST", ["images", _, _, "tag"]) => (201, Value::Null),
            ("DELETE", ["images", ..]) => (200, json!([])),
            ("GET", ["containers", "json"]) => (200, containers.iter().map(listed).collect()),
            ("POST", ["containers", "create"]) => {
                let spec: Value = serde_json::from_slice(body).unwrap();
                let id = format!("{:064x}", containers.len() + 1 + name.len() * 1_000);
                let (labels, name) = (spec["Labels"].clone(), name.to_owned());
                let image = spec["Image"].as_str().unwrap_or_default().to_owned();
                containers.push(Container { id: id.clone(), name, image, labels, status: "created" });
                (201, json!({ "Id": id, "Warnings": [] }))
            }
            ("GET", ["containers", id, "json"]) => {
                let found = containers.iter().find(|one| one.id == *id);
                found.map_or((404, json!({ "message": "no such container" })), |one| (200, inspected(one)))
            }
            ("GET", ["containers", _, "logs"]) => (200, Value::Null),
            ("POST", ["containers", id, verb]) => {
                let Some(at) = place(&containers, id) else {
                    return (404, json!({ "message": "no such container" }));
                };
                match *verb {
                    "start" if *self.fault.lock().unwrap() == Fault::Crashes => {
                        containers[at].status = "exited"
                    }
                    "start" => containers[at].status = "running",
                    "stop" => containers[at].status = "exited",
                    "rename" => containers[at].name = name.to_owned(),
                    verb => return (501, json!({ "message": format!("nobody taught me to {verb}") })),
                }
                (204, Value::Null)
            }
            ("DELETE", ["containers", id]) => {
                containers.retain(|one| one.id != *id);
                (204, Value::Null)
            }
            _ => (501, json!({ "message": format!("nobody taught me {question}") })),
        }
    }
}

fn is_version(word: &str) -> bool {
    word.strip_prefix("v1.").is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()))
}

/// As images built on this machine have it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn listed(one: &Container) -> Value {
    json!({
        "Id": one.id, "Names": [format!("/{}", one.name)], "Image": one.image, "ImageID": one.image,
        "Created": 1, "Labels": one.labels, "State": one.status, "Ports": [],
    })
}

fn inspected(one: &Container) -> Value {
    let started = if one.status == "created" { "0001-01-01T00:00:00Z" } else { NOW };
    json!({
        "Id": one.id, "Name": format!("/{}", one.name), "Image": one.image, "Created": NOW,
        "State": {
            "Status": one.status, "ExitCode": 0, "StartedAt": started, "FinishedAt": "0001-01-01T00:00:00Z",
        },
        "Config": { "Image": one.image, "Labels": one.labels, "Tty": false },
    })
}

/// Reads one request: method and target, and its body.
async fn request(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let length =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let (question, _) = head.first()?.rsplit_once(' ')?;
    Some((question.to_owned(), body))
}
