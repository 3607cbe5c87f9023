//! What playing the tests of a set came to.

use std::fmt;

use super::problem::Problem;
use crate::fleet::text::plural;

/// One test, played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// The rule that carries it, as `pack/id`.
    pub rule: String,
    /// What it is called, or the line it plays.
    pub test: String,
    /// What was not as it says; `None` when it passed.
    pub problem: Option<Problem>,
    /// What happened instead and why, a sentence each; empty when it passed.
    pub why: Vec<String>,
}

/// Every test of a set, played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestReport {
    /// In the order of rules and tests.
    pub results: Vec<TestResult>,
}

impl TestReport {
    /// Whether every test passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The tests that failed.
    pub fn failures(&self) -> impl Iterator<Item = &TestResult> {
        self.results.iter().filter(|result| result.problem.is_some())
    }
}

/// The failures, each with its explanation, and a line that counts.
impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in self.failures() {
            if let Some(problem) = &result.problem {
                writeln!(f, "{problem}")?;
                for why in &result.why {
                    writeln!(f, "    {why}")?;
                }
                writeln!(f)?;
            }
        }
        let failed = self.failures().count();
        write!(f, "{}, {failed} failed", plural(self.results.len(), "test"))
    }
}
