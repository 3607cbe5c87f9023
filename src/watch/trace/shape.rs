//! What traces look like: which line can begin one, and which can go on with what came before. Nothing but comparisons of
//! bytes, for every line of every log goes through here.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

/// What a stretch of lines is so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line with a word of failure in it, which may be all there is.
    Failure,
    /// An empty line after that.
    FailureBlank,
    /// Node, on a module that is missing: the list of who wanted it.
    Wanted,
    /// Frames of the JVM, Node, .NET, PHP, Ruby or Elixir, and what belongs to them.
    Frames,
    /// An empty line after that.
    FramesBlank,
    /// What Node prints of an error's own properties, up to the closing brace.
    Properties,
    /// A list of causes, as Rust's anyhow prints it.
    Causes,
    /// An empty line after that.
    CausesBlank,
    /// Ruby's first line.
    Ruby,
    /// What Ruby shows of the source between that and the frames.
    RubySource,
    /// Node's `file:line` before an uncaught error.
    Source,
    /// The line of source below it.
    SourceLine,
    /// The marks below that.
    SourceMark,
    /// Python's frames.
    Python,
    /// The exception that they end with.
    PythonEnd,
    /// Empty lines and words between that and the next of the chain.
    PythonLink,
    /// Python's exception group, drawn as a tree.
    PythonGroup,
    /// What Go prints.
    Go,
    /// Rust's first line of a panic: the message follows.
    RustHead,
    /// What follows it.
    Rust,
    /// Nothing can follow.
    Complete,
}

/// Whether a line goes on with a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It belongs to it.
    Joins(Shape),
    /// It does if one of the next lines does.
    May(Shape),
    /// It does not.
    No,
}

use Next::{Joins, May, No};

/// Words that are in nearly every first line.
static FAILURE: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = [
        "rror",
        "xception",
        "hrowable",
        "anic",
        "ailure",
        "Traceback (",
        ".rb:",
        "** (",
        "terminate called",
        "Unhandled",
        "SIGSEGV",
    ];
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(words).ok()
});

/// What a line begins, if it may be the first of a trace.
pub(super) fn begins(line: &[u8]) -> Option<Shape> {
    let line = plain(line);
    match *line.first()? {
        // A structured log is a record a line.
        b'{' => return None,
        b' ' | b'\t' => {
            if is_frame(line) {
                return Some(after_frame(line));
            }
            if is_python_place(line) {
                return Some(Shape::Python);
            }
        }
        b'g' if line.starts_with(b"goroutine ") => return is_goroutine(line).then_some(Shape::Go),
        b'C' if line.starts_with(b"Caused by: ") => return Some(Shape::Frames),
        _ if is_source_place(line) => return Some(Shape::Source),
        _ => {}
    }
    if !FAILURE.as_ref().is_some_and(|words| words.is_match(line)) {
        return None;
    }
    Some(if has(line, b"Group Traceback (most recent call last):") {
        Shape::PythonGroup
    } else if line.ends_with(b"Traceback (most recent call last):") {
        Shape::Python
    } else if has(line, b"thread '") && has(line, b" panicked at ") {
        if line.ends_with(b":") { Shape::RustHead } else { Shape::Rust }
    } else if is_ruby_place(line) {
        Shape::Ruby
    } else {
        Shape::Failure
    })
}

/// What a line is to what came before.
pub(super) fn next(shape: Shape, line: &[u8]) -> Next {
    let line = plain(line);
    match shape {
        Shape::Failure => after_failure(line),
        Shape::FailureBlank if is_goroutine(line) => Joins(Shape::Go),
        Shape::FailureBlank if line == b"Caused by:" => Joins(Shape::Causes),
        Shape::FailureBlank => No,
        Shape::Wanted if line.starts_with(b"- ") => May(Shape::Wanted),
        Shape::Wanted => begins_frames(line),
        Shape::Frames if line.is_empty() => May(Shape::FramesBlank),
        Shape::Frames => frames(line),
        Shape::FramesBlank => after_blank(line),
        Shape::Properties if line.starts_with(b"}") => Joins(Shape::Frames),
        Shape::Properties if line.starts_with(b"  ") => Joins(Shape::Properties),
        Shape::Properties => No,
        Shape::Causes if line.starts_with(b"    ") => Joins(Shape::Causes),
        Shape::Causes if line.is_empty() => May(Shape::CausesBlank),
        Shape::CausesBlank if line == b"Location:" => Joins(Shape::Causes),
        Shape::CausesBlank if is_backtrace(line) => Joins(Shape::Rust),
        Shape::Causes | Shape::CausesBlank => No,
        Shape::Ruby | Shape::RubySource => ruby(line),
        Shape::Source if line.is_empty() => No,
        Shape::Source => May(Shape::SourceLine),
        Shape::SourceLine if is_mark(line) => May(Shape::SourceMark),
        Shape::SourceLine => No,
        Shape::SourceMark if line.is_empty() => May(Shape::SourceMark),
        Shape::SourceMark if begins(line) == Some(Shape::Failure) => Joins(Shape::Failure),
        Shape::SourceMark => No,
        Shape::Python | Shape::PythonEnd | Shape::PythonLink | Shape::PythonGroup => python(shape, line),
        Shape::Go => go(line),
        Shape::RustHead if line.is_empty() => No,
        Shape::RustHead => Joins(Shape::Rust),
        Shape::Rust => rust(line),
        Shape::Complete => No,
    }
}

