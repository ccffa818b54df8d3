//! Asking roles from ordinary threads.

use std::time::Duration;

use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, RoleStatus};
use glossary::NodeId;
use io::{AskError, Port};

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
