//! Names of what a cluster puts into its directory.

use formats::identity::Folder as Kind;
use glossary::OsdId;

/// Says whose a folder is.
pub(super) const IDENTITY: &str = "identity";

/// Held by the process that runs the cluster.
pub(super) const LOCK: &str = "lock";

/// Files of the root, in the order in which they go. Those ending in `new` were being written when a process
/// died.
pub(super) fn root_files() -> impl Iterator<Item = &'static str> {
    let last = ["creating.new", "creating", "identity.new", LOCK, IDENTITY];
    SOCKETS.into_iter().chain(links::AUDIT_FILES).chain(last)
}

/// Which of them are sockets.
const SOCKETS: [&str; 2] = [api::SOCKET, links::LOCAL_SOCKET];

/// Whether a file of the root is ours.
pub(super) fn is_of_root(name: &str, is_socket: bool) -> bool {
    root_files().any(|file| file == name) && SOCKETS.contains(&name) == is_socket
}

/// A folder of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Asd(OsdId),
    WriteBuffer,
    Kv,
}

/// Which folder of a cluster has that name.
pub(super) fn part(name: &str) -> Option<Part> {
    match name {
        "write-buffer" => Some(Part::WriteBuffer),
        "kv" => Some(Part::Kv),
        _ => {
            let number: u32 = name.strip_prefix("asd-")?.parse().ok()?;
            (name == format!("asd-{number}")).then_some(Part::Asd(OsdId(number)))
        }
    }
}

impl Part {
    /// Whether an identity file that says this belongs here.
    pub(super) fn is(self, kind: Kind) -> bool {
        match (self, kind) {
            (Part::Asd(number), Kind::Asd { osd, .. }) => number == osd,
            (Part::WriteBuffer, Kind::WriteBuffer { .. }) | (Part::Kv, Kind::Kv) => true,
            (Part::Asd(_) | Part::WriteBuffer | Part::Kv, _) => false,
        }
    }

    /// Whether its role makes files of that name.
    pub(super) fn is_file(self, name: &str) -> bool {
        let known = match self {
            Part::Asd(_) => matches!(name, "checkpoint-a" | "checkpoint-b") || numbered(name, "segment-", 16),
            Part::Kv => {
                let is_table = matches!(name, "table" | ".table.new");
                is_table || numbered(name, "log-", 16) || numbered(name, "snapshot-", 16)
            }
            Part::WriteBuffer => of_vdisk(name).unwrap_or(false),
        };
        known || name == "identity.new"
    }
}

/// `d<number>.sco-<hex>`, `d<number>.tlog-<hex>` and `d<number>.map-<hex>`.
fn of_vdisk(name: &str) -> Option<bool> {
    let (vdisk, file) = name.strip_prefix('d')?.split_once('.')?;
    let (kind, number) = file.split_once('-')?;
    let digits = !vdisk.is_empty() && vdisk.bytes().all(|byte| byte.is_ascii_digit());
    let known = matches!(kind, "sco" | "tlog" | "map");
    Some(digits && known && is_hex(number) && number.len() <= 16)
}

fn numbered(name: &str, prefix: &str, digits: usize) -> bool {
    name.strip_prefix(prefix).is_some_and(|number| number.len() == digits && is_hex(number))
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_roles_give_are_ours() {
        let (asd, kv, buffer) = (Part::Asd(OsdId(0)), Part::Kv, Part::WriteBuffer);
        for (part, name) in [
            (asd, "segment-000000000000002a"),
            (asd, "checkpoint-a"),
            (asd, "identity.new"),
            (kv, "log-0000000000000001"),
            (kv, "snapshot-0000000000000001"),
            (kv, "table"),
            (kv, ".table.new"),
            (buffer, "d1.sco-000000000abc"),
            (buffer, "d12.tlog-0000000300000001"),
            (buffer, "d1.map-1f"),
        ] {
            assert!(part.is_file(name), "{name}");
        }
        for (part, name) in [
            (asd, "segment-2a"),
            (asd, "segment-000000000000002A"),
            (asd, "checkpoint-c"),
            (asd, "log-0000000000000001"),
            (kv, "notes.txt"),
            (kv, "log-000000000000000g"),
            (buffer, "d.sco-1"),
            (buffer, "d1.sco-"),
            (buffer, "d1.txt-1"),
            (buffer, "data.map-1"),
            (buffer, "d1.sco-00000000000000000000"),
        ] {
            assert!(!part.is_file(name), "{name}");
        }
    }

    #[test]
    fn folders_have_one_spelling() {
        assert_eq!(part("asd-12"), Some(Part::Asd(OsdId(12))));
        assert_eq!((part("kv"), part("write-buffer")), (Some(Part::Kv), Some(Part::WriteBuffer)));
        for name in ["asd-", "asd-012", "asd-+1", "asd-x", "kv2", "home"] {
            assert_eq!(part(name), None, "{name}");
        }
    }
}
