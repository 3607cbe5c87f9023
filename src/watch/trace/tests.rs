//! Real traces, and what only looks like one.

use proptest::prelude::*;

use super::*;
use crate::fleet::Timestamp;

macro_rules! samples {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("samples/", $name, ".txt")))),+]
    };
}

/// Real ones, but for those of .NET, Elixir, Kotlin and Laravel, which are written by the documentation.
const SAMPLES: &[(&str, &str)] = samples![
    "cpp_terminate",
    "dotnet_inner",
    "elixir_server",
    "go_deadlock",
    "go_nil",
    "go_repanic",
    "java_suppressed",
    "kotlin_coroutine",
    "node_econn",
    "node_handled",
    "node_module",
    "node_reject",
    "node_uncaught",
    "node_unhandled_event",
    "php_chain",
    "php_laravel",
    "php_log",
    "python_chain",
    "python_group",
    "python_handling",
    "python_log",
    "python_rec",
    "python_syntax",
    "ruby_snippet",
    "rust_anyhow",
    "rust_assert",
    "rust_bt",
    "rust_plain",
];

/// Lines that are none of a trace, whatever stands around them.
const ORDINARY: &[&str] = &[
    "listening on :8080",
    "10.0.0.7 - - [28/Nov/2026:13:40:00 +0000] \"GET /cart?id=1 HTTP/1.1\" 500 17",
    "",
    "  indented text",
    "\ttabbed text",
    "{\"level\":\"error\",\"msg\":\"boom\",\"stack\":\"at x (y:1)\"}",
    "+----+-------+",
    "| id | name  |",
    "done",
];

fn line(stream: Stream, text: &str) -> Line {
    Line { at: Timestamp::from_seconds(7), stream, text: text.into() }
}

fn assemble<'t>(lines: impl IntoIterator<Item = (Stream, &'t str)>) -> Vec<Line> {
    let mut assembler = Assembler::default();
    let mut out = Vec::new();
    for (stream, text) in lines {
        assembler.push(line(stream, text), &mut out);
    }
    assembler.flush(&mut out);
    assert!(!assembler.is_open());
    out
}

fn texts(text: &str) -> Vec<String> {
    let lines = assemble(text.lines().map(|line| (Stream::Stderr, line)));
    lines.iter().map(|line| line.text.to_string()).collect()
}

#[test]
fn a_trace_is_one_line() {
    for (name, sample) in SAMPLES {
        let sample = sample.trim_end_matches('\n');
        assert_eq!(texts(sample), [sample], "{name}");
        // Twice in a row, between ordinary lines.
        let text = format!("listening on :8080\n{sample}\nstarting\n{sample}\n GET /cart 200");
        assert_eq!(
            texts(&text),
            ["listening on :8080", sample, "starting", sample, " GET /cart 200"],
            "{name}"
        );
    }
}

#[test]
fn a_trace_is_whole_while_the_other_stream_goes_on() {
    for (name, sample) in SAMPLES {
        let sample = sample.trim_end_matches('\n');
        let between =
            sample.lines().flat_map(|line| [(Stream::Stderr, line), (Stream::Stdout, "GET /cart 200")]);
        let lines = assemble(between);
        let (errors, others): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.stream == Stream::Stderr);
        assert_eq!(errors.len(), 1, "{name}");
        assert_eq!(others.len(), sample.lines().count(), "{name}");
    }
}

#[test]
fn a_trace_in_colour_is_one_line() {
    let trace = "\x1b[31mTypeError: no total\x1b[0m\n\x1b[90m    at pay (/app/shop.js:2:22)\x1b[39m\n    at f (/a.js:1:1)";
    assert_eq!(texts(trace), [trace]);
}

