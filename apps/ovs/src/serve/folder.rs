//! The folder of a server's data: what belongs in it, and whose it is.
//!
//! ```text
//! DATA/member               which member of the KV's group it is; written last: without it nothing was begun
//! DATA/member.left          the same, of one that has left the group
//! DATA/member.joined        that the group took in the one that `member` names, and whether with a vote
//! DATA/servers              where the servers are, as the KV said last
//! DATA/lock                 held by the process that serves it
//! DATA/kv.sock              where clients on this machine talk to its KV
//! DATA/audit.log            who asked for what, of verbs
//! DATA/ovs.sock             where verbs on vDisks and disks talk to it
//! DATA/asd-N …              its ASDs
//! DATA/write-buffer         SCOs, TLogs and maps of its volume driver
//! DATA/kv                   the KV's log and snapshots, with an `identity`
//! DATA/kv.MEMBER            the same, of a member that this server was until it joined anew
//! DATA/kv.damaged           what is damaged of it; there until this server has joined anew
//! ```

use std::fs::{self, File};
use std::io;
use std::path::Path;

use certificates::Role;
use consensus::Member;
use formats::identity::{Folder as Kind, Identity};
use formats::kv_member::MemberFile;

use crate::config::ServerConfig;
use crate::failure::Failure;
use crate::storage::layout::{Claim, Layout, claim, lock, write_file};

const MEMBER: &str = "member";

/// Within the KV's folder: it has no log yet.
const NEW: &str = "new";

/// Says as what the group took the server in.
const JOINED: &str = "member.joined";

/// The same file, of one that has left.
const LEFT: &str = "member.left";

/// A server's data, locked by this process.
pub(crate) struct Folder {
    layout: Layout,
    /// Which member of the KV's group it is; none where it runs no KV.
    member: Option<MemberFile>,
    /// Held as long as the server runs.
    _lock: File,
}

impl Folder {
    /// Makes the data of a server that has none. What an interrupted attempt left is made anew.
    pub(crate) fn make(config: &ServerConfig, member: &MemberFile) -> Result<(), Failure> {
        let _lock = Folder::hold(config)?;
        Folder::make_held(config, member)
    }

