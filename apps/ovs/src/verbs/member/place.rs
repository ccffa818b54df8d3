//! Whom a verb asks: the server on this machine, through its socket, or others, through TLS and with a certificate.

use std::path::PathBuf;
use std::time::Duration;

use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest};
use glossary::ServerId;

use super::local;
use crate::cli::Configured;
use crate::config::{AnyConfig, ClientConfig, ServerConfig};
use crate::failure::{ExitCode, Failure};
use crate::group;

/// Whom a verb asks.
pub(super) struct Place {
    /// How servers are reached, this machine's included.
    pub(super) reach: ClientConfig,
    /// The server on this machine, where its file was named.
    own: Option<Box<ServerConfig>>,
    /// The one server that is meant.
    named: Option<ServerId>,
    file: PathBuf,
}

impl Place {
    /// The server of a file, or one of those that it tells of. A client's file alone means any of them.
    pub(super) fn of(configured: &Configured, named: Option<ServerId>) -> Result<Self, Failure> {
        let file = configured.config.clone();
        let place = match AnyConfig::load(&file, &configured.overrides())? {
            AnyConfig::Server(own) => Place { reach: group::reach(&own), own: Some(own), named, file },
            AnyConfig::Client(reach) => Place { reach, own: None, named, file },
        };
        let is_unknown = |server| place.own().is_none() && !place.reach.servers.contains_key(&server);
        match named.filter(|server| is_unknown(*server)) {
            Some(server) => Err(Failure::usage(format!(
                "where server {server} is does not stand below [servers] of {}: add it there",
                place.file.display()
            ))),
            None => Ok(place),
        }
    }

    /// The server on this machine, where that is the one to ask.
    pub(super) fn own(&self) -> Option<&ServerConfig> {
        self.own.as_deref().filter(|own| self.named.is_none_or(|named| named == own.server))
    }

    /// Whether any server will do.
    pub(super) fn is_any(&self) -> bool {
        self.own.is_none() && self.named.is_none()
    }

    /// The servers that may be asked.
    pub(super) fn servers(&self) -> Vec<ServerId> {
        match self.named.or(self.own.as_ref().map(|own| own.server)) {
            Some(one) => vec![one],
            None => self.reach.servers.keys().copied().collect(),
        }
    }

    /// What the server that is meant answers, or the first that does, and which one that is.
    pub(super) fn ask(
        &self,
        body: &AdminBody,
        patience: Duration,
    ) -> Result<(ServerId, AdminAnswer), Failure> {
        let nobody =
            || Failure::usage(format!("{} names no servers: add them below [servers]", self.file.display()));
        let mut failed = None;
        for server in self.servers() {
            match self.ask_server(server, body, patience) {
                Ok(answer) => return Ok((server, answer)),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        Err(failed.unwrap_or_else(nobody))
    }

    /// What one of the servers answers.
    pub(super) fn ask_server(
        &self,
        server: ServerId,
        body: &AdminBody,
        patience: Duration,
    ) -> Result<AdminAnswer, Failure> {
        let answer = match self.own() {
            Some(own) => ask_here(own, body, patience)?,
            None => {
                let mut dial = group::dial(&self.reach)?;
                let asked = group::ask_server(&mut dial, &self.reach, server, body.clone(), patience);
                asked.map_err(|error| {
                    Failure::new(ExitCode::NotRunning, format!("server {server} doesn't answer: {error}"))
                })?
            }
        };
        match answer {
            AdminAnswer::NotAllowed(why) => Err(Failure::refused(why)),
            answer => Ok(answer),
        }
    }
}

fn ask_here(own: &ServerConfig, body: &AdminBody, patience: Duration) -> Result<AdminAnswer, Failure> {
    let question = Message::Admin(AdminRequest { request: 1, body: body.clone() });
    match local::ask(&own.data, own.cluster, own.server, &question, patience)? {
        Message::AdminReply(reply) => Ok(reply.body),
        _ => Err(Failure::new(ExitCode::Failed, "the KV answers something else than it was asked")),
    }
}
