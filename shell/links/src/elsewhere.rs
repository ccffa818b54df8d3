//! What nodes of other servers say to those of this one, and what is said where there is no KV.

use ::io::Context;
use formats::Message;
use formats::message::admin::{AdminAnswer, AdminReply};
use formats::message::kv::KvReply;
use glossary::{NodeId, ServerId};

use crate::hall::Hall;
use crate::incoming::Broken;
use crate::rights::{NO_KV, Peer};

/// A frame of another server: it comes from a node there and goes to one here, whose roles bound what they take.
pub(crate) fn on_frame_of_server(
    (server, peer): (ServerId, &Peer),
    from: NodeId,
    to: NodeId,
    message: Message,
    hall: &Hall,
    context: &mut Context<'_>,
) -> Result<(), Broken> {
    if from.server() != server {
        return Err(Broken::NotItsNode(from));
    }
    if !peer.may_reach(&message, to, &hall.settings) {
        return Err(Broken::NotForOutside(to, hall.settings.kv));
    }
    match no_kv_here(&message, hall.settings.server).filter(|_| !hall.settings.runs_kv) {
        Some(answer) if to == hall.settings.kv => context.send_from(to, from, answer),
        _ => context.send_from(from, to, message),
    }
    Ok(())
}

/// What who asks a KV is told where none runs: he asks another server then, and need not wait until it is plain that
/// nobody answers.
pub(crate) fn no_kv_here(asked: &Message, server: ServerId) -> Option<Message> {
    let request = asked.request();
    match asked {
        Message::Kv(_) | Message::KvOf(_) => Some(Message::KvReply(KvReply { request, body: NO_KV })),
        Message::Admin(_) => {
            let body = AdminAnswer::Failed(format!("server {server} runs no KV: ask one that does"));
            Some(Message::AdminReply(AdminReply { request, body }))
        }
        _ => None,
    }
}
