//! The test app: a small web server that fails on command, in the ways real ones do.
//!
//! It is compiled by itself (`tests/lab/lab app-path`), links nothing but std, and runs alone in an image FROM scratch.
//! Every switch is an environment variable, or an argument of the same name: `PANIC_AFTER=5` is `--panic-after 5`.
//!
//!   PORT=8080            listen here                      VERSION=1        what GET / answers
//!   SLOW_START=s         listen only then                 NEED_ENV=NAME    exit 1 if NAME is not set
//!   REFUSE_HEALTH=1      /healthz is 503 for ever         REFUSE_HEALTH_AFTER=s   from then on
//!   HANG_AFTER=s         accept, never answer             DROP_CONNECTIONS=1      accept, then close
//!   PANIC_AFTER=s        a real panic, exit 101           EXIT_AFTER=s EXIT_CODE=n   just end
//!   LEAK=MiB_per_s       allocate until killed            IGNORE_TERM=1    only SIGKILL ends it
//!   FILL_DISK=path       write there until it is full     DELAY_MS=n       answer that slowly
//!   LEAK_ON_REQUEST=MiB_per_s    GET /leak begins it
//!
//! Always there: GET /slow/MS answers after so many milliseconds, GET /stream/N sends N lines, five a second, and
//! GET /ws becomes a connection that echoes bytes, as a websocket does.
//!
//!   LOG_TEXT=text        log it; \n is a line break       LOG_EVERY=s LOG_COUNT=n   again, so many times
//!   LOG_NUMBERED=n       "line 000001" … then "done"      LOG_RATE=per_s   LOG_STREAM=stdout|stderr
//!
//! Modes: `healthcheck` (for HEALTHCHECK in an image without a shell), `need NAME` (ends with 0 when that variable is
//! there), `report ANYTHING…` (says what it was started with, then serves, unless REPORT_ONCE is set; see `report`),
//! `probe URL --rate 20` (see `probe`), `line LISTEN TARGET --delay-ms 40 --rate-mbit 50` (a slow line, see `line`), `refuse SOCKET REQUEST` (see `refuse`).

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod clients;
mod refuse;
mod report;
use clients::{healthcheck, line, probe};

fn main() {
    let mut args: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into()).collect();
    match args.first().map(String::as_str) {
        Some("healthcheck") => exit(healthcheck(&Switches::new(&args[1..]))),
        // Not from the environment: there a HOST or PORT means something else.
        Some("probe") if args.len() > 1 => probe(&args.remove(1), &Switches(arguments(&args[1..]))),
        Some("line") if args.len() > 2 => line(&args[1], &args[2], &Switches(arguments(&args[3..]))),
        Some("need") if args.len() > 1 => exit(i32::from(env::var_os(&args[1]).is_none())),
        Some("report") => {
            println!("{}", report::report());
            if env::var_os("REPORT_ONCE").is_none() {
                serve(Switches::new(&[]));
            }
        }
        Some("refuse") if args.len() > 2 => refuse::refuse(&args[1], &args[2]),
        _ => serve(Switches::new(&args)),
    }
}

fn log(text: &str, stream: Option<&str>) {
    // A closed or full pipe must not end the app: that would be another failure than the one asked for.
    let _ = match stream {
        Some("stderr") => writeln!(io::stderr(), "{text}"),
        _ => writeln!(io::stdout(), "{text}"),
    };
}

/// Allocates this many MiB a second, until something ends it.
fn leak(rate: f64, stream: Option<&str>) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        // Written to, page by page: memory that is only promised does not count against a limit.
        kept.push(vec![1; (rate * 1024.0 * 1024.0 / 10.0) as usize]);
        log(&format!("cache holds {:.0} MiB", kept.len() as f64 * rate / 10.0), stream);
        thread::sleep(Duration::from_millis(100));
    }
}

/// Arguments over environment.
struct Switches(BTreeMap<String, String>);

impl Switches {
    fn new(args: &[String]) -> Self {
        let mut map: BTreeMap<String, String> = env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        map.extend(arguments(args));
        Self(map)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.text(name).map(|text| {
            text.parse().unwrap_or_else(|_| {
                eprintln!("error: {name}={text:?} is not a number");
                exit(2);
            })
        })
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        self.number(name).map(Duration::from_secs_f64)
    }

    fn on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text != "0")
    }

    fn port(&self) -> u16 {
        self.number("PORT").unwrap_or(8080.0) as u16
    }
}

/// `--panic-after 5 --ignore-term` as PANIC_AFTER=5, IGNORE_TERM=1.
fn arguments(args: &[String]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    let mut args = args.iter().peekable();
    while let Some(arg) = args.next() {
        let Some(name) = arg.strip_prefix("--") else {
            eprintln!("error: unexpected argument {arg:?}");
            exit(2);
        };
        let value = args.next_if(|next| !next.starts_with("--")).map_or("1", String::as_str);
        map.insert(name.replace('-', "_").to_uppercase(), value.to_owned());
    }
    map
}

