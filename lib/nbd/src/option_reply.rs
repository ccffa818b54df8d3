//! Encoding of replies to options.

use bytes::{BufMut, Bytes, BytesMut};

use crate::export::{Export, Listing, assert_string};
use crate::item::Refusal;
use crate::option_data::InfoQuery;
use crate::settings::Settings;
use crate::wire::{
    EXPORT_NAME_PADDING_BYTES, OPTION_REPLY_MAGIC, base_allocation, info, option_reply as kind,
};

/// Replies to one option: any number of details, then an acknowledgement or an error.
pub(crate) struct OptionReply {
    option: u32,
    out: BytesMut,
}

impl OptionReply {
    pub(crate) fn to(option: u32) -> Self {
        Self { option, out: BytesMut::new() }
    }

    /// Success, and the last word on this option.
    pub(crate) fn acknowledge(mut self) -> Bytes {
        self.header(kind::ACK, 0);
        self.out.freeze()
    }

    /// Failure, and the last word on this option. `kind` is one of `NBD_REP_ERR_*`.
    pub(crate) fn error(mut self, kind: u32, message: &'static str) -> Bytes {
        self.header(kind, message.len());
        self.out.put_slice(message.as_bytes());
        self.out.freeze()
    }

    pub(crate) fn refuse(self, refusal: Refusal) -> Bytes {
        match refusal {
            //= NBD#option-types
            //# NBD_REP_ERR_UNKNOWN: The chosen export does not exist on this server
            Refusal::Unknown => self.error(kind::ERR_UNKNOWN, "no such export"),
            Refusal::Policy => self.error(kind::ERR_POLICY, "not permitted"),
            //= NBD#termination-of-the-session-during-option-haggling
            //# SHOULD error further options (other than an NBD_OPT_ABORT) with NBD_REP_ERR_SHUTDOWN
            Refusal::Shutdown => self.error(kind::ERR_SHUTDOWN, "the server is shutting down"),
            // No kind says just this; of all that are, this one makes no client look for a mistake of its own.
            Refusal::Unserved => self
                .error(kind::ERR_SHUTDOWN, "this export can't be served now; the server's status says why"),
        }
    }

    /// One export of a listing.
    pub(crate) fn listing(&mut self, listing: &Listing<'_>) {
        assert_string(listing.name);
        assert_string(listing.description);
        self.header(kind::SERVER, 4 + listing.name.len() + listing.description.len());
        self.out.put_u32(length(listing.name.len()));
        self.out.put_slice(listing.name.as_bytes());
        self.out.put_slice(listing.description.as_bytes());
    }

    /// The metadata context `base:allocation`.
    pub(crate) fn base_allocation(&mut self, id: u32) {
        self.header(kind::META_CONTEXT, 4 + base_allocation::NAME.len());
        self.out.put_u32(id);
        self.out.put_slice(base_allocation::NAME.as_bytes());
    }

    /// Everything about an export that was asked for, and what must be said in any case.
    pub(crate) fn export(
        &mut self,
        settings: &Settings,
        export: &Export,
        query: InfoQuery,
        transmission_flags: u16,
    ) {
        //= NBD#option-types
        //# MUST send at least one NBD_REP_INFO, with an NBD_INFO_EXPORT information type
        self.header(kind::INFO, 12);
        self.out.put_u16(info::EXPORT);
        self.out.put_u64(export.size);
        self.out.put_u16(transmission_flags);
        if query.name {
            self.info_text(info::NAME, &export.name);
        }
        if query.description {
            self.info_text(info::DESCRIPTION, &export.description);
        }
        // Sent unasked too: the maximum is below the default, which is "unlimited".
        //= NBD#block-size-constraints
        //# SHOULD advertise the block size constraints, and MUST do so unless agreed out of band
        self.header(kind::INFO, 14);
        self.out.put_u16(info::BLOCK_SIZE);
        self.out.put_u32(export.block_sizes.minimum());
        self.out.put_u32(export.block_sizes.preferred());
        self.out.put_u32(export.block_sizes.maximum(settings));
    }

    fn info_text(&mut self, information: u16, text: &str) {
        self.header(kind::INFO, 2 + text.len());
        self.out.put_u16(information);
        self.out.put_slice(text.as_bytes());
    }

    fn header(&mut self, kind: u32, data_length: usize) {
        self.out.put_u64(OPTION_REPLY_MAGIC);
        //= NBD#fixed-newstyle-negotiation
        //# the option as sent by the client to which this is a reply
        self.out.put_u32(self.option);
        self.out.put_u32(kind);
        self.out.put_u32(length(data_length));
    }
}

/// The only reply without a header: the answer to `NBD_OPT_EXPORT_NAME`.
pub(crate) fn export_name_reply(export: &Export, transmission_flags: u16, no_zeroes: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + EXPORT_NAME_PADDING_BYTES);
    out.put_u64(export.size);
    out.put_u16(transmission_flags);
    //= NBD#client-flags
    //# If set, the server MUST NOT send the 124 bytes of zeroes
    if !no_zeroes {
        out.put_bytes(0, EXPORT_NAME_PADDING_BYTES);
    }
    out.freeze()
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a reply is made of strings of at most 4096 bytes")
}
