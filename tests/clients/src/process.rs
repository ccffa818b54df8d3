//! Client programs, each under a time limit. What they say goes to our own output, which is shown when a case fails.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

/// A program to run, with what it needs.
pub(crate) struct Program {
    name: String,
    arguments: Vec<String>,
    limit_seconds: u64,
    input: Option<Vec<u8>>,
}

/// Seconds that a client program gets by default.
const LIMIT_SECONDS: u64 = 120;

/// Exit code of timeout(1) when it had to kill.
const KILLED: i32 = 128 + 9;

impl Program {
    /// A program by its name or path.
    pub(crate) fn new(name: impl AsRef<Path>) -> Self {
        Program {
            name: name.as_ref().display().to_string(),
            arguments: Vec::new(),
            limit_seconds: LIMIT_SECONDS,
            input: None,
        }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<Path>) -> Self {
        self.arguments.push(argument.as_ref().display().to_string());
        self
    }

    /// Adds the words of a line as arguments; none of them holds a blank.
    pub(crate) fn words(mut self, line: &str) -> Self {
        self.arguments.extend(line.split_whitespace().map(str::to_owned));
        self
    }

    /// Another time limit.
    pub(crate) fn limit_seconds(mut self, seconds: u64) -> Self {
        self.limit_seconds = seconds;
        self
    }

    /// What the program reads from its standard input.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// The same, where what it wrote to its standard output tells why: both outputs.
    pub(crate) fn refused_saying(self) -> Result<String> {
        let line = self.line();
        let output = self.output()?;
        ensure!(output.status.code() == Some(1), "`{line}` should fail: {}", output.status);
        Ok([output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat())
    }

    /// Runs it; an exit code other than 0 is an error. Returns what it wrote to its standard output.
    pub(crate) fn run(self) -> Result<String> {
        let line = self.line();
        let output = self.output()?;
        ensure!(output.status.success(), "`{line}` failed: {}", output.status);
        String::from_utf8(output.stdout)
            .with_context(|| format!("`{line}` wrote something that is not UTF-8"))
    }

    /// Runs it and expects that it refuses: an exit code other than 0, and no crash. Returns what it wrote to its
    /// standard error.
    pub(crate) fn refused(self) -> Result<String> {
        let line = self.line();
        let output = self.output()?;
        let code = output.status.code();
        ensure!(
            code.is_some_and(|code| code != 0 && code < 126),
            "`{line}` should refuse: {}",
            output.status
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!said.contains("panicked"), "`{line}` panicked");
        Ok(said)
    }

    /// Runs it and expects the refusal that is documented: this exit code, nothing on its standard output, and one line
    /// on its standard error, which is returned.
    pub(crate) fn refused_with(self, code: i32) -> Result<String> {
        let line = self.line();
        let output = self.output()?;
        ensure!(output.status.code() == Some(code), "`{line}` should end with {code}: {}", output.status);
        ensure!(output.stdout.is_empty(), "`{line}` refuses and still says something on its standard output");
        let said = String::from_utf8(output.stderr)?;
        ensure!(said.lines().count() == 1 && said.starts_with("ovs: "), "not one line:\n{said}");
        Ok(said)
    }

    fn line(&self) -> String {
        format!("{} {}", self.name, self.arguments.join(" "))
    }

    fn output(self) -> Result<Output> {
        println!("$ {}", self.line());
        // In the foreground it stays in the process group of the case, which ends with it.
        let mut child = Command::new("timeout")
            .args(["--foreground", "--signal=KILL", &self.limit_seconds.to_string(), &self.name])
            .args(&self.arguments)
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start timeout(1)")?;
        if let (Some(bytes), Some(mut stdin)) = (&self.input, child.stdin.take()) {
            stdin.write_all(bytes).with_context(|| format!("`{}` does not read its input", self.line()))?;
        }
        let output = child.wait_with_output()?;
        print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.code() != Some(KILLED), "`{}` took over {} s", self.line(), self.limit_seconds);
        Ok(output)
    }
}
