//! The arguments of verbs on the KV.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Asking;
use super::backup::{Backup, CheckBackup, Restore};
use super::member::MemberVerb;

/// An example, and how keys and values are written.
macro_rules! example {
    ($example:literal) => {
        concat!(
            $example,
            "\n\nKeys and values are text; \\n, \\r, \\t, \\0, \\\\, \\\" and \\xNN stand for bytes, on the command \
             line and in what is printed.\nExit codes: 0 done, 2 a bad argument or a broken bound, 3 nobody can be reached, \
             4 what was asserted or expected does not hold, 7 no such key, 8 no answer in time (a change may still have happened)."
        )
    };
}

/// What to do with the KV.
#[derive(Debug, Subcommand)]
pub(crate) enum KvVerb {
    #[command(flatten)]
    Data(DataVerb),
    #[command(flatten)]
    Member(MemberVerb),
    /// Makes, drops and lists groups of keys.
    #[command(subcommand)]
    Group(GroupVerb),
    /// Reads the file of a backup through, and prints what is in it. It asks no KV.
    #[command(after_help = "Example:\n  ovs kv check-backup monday.kv")]
    CheckBackup(CheckBackup),
}

/// What to do with keys and values.
#[derive(Debug, Subcommand)]
pub(crate) enum DataVerb {
    /// Prints the value of a key.
    #[command(after_help = example!("Example:\n  ovs kv get colour"))]
    Get(Get),
    /// Prints the values of several keys, read at one moment where they fit one answer.
    #[command(after_help = example!("Example:\n  ovs kv multi-get colour size"))]
    MultiGet(MultiGet),
    /// Prints whether a key is there: true or false.
    #[command(after_help = example!("Example:\n  ovs kv exists colour"))]
    Exists(Key),
    /// Sets a key.
    #[command(after_help = example!("Example:\n  ovs kv set colour green\n  ovs kv set picture --file picture.png"))]
    Set(Set),
    /// Deletes a key; one that isn't there is as good as deleted.
    #[command(after_help = example!("Example:\n  ovs kv delete colour"))]
    Delete(Change),
    /// Sets a key if it has the value that is expected, and prints that; fails with the value it has where that is another.
    #[command(
        after_help = example!("Example:\n  ovs kv test-and-set colour --expect green blue\n  ovs kv test-and-set lock --absent me")
    )]
    TestAndSet(TestAndSet),
    /// Sets a key, or deletes it where no value is given; prints the value before.
    #[command(after_help = example!("Example:\n  ovs kv replace colour blue\n  ovs kv replace colour"))]
    Replace(Replace),
    /// Fails unless a key has a value; without one: unless it isn't there.
    #[command(after_help = example!("Example:\n  ovs kv assert colour green"))]
    Assert(Replace),
    /// Fails unless a key is there.
    #[command(after_help = example!("Example:\n  ovs kv assert-exists colour"))]
    AssertExists(Change),
    /// Fails unless the keys that start with a prefix are these and no others.
    #[command(after_help = example!("Example:\n  ovs kv assert-range jobs/ jobs/1 jobs/2"))]
    AssertRange(AssertRange),
    /// Does the steps of a file in order, all or none; prints what they found.
    ///
    /// One step a line: `set KEY VALUE`, `delete KEY`, `assert KEY VALUE`, `assert-absent KEY`, `assert-exists KEY`,
    /// `assert-range PREFIX KEY...`, `delete-prefix PREFIX KEYS_MAX`, `test-and-set KEY EXPECTED VALUE`,
    /// `replace KEY VALUE`; `begin` and `end` around steps that count as one. Words stand between blanks, or in double
    /// quotes; `-` alone stands for no value. Lines that start with `#` say nothing. A step that fails is named by its
    /// number from 0, within `begin` and `end` by a path such as 2.0. As steps, `test-and-set` and `replace` tell what was there
    /// and don't fail: an assert before them does.
    #[command(
        after_help = example!("Example:\n  ovs kv sequence steps.txt\n  printf 'assert a 1\\nset a 2\\n' | ovs kv sequence")
    )]
    Sequence(Sequence),
    /// Prints the keys and values from one key to another, in order.
    #[command(after_help = example!("Example:\n  ovs kv range --first a --last m --limit 10"))]
    Range(Range),
    /// Prints the keys and values of a range from the last down.
    #[command(after_help = example!("Example:\n  ovs kv reverse-range --last m --limit 10"))]
    ReverseRange(Range),
    /// Prints the keys that start with a prefix, and their values.
    #[command(after_help = example!("Example:\n  ovs kv prefix jobs/"))]
    Prefix(Prefix),
    /// Deletes the keys that start with a prefix, 10,000 at a time; prints how many there were.
    #[command(after_help = example!("Example:\n  ovs kv delete-prefix jobs/"))]
    DeletePrefix(DeletePrefix),
    /// Prints how many keys start with a prefix.
    #[command(after_help = example!("Example:\n  ovs kv count jobs/"))]
    Count(Prefixed),
    /// Prints what is changed under a prefix from now on, until it is ended: a key, and its value or nothing.
    ///
    /// What one answer holds is in the order of keys, each as it was left: a key that was changed twice since the answer before
    /// is told once, and so is what was changed before it began (--after) or while it was cut off.
    #[command(after_help = example!("Example:\n  ovs kv watch jobs/"))]
    Watch(Watch),
    /// Writes all keys, as they were at one moment, to a new file, while others go on reading and writing.
    ///
    /// Other groups go with them, each as it was at a moment of its own; with --group one group goes alone.
    #[command(after_help = example!("Example:\n  ovs kv backup monday.kv"))]
    Backup(Backup),
    /// Restores a backup into a KV that holds nothing. Interrupted, it is to be repeated: keys of the backup that others set
    /// meanwhile are then as the backup has them.
    ///
    /// Groups that it holds are made, which takes an administrator's certificate. With --whole vDisks are as they were then:
    /// what guests wrote since is gone, and what they overwrote since may be an error (docs/lost-majority.md).
    #[command(after_help = example!("Example:\n  ovs kv restore monday.kv"))]
    Restore(Restore),
}

