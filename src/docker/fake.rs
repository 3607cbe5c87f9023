//! An engine for tests: a Unix socket of this process that answers as it was told.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::ssh::fake::scratch;

/// What an engine answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A whole answer: status, content type, body.
    Whole(u16, &'static str, Vec<u8>),
    /// A body that breaks off after these bytes.
    Broken(&'static str, Vec<u8>),
    /// Nothing, for ever.
    Silence,
    /// A body that is made as it is taken.
    Flow(&'static str, Flow),
}

/// Makes the pieces of a body, told their number. Nothing for now is an empty piece, the end is none.
#[derive(Clone)]
pub(crate) struct Flow(pub(crate) Arc<dyn Fn(usize) -> Option<Vec<u8>> + Send + Sync>);

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flow")
    }
}

/// An answer in JSON.
pub(crate) fn json(status: u16, body: &str) -> Answer {
    Answer::Whole(status, "application/json", body.as_bytes().to_vec())
}

type Answers = dyn Fn(&str) -> Answer + Send + Sync;

/// A running fake engine.
pub(crate) struct FakeEngine {
    /// Where it listens.
    pub(crate) socket: PathBuf,
    /// What it was asked: `GET /v1.41/info`.
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeEngine {
    /// Starts one that speaks the APIs from `oldest` to `newest`. It answers the rest with `answers`, asked with
    /// method and path, without version.
    pub(crate) fn start(
        oldest: &str,
        newest: &str,
        answers: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let socket = scratch().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let version = format!(
            r#"{{"Version":"27.0.0","ApiVersion":"{newest}","MinAPIVersion":"{oldest}","Os":"linux","Arch":"amd64"}}"#
        );
        let answers: Arc<Answers> = Arc::new(move |question| match question {
            "GET /version" => json(200, &version),
            question => answers(question),
        });
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                tokio::spawn(async move { serve(stream, &log, &*answers).await });
            }
        });
        Self { socket, asked }
    }

    /// What it was asked since it was last asked this.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.socket.parent().unwrap());
    }
}

async fn serve(stream: UnixStream, log: &Mutex<Vec<String>>, answers: &Answers) {
    let mut stream = BufReader::new(stream);
    while let Some(question) = request(&mut stream).await {
        log.lock().unwrap().push(question.clone());
        let (head, body) = match answers(&unversioned(&question)) {
            Answer::Silence => std::future::pending().await,
            Answer::Flow(kind, flow) => return pour(stream, kind, &flow).await,
            Answer::Whole(status, kind, body) => (
                format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                ),
                body,
            ),
            Answer::Broken(kind, body) => {
                (format!("HTTP/1.1 200 X\r\nContent-Type: {kind}\r\nContent-Length: 1000000\r\n\r\n"), body)
            }
        };
        let broken = head.contains("1000000");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&body).await;
        let _ = stream.flush().await;
        if broken {
            return;
        }
    }
}

async fn pour(mut stream: BufReader<UnixStream>, kind: &str, flow: &Flow) {
    let head = format!("HTTP/1.1 200 X\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
    let mut piece = Some(head.into_bytes());
    for number in 0.. {
        match piece {
            None => return,
            Some(bytes) if bytes.is_empty() => tokio::time::sleep(Duration::from_millis(2)).await,
            Some(bytes) if stream.write_all(&bytes).await.is_err() => return,
            Some(_) => {}
        }
        let _ = stream.flush().await;
        piece = flow.0(number);
    }
}

/// Reads one request, body and all.
async fn request(stream: &mut BufReader<UnixStream>) -> Option<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header =
        |name: &str| lines.iter().find_map(|line| line.to_lowercase().strip_prefix(name).map(str::to_owned));
    if header("transfer-encoding: chunked").is_some() {
        while let Some(size @ 1..) = chunk(stream).await {
            stream.read_exact(&mut vec![0; size + 2]).await.ok()?;
        }
    } else if let Some(length) = header("content-length: ") {
        stream.read_exact(&mut vec![0; length.parse().ok()?]).await.ok()?;
    }
    let (question, _) = lines.first()?.rsplit_once(' ')?;
    Some(question.to_owned())
}

async fn chunk(stream: &mut BufReader<UnixStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
    if size == 0 {
        stream.read_line(&mut line).await.ok()?;
    }
    Some(size)
}

fn unversioned(question: &str) -> String {
    let (method, path) = question.split_once(' ').unwrap_or((question, ""));
    let path = match path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|at| &rest[at..])) {
        Some(rest) => rest,
        None => path,
    };
    format!("{method} {path}")
}
