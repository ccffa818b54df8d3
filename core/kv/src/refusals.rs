//! What to say where an earlier life left what can't be served.

use alloc::format;
use alloc::string::String;
use formats::journal::HeaderError;
use step::FileName;

/// Why what was found can't be served: what, and what to do.
pub(crate) type Refusal = String;

/// What to do in every case where files are not what they were.
pub(crate) const ADVICE: &str = "nothing was changed; put the folder back as it was, or, where others of its group \
                      go on, make this server a member anew (ovs kv rejoin)";

/// What to do where the disk kept files badly: the others' log and state are as good as what this one had.
pub(crate) const HEALABLE: &str = "nothing was changed; where others of its group go on, they can give this server everything \
                      anew (ovs kv rejoin); else put the folder back as it was";

/// Whether a KV halted since its log is damaged, so that others of its group can give its server everything anew. Files of
/// somebody else's, or of a newer program, and files that are gone, are an operator's mistake more often than a disk's.
pub fn is_healable(reason: &str) -> bool {
    reason.ends_with(HEALABLE)
}

/// What to say of a file that this program can't read.
pub(crate) fn unusable(file: FileName, error: HeaderError) -> Refusal {
    match error {
        HeaderError::Foreign => {
            format!("{file} belongs to another cluster or is another kind of file; {ADVICE}")
        }
        HeaderError::Newer(version) => format!(
            "{file} has format version {version}, which a newer program wrote; nothing was changed; start that \
             program"
        ),
        HeaderError::Damaged => format!("the header of {file} is damaged; {HEALABLE}"),
    }
}

/// What to say of a state whose log is gone.
pub(crate) fn without_log() -> Refusal {
    format!("the KV's state is whole, but the log that goes on from it is gone; {ADVICE}")
}

/// What to say of a folder that held something and holds nothing.
pub(crate) fn without_anything() -> Refusal {
    format!(
        "the KV's folder holds no log, and is not new: it had what was answered, votes among it; {ADVICE}"
    )
}

/// What to say of a record that is none of this log's.
pub(crate) fn unfit(place: &str) -> Refusal {
    format!("{place} checks, but doesn't continue what is before it; {HEALABLE}")
}
