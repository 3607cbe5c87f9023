//! How fast rules are matched: what a line costs from the engine's frame to a signal, beside the ways in which one would
//! do it otherwise, and the worst that a pattern and a line can do to each other.
//!
//! `cargo bench --bench rules` makes its lines itself; with ARCANE_BENCH_LOGS=DIRECTORY it takes those of every `*.log`
//! there. A word measures a part: `-- way`, `matching`, `worst`, `fail2ban`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]
#![allow(dead_code, reason = "another bench uses the rest of the rows")]

mod clock;
mod counting;
mod fail2ban;
mod lines;
mod matching;
mod patterns;
mod random;
#[path = "../fleet/row.rs"]
mod row;
mod way;
mod worst;

/// Rounds of each measurement; what is compared is measured by turns.
const ROUNDS: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |part: &str| words.is_empty() || words.iter().any(|word| word == part);
    println!("| what | against | figure | ratio | n | machine |\n|---|---|---|---|---|---|");
    let logs = lines::logs();
    if wants("way") {
        way::measure(&logs);
    }
    if wants("matching") {
        matching::measure(&logs);
    }
    if wants("worst") {
        worst::measure();
    }
    if wants("fail2ban") {
        fail2ban::measure();
    }
}
