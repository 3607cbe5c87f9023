//! The lines that are matched: of several containers, each with its own way of writing.

use std::path::Path;

use crate::random::Random;

/// Lines of each container that is made up.
const GENERATED: usize = 5000;
/// One generated line in so many is a failure.
const FAILURE_EVERY: u64 = 100;

const FAILURES: [&str; 8] = [
    "Error: connect ECONNREFUSED 10.0.0.2:5432",
    "java.lang.OutOfMemoryError: Java heap space",
    "thread 'main' panicked at src/main.rs:4:10:",
    "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
    "FATAL:  password authentication failed for user \"shop\"",
    "OSError: [Errno 28] No space left on device: '/data/upload.tmp'",
    "KeyError: 'DATABASE_URL'",
    "dial tcp: lookup db on 127.0.0.11:53: no such host",
];

/// The log of one container.
pub(crate) struct Log {
    pub(crate) name: String,
    pub(crate) lines: Vec<String>,
}

/// Those that the environment names, or made-up ones.
pub(crate) fn logs() -> Vec<Log> {
    match std::env::var_os("ARCANE_BENCH_LOGS") {
        Some(directory) => read(Path::new(&directory)),
        None => (0..5).map(generated).collect(),
    }
}

/// Says which lines they are.
pub(crate) fn describe(logs: &[Log]) -> String {
    let lines: usize = logs.iter().map(|log| log.lines.len()).sum();
    let what = if std::env::var_os("ARCANE_BENCH_LOGS").is_some() { "given" } else { "generated" };
    format!("{lines} {what} lines of {} containers, {:.0} bytes each", logs.len(), mean(logs))
}

pub(crate) fn mean(logs: &[Log]) -> f64 {
    let lines: usize = logs.iter().map(|log| log.lines.len()).sum();
    bytes(logs) as f64 / lines as f64
}

fn bytes(logs: &[Log]) -> usize {
    logs.iter().flat_map(|log| &log.lines).map(String::len).sum()
}

/// All lines, mixed.
pub(crate) fn mixed(logs: &[Log]) -> Vec<&str> {
    let mut lines: Vec<&str> = logs.iter().flat_map(|log| &log.lines).map(String::as_str).collect();
    Random::default().shuffle(&mut lines);
    lines
}

fn read(directory: &Path) -> Vec<Log> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    assert!(!files.is_empty(), "{} holds no .log file", directory.display());
    files
        .iter()
        .map(|file| Log {
            name: file.file_stem().unwrap().to_string_lossy().to_ascii_lowercase().replace('_', "-"),
            lines: String::from_utf8_lossy(&std::fs::read(file).unwrap())
                .lines()
                .map(str::to_owned)
                .collect(),
        })
        .collect()
}

fn generated(kind: u64) -> Log {
    let mut random = Random::default();
    let lines = (0..GENERATED).map(|_| line(kind, &mut random)).collect();
    Log { name: format!("app-{kind}"), lines }
}

fn line(kind: u64, random: &mut Random) -> String {
    let (id, millis) = (random.below(1_000_000), random.below(900));
    if random.below(FAILURE_EVERY) == 0 {
        return random.pick(&FAILURES).to_owned();
    }
    match kind {
        0 => format!(
            "10.0.0.{} - - [25/Nov/2026:10:00:00 +0000] \"GET /api/orders/{id} HTTP/1.1\" 200 {millis} \"-\" \"Mozilla/5.0\"",
            id % 250
        ),
        1 => format!(
            "{{\"level\":\"info\",\"time\":\"2026-11-25T10:00:00.{millis:03}Z\",\"msg\":\"request completed\",\"order\":{id},\"ms\":{millis}}}"
        ),
        2 => format!(
            "2026-11-25 10:00:00.{millis:03} INFO 1 --- [nio-8080-exec-{}] c.e.shop.OrderService : saved order {id} in {millis} ms",
            id % 16
        ),
        3 => format!(
            "time=2026-11-25T10:00:00Z level=info msg=\"job done\" queue=mail job={id} duration={millis}ms"
        ),
        _ => format!(
            "\u{1b}[32mINFO\u{1b}[0m worker::pool: task {id} finished, {millis} waiting, no error, connection pool at {}",
            id % 10
        ),
    }
}
