//! Runs other programs.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a program in a folder, with our own output streams. An exit code other than 0 is an error that names the
/// whole command line, so that it can be pasted.
pub(crate) fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{program}`"))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(program, arguments));
    }
    Ok(())
}

/// Runs a program and returns what it wrote to its standard output.
pub(crate) fn output(folder: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{program}`"))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", line(program, arguments), output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{program}` printed something that is not UTF-8"))
}

/// Whether a program can be started and ends with 0. Says nothing, whatever it prints.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command line as one would type it.
fn line(program: &str, arguments: &[&str]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        line.push(' ');
        if argument.contains(' ') {
            line.push_str(&format!("'{argument}'"));
        } else {
            line.push_str(argument);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_the_command_line() {
        let error = run(Path::new("."), "false", &["one", "two words"]).unwrap_err();
        assert!(error.to_string().starts_with("`false one 'two words'` failed"), "{error}");
    }

    #[test]
    fn output_is_returned() {
        assert_eq!(output(Path::new("."), "echo", &["hello"]).unwrap(), "hello\n");
    }

    #[test]
    fn missing_program_does_not_succeed() {
        assert!(succeeds("true", &[]));
        assert!(!succeeds("false", &[]));
        assert!(!succeeds("no-such-program-anywhere", &[]));
    }
}
