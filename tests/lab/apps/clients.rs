//! What the test app is besides a server: its own health check, a prober, a slow line.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::process::exit;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Switches, signals};

pub fn healthcheck(switches: &Switches) -> i32 {
    let timeout = Duration::from_millis(switches.number("TIMEOUT_MS").unwrap_or(900.0) as u64);
    match get(&format!("127.0.0.1:{}", switches.port()), "localhost", "/healthz", timeout) {
        Ok(_) => 0,
        Err(failure) => {
            println!("unhealthy: {failure}");
            1
        }
    }
}

/// One request on a connection of its own. What went wrong, in a word or two that stay the same for the same cause.
fn get(address: &str, host: &str, path: &str, timeout: Duration) -> Result<String, String> {
    let until = Instant::now() + timeout;
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let kind = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "timeout".to_owned(),
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset".to_owned(),
        other => format!("{other:?}"),
    };
    let address = address.to_socket_addrs().map_err(kind)?.next().ok_or("no address")?;
    let mut stream = TcpStream::connect_timeout(&address, left()).map_err(kind)?;
    stream.set_nodelay(true).map_err(kind)?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
        .map_err(kind)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left())).map_err(kind)?;
        match stream.read(&mut chunk).map_err(kind)? {
            0 => break,
            n => answer.extend_from_slice(&chunk[..n]),
        }
        if Instant::now() >= until {
            return Err("timeout".to_owned());
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.is_empty() {
        return Err("closed".to_owned());
    }
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("truncated")?;
    let length = head.lines().find_map(|line| {
        line.split_once(':')
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, value)| value.trim())
    });
    if length.is_some_and(|length| length != body.len().to_string()) {
        return Err("truncated".to_owned());
    }
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.trim().to_owned()),
        status => Err(format!("http {}", status.unwrap_or("?"))),
    }
}

/// What the prober has seen so far.
struct Seen {
    started: Instant,
    state: String,
    answered: u64,
    failed: u64,
    last_answer: Option<Instant>,
    longest_gap: Duration,
    versions: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
}

impl Seen {
    fn add(&mut self, at: Instant, result: Result<String, String>) {
        let state = match &result {
            Ok(version) => {
                self.answered += 1;
                *self.versions.entry(version.clone()).or_default() += 1;
                self.gap(at);
                self.last_answer = Some(at);
                format!("\"version\":{}", json(version))
            }
            Err(failure) => {
                self.failed += 1;
                *self.failures.entry(failure.clone()).or_default() += 1;
                format!("\"failure\":{}", json(failure))
            }
        };
        if state != self.state {
            let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
            let at_ms = at.duration_since(self.started).as_millis();
            println!("{{\"at_ms\":{at_ms},\"unix_ms\":{unix_ms},{state}}}");
            self.state = state;
        }
    }

    /// The longest time without an answer, from the first one on: before it the app was not there yet.
    fn gap(&mut self, until: Instant) {
        if let Some(last) = self.last_answer {
            self.longest_gap = self.longest_gap.max(until.saturating_duration_since(last));
        }
    }
}