    /// Refuses where there is a member's data already, or what is left of it.
    pub(crate) fn refuse_begun(config: &ServerConfig) -> Result<(), Failure> {
        let root = &config.data;
        if root.join(MEMBER).exists() {
            return Err(Failure::refused(format!(
                "{} holds the data of a server already: it is there to be served, and a new one needs another folder",
                root.display()
            )));
        }
        let is_begun = fs::read_dir(root.join("kv")).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("log-"))
        });
        if is_begun && root.join(LEFT).exists() {
            return Err(has_left(root));
        }
        if is_begun {
            return Err(Failure::refused(format!(
                "{} holds a KV's log without the file `member` that belongs to it: put that back, or move the log away",
                root.display()
            )));
        }
        Ok(())
    }

    /// The same by who holds it.
    pub(super) fn make_held(config: &ServerConfig, member: &MemberFile) -> Result<(), Failure> {
        Folder::refuse_begun(config)?;
        let (root, kv) = (&config.data, config.data.join("kv"));
        let doing = |error: io::Error| Failure::system(&format!("making {}", root.display()), &error);
        let make = || {
            fs::create_dir_all(&kv)?;
            let identity = Identity { cluster: config.cluster, folder: Kind::Kv };
            for (name, bytes) in ::roles::first_files(&identity) {
                write_file(&kv.join(name.as_str()), &bytes)?;
            }
            write_file(&root.join(MEMBER), &member.encode())
        };
        make().map_err(doing)
    }

    /// Whether it says which member the server is.
    pub(super) fn has_member(config: &ServerConfig) -> bool {
        config.data.join(MEMBER).exists()
    }

    /// Locks a server's data, and checks that it is this server's. That of a server without a KV is made where it isn't
    /// there.
    pub(crate) fn open(config: &ServerConfig) -> Result<Self, Failure> {
        let root = &config.data;
        let layout = Layout::new(root);
        if !config.roles.has(Role::Kv) {
            if root.join(MEMBER).exists() {
                return Err(Failure::refused(format!(
                    "{} holds the data of a member of the KV's group, and roles doesn't name kv: name it, or have the \
                     server leave the group by `ovs kv leave`",
                    root.display()
                )));
            }
            fs::create_dir_all(root)
                .map_err(|error| Failure::system(&format!("making {}", root.display()), &error))?;
            return Ok(Folder { layout, member: None, _lock: lock(root)? });
        }
        let member = Some(Folder::read_member(config)?);
        let folder = Folder { layout, member, _lock: lock(root)? };
        let expected = Identity { cluster: config.cluster, folder: Kind::Kv };
        let kv = folder.layout.kv();
        match claim(&kv)? {
            Claim::Is(identity) if identity == expected => Ok(folder),
            Claim::Is(_) => Err(Failure::refused(format!("{} is not this KV's", kv.display()))),
            Claim::Missing => Err(Failure::refused(format!(
                "{} is missing: put it back. If it is lost, `ovs kv rejoin` makes this server a member anew",
                kv.display()
            ))),
            Claim::Damaged(why) => {
                Err(Failure::refused(format!("{}/identity can't be used: {why}", kv.display())))
            }
        }
    }

    /// The server is a member no more: it is never again the one that it was. One that is none already stays none.
    pub(crate) fn retire_member(config: &ServerConfig) -> Result<(), Failure> {
        let path = config.data.join(MEMBER);
        match fs::rename(&path, config.data.join(LEFT)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::system(&format!("renaming {}", path.display()), &error))
            }
            _ => Ok(()),
        }
    }

    /// Keeps others from the data, as long as what it returns is there. Refuses where a server runs on it.
    pub(super) fn hold(config: &ServerConfig) -> Result<File, Failure> {
        let root = &config.data;
        fs::create_dir_all(root)
            .map_err(|error| Failure::system(&format!("making {}", root.display()), &error))?;
        lock(root)
    }

    /// Whether the group took this member in already, with or without a vote: it need not ask again, and one that was taken out
    /// since must not.
    pub(super) fn has_joined(&self, config: &ServerConfig, member: Member) -> bool {
        let joined = fs::read_to_string(config.data.join(JOINED));
        joined.is_ok_and(|text| text == joined_text(config, member))
    }

    /// The group took it in.
    pub(super) fn note_joined(config: &ServerConfig, member: Member) -> io::Result<()> {
        write_file(&config.data.join(JOINED), joined_text(config, member).as_bytes())
    }

    /// Which member the server is or was last, as far as files tell. None: they don't, or can't be read.
    pub(crate) fn past_member(config: &ServerConfig) -> Result<Option<Member>, Failure> {
        for name in [MEMBER, LEFT] {
            let path = config.data.join(name);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::system(&format!("reading {}", path.display()), &error)),
            };
            match MemberFile::decode(&bytes) {
                Ok(file) if (file.cluster, file.server) == (config.cluster, config.server) => {
                    return Ok(Some(file.member));
                }
                Ok(_) => {
                    return Err(Failure::refused(format!(
                        "{} is another server's or cluster's",
                        path.display()
                    )));
                }
                // The group knows it, too.
                Err(error) => tracing::warn!("{} can't be used: {error}", path.display()),
            }
        }
        Ok(None)
    }

    /// Reads which member the server is, and checks that the data is this server's.
    pub(crate) fn read_member(config: &ServerConfig) -> Result<MemberFile, Failure> {
        let root = &config.data;
        let path = root.join(MEMBER);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && root.join(LEFT).exists() => {
                return Err(has_left(root));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Failure::refused(format!(
                    "{} holds no data of a server yet: `ovs kv init` makes that of the first, `ovs kv join` that of \
                     others, and `ovs kv rejoin` that of one that had it and lost it",
                    root.display()
                )));
            }
            Err(error) => return Err(Failure::system(&format!("reading {}", path.display()), &error)),
        };
        let member = MemberFile::decode(&bytes)
            .map_err(|error| Failure::refused(format!("{} can't be used: {error}", path.display())))?;
        if (member.cluster, member.server) != (config.cluster, config.server) {
            return Err(Failure::refused(format!(
                "{} holds the data of server-{} of cluster {}, and the configuration is that of server-{} of cluster {}",
                root.display(),
                member.server,
                member.cluster,
                config.server,
                config.cluster
            )));
        }
        Ok(member)
    }

    /// Where its folders lie.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether its KV has not begun yet.
    pub(super) fn is_new(&self) -> bool {
        self.layout.kv().join(NEW).exists()
    }

    /// Which member of the KV's group it is; none where it runs no KV.
    pub(crate) fn member(&self) -> Option<&MemberFile> {
        self.member.as_ref()
    }
}

fn has_left(root: &Path) -> Failure {
    Failure::refused(format!(
        "{} is that of a member that has left the KV's group, and is never again the one that it was: `ovs kv rejoin` makes this \
         server a member anew",
        root.display()
    ))
}

fn joined_text(config: &ServerConfig, member: Member) -> String {
    format!("{member} {}\n", if config.votes { "votes" } else { "learns" })
}
