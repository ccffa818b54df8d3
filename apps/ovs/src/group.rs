//! Asking whoever leads the KV's group to change it, through TLS.

use std::time::{Duration, Instant};

use certificates::Credentials;
use consensus::Membership;
use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, KvGroupVerb, RoleStatus};
use formats::registry::{self, ServerRecord};
use glossary::ServerId;
use kv_client::{Client, Dial, Scope, TlsDial};

use crate::config::ServerConfig;
use crate::conversation::converse;
use crate::failure::{ExitCode, Failure};
use crate::serve::{own_address, remembered};

/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before all are asked again.
pub(crate) const PAUSE: Duration = Duration::from_millis(300);

/// The servers that a configuration knows, and those that the KV named when this server last ran, as clients reach them.
pub(crate) fn dial(config: &ServerConfig) -> Result<TlsDial, Failure> {
    let credentials = Credentials::load(&config.certificates)
        .map_err(|error| Failure::refused(format!("the certificate can't be used: {error}")))?;
    let named = remembered(&config.data);
    let known = config.servers.iter().chain(&named).map(|(server, address)| (*server, address.to_string()));
    Ok(TlsDial::new(credentials, known.collect()))
}

/// Has the group know where a server is: its members answer it through links of theirs, and send to it as soon as it is
/// one of them.
///
/// # Errors
/// When the group is not told.
pub(crate) fn announce(config: &ServerConfig) -> Result<(), Failure> {
    let address = own_address(config)?;
    let failed = |error: kv_client::Error| {
        Failure::new(
            ExitCode::NotRunning,
            format!("the KV's group is not told where this server is: {error}"),
        )
    };
    let mut others = config.clone();
    others.servers.remove(&config.server);
    let mut client = Client::connect(Box::new(dial(&others)?)).map_err(failed)?;
    client.within(Scope::Whole);
    let record = ServerRecord { server: config.server, address };
    client.set(&registry::server_key(config.server), &registry::encode(&record)).map_err(failed)
}

/// Asks every server in turn until one does it: the others say who leads, and that may have changed by then.
///
/// # Errors
/// Why the last that answered didn't, when `patience` ended.
pub(crate) fn ask(config: &ServerConfig, verb: KvGroupVerb, patience: Duration) -> Result<(), Failure> {
    ask_for(config, &AdminBody::KvGroup(verb), patience)
}

/// The same with a verb of any group.
///
/// # Errors
/// As [`ask`].
pub(crate) fn ask_for(config: &ServerConfig, verb: &AdminBody, patience: Duration) -> Result<(), Failure> {
    let mut dial = dial(config)?;
    let until = Instant::now() + patience;
    let mut why = String::from("no server of [servers] can be reached");
    loop {
        for server in dial.servers() {
            match ask_one(&mut dial, config, server, verb.clone()) {
                Some(AdminAnswer::Done) => return Ok(()),
                Some(AdminAnswer::Failed(text) | AdminAnswer::NotYet(text)) => why = text,
                Some(AdminAnswer::NotAllowed(text)) => return Err(Failure::refused(text)),
                Some(
                    AdminAnswer::Status(_)
                    | AdminAnswer::Fingerprint(_)
                    | AdminAnswer::KvGroups(_)
                    | AdminAnswer::KvLevels(_),
                )
                | None => {}
            }
        }
        if Instant::now() > until {
            return Err(Failure::new(ExitCode::TimedOut, why));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Who belongs to the group, as the first other server says that has a member of it; none where those that answer are only
/// starting.
///
/// # Errors
/// When no other server answers.
pub(crate) fn membership(config: &ServerConfig) -> Result<Option<Membership>, Failure> {
    let mut dial = dial(config)?;
    let others = dial.servers().into_iter().filter(|server| *server != config.server);
    let mut answers = 0;
    for server in others.collect::<Vec<_>>() {
        match ask_one(&mut dial, config, server, AdminBody::Status) {
            Some(AdminAnswer::Status(RoleStatus::KvMember { members, .. })) if !members.voters.is_empty() => {
                return Ok(Some(members));
            }
            answer => answers += usize::from(answer.is_some()),
        }
    }
    match answers {
        0 => Err(Failure::new(
            ExitCode::NotRunning,
            "no other server of the group answers: what this one lost can only come from them",
        )),
        _ => Ok(None),
    }
}

/// What the first member that answers says of itself and of the group. `None`: nobody answers.
pub(crate) fn status(config: &ServerConfig) -> Option<RoleStatus> {
    told(config).map(|(_, status)| status)
}

/// The same, and which server it is.
pub(crate) fn told(config: &ServerConfig) -> Option<(ServerId, RoleStatus)> {
    let mut dial = dial(config).ok()?;
    let mut others = dial.servers().into_iter().filter(|server| *server != config.server);
    others.find_map(|server| match ask_one(&mut dial, config, server, AdminBody::Status) {
        Some(AdminAnswer::Status(status)) => Some((server, status)),
        _ => None,
    })
}

/// Asks one server. `None`: it doesn't answer.
pub(crate) fn ask_one(
    dial: &mut TlsDial,
    config: &ServerConfig,
    server: ServerId,
    body: AdminBody,
) -> Option<AdminAnswer> {
    let question = Message::Admin(AdminRequest { request: 1, body });
    let asked = dial.dial(server, PATIENCE).map_err(Into::into).and_then(|mut stream| {
        stream.set_patience(PATIENCE)?;
        converse(stream.as_mut(), config.cluster, server, &question)
    });
    match asked {
        Ok(Message::AdminReply(reply)) => Some(reply.body),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%server, "{error}");
            None
        }
    }
}