fn after_failure(line: &[u8]) -> Next {
    if line.is_empty() {
        return May(Shape::FailureBlank);
    }
    if line == b"Require stack:" {
        return May(Shape::Wanted);
    }
    if line.ends_with(b"Traceback (most recent call last):") {
        let group = has(line, b"Group Traceback");
        return Joins(if group { Shape::PythonGroup } else { Shape::Python });
    }
    let go = [&b"[signal "[..], b"\tpanic: ", b"PC=0x"];
    if go.iter().any(|start| line.starts_with(start)) || is_goroutine(line) {
        return Joins(Shape::Go);
    }
    if trimmed(line).starts_with(b"what(): ") {
        return Joins(Shape::Complete);
    }
    begins_frames(line)
}

/// What can stand between the first line and the frames.
fn begins_frames(line: &[u8]) -> Next {
    if is_frame(line) {
        return Joins(after_frame(line));
    }
    let inner = trimmed(line);
    // A number sign begins many lists; the frames of PHP begin with this one.
    let starts = [
        &b"Caused by: "[..],
        b"Stack trace:",
        b"[stacktrace]",
        b"PHP Stack trace:",
        b"---> ",
        b"** (",
        b"#0 ",
    ];
    if starts.iter().any(|start| inner.starts_with(start)) { Joins(Shape::Frames) } else { No }
}

/// What goes on with frames.
fn frames(line: &[u8]) -> Next {
    let inner = trimmed(line);
    let indented = inner.len() < line.len();
    let starts = [&b"--- End of "[..], b"Emitted 'error' event", b"Last message: "];
    let starts_indented = [&b"Suppressed: "[..], b"... ", b"thrown in "];
    let joins = starts.iter().any(|start| inner.starts_with(start))
        || (indented && starts_indented.iter().any(|start| inner.starts_with(start)))
        || is_numbered(line)
        || line == b"\"}";
    if joins { Joins(Shape::Frames) } else { begins_frames(line) }
}

fn after_blank(line: &[u8]) -> Next {
    let more = [&b"Node.js v"[..], b"Next ", b"Caused by: "];
    if more.iter().any(|start| line.starts_with(start)) { Joins(Shape::Frames) } else { No }
}

fn after_frame(frame: &[u8]) -> Shape {
    if frame.ends_with(b" {") { Shape::Properties } else { Shape::Frames }
}

/// A line for one call: `at …` of the JVM, Node and .NET; `from …` of Ruby; `(app 1.0) lib/x.ex:3: …` of Elixir.
fn is_frame(line: &[u8]) -> bool {
    let inner = trimmed(line);
    let indent = line.len() - inner.len();
    if let Some(call) = inner.strip_prefix(b"at ") {
        return indent > 0 && call.iter().any(|byte| matches!(byte, b'(' | b':'));
    }
    if indent == 0 {
        return false;
    }
    (inner.starts_with(b"from ") && has(inner, b":in ")) || is_elixir(indent, inner)
}

fn is_elixir(indent: usize, inner: &[u8]) -> bool {
    let source = [&b".ex:"[..], b".exs:", b".erl:"];
    indent == 4 && has(inner, b": ") && source.iter().any(|source| has(inner, source))
}

/// A frame of PHP: `#0 …`, or `PHP   1. …`.
fn is_numbered(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"#") else {
        return line.strip_prefix(b"PHP   ").is_some_and(|rest| digits(rest).starts_with(b". "));
    };
    let after = digits(rest);
    after.len() < rest.len() && after.starts_with(b" ")
}

fn ruby(line: &[u8]) -> Next {
    if is_frame(line) {
        return Joins(Shape::Frames);
    }
    if line.is_empty() || is_indented(line) || line.starts_with(b"Did you mean?") {
        return May(Shape::RubySource);
    }
    No
}

/// `shop.rb:2:in …`, which a message may follow.
fn is_ruby_place(line: &[u8]) -> bool {
    let path = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    has(path, b".rb:") && path.ends_with(b":in")
}

/// `  File "shop.py", line 3`, with which Python begins what it says of bad syntax.
fn is_python_place(line: &[u8]) -> bool {
    line.starts_with(b"  File \"") && line.last().is_some_and(u8::is_ascii_digit) && has(line, b"\", line ")
}