/// Where the KV is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// A client's configuration: reach the KV of a cluster of several servers through TLS. Without it: the KV of the
    /// process that runs on the directory.
    #[arg(long, value_name = "FILE", env = "OVS_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// The group whose keys are meant; without it those of the group that is always there.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupVerb {
    /// Makes a group: a map of its own, with a leader of its own, kept by the members that there are.
    #[command(after_help = "Example:\n  ovs kv group create abm\n  ovs kv set colour green --group abm")]
    Create(GroupOne),
    /// Drops a group and all that it holds, for good.
    #[command(after_help = "Example:\n  ovs kv group drop abm")]
    Drop(GroupOne),
    /// Lists the groups: names, numbers, keys, who leads.
    #[command(after_help = "Example:\n  ovs kv group list")]
    List(GroupAll),
}

/// A group, by name.
#[derive(Debug, Args)]
pub(crate) struct GroupOne {
    /// The name: letters, digits, '.', '_' and '-'.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) at: GroupAll,
}

/// Where the KV is whose groups are meant.
#[derive(Debug, Args)]
pub(crate) struct GroupAll {
    /// A client's configuration, of an administrator where groups are made or dropped. Without it: the KV of the process that
    /// runs on the directory.
    #[arg(long, value_name = "FILE", env = "OVS_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

impl GroupAll {
    /// The same as a place for keys.
    pub(crate) fn place(&self) -> Place {
        Place { config: self.config.clone(), group: None, asking: self.asking.clone() }
    }
}

/// How far a read may lag.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reading {
    /// See all that was answered to anybody before (the default).
    #[arg(long, conflicts_with_all = ["at_least", "stale"])]
    pub(crate) linearizable: bool,
    /// See all up to the command of this index, from any member.
    #[arg(long, value_name = "INDEX", conflicts_with = "stale")]
    pub(crate) at_least: Option<u64>,
    /// See what a member has, however far behind it is.
    #[arg(long)]
    pub(crate) stale: bool,
    /// See the whole map, the cluster's own records included, as it is. Changes are never made so.
    #[arg(long)]
    pub(crate) whole: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// A key to read.
#[derive(Debug, Args)]
pub(crate) struct Key {
    /// The key.
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// A key to read the value of.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The key.
    pub(crate) key: String,
    /// Print the value's bytes as they are, and nothing behind them.
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// Keys to read.
#[derive(Debug, Args)]
pub(crate) struct MultiGet {
    /// The keys.
    #[arg(required = true, value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// A key to change or assert.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// The key.
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// A key and a value, wherever that is.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The key.
    pub(crate) key: String,
    /// Its value, at most 8 MiB.
    #[arg(required_unless_present = "file")]
    pub(crate) value: Option<String>,
    /// Take the value from a file, as it is; `-`: from standard input.
    #[arg(long, conflicts_with = "value")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// A key, a value, and what it is expected to be.
#[derive(Debug, Args)]
pub(crate) struct TestAndSet {
    /// The key.
    pub(crate) key: String,
    /// Its new value; left out: delete it.
    pub(crate) value: Option<String>,
    /// The value that it must have.
    #[arg(long, value_name = "VALUE", required_unless_present = "absent")]
    pub(crate) expect: Option<String>,
    /// It must not be there.
    #[arg(long, conflicts_with = "expect")]
    pub(crate) absent: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// A key, and a value or none.
#[derive(Debug, Args)]
pub(crate) struct Replace {
    /// The key.
    pub(crate) key: String,
    /// The value; left out: none.
    pub(crate) value: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// What a prefix is to hold.
#[derive(Debug, Args)]
pub(crate) struct AssertRange {
    /// What the keys start with.
    pub(crate) prefix: String,
    /// The keys, in order; none: there is none.
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Where the steps are.
#[derive(Debug, Args)]
pub(crate) struct Sequence {
    /// The file with the steps; left out or `-`: standard input.
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// How much of a range to print.
#[derive(Clone, Debug, Args)]
pub(crate) struct Printed {
    /// Print at most so many.
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
    /// Print keys without values.
    #[arg(long)]
    pub(crate) keys_only: bool,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// A range to print.
#[derive(Debug, Args)]
pub(crate) struct Range {
    /// The first key; left out: the first there is.
    #[arg(long, value_name = "KEY")]
    pub(crate) first: Option<String>,
    /// The last key; left out: the last there is.
    #[arg(long, value_name = "KEY")]
    pub(crate) last: Option<String>,
    /// Begin behind the first key.
    #[arg(long, requires = "first")]
    pub(crate) exclude_first: bool,
    /// End before the last key.
    #[arg(long, requires = "last")]
    pub(crate) exclude_last: bool,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

/// A prefix to print.
#[derive(Debug, Args)]
pub(crate) struct Prefix {
    /// What the keys start with.
    pub(crate) prefix: String,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

/// A prefix to count.
#[derive(Debug, Args)]
pub(crate) struct Prefixed {
    /// What the keys start with; left out: all keys.
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// A prefix to delete.
#[derive(Debug, Args)]
pub(crate) struct DeletePrefix {
    /// What the keys start with; "" for all of a user's keys, and none of the cluster's.
    pub(crate) prefix: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// What to watch.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// What the keys start with; left out: all keys.
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    /// Begin behind the command of this index, rather than now.
    #[arg(long, value_name = "INDEX")]
    pub(crate) after: Option<u64>,
    /// End after so many changes.
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) place: Place,
}

impl KvVerb {
    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            KvVerb::Data(verb) => verb.place().asking.json,
            KvVerb::Member(verb) => verb.is_json(),
            KvVerb::CheckBackup(check) => check.json,
            KvVerb::Group(GroupVerb::Create(one) | GroupVerb::Drop(one)) => one.at.asking.json,
            KvVerb::Group(GroupVerb::List(all)) => all.asking.json,
        }
    }
}

impl DataVerb {
    /// Where it is asked, and how it is answered.
    pub(crate) fn place(&self) -> &Place {
        match self {
            DataVerb::Get(get) => &get.reading.place,
            DataVerb::MultiGet(get) => &get.reading.place,
            DataVerb::Exists(key) => &key.reading.place,
            DataVerb::Set(set) => &set.place,
            DataVerb::Delete(change) | DataVerb::AssertExists(change) => &change.place,
            DataVerb::TestAndSet(set) => &set.place,
            DataVerb::Replace(replace) | DataVerb::Assert(replace) => &replace.place,
            DataVerb::AssertRange(range) => &range.place,
            DataVerb::Sequence(sequence) => &sequence.place,
            DataVerb::Range(range) | DataVerb::ReverseRange(range) => &range.printed.reading.place,
            DataVerb::Prefix(prefix) => &prefix.printed.reading.place,
            DataVerb::DeletePrefix(prefix) => &prefix.place,
            DataVerb::Count(prefix) => &prefix.reading.place,
            DataVerb::Watch(watch) => &watch.place,
            DataVerb::Backup(backup) => &backup.place,
            DataVerb::Restore(restore) => &restore.place,
        }
    }
}
