//! What a check reports.

use std::fmt;

/// A place and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// File or folder, from the workspace folder.
    pub(crate) path: String,
    /// Line, counted from 1, where the finding has one.
    pub(crate) line: Option<usize>,
    /// What is wrong, and what to do instead.
    pub(crate) message: String,
}

impl Finding {
    /// A finding about a whole file or folder.
    pub(crate) fn whole(path: impl Into<String>, message: impl Into<String>) -> Self {
        Finding { path: path.into(), line: None, message: message.into() }
    }

    /// A finding about a line, counted from 1.
    pub(crate) fn at(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Finding { path: path.into(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path, self.message),
            None => write!(formatter, "{}: {}", self.path, self.message),
        }
    }
}

/// Shorthand for tests: the findings as the lines that a person reads.
#[cfg(test)]
pub(crate) fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(Finding::to_string).collect()
}
