//! The arguments of verbs on the KV.

use clap::Subcommand;

use super::member::MemberVerb;

/// What to do with the KV.
#[derive(Debug, Subcommand)]
pub(crate) enum KvVerb {
    #[command(flatten)]
    Member(MemberVerb),
}

impl KvVerb {
    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        let KvVerb::Member(verb) = self;
        verb.is_json()
    }
}
