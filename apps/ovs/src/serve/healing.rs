//! A server whose KV's log is damaged joins the group anew by itself.
//!
//! The life that finds the damage leaves a file that says so, and begins again: the next one heals before anything else. Where
//! that comes to nothing the damage is found again, if it is still there: an operator may have put the log back. Only what is
//! interrupted half-way goes on at the next start. It happens once: what the KV had lies aside until an operator has looked at
//! it. A disk that damages a log again and again would else fill with copies, and its group would give it everything each time.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::Folder;
use super::addresses::remembered;
use super::anew::become_anew;
use crate::config::ServerConfig;
use crate::failure::{ExitCode, Failure};
use crate::storage::layout::write_file;
use crate::storage::signals::Signals;

/// Says what is damaged. It goes when the server is another member.
const DAMAGED: &str = "kv.damaged";

/// Set where the life before found the damage.
const ASKED: &str = "OVS_JOINS_ANEW";

/// How long the group may take for one try.
const TRY: Duration = Duration::from_secs(5);

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is logged why it takes so long.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// How long it is tried before whoever looks after the server hears that it doesn't run.
const TRY_FOR: Duration = Duration::from_secs(600);

/// The KV halted for this reason: the process begins again, and heals. It doesn't come back from here.
///
/// # Errors
/// `reason`, with why it is left to the operator.
pub(super) fn begin_again(config: &ServerConfig, reason: &str) -> Failure {
    let knows_others =
        config.servers.keys().chain(remembered(&config.data).keys()).any(|server| *server != config.server);
    if !config.kv_heals || !knows_others {
        return Failure::refused(reason);
    }
    if let Some(aside) = left_aside(config) {
        return Failure::refused(format!(
            "{reason}. It was given everything anew before, and what it had then is still in {}: look at the disk, remove \
             that, and start it again",
            aside.display()
        ));
    }
    tracing::error!("{reason}; this server joins the group anew by itself");
    if let Err(error) = write_file(&config.data.join(DAMAGED), reason.as_bytes()) {
        return Failure::system("noting that the KV is damaged", &error);
    }
    // The same program, though another have been installed in its place: that is the operator's to start.
    let mut arguments = std::env::args_os();
    let mut again = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Failure::system("starting the program again", &again.args(arguments).env(ASKED, "1").exec())
}

/// Where the KV was found damaged, has the group make this server a member anew. Whether to serve: no signal came before.
///
/// # Errors
/// Why it can't be, or was not in a long time.
pub(super) fn heal(config: &ServerConfig, signals: &Signals) -> Result<bool, Failure> {
    let path = config.data.join(DAMAGED);
    let reason = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Failure::system(&format!("reading {}", path.display()), &error)),
    };
    let is_asked = std::env::var_os(ASKED).is_some() && config.kv_heals;
    if is_asked {
        // Whoever looks for the process finds it under its name, and not that of the link it was started by.
        let _ = rustix::thread::set_name(c"ovs");
    }
    if Folder::has_member(config) && !is_asked {
        forget(config)?;
        return Ok(true);
    }
    let ended = try_until_done(config, &reason, signals);
    // Half-way the next start goes on. Else it looks again what is damaged.
    if Folder::has_member(config) {
        forget(config)?;
    }
    ended
}

fn try_until_done(config: &ServerConfig, reason: &str, signals: &Signals) -> Result<bool, Failure> {
    let (begun, mut said) = (Instant::now(), None::<Instant>);
    loop {
        let why = match become_anew(config, TRY) {
            Ok(anew) => {
                let aside = anew.aside.unwrap_or_default();
                tracing::warn!(member = %anew.member, aside = %aside.display(), "this server is another member, and is given \
                    everything; what it had is put aside");
                return Ok(true);
            }
            Err(why) => why,
        };
        if why.code == ExitCode::Refused || begun.elapsed() > TRY_FOR {
            return Err(Failure::refused(format!("{reason}. It can't join the group anew by itself: {why}")));
        }
        if said.is_none_or(|at| at.elapsed() > SAY_EVERY) {
            tracing::warn!("the group doesn't take this server anew yet, asked again: {why}");
            said = Some(Instant::now());
        }
        if signals.wait_for(PAUSE)? {
            return Ok(false);
        }
    }
}

/// Nothing is damaged any more, or it is left to the operator.
pub(super) fn forget(config: &ServerConfig) -> Result<(), Failure> {
    let path = config.data.join(DAMAGED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::system(&format!("removing {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}

/// What the KV of this server had before it became another member.
fn left_aside(config: &ServerConfig) -> Option<PathBuf> {
    let mut paths = fs::read_dir(&config.data).ok()?.flatten().map(|entry| entry.path());
    paths.find(|path| {
        let member = path.extension().and_then(|number| number.to_str());
        path.file_stem().is_some_and(|stem| stem == "kv")
            && member.is_some_and(|number| number.parse::<u64>().is_ok())
    })
}
