//! Who is at the other end of a connection, and what it may say.

use formats::Message;
use glossary::ServerId;

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its name, for logs: that of its certificate, or the user's number on this machine.
    pub(crate) name: String,
    /// The server that it is; `None`: a client.
    pub(crate) server: Option<ServerId>,
    pub(crate) rights: Rights,
}

/// Which kinds of messages it may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Requests to the KV, and answers where it is a server.
    pub(crate) kv: bool,
    /// Verbs of management.
    pub(crate) admin: bool,
    /// What members of the KV's group say to each other.
    pub(crate) member: bool,
}

impl Rights {
    /// Whoever may open the socket in a folder could as well change the files in it.
    pub(crate) const LOCAL: Rights = Rights { kv: true, admin: true, member: false };

    /// Whether anything is allowed.
    pub(crate) fn any(self) -> bool {
        self.kv || self.admin || self.member
    }
}

impl Peer {
    /// Whether it may send a message of this kind.
    pub(crate) fn may_send(&self, message: &Message) -> bool {
        let is_server = self.server.is_some();
        match message {
            Message::Kv(_) => self.rights.kv,
            // Who asked through a link hears through the link of the server that answers.
            Message::KvReply(_) => is_server && self.rights.member,
            Message::Member(_) => is_server && self.rights.member,
            // The answer goes back to who asked here, by name: nobody asks for management in the name of a node.
            Message::Admin(_) => !is_server && self.rights.admin,
            Message::AdminReply(_)
            | Message::Guest(_)
            | Message::GuestReply(_)
            | Message::Edge(_)
            | Message::EdgeReply(_)
            | Message::Object(_)
            | Message::ObjectReply(_)
            | Message::Asd(_)
            | Message::AsdReply(_) => false,
        }
    }
}

/// The kind of a message, for logs.
pub(crate) fn kind(message: &Message) -> &'static str {
    match message {
        Message::Guest(_) => "Guest",
        Message::GuestReply(_) => "GuestReply",
        Message::Edge(_) => "Edge",
        Message::EdgeReply(_) => "EdgeReply",
        Message::Object(_) => "Object",
        Message::ObjectReply(_) => "ObjectReply",
        Message::Asd(_) => "Asd",
        Message::AsdReply(_) => "AsdReply",
        Message::Kv(_) => "Kv",
        Message::KvReply(_) => "KvReply",
        Message::Admin(_) => "Admin",
        Message::AdminReply(_) => "AdminReply",
        Message::Member(_) => "Member",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::message::admin::{AdminBody, AdminRequest};
    use formats::message::kv::{KvBody, KvQuery, KvRequest};

    fn peer(server: Option<u16>, rights: Rights) -> Peer {
        Peer { name: "someone".into(), server: server.map(ServerId), rights }
    }

    #[test]
    fn each_kind_of_message_needs_its_right() {
        let kv = Message::Kv(KvRequest { request: 1, body: KvBody::Query(KvQuery::Get { key: vec![1] }) });
        let admin = Message::Admin(AdminRequest { request: 1, body: AdminBody::Status });
        let all = Rights { kv: true, admin: true, member: true };
        let may = |peer: Peer| (peer.may_send(&kv), peer.may_send(&admin));
        assert_eq!(may(peer(None, Rights { kv: true, ..Rights::default() })), (true, false));
        assert_eq!(may(peer(None, Rights { admin: true, ..Rights::default() })), (false, true));
        assert_eq!(may(peer(Some(2), all)), (true, false));
        assert!(!Rights::default().any());
    }
}
