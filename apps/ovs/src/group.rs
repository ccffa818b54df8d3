//! Asking whoever leads the KV's group to change it, through TLS.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use certificates::Credentials;
use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, KvGroupVerb};
use glossary::ServerId;
use kv_client::{Dial, TlsDial};

use crate::config::ServerConfig;
use crate::conversation::converse;
use crate::failure::{ExitCode, Failure};

/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before all are asked again.
const PAUSE: Duration = Duration::from_millis(300);

/// The servers that a configuration knows, as clients reach them; without the one that asks, unless it is alone.
pub(crate) fn dial(config: &ServerConfig) -> Result<TlsDial, Failure> {
    let credentials = Credentials::load(&config.certificates)
        .map_err(|error| Failure::refused(format!("the certificate can't be used: {error}")))?;
    let others: BTreeMap<ServerId, String> =
        config.servers.iter().map(|(server, address)| (*server, address.to_string())).collect();
    Ok(TlsDial::new(credentials, others))
}

/// Asks every server in turn until one does it: the others say who leads, and that may have changed by then.
///
/// # Errors
/// Why the last that answered didn't, when `patience` ended.
pub(crate) fn ask(config: &ServerConfig, verb: KvGroupVerb, patience: Duration) -> Result<(), Failure> {
    let mut dial = dial(config)?;
    let until = Instant::now() + patience;
    let mut why = String::from("no server of [servers] can be reached");
    loop {
        for server in dial.servers() {
            let body = AdminBody::KvGroup(verb);
            let question = Message::Admin(AdminRequest { request: 1, body });
            let asked = dial.dial(server, PATIENCE).map_err(Into::into).and_then(|mut stream| {
                stream.set_patience(PATIENCE)?;
                converse(stream.as_mut(), config.cluster, server, &question)
            });
            match asked {
                Ok(Message::AdminReply(reply)) => match reply.body {
                    AdminAnswer::Done => return Ok(()),
                    AdminAnswer::Failed(text) | AdminAnswer::NotYet(text) => why = text,
                    AdminAnswer::Status(_) | AdminAnswer::Fingerprint(_) => {}
                },
                Ok(_) => {}
                Err(error) => tracing::debug!(%server, "{error}"),
            }
        }
        if Instant::now() > until {
            return Err(Failure::new(ExitCode::TimedOut, why));
        }
        std::thread::sleep(PAUSE);
    }
}
