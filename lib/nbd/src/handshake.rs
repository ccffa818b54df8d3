//! The handshake: greeting, client flags, and options until one of them starts the transmission phase.

use alloc::string::String;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::export::{Export, Listing};
use crate::item::{Fatal, Item, Purpose, Refusal};
use crate::option_data::{self, ContextQuery, InfoQuery};
use crate::option_reply::{OptionReply, export_name_reply};
use crate::session::{Limits, Step};
use crate::transmission::Transmission;
use crate::wire::{
    CLIENT_FLAGS_BYTES, GREETING_MAGIC, OPTION_HEADER_BYTES, OPTION_MAGIC, STRING_BYTES_MAX, base_allocation,
    client_flag, handshake_flag, option, option_reply,
};

/// A session before its transmission phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handshake {
    state: State,
    options_seen: u32,
    no_zeroes: bool,
    structured: bool,
    /// The export name for which `base:allocation` was selected last.
    context_selected_for: Option<String>,
}

/// States are named for what they await.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    GreetingSent,
    ClientFlags,
    OptionHeader,
    OptionData { option: u32, length: u32 },
    Answer(Question),
    Disconnect,
}

/// What the driver was asked, and what its answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    List,
    Export { name: String, subject: Subject },
}

/// The option that made us ask about an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    ExportName,
    Info(InfoQuery),
    Go(InfoQuery),
    ListContexts(ContextQuery),
    SetContexts(ContextQuery),
}

impl Handshake {
    pub(crate) fn new() -> Self {
        Self {
            state: State::GreetingSent,
            options_seen: 0,
            no_zeroes: false,
            structured: false,
            context_selected_for: None,
        }
    }

    /// Whether structured replies are negotiated.
    pub(crate) fn structured(&self) -> bool {
        self.structured
    }

    pub(crate) fn wants(&self) -> usize {
        match self.state {
            State::GreetingSent | State::Answer(_) | State::Disconnect => 0,
            State::ClientFlags => CLIENT_FLAGS_BYTES,
            State::OptionHeader => OPTION_HEADER_BYTES,
            State::OptionData { length, .. } => length as usize,
        }
    }

    pub(crate) fn step(&mut self, limits: &Limits, input: &mut Bytes) -> Result<Step, Fatal> {
        if input.len() < self.wants() {
            return Ok(Step::Wait);
        }
        match self.state {
            State::GreetingSent => {
                self.state = State::ClientFlags;
                Ok(Step::Give(Item::Send(greeting())))
            }
            State::ClientFlags => self.on_client_flags(input.get_u32()),
            State::OptionHeader => self.on_option_header(limits, input),
            State::OptionData { option, length } => {
                self.state = State::OptionHeader;
                self.on_option_data(option, input.split_to(length as usize))
            }
            State::Answer(_) => Ok(Step::Wait),
            State::Disconnect => Ok(Step::Give(Item::Disconnect)),
        }
    }

    fn on_client_flags(&mut self, flags: u32) -> Result<Step, Fatal> {
        //= NBD#client-flags
        //# MUST drop the TCP connection if the client sets an unknown flag
        if flags & !(client_flag::FIXED_NEWSTYLE | client_flag::NO_ZEROES) != 0 {
            return Err(Fatal::ClientFlagsUnknown(flags));
        }
        //= NBD#client-flags
        //# Servers MAY choose to honour fixed newstyle from clients that didn't set this bit
        self.no_zeroes = flags & client_flag::NO_ZEROES != 0;
        self.state = State::OptionHeader;
        Ok(Step::Again)
    }

    fn on_option_header(&mut self, limits: &Limits, input: &mut Bytes) -> Result<Step, Fatal> {
        let magic = input.get_u64();
        let option = input.get_u32();
        let length = input.get_u32();
        if magic != OPTION_MAGIC {
            return Err(Fatal::OptionMagicWrong(magic));
        }
        //= NBD#termination-of-the-session-during-option-haggling
        //# if a client's behaviour constitutes a denial of service, it MAY initiate a hard disconnect
        self.options_seen += 1;
        if self.options_seen > limits.settings.options_max {
            return Err(Fatal::OptionsTooMany);
        }
        if length > limits.settings.skip_bytes_max {
            return Err(Fatal::OptionTooLong(length));
        }
        if limits.shutting_down && option != option::ABORT {
            return refuse_for_shutdown(option, length);
        }
        self.on_option(limits, option, length)
    }

