//! Asking roles from ordinary threads.

use std::time::Duration;

use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, RoleStatus};
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvRequest};
use glossary::NodeId;
use io::{AskError, Port};

use super::ids;
use crate::failure::{ExitCode, Failure};

/// How long one try may take before it is made again.
const TRY: Duration = Duration::from_secs(5);

/// How often a question to the KV is asked.
const TRIES: u32 = 12;

/// Asks the KV, until it answers something else than "not now".
fn kv(port: &mut Port, body: &KvBody) -> Result<KvAnswer, Failure> {
    for _ in 0..TRIES {
        let asked = port.ask(ids::KV, TRY, |request| Message::Kv(KvRequest { request, body: body.clone() }));
        match asked {
            Ok(Message::KvReply(reply)) => match reply.body {
                KvAnswer::Failed(KvError::Unavailable | KvError::Full | KvError::NotLeader { .. }) => {
                    std::thread::sleep(TRY / 50)
                }
                answer => return Ok(answer),
            },
            Ok(_) | Err(AskError::TimedOut(_)) => {}
            Err(error @ AskError::NotRunning(_)) => {
                return Err(Failure::new(
                    ExitCode::Failed,
                    format!("the KV stopped: {error}; its log above says why"),
                ));
            }
        }
    }
    Err(Failure::new(ExitCode::Failed, "the KV does not answer; is its disk full or failing?"))
}

/// A linearizable read.
pub(crate) fn query(port: &mut Port, query: KvQuery) -> Result<KvAnswer, Failure> {
    kv(port, &KvBody::Query(query))
}

/// A change, applied once. `session` was never used before, and the change is its only one.
pub(crate) fn command(port: &mut Port, session: u64, command: KvCommand) -> Result<KvAnswer, Failure> {
    kv(port, &KvBody::Command { session, sequence: 1, answered_below: 1, command })
}

/// What a role has to say of itself; none when it doesn't answer.
pub(crate) fn status(port: &mut Port, node: NodeId, patience: Duration) -> Option<RoleStatus> {
    match admin(port, node, AdminBody::Status, patience) {
        Ok(AdminAnswer::Status(status)) => Some(status),
        _ => None,
    }
}

/// A verb of management.
pub(crate) fn admin(
    port: &mut Port,
    node: NodeId,
    body: AdminBody,
    patience: Duration,
) -> Result<AdminAnswer, AskError> {
    let asked = port.ask(node, patience, |request| Message::Admin(AdminRequest { request, body }))?;
    match asked {
        Message::AdminReply(reply) => Ok(reply.body),
        _ => Err(AskError::TimedOut(node)),
    }
}