/// Ask URL at a constant rate, whatever becomes of earlier requests. A line of JSON whenever what comes back changes;
/// on SIGINT or SIGTERM, after --count N requests or --seconds S, a summary, and exit 0.
/// --host NAME sends another Host header; --timeout-ms bounds each request.
pub fn probe(url: &str, switches: &Switches) {
    signals::remember_on(signals::INT);
    signals::remember_on(signals::TERM);
    let rate = switches.number("RATE").unwrap_or(20.0);
    let timeout = Duration::from_millis(switches.number("TIMEOUT_MS").unwrap_or(500.0) as u64);
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let host = switches.text("HOST").unwrap_or(authority).to_owned();

    let started = Instant::now();
    let seen = Arc::new(Mutex::new(Seen {
        started,
        state: String::new(),
        answered: 0,
        failed: 0,
        last_answer: None,
        longest_gap: Duration::ZERO,
        versions: BTreeMap::new(),
        failures: BTreeMap::new(),
    }));
    // Each sender lives as long as its request: the channel closes when the last one is done.
    let (in_flight, all_done) = mpsc::channel::<()>();
    let count = switches.number("COUNT").map_or(u64::MAX, |count| count as u64);
    let end = switches.seconds("SECONDS");
    for n in 0..count {
        let due = Duration::from_secs_f64(n as f64 / rate);
        while started.elapsed() < due && !signals::ASKED_TO_STOP.load(Ordering::SeqCst) {
            thread::sleep((due - started.elapsed().min(due)).min(Duration::from_millis(20)));
        }
        if signals::ASKED_TO_STOP.load(Ordering::SeqCst) || end.is_some_and(|end| started.elapsed() >= end) {
            break;
        }
        let (seen, in_flight) = (Arc::clone(&seen), in_flight.clone());
        let (address, host, path) = (address.clone(), host.clone(), path.to_owned());
        thread::spawn(move || {
            let result = get(&address, &host, &path, timeout);
            seen.lock().expect("no request panics").add(Instant::now(), result);
            drop(in_flight);
        });
    }
    drop(in_flight);
    let _ = all_done.recv_timeout(timeout + Duration::from_secs(1));

    let mut seen = seen.lock().expect("no request panics");
    // An app that never answered again has a gap as long as that.
    if seen.state.starts_with("\"failure\"") {
        seen.gap(Instant::now());
    }
    println!(
        "{{\"answered\":{},\"failed\":{},\"longest_gap_ms\":{},\"versions\":{},\"failures\":{}}}",
        seen.answered,
        seen.failed,
        seen.longest_gap.as_millis(),
        object(&seen.versions),
        object(&seen.failures)
    );
}

/// One direction of the line: all its connections share the rate, as on a real one.
struct Lane {
    bytes_per_second: f64,
    free_at: Mutex<Instant>,
}

impl Lane {
    /// When the last of so many bytes is through, if they are put on the line now.
    fn take(&self, bytes: usize) -> Instant {
        let mut free_at = self.free_at.lock().expect("no lane panics");
        *free_at =
            (*free_at).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        *free_at
    }
}

/// Forward connections as a line with this round trip and bandwidth would. The kernels of small machines come without
/// the queue discipline that does it (netem), and this one needs no rights.
pub fn line(listen: &str, target: &str, switches: &Switches) {
    let delay = Duration::from_secs_f64(switches.number("DELAY_MS").unwrap_or(0.0) / 1000.0);
    let bytes_per_second = switches.number("RATE_MBIT").unwrap_or(1000.0) * 1e6 / 8.0;
    let lane = || Arc::new(Lane { bytes_per_second, free_at: Mutex::new(Instant::now()) });
    let (up, down) = (lane(), lane());
    let listener = TcpListener::bind(listen).unwrap_or_else(|error| {
        eprintln!("error: cannot listen on {listen}: {error}");
        exit(98);
    });
    for client in listener.incoming().flatten() {
        let (up, down, target) = (Arc::clone(&up), Arc::clone(&down), target.to_owned());
        thread::spawn(move || {
            // The handshake takes a round trip too.
            thread::sleep(delay);
            let Ok(server) = TcpStream::connect(&target) else {
                return;
            };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (Ok(client_reads), Ok(server_reads)) = (client.try_clone(), server.try_clone()) else {
                return;
            };
            thread::spawn(move || carry(client_reads, server, &up, delay / 2));
            carry(server_reads, client, &down, delay / 2);
        });
    }
}

/// One direction of one connection. The queue between is what is under way: it is bounded, so a full line pushes back.
fn carry(mut from: TcpStream, mut to: TcpStream, lane: &Lane, delay: Duration) {
    const CHUNK: usize = 16 * 1024;
    let under_way = (lane.bytes_per_second * delay.as_secs_f64()) as usize / CHUNK + 8;
    let (put, get) = mpsc::sync_channel::<(Instant, Vec<u8>)>(under_way);
    let arrives = thread::spawn(move || {
        for (due, bytes) in get {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let mut chunk = [0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        let through = lane.take(n);
        if put.send((through + delay, chunk[..n].to_vec())).is_err() {
            break;
        }
        // A byte leaves only when the line is free for the next one.
        thread::sleep(through.saturating_duration_since(Instant::now()));
    }
    drop(put);
    let _ = arrives.join();
}

fn object(counts: &BTreeMap<String, u64>) -> String {
    let fields: Vec<String> = counts.iter().map(|(name, count)| format!("{}:{count}", json(name))).collect();
    format!("{{{}}}", fields.join(","))
}

fn json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if (c as u32) < 0x20 => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
