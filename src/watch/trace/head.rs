//! Which lines of a trace say what happened, and not where.

use super::shape::{Shape, is_exception, is_goroutine, plain, trimmed};

/// What they begin with, of the JVM, .NET, Node, PHP, Elixir, Go and Python.
const STARTS: &[&[u8]] = &[
    b"Caused by: ",
    b"Suppressed: ",
    b"---> ",
    b"[cause]: ",
    b"Next ",
    b"** (",
    b"panic: ",
    b"fatal error: ",
    b"[signal ",
    b"During handling of the above exception, ",
    b"The above exception was the direct cause ",
];

/// Whether a line says what happened. The shape is that of the trace with the line.
pub(super) fn is_head(shape: Shape, line: &[u8]) -> bool {
    let line = plain(line);
    let inner = trimmed(line);
    if STARTS.iter().any(|start| inner.starts_with(start)) {
        return true;
    }
    match shape {
        Shape::PythonEnd => is_exception(line),
        // `  | ValueError: 3`, in a tree.
        Shape::PythonGroup => is_exception(in_tree(inner)),
        // `    1: connection refused`, below `Caused by:`.
        Shape::Causes => inner.len() < line.len(),
        Shape::Go => is_goroutine(line),
        _ => false,
    }
}

/// Without the lines of the tree that it stands in.
fn in_tree(mut line: &[u8]) -> &[u8] {
    while let [b'|' | b' ', rest @ ..] = line {
        line = rest;
    }
    line
}
