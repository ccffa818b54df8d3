//! The headers of SCO files. The log proves what is in them; the header only tells whether a newer program wrote
//! them, whose files this one must leave as they are.

use formats::sco::{self, ScoHeader};
use glossary::{CLUSTER_BYTES, ScoId};
use step::{DiskOperation, DiskOutcome, DiskResult};

use super::{Operation, TakeOver};
use crate::context::Context;
use crate::files::LocalFile;

impl TakeOver {
    /// Reads the header of every SCO file, those that are mere cache included, before anything is written.
    pub(super) fn read_sco_headers(&mut self, context: &mut Context<'_>) {
        let sco = |file: &LocalFile| match file {
            LocalFile::Sco(sco) => Some(*sco),
            LocalFile::Tlog(_) | LocalFile::Map(_) => None,
        };
        let mut scos = self.files.keys().filter_map(sco);
        match scos.find(|sco| self.headers_read.is_none_or(|last| *sco > last)) {
            Some(sco) => {
                let file = LocalFile::Sco(sco).name(self.id);
                let what = DiskOperation::Read { file, offset: 0, length: CLUSTER_BYTES };
                self.operations.start(Operation::ReadScoHeader(sco), what, context);
            }
            None if self.closed.is_empty() && self.record().buffer.is_some() => self.unclaim(context),
            None => self.open(context),
        }
    }

    /// A header that is torn, damaged or can't be read says nothing: nobody needs it.
    pub(super) fn sco_header_read(&mut self, sco: ScoId, result: &DiskResult, context: &mut Context<'_>) {
        if let Ok(DiskOutcome::Read(page)) = result
            && let Some(version) = ScoHeader::newer_version(page)
        {
            self.halt(super::newer(&LocalFile::Sco(sco).name(self.id), version, sco::VERSION));
            return;
        }
        self.headers_read = Some(sco);
        self.read_sco_headers(context);
    }
}