#[test]
fn a_trace_behind_other_peoples_prefixes_stays_what_it_is() {
    let text: String = SAMPLES
        .iter()
        .flat_map(|(_, sample)| sample.lines())
        .map(|line| format!("shop-1  | {line}\n"))
        .collect();
    let (told, lines) = (texts(&text), text.lines().count());
    assert_eq!(told.join("\n"), text.trim_end());
    assert!(told.len() > lines * 9 / 10, "{} of {lines}", told.len());
}

#[test]
fn ordinary_output_is_left_alone() {
    for text in [
        // YAML.
        "errors:\n  - name: Error\n    at: home\n    from: \"x:in y\"\nCaused by: nobody",
        // SQL.
        "ERROR: syntax error in\n  select a\n    from orders o\n   where at = 3\n    at: (x)",
        // A table.
        "Errors\n+----+\n| at |\n+----+\n#1 one\n#2 two",
        // JSON.
        "Error response: {\n  \"error\": {\n    \"at\": \"x:1\"\n  }\n}",
        "{\n  \"error\": \"at (x:1)\",\n  \"from\": \"a.rb:1:in x\"\n}",
        // Lists and tests.
        "3 errors\n#1 test_pay\n#2 test_cart\n... and more",
        "error: could not compile\n   --> src/main.rs:3:4\n    |\n3   |     at (x);",
        "Error: retrying\n  ... later\n  thrown in\n  left: 3",
        "panic mode off\n\nmain loop\nhandler(1)",
        "warning: Failure\nConnection: closed\nTraceback:\n  File",
        "/srv/data:12\nline\nline",
        "worker.rb: Error\n  starting\n\nready",
        "thread 'x' is panicking soon\nnote: nothing",
        "Exception: a\nException: b\nValueError: c\nKeyError",
    ] {
        assert_eq!(texts(text), text.lines().collect::<Vec<_>>());
    }
    // Not even with `Caused by:` does it take in what comes after.
    assert_eq!(texts("Error: x\nCaused by: y\nlistening"), ["Error: x\nCaused by: y", "listening"]);
    assert_eq!(
        texts("Traceback (most recent call last):\n  a\nlistening on 8"),
        ["Traceback (most recent call last):\n  a", "listening on 8"]
    );
}

#[test]
fn what_was_held_back_for_nothing_is_looked_at_again() {
    let trace = "RuntimeError: no\n    at f (/app/x.js:1:1)";
    let text = format!("/app/x.js:3\nError: boom\n{trace}");
    assert_eq!(texts(&text), ["/app/x.js:3", "Error: boom", trace]);
    let text = format!("shop.rb:3:in `x': boom (RuntimeError)\n\n   \n\n\n\n\n\n\n\n\n{trace}");
    assert_eq!(texts(&text).len(), 12);
}

#[test]
fn a_line_that_is_none_passes_at_once_and_another_after_a_silence() {
    let mut assembler = Assembler::default();
    let mut out: Vec<Line> = Vec::new();
    for text in ORDINARY {
        assembler.push(line(Stream::Stdout, text), &mut out);
        assert!(!assembler.is_open(), "{text}");
    }
    out.clear();
    assembler.push(line(Stream::Stdout, "Error: boom"), &mut out);
    assembler.settle(&mut out);
    assert_eq!((out.len(), assembler.is_open()), (0, true));
    assembler.push(line(Stream::Stdout, "    at f (/x.js:1:1)"), &mut out);
    assembler.settle(&mut out);
    assert_eq!(out.len(), 0);
    // The other stream does not keep it waiting.
    assembler.push(line(Stream::Stderr, "Error: other"), &mut out);
    assembler.settle(&mut out);
    assert_eq!((out.len(), assembler.is_open()), (1, true));
    assembler.settle(&mut out);
    assert_eq!((out.len(), assembler.is_open()), (2, false));
}