// --- signals -----------------------------------------------------------------------------------------------------

/// Process 1 of a container has no default handlers: without its own it would ignore SIGTERM.
mod signals {
    use super::{AtomicBool, Ordering};

    unsafe extern "C" {
        fn signal(number: i32, handler: usize) -> usize;
        fn _exit(code: i32) -> !;
    }

    pub const INT: i32 = 2;
    pub const TERM: i32 = 15;
    const IGNORE: usize = 1;

    pub static ASKED_TO_STOP: AtomicBool = AtomicBool::new(false);

    extern "C" fn leave(_: i32) {
        // SAFETY: _exit may be called in a signal handler.
        unsafe { _exit(0) }
    }

    extern "C" fn remember(_: i32) {
        ASKED_TO_STOP.store(true, Ordering::SeqCst);
    }

    fn set(number: i32, handler: usize) {
        // SAFETY: the handlers above only do what is allowed in one.
        unsafe { signal(number, handler) };
    }

    pub fn exit_on(number: i32) {
        set(number, leave as extern "C" fn(i32) as usize);
    }

    pub fn remember_on(number: i32) {
        set(number, remember as extern "C" fn(i32) as usize);
    }

    pub fn ignore(number: i32) {
        set(number, IGNORE);
    }
}

// --- the server --------------------------------------------------------------------------------------------------

struct Server {
    switches: Switches,
    started: Instant,
}

fn serve(switches: Switches) {
    let on_signal = if switches.on("IGNORE_TERM") { signals::ignore } else { signals::exit_on };
    on_signal(signals::TERM);
    on_signal(signals::INT);

    if let Some(name) = switches.text("NEED_ENV")
        && switches.text(name).is_none()
    {
        eprintln!("error: missing required environment variable {name}");
        exit(1);
    }
    let server = Arc::new(Server { switches, started: Instant::now() });
    for fault in [Server::log_text, Server::log_numbered, Server::leak, Server::fill_disk] {
        let server = Arc::clone(&server);
        thread::spawn(move || fault(&server));
    }
    let listener = Arc::clone(&server);
    thread::spawn(move || listener.listen());
    server.end();
}

impl Server {
    /// Nothing at all may be logged when only the exit matters, so this is the main thread: its panic exits with 101.
    fn end(&self) {
        let panic = self.switches.seconds("PANIC_AFTER");
        let leave =
            self.switches.seconds("EXIT_AFTER").or(self.switches.number("EXIT_CODE").map(|_| Duration::ZERO));
        match (panic, leave) {
            (Some(after), _) => {
                thread::sleep(after);
                let config: Result<u16, _> = "eighty".parse::<u16>();
                config.expect("called `Config::port` before the configuration was validated");
            }
            (None, Some(after)) => {
                thread::sleep(after);
                exit(self.switches.number("EXIT_CODE").unwrap_or(0.0) as i32);
            }
            (None, None) => loop {
                thread::sleep(Duration::from_secs(3600));
            },
        }
    }

