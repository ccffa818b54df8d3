//! Asking before what can't be undone.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Asks on the terminal for a name, unless `yes`. Without a terminal nobody can answer, so nothing happens.
pub(super) fn confirm(name: &str, loss: &str, yes: bool) -> Result<(), Failure> {
    let (input, mut output) = (std::io::stdin(), std::io::stderr());
    if !is_to_ask(loss, yes, input.is_terminal() && output.is_terminal())? {
        return Ok(());
    }
    let _ = write!(output, "{loss}. Type {name} to go on: ");
    let _ = output.flush();
    judge(name, &mut input.lock())
}

fn is_to_ask(loss: &str, yes: bool, has_terminal: bool) -> Result<bool, Failure> {
    match (yes, has_terminal) {
        (true, _) => Ok(false),
        (false, true) => Ok(true),
        (false, false) => Err(Failure::refused(format!("{loss}: say --yes to do it without being asked"))),
    }
}

fn judge(name: &str, input: &mut dyn BufRead) -> Result<(), Failure> {
    let mut typed = String::new();
    let read = input.read_line(&mut typed).map_err(|error| Failure::system("reading the answer", &error))?;
    if read > 0 && typed.trim() == name {
        return Ok(());
    }
    Err(Failure::refused(format!("{name} was not typed: nothing was done")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::ExitCode;

    #[test]
    fn only_the_name_itself_confirms() {
        assert_eq!(judge("disk1", &mut "disk1\n".as_bytes()), Ok(()));
        for typed in ["", "\n", "y\n", "disk\n", "disk10\n", "Disk1\n"] {
            assert_eq!(judge("disk1", &mut typed.as_bytes()).map_err(|e| e.code), Err(ExitCode::Refused));
        }
    }

    #[test]
    fn nobody_is_asked_where_nobody_can_answer() {
        assert_eq!(is_to_ask("all goes", true, true), Ok(false));
        assert_eq!(is_to_ask("all goes", true, false), Ok(false));
        assert_eq!(is_to_ask("all goes", false, true), Ok(true));
        let failure = is_to_ask("all goes", false, false).unwrap_err();
        assert_eq!(failure.message, "all goes: say --yes to do it without being asked");
    }
}