    fn on_option(&mut self, limits: &Limits, option: u32, length: u32) -> Result<Step, Fatal> {
        let skip = |reply| Ok(Step::Skip { length, reply });
        let reply = OptionReply::to(option);
        let invalid = |reply: OptionReply, why| skip(reply.error(option_reply::ERR_INVALID, why));
        match option {
            option::EXPORT_NAME if length as usize > STRING_BYTES_MAX => Err(Fatal::ExportNameInvalid),
            //= NBD#option-types
            //# the server MUST reply with NBD_REP_ACK
            //= NBD#option-types
            //# SHOULD ignore any data sent by the client rather than rejecting the request
            option::ABORT => {
                self.state = State::Disconnect;
                skip(reply.acknowledge())
            }
            //= NBD#option-types
            //# SHOULD reject a request that includes data with NBD_REP_ERR_INVALID
            option::LIST | option::STRUCTURED_REPLY if length > 0 => {
                invalid(reply, "this option has no data")
            }
            option::LIST => {
                self.state = State::Answer(Question::List);
                Ok(Step::Give(Item::ListExports))
            }
            option::STRUCTURED_REPLY => {
                self.structured = true;
                skip(reply.acknowledge())
            }
            //= NBD#option-types
            //# MUST NOT be requested unless structured replies have been negotiated first
            option::LIST_META_CONTEXT | option::SET_META_CONTEXT if !self.structured => {
                invalid(reply, "negotiate structured replies first")
            }
            option::EXPORT_NAME
            | option::INFO
            | option::GO
            | option::LIST_META_CONTEXT
            | option::SET_META_CONTEXT => {
                //= NBD#option-types
                //# replaces all previously-set metadata contexts (including when this command fails)
                if option == option::SET_META_CONTEXT {
                    self.context_selected_for = None;
                }
                //= NBD#option-reply-types
                //# NBD_REP_ERR_TOO_BIG: The request or the reply is too large to process
                if length > limits.settings.option_bytes_max {
                    return skip(reply.error(option_reply::ERR_TOO_BIG, "too much data"));
                }
                self.state = State::OptionData { option, length };
                Ok(Step::Again)
            }
            // STARTTLS is among them: there is no TLS inside this session.
            //= NBD#notls-mode
            //# MUST respond with NBD_REP_ERR_UNSUP (if it does not support the option at all)
            //= NBD#baseline
            //# MUST reply to them with NBD_REP_ERR_UNSUP, and MUST NOT fail to parse the next message
            _ => skip(reply.error(option_reply::ERR_UNSUP, "unknown option")),
        }
    }

    fn on_option_data(&mut self, option: u32, data: Bytes) -> Result<Step, Fatal> {
        let decoded = match option {
            //= NBD#termination-of-the-session-during-option-haggling
            //# MUST initiate a hard disconnect where it cannot return an error
            option::EXPORT_NAME => {
                let name = option_data::string(&data).ok_or(Fatal::ExportNameInvalid)?;
                Some((name, Subject::ExportName))
            }
            option::INFO => option_data::info_query(data).map(|(name, query)| (name, Subject::Info(query))),
            option::GO => option_data::info_query(data).map(|(name, query)| (name, Subject::Go(query))),
            option::LIST_META_CONTEXT => {
                option_data::context_query(data).map(|(name, query)| (name, Subject::ListContexts(query)))
            }
            _ => option_data::context_query(data).map(|(name, query)| (name, Subject::SetContexts(query))),
        };
        //= NBD#option-types
        //# If syntactically invalid, the server MUST fail the request with NBD_REP_ERR_INVALID
        let Some((name, subject)) = decoded else {
            let reply = OptionReply::to(option).error(option_reply::ERR_INVALID, "malformed option data");
            return Ok(Step::Give(Item::Send(reply)));
        };
        let purpose = subject.purpose();
        self.state = State::Answer(Question::Export { name: name.clone(), subject });
        Ok(Step::Give(Item::FindExport { name, purpose }))
    }