#[test]
fn a_trace_is_bounded_and_what_is_too_much_is_counted() {
    let frame = |n| format!("\tat shop.Order.pay(Order.java:{n})");
    let long: Vec<String> =
        std::iter::once("StackOverflowError".to_owned()).chain((0..622).map(frame)).collect();
    let all = texts(&long.join("\n"));
    let [trace] = all.as_slice() else { panic!("{}", all.len()) };
    assert_eq!(trace.lines().count(), LINES + 1);
    assert!(trace.ends_with("\n… 123 more lines"), "{trace}");
    let wide: Vec<String> = (0..9).map(|n| format!("{}{}", frame(n), "x".repeat(10_000))).collect();
    let all = texts(&wide.join("\n"));
    let [trace] = all.as_slice() else { panic!("{}", all.len()) };
    assert!(trace.len() <= LINE_LIMIT && trace.ends_with("\n… 4 more lines"), "{}", trace.len());
    // One without end has one.
    let endless: Vec<String> = (0..2 * COUNTED).map(frame).collect();
    assert_eq!(texts(&endless.join("\n")).len(), 2);
    // A line that fills all there is room for is no first line.
    let head = format!("Error: {}", "x".repeat(LINE_LIMIT - 7));
    assert_eq!(texts(&format!("{head}\n{}", frame(1))), [head, frame(1)]);
}