fn python(shape: Shape, line: &[u8]) -> Next {
    match shape {
        Shape::PythonGroup => match trimmed(line).first() {
            Some(b'|' | b'+') if is_indented(line) => Joins(Shape::PythonGroup),
            _ => No,
        },
        Shape::Python if is_indented(line) => Joins(Shape::Python),
        Shape::Python if is_exception(line) => Joins(Shape::PythonEnd),
        Shape::Python => No,
        _ if line.is_empty() => May(Shape::PythonLink),
        _ if shape == Shape::PythonEnd => No,
        _ if line.starts_with(b"During handling of the above exception, ") => May(Shape::PythonLink),
        _ if line.starts_with(b"The above exception was the direct cause ") => May(Shape::PythonLink),
        _ if line.ends_with(b"Traceback (most recent call last):") => Joins(Shape::Python),
        _ => No,
    }
}

/// `shop.errors.Gone: no order`: a name with dots, and perhaps a message.
pub(super) fn is_exception(line: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || *byte >= 0x80;
    let end = line.iter().position(|byte| !is_name(byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let class = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let is_class = class.first().is_some_and(u8::is_ascii_uppercase) || name.contains(&b'.');
    !class.is_empty() && (rest.starts_with(b":") || (rest.is_empty() && is_class))
}

fn go(line: &[u8]) -> Next {
    let starts = [
        &b"created by "[..],
        b"exit status ",
        b"[signal ",
        b"panic: ",
        b"\tpanic: ",
        b"...additional frames",
        b"runtime stack:",
        b"goroutine running on other thread",
    ];
    let joins = is_goroutine(line)
        || starts.iter().any(|start| line.starts_with(start))
        || (line.starts_with(b"\t") && (has(line, b".go:") || has(line, b".s:")))
        || is_go_call(line);
    match (joins, line) {
        (true, _) => Joins(Shape::Go),
        (false, b"") => May(Shape::Go),
        _ => No,
    }
}

/// `main.(*Order).Pay(0xc000012345, …)`.
fn is_go_call(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b'(').next().unwrap_or_default();
    line.ends_with(b")") && !name.is_empty() && !name.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'='))
}

pub(super) fn is_goroutine(line: &[u8]) -> bool {
    line.starts_with(b"goroutine ") && (line.ends_with(b"]:") || has(line, b"[running"))
}

fn rust(line: &[u8]) -> Next {
    if line.starts_with(b"note: ") {
        return Joins(Shape::Complete);
    }
    let inner = trimmed(line);
    let starts = [&b"left: "[..], b"right: ", b"at "];
    let joins = is_backtrace(line)
        || (is_indented(line)
            && (starts.iter().any(|start| inner.starts_with(start)) || digits(inner).starts_with(b": ")));
    if joins { Joins(Shape::Rust) } else { No }
}

fn is_backtrace(line: &[u8]) -> bool {
    line.eq_ignore_ascii_case(b"stack backtrace:")
}

/// A path with a line number, and nothing beside it.
fn is_source_place(line: &[u8]) -> bool {
    let path = line.trim_ascii_end();
    let number = path.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let path = path.get(..path.len() - number).unwrap_or_default();
    let starts = [&b"/"[..], b"node:", b"file:///", b"webpack:", b"evalmachine."];
    number > 0
        && path.ends_with(b":")
        && starts.iter().any(|start| path.starts_with(start))
        && !path.contains(&b' ')
}

/// Spaces, and `^` below what is meant.
fn is_mark(line: &[u8]) -> bool {
    line.contains(&b'^') && line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'^' | b'~'))
}

fn is_indented(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..]) && !trimmed(line).is_empty()
}

pub(super) fn trimmed(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    line.get(end..).unwrap_or_default()
}

/// What comes after the digits that a text begins with.
fn digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 { &[] } else { text.get(end..).unwrap_or_default() }
}

fn has(line: &[u8], words: &[u8]) -> bool {
    line.windows(words.len()).any(|window| window == words)
}

/// Without the colours around it, and without spaces where there is nothing else.
pub(super) fn plain(line: &[u8]) -> &[u8] {
    let mut rest = line;
    while let Some(after) = rest.strip_prefix(b"\x1b[") {
        let end = after.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';'));
        match end.and_then(|end| after.get(end..)) {
            Some([b'm', after @ ..]) => rest = after,
            _ => break,
        }
    }
    while let Some(before) = rest.strip_suffix(b"m") {
        let start = before.iter().rposition(|byte| !matches!(byte, b'0'..=b'9' | b';')).unwrap_or(0);
        match before.get(..=start).and_then(|before| before.strip_suffix(b"\x1b[")) {
            Some(before) => rest = before,
            None => break,
        }
    }
    if rest.trim_ascii().is_empty() { &[] } else { rest }
}