    /// The answer to [`Item::ListExports`].
    pub(crate) fn on_exports(&mut self, exports: Result<&[Listing<'_>], Refusal>) -> Bytes {
        let question = core::mem::replace(&mut self.state, State::OptionHeader);
        assert_eq!(question, State::Answer(Question::List), "nobody asked for a list of exports");
        let mut reply = OptionReply::to(option::LIST);
        match exports {
            Err(refusal) => reply.refuse(refusal),
            Ok(exports) => {
                //= NBD#option-types
                //# zero or more NBD_REP_SERVER replies, one for each export, followed by NBD_REP_ACK
                exports.iter().for_each(|listing| reply.listing(listing));
                reply.acknowledge()
            }
        }
    }

    /// The answer to [`Item::FindExport`]: what to send, and the transmission phase where it begins.
    pub(crate) fn on_export(
        &mut self,
        limits: &Limits,
        export: Result<Export, Refusal>,
    ) -> Result<(Bytes, Option<Transmission>), Fatal> {
        let question = core::mem::replace(&mut self.state, State::OptionHeader);
        let State::Answer(Question::Export { name, subject }) = question else {
            panic!("nobody asked for an export");
        };
        let mut reply = OptionReply::to(subject.option());
        let export = match export {
            Ok(export) => export,
            //= NBD#option-types
            //# If the chosen export does not exist, the server MUST terminate the session
            Err(refusal) if subject == Subject::ExportName => return Err(Fatal::ExportRefused(refusal)),
            Err(refusal) => return Ok((reply.refuse(refusal), None)),
        };
        export.assert_valid(&limits.settings);
        let flags = export.features.transmission_flags(self.structured);
        match subject {
            Subject::ExportName => {
                let bytes = export_name_reply(&export, flags, self.no_zeroes);
                Ok((bytes, Some(self.transmission(&name, export))))
            }
            Subject::Info(query) => {
                reply.export(&limits.settings, &export, query, flags);
                Ok((reply.acknowledge(), None))
            }
            //= NBD#option-types
            //# the client and the server both immediately enter the transmission phase
            //= NBD#option-types
            //# MUST NOT send any zero padding bytes after the NBD_REP_ACK data
            Subject::Go(query) => {
                reply.export(&limits.settings, &export, query, flags);
                Ok((reply.acknowledge(), Some(self.transmission(&name, export))))
            }
            Subject::ListContexts(query) => {
                //= NBD#option-types
                //# If zero queries are sent, MUST return all the metadata contexts that are available
                //= NBD#the-base-metadata-namespace
                //# MUST support base: as a wildcard during NBD_OPT_LIST_META_CONTEXT
                if export.features.block_status && (query.empty || query.wildcard || query.base_allocation) {
                    //= NBD#option-types
                    //# The metadata context ID in these replies is reserved and SHOULD be set to zero
                    reply.base_allocation(0);
                }
                Ok((reply.acknowledge(), None))
            }
            Subject::SetContexts(query) => {
                //= NBD#option-types
                //# If zero queries are sent, the server MUST select no metadata contexts
                //= NBD#the-base-metadata-namespace
                //# MUST ignore base: during NBD_OPT_SET_META_CONTEXT
                if export.features.block_status && query.base_allocation {
                    self.context_selected_for = Some(name);
                    reply.base_allocation(base_allocation::ID);
                }
                Ok((reply.acknowledge(), None))
            }
        }
    }

    fn transmission(&self, name: &str, export: Export) -> Transmission {
        //= NBD#option-types
        //# it referred to the same export name that was ultimately selected for transmission phase
        let block_status = self.context_selected_for.as_deref() == Some(name) && export.features.block_status;
        Transmission::new(export, self.structured, block_status)
    }
}

impl Subject {
    fn purpose(self) -> Purpose {
        match self {
            Self::ExportName | Self::Go(_) => Purpose::Attach,
            Self::Info(_) | Self::ListContexts(_) | Self::SetContexts(_) => Purpose::Describe,
        }
    }

    fn option(self) -> u32 {
        match self {
            Self::ExportName => option::EXPORT_NAME,
            Self::Info(_) => option::INFO,
            Self::Go(_) => option::GO,
            Self::ListContexts(_) => option::LIST_META_CONTEXT,
            Self::SetContexts(_) => option::SET_META_CONTEXT,
        }
    }
}

/// The first words of the server.
fn greeting() -> Bytes {
    let mut out = BytesMut::with_capacity(18);
    out.put_u64(GREETING_MAGIC);
    out.put_u64(OPTION_MAGIC);
    //= NBD#handshake-flags
    //# NBD_FLAG_FIXED_NEWSTYLE; MUST be set by servers that support the fixed newstyle protocol
    //= NBD#handshake-flags
    //# MUST NOT set any other flags
    out.put_u16(handshake_flag::FIXED_NEWSTYLE | handshake_flag::NO_ZEROES);
    out.freeze()
}

fn refuse_for_shutdown(option: u32, length: u32) -> Result<Step, Fatal> {
    if option == option::EXPORT_NAME {
        return Err(Fatal::ExportRefused(Refusal::Shutdown));
    }
    Ok(Step::Skip { length, reply: OptionReply::to(option).refuse(Refusal::Shutdown) })
}