/// What is kept of a trace after its last frame of the first kind.
fn after(trace: &str, frame: &str) -> Vec<String> {
    let place = trace.rfind(frame).unwrap();
    trace[place..].lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn what_happened_is_kept_beyond_the_bound() {
    let frames = |count: usize| (0..count).map(|n| format!("\tat a.B.c(B.java:{n})\n")).collect::<String>();
    let text = format!(
        "OuterException: x\n{}Caused by: a.Middle: y\n{}\t... 3 more\nCaused by: a.Root: z\n{}",
        frames(600),
        frames(2),
        frames(1)
    );
    let all = texts(text.trim_end());
    let [trace] = all.as_slice() else { panic!("{}", all.len()) };
    assert_eq!(
        after(trace, "\tat "),
        [
            "… 101 more lines",
            "Caused by: a.Middle: y",
            "… 3 more lines",
            "Caused by: a.Root: z",
            "… 1 more line"
        ]
    );
    // Of very many the last, the root cause among them; what went is counted.
    let causes: String =
        (0..50).map(|n| format!("Caused by: a.Cause: {n}\n\tat a.B.c(B.java:1)\n")).collect();
    let all = texts(
        format!("OuterException: x\n{}{causes}Caused by: a.Root: {}", frames(499), "é".repeat(9_000))
            .trim_end(),
    );
    let [trace] = all.as_slice() else { panic!("{}", all.len()) };
    let kept = after(trace, "B.java:498)");
    assert_eq!(kept[..3], ["… 62 more lines", "Caused by: a.Cause: 31", "… 1 more line"]);
    assert_eq!(kept.iter().filter(|line| line.starts_with("Caused by: ")).count(), 20);
    let root = kept.last().unwrap();
    assert!(root.starts_with("Caused by: a.Root: éé") && root.ends_with("é…") && root.len() < 410, "{root}");
    assert!(trace.len() <= LINE_LIMIT);
}

#[test]
fn what_happened_is_told_in_every_language() {
    let python: String = (0..600).map(|n| format!("  File \"a.py\", line {n}, in f\n    f()\n")).collect();
    let link = "The above exception was the direct cause of the following exception:";
    let go: String = (0..600).map(|n| format!("main.f(0x{n})\n\t/a.go:{n} +0x1d\n")).collect();
    let head = "Traceback (most recent call last):";
    let group: String = (0..600).map(|n| format!("  |   File \"a.py\", line {n}, in f\n")).collect();
    let causes: String = (0..600).map(|n| format!("    {n}: cause\n")).collect();
    for (text, kept) in [
        (
            format!("{head}\n{python}KeyError: 'a'\n\n{link}\n\n{head}\n{python}shop.Gone: no order"),
            vec!["KeyError: 'a'", link, "shop.Gone: no order"],
        ),
        (
            format!("panic: boom\n\ngoroutine 1 [running]:\n{go}\ngoroutine 7 [select]:\nmain.g(0x1)"),
            vec!["goroutine 7 [select]:"],
        ),
        (
            format!(
                "  + Exception Group {head}\n{group}  | ExceptionGroup: two (2 sub-exceptions)\n  +-+---- 1 ----\n    | ValueError: 3"
            ),
            vec!["  | ExceptionGroup: two (2 sub-exceptions)", "    | ValueError: 3"],
        ),
        (
            format!("Error: cannot pay\n\nCaused by:\n{causes}    600: connection refused"),
            vec!["    600: connection refused"],
        ),
    ] {
        let all = texts(&text);
        let [trace] = all.as_slice() else { panic!("{}: {text}", all.len()) };
        let place = trace.find("\n… ").unwrap();
        let heads: Vec<&str> =
            trace[place..].lines().filter(|line| !line.is_empty() && !line.starts_with("… ")).collect();
        let last = &heads[heads.len() - kept.len()..];
        assert_eq!(last, kept);
    }
}

#[test]
fn a_trace_that_does_not_end_is_told_after_two_seconds() {
    let stamped = |millis: i64, text: &str| Line {
        at: Timestamp::from_nanos(millis * 1_000_000),
        ..line(Stream::Stderr, text)
    };
    let mut assembler = Assembler::default();
    let mut out: Vec<Line> = Vec::new();
    assembler.push(stamped(0, "Error: boom"), &mut out);
    for n in 1..=500 {
        assembler.push(stamped(n * 10, "    at f (/x.js:1:1)"), &mut out);
        // It goes on within every pause.
        assembler.settle(&mut out);
    }
    let told: Vec<(i64, usize)> =
        out.iter().map(|line| (line.at.as_nanos() / 1_000_000, line.text.lines().count())).collect();
    assert_eq!(told, [(0, 201), (2_010, 201)], "the third is not over");
    // What may go on with it ends as well.
    out.clear();
    assembler.flush(&mut out);
    out.clear();
    assembler.push(stamped(0, "KeyError: 'x'"), &mut out);
    assembler.push(stamped(1, "    at f (/x.js:1:1)"), &mut out);
    assembler.push(stamped(2_002, ""), &mut out);
    assert_eq!(out.len(), 2);
    // A clock that was set back ends nothing.
    assembler.push(stamped(9_000, "Error: boom"), &mut out);
    assembler.push(stamped(10, "    at f (/x.js:1:1)"), &mut out);
    assert_eq!(out.len(), 2);
}

fn any_line() -> impl Strategy<Value = String> {
    let all: Vec<String> = SAMPLES
        .iter()
        .flat_map(|(_, sample)| sample.lines())
        .chain(ORDINARY.iter().copied())
        .map(str::to_owned)
        .collect();
    prop_oneof![8 => proptest::sample::select(all), 1 => "[ \t]{0,3}[#@a-zA-Z:(){}\x1b\\[m;0-9]{0,12}"]
}

proptest! {
    #[test]
    fn nothing_is_lost_and_every_stream_keeps_its_order(
        lines in proptest::collection::vec((any::<bool>(), any_line(), 0_u8..8), 0..60),
    ) {
        let mut assembler = Assembler::default();
        let mut out: Vec<Line> = Vec::new();
        for (errors, text, settle) in &lines {
            let stream = if *errors { Stream::Stderr } else { Stream::Stdout };
            assembler.push(line(stream, text), &mut out);
            if *settle == 0 {
                assembler.settle(&mut out);
            }
        }
        assembler.flush(&mut out);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let given: Vec<&str> =
                out.iter().filter(|line| line.stream == stream).flat_map(|line| line.text.split('\n')).collect();
            let expected: Vec<&str> = lines
                .iter()
                .filter(|(errors, ..)| *errors == (stream == Stream::Stderr))
                .map(|(_, text, _)| text.as_str())
                .collect();
            prop_assert_eq!(given, expected);
        }
    }
}