    fn listen(self: Arc<Self>) {
        if let Some(wait) = self.switches.seconds("SLOW_START") {
            self.log(&format!("warming up for {} s", wait.as_secs_f64()));
            thread::sleep(wait);
        }
        let (port, version) = (self.switches.port(), self.version());
        let listener = TcpListener::bind(("0.0.0.0", port)).unwrap_or_else(|error| {
            eprintln!("error: cannot listen on :{port}: {error}");
            exit(98);
        });
        self.log(&format!("listening on :{port} version {version}"));
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            if self.switches.on("DROP_CONNECTIONS") {
                continue;
            }
            let server = Arc::clone(&self);
            thread::spawn(move || server.answer_all(&stream));
        }
    }

    fn version(&self) -> &str {
        self.switches.text("VERSION").unwrap_or("1")
    }

    fn past(&self, switch: &str) -> bool {
        self.switches.seconds(switch).is_some_and(|after| self.started.elapsed() >= after)
    }

    /// One connection: requests until the client closes or asks for it.
    fn answer_all(&self, stream: &TcpStream) {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
        let mut lines = BufReader::new(stream);
        while let Some((path, keep)) = read_request(&mut lines) {
            while self.past("HANG_AFTER") {
                thread::sleep(Duration::from_secs(1));
            }
            if let Some(delay) = self.switches.number("DELAY_MS") {
                thread::sleep(Duration::from_millis(delay as u64));
            }
            if let Some(lines) = path.strip_prefix("/stream/").and_then(|lines| lines.parse().ok()) {
                let _ = self.stream(stream, lines);
                return;
            }
            if path == "/ws" {
                let _ = echo(stream, &mut lines);
                return;
            }
            if let Some(wait) = path.strip_prefix("/slow/").and_then(|wait| wait.parse().ok()) {
                thread::sleep(Duration::from_millis(wait));
            }
            let (status, body) = self.answer(&path);
            let connection = if keep { "keep-alive" } else { "close" };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
                body.len()
            );
            if (&mut &*stream).write_all(answer.as_bytes()).is_err() || !keep {
                return;
            }
        }
    }

    /// An answer of so many lines, each as it comes.
    fn stream(&self, mut stream: &TcpStream, lines: u32) -> io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")?;
        for _ in 0..lines {
            let line = format!("{}\n", self.version());
            stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())?;
            thread::sleep(Duration::from_millis(200));
        }
        stream.write_all(b"0\r\n\r\n")
    }

    fn answer(&self, path: &str) -> (&'static str, String) {
        let sick = self.switches.on("REFUSE_HEALTH") || self.past("REFUSE_HEALTH_AFTER");
        match path {
            "/" => ("200 OK", format!("{}\n", self.version())),
            _ if path.starts_with("/slow/") => ("200 OK", format!("{}\n", self.version())),
            "/healthz" if sick => ("503 Service Unavailable", "unhealthy\n".to_owned()),
            "/healthz" => ("200 OK", "ok\n".to_owned()),
            "/leak" if self.switches.on("LEAK_ON_REQUEST") => {
                let rate = self.switches.number("LEAK_ON_REQUEST").unwrap_or(10.0);
                let log = self.switches.text("LOG_STREAM").map(str::to_owned);
                thread::spawn(move || leak(rate, log.as_deref()));
                ("202 Accepted", "leaking\n".to_owned())
            }
            // So that a test can see what reached the app (a secret, say) without a shell in its image.
            _ => match path.strip_prefix("/env/").and_then(|name| self.switches.text(name)) {
                Some(value) => ("200 OK", format!("{value}\n")),
                None => ("404 Not Found", "not found\n".to_owned()),
            },
        }
    }

    fn log(&self, text: &str) {
        log(text, self.switches.text("LOG_STREAM"));
    }

    fn log_text(&self) {
        let Some(text) = self.switches.text("LOG_TEXT") else {
            return;
        };
        let text = text.replace("\\n", "\n");
        let every = self.switches.seconds("LOG_EVERY");
        let default = if every.is_some() { f64::INFINITY } else { 1.0 };
        let count = self.switches.number("LOG_COUNT").unwrap_or(default);
        let mut done = 0.0;
        while done < count {
            self.log(&text);
            done += 1.0;
            thread::sleep(every.unwrap_or(Duration::ZERO));
        }
    }

    fn log_numbered(&self) {
        let Some(count) = self.switches.number("LOG_NUMBERED") else {
            return;
        };
        let rate = self.switches.number("LOG_RATE");
        let started = Instant::now();
        for n in 1..=count as u64 {
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64((n - 1) as f64 / rate);
                thread::sleep(due.saturating_sub(started.elapsed()));
            }
            self.log(&format!("line {n:06}"));
        }
        self.log("done");
    }

    fn leak(&self) {
        if let Some(rate) = self.switches.number("LEAK") {
            leak(rate, self.switches.text("LOG_STREAM"));
        }
    }

    fn fill_disk(&self) {
        let Some(path) = self.switches.text("FILL_DISK") else {
            return;
        };
        // A test that forgot to limit the disk must not fill the machine's.
        const LIMIT: u64 = 1 << 30;
        let chunk = vec![7; 1 << 20];
        let mut written = 0;
        let error = match File::create(path) {
            Err(error) => error,
            Ok(mut file) => loop {
                match file.write_all(&chunk) {
                    Ok(()) => written += chunk.len() as u64,
                    Err(error) => break error,
                }
                if written > LIMIT {
                    self.log("FILL_DISK gives up: 1 GiB written and the disk is not full; limit it, as with --tmpfs /data:size=8m");
                    return;
                }
            },
        };
        self.log(&format!("error: write {path}: {error}"));
    }
}

/// What a websocket is to a proxy: an upgrade, then bytes both ways for as long as both sides want.
fn echo(mut stream: &TcpStream, from: &mut impl BufRead) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    )?;
    loop {
        let bytes = from.fill_buf()?.to_vec();
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(&bytes)?;
        from.consume(bytes.len());
    }
}

/// The path, and whether the connection stays open; none when it is over.
fn read_request(lines: &mut impl BufRead) -> Option<(String, bool)> {
    let mut line = String::new();
    lines.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let path = words.nth(1)?.split('?').next()?.to_owned();
    let mut keep = words.next() == Some("HTTP/1.1");
    let mut body = 0;
    loop {
        let mut header = String::new();
        lines.read_line(&mut header).ok().filter(|n| *n > 0)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("connection", value)) => keep = value != "close" && (keep || value == "keep-alive"),
            Some(("content-length", value)) => body = value.parse().ok()?,
            _ => {}
        }
    }
    io::copy(&mut lines.take(body), &mut io::sink()).ok()?;
    Some((path, keep))
}
