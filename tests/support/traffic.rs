//! People who use a site while something else happens: on connections that stay open and on new ones, with slow requests,
//! with an answer that comes bit by bit, with a websocket. Each failure is remembered in words.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A slow request takes this long, in milliseconds.
const SLOW: u32 = 3000;
/// A request that takes longer than its own time and this has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the people have seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Answers with 200 and a whole body.
    pub(crate) answered: u64,
    /// Those of them that took three seconds.
    pub(crate) slow: u64,
    /// Those of them that came bit by bit.
    pub(crate) streams: u64,
    /// Everything else, in words.
    pub(crate) failures: Vec<String>,
    /// Connections that were closed between two requests, as a server may at any time; the request was made anew on
    /// another connection, as RFC 9110 (9.2.2) lets a client do.
    pub(crate) reopened: u64,
    /// Echoes of the websocket.
    pub(crate) echoes: u64,
    /// How often the websocket was closed by the other side.
    pub(crate) cut: u64,
    /// The answers, in the order in which they changed.
    pub(crate) versions: Vec<String>,
}

/// Running until [`Traffic::stop`].
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    people: Vec<JoinHandle<()>>,
}

struct Person {
    address: String,
    host: String,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
}

impl Traffic {
    /// Begins, and returns when each of them has been answered once.
    pub(crate) fn start(port: u16, host: &str) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let mut people = Vec::new();
        let kinds: [fn(&Person); 9] = [
            Person::stays,
            Person::stays,
            Person::stays,
            Person::comes_anew,
            Person::comes_anew,
            Person::is_slow,
            Person::is_slow,
            Person::listens,
            Person::talks,
        ];
        for (number, kind) in kinds.into_iter().enumerate() {
            let person = Person {
                address: format!("127.0.0.1:{port}"),
                host: host.to_owned(),
                stop: Arc::clone(&stop),
                seen: Arc::clone(&seen),
            };
            people.push(thread::spawn(move || {
                // Not all slow requests at the same time.
                thread::sleep(Duration::from_millis(300 * number as u64));
                kind(&person);
            }));
        }
        let traffic = Self { stop, seen, people };
        super::eventually("everybody was answered", Duration::from_secs(20), || {
            let seen = traffic.seen();
            let all = seen.slow > 1 && seen.streams > 0 && seen.echoes > 0;
            (all || !seen.failures.is_empty()).then_some(())
        });
        traffic
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().expect("nobody panics").clone()
    }

    /// Lets everybody finish.
    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        for person in self.people {
            person.join().expect("nobody panics");
        }
        let seen = self.seen.lock().expect("nobody panics");
        seen.clone()
    }
}

impl Person {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn note(&self, what: &str, result: io::Result<String>, count: fn(&mut Seen)) {
        let mut seen = self.seen.lock().expect("nobody panics");
        match result {
            Ok(version) => {
                seen.answered += 1;
                count(&mut seen);
                if seen.versions.last() != Some(&version) && !seen.versions.contains(&version) {
                    seen.versions.push(version);
                }
            }
            Err(error) => seen.failures.push(format!("{what}: {error}")),
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    fn ask(&self, stream: &mut TcpStream, path: &str, connection: &str) -> io::Result<()> {
        let host = &self.host;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n");
        stream.write_all(head.as_bytes())
    }

    fn once(&self, path: &str) -> io::Result<String> {
        let mut stream = self.connect()?;
        self.ask(&mut stream, path, "close")?;
        Ok(answer(&mut stream)?.0)
    }

    /// One connection, request after request.
    fn stays(&self) {
        let mut open: Option<TcpStream> = None;
        while self.goes_on() {
            let reused = open.is_some();
            let result = open.take().map_or_else(|| self.connect(), Ok).and_then(|mut stream| {
                self.ask(&mut stream, "/", "keep-alive")?;
                let (version, keep) = answer(&mut stream)?;
                open = keep.then_some(stream);
                Ok(version)
            });
            match result {
                // Not a byte of an answer on a connection that was idle: it was closed before the request came.
                Err(error) if reused && closed(&error) => {
                    self.seen.lock().expect("nobody panics").reopened += 1;
                }
                result => self.note("keep-alive", result, |_| ()),
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn comes_anew(&self) {
        while self.goes_on() {
            self.note("new connection", self.once("/"), |_| ());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_slow(&self) {
        while self.goes_on() {
            self.note("slow request", self.once(&format!("/slow/{SLOW}")), |seen| seen.slow += 1);
        }
    }

    fn listens(&self) {
        while self.goes_on() {
            self.note("stream", self.once("/stream/20"), |seen| seen.streams += 1);
        }
    }

    fn talks(&self) {
        while self.goes_on() {
            let mut stream = match self.upgrade() {
                Ok(stream) => stream,
                Err(error) => {
                    self.note("websocket", Err(error), |_| ());
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            let mut echo = [0; 4];
            while self.goes_on() {
                if stream.write_all(b"ping").and_then(|()| stream.read_exact(&mut echo)).is_err() {
                    self.seen.lock().expect("nobody panics").cut += 1;
                    break;
                }
                self.seen.lock().expect("nobody panics").echoes += 1;
                thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn upgrade(&self) -> io::Result<TcpStream> {
        let mut stream = self.connect()?;
        let host = &self.host;
        let head = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let head = head_of(&mut stream)?;
        if head.starts_with("http/1.1 101") { Ok(stream) } else { Err(io::Error::other(first_line(&head))) }
    }
}

/// Whether the other side had closed the connection before it read anything.
fn closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
        || error.kind() == UnexpectedEof && error.to_string() == NOTHING
}

const NOTHING: &str = "not a byte of an answer";

fn first_line(head: &str) -> String {
    head.lines().next().unwrap_or_default().to_owned()
}

/// The head of an answer, in small letters.
fn head_of(stream: &mut TcpStream) -> io::Result<String> {
    let started = Instant::now();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            let what = if head.is_empty() { NOTHING } else { "half an answer" };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        head.push(byte[0]);
        if started.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(String::from_utf8_lossy(&head).to_ascii_lowercase())
}

/// A whole answer with 200: the first line of its body, and whether the connection stays open.
fn answer(stream: &mut TcpStream) -> io::Result<(String, bool)> {
    let head = head_of(stream)?;
    let header = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    if !head.starts_with("http/1.1 200") {
        return Err(io::Error::other(first_line(&head)));
    }
    let body = match header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => {
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            body
        }
        // Chunked, on a connection that is closed behind it.
        None => {
            let mut body = Vec::new();
            stream.read_to_end(&mut body)?;
            if !body.ends_with(b"0\r\n\r\n") {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a stream that broke off"));
            }
            body.split(|byte| *byte == b'\n').nth(1).unwrap_or_default().to_vec()
        }
    };
    let version = String::from_utf8_lossy(&body).trim().to_owned();
    Ok((version, header("connection").as_deref() != Some("close")))
}
