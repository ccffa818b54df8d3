//! Who is at the other end of a connection, and what it may say.

use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, KvGroupVerb, KvGroupsVerb};
use formats::message::kv::{KvAnswer, KvError, KvReply, KvRequest};
use formats::message::member::server_of;
use formats::{Message, kv_scope};
use glossary::ServerId;

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its name, for logs: that of its certificate, or the user's number on this machine.
    pub(crate) name: String,
    /// The server that it is; `None`: a client.
    pub(crate) server: Option<ServerId>,
    /// The server whose membership of the KV's group is its own business: to join and to leave.
    pub(crate) member_of: Option<ServerId>,
    pub(crate) rights: Rights,
}

/// Which kinds of messages it may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Requests to the KV about keys of users, and answers where it is a server.
    pub(crate) kv: bool,
    /// Requests to the KV about all of the map.
    pub(crate) map: bool,
    /// Verbs of management.
    pub(crate) admin: bool,
    /// What members of the KV's group say to each other.
    pub(crate) member: bool,
}

impl Rights {
    /// Whoever may open the socket in a folder could as well change the files in it.
    pub(crate) const LOCAL: Rights = Rights { kv: true, map: true, admin: true, member: false };

    /// Whether anything is allowed.
    pub(crate) fn any(self) -> bool {
        self.kv || self.admin || self.member
    }
}

impl Peer {
    /// Whether it may send this.
    pub(crate) fn may_send(&self, message: &Message) -> bool {
        let is_server = self.server.is_some();
        match message {
            Message::Kv(request) => self.may_ask_kv(request),
            Message::KvOf(of) => self.may_ask_kv(&of.request),
            // Who asked through a link hears through the link of the server that answers.
            Message::KvReply(_) => is_server && self.rights.member,
            Message::Member(_) | Message::MemberOf(_) => is_server && self.rights.member,
            // The answer goes back to who asked here, by name: nobody asks for management in the name of a node.
            Message::Admin(request) => !is_server && self.may_ask(&request.body),
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

impl Peer {
    /// What it is told where it asks for what it may not. `None` where that is no mistake of an honest client.
    pub(crate) fn refusal(&self, message: &Message) -> Option<Message> {
        let request = message.request();
        match message {
            _ if self.server.is_some() => None,
            Message::Kv(_) | Message::KvOf(_) => {
                Some(Message::KvReply(KvReply { request, body: KvAnswer::Failed(KvError::NotAllowed) }))
            }
            Message::Admin(_) => {
                let body = AdminAnswer::NotAllowed(format!(
                    "the certificate of {} does not allow this: use an administrator's",
                    self.name
                ));
                Some(Message::AdminReply(AdminReply { request, body }))
            }
            _ => None,
        }
    }

    fn may_ask_kv(&self, request: &KvRequest) -> bool {
        self.rights.kv && (self.rights.map || kv_scope::is_users(&request.body))
    }

    /// Whether it may ask for a verb of management.
    fn may_ask(&self, verb: &AdminBody) -> bool {
        let is_own = match verb {
            AdminBody::Status
            | AdminBody::KvGroup(KvGroupVerb::Fingerprint { .. })
            | AdminBody::KvGroups(KvGroupsVerb::List)
            | AdminBody::KvStatusOf { .. }
            | AdminBody::KvGroupOf { verb: KvGroupVerb::Fingerprint { .. }, .. } => self.rights.kv,
            AdminBody::KvGroup(
                KvGroupVerb::Add { member }
                | KvGroupVerb::AddLearner { member }
                | KvGroupVerb::Remove { member },
            ) => self.member_of == Some(server_of(*member)),
            _ => false,
        };
        is_own || self.rights.admin
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
        Message::KvOf(_) => "KvOf",
        Message::MemberOf(_) => "MemberOf",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::message::admin::AdminRequest;
    use formats::message::kv::{KvBody, KvQuery, KvRequest};

    fn peer(server: Option<u16>, rights: Rights) -> Peer {
        Peer { name: "someone".into(), server: server.map(ServerId), member_of: None, rights }
    }

    #[test]
    fn each_kind_of_message_needs_its_right() {
        let kv = Message::Kv(KvRequest { request: 1, body: KvBody::Query(KvQuery::Get { key: vec![1] }) });
        let verb = |verb| Message::Admin(AdminRequest { request: 1, body: AdminBody::KvGroup(verb) });
        let admin = verb(KvGroupVerb::Snapshot);
        let all = Rights { kv: true, map: true, admin: true, member: true };
        let may = |peer: Peer| (peer.may_send(&kv), peer.may_send(&admin));
        assert_eq!(may(peer(None, Rights { kv: true, map: true, ..Rights::default() })), (true, false));
        let user = peer(None, Rights { kv: true, ..Rights::default() });
        assert_eq!(may(user.clone()), (false, false));
        let theirs = KvQuery::Get { key: [kv_scope::USER_PREFIX, &[1]].concat() };
        assert!(user.may_send(&Message::Kv(KvRequest { request: 1, body: KvBody::Query(theirs) })));
        assert_eq!(may(peer(None, Rights { admin: true, ..Rights::default() })), (false, true));
        assert_eq!(may(peer(Some(2), all)), (true, false));
        assert!(!Rights::default().any());
        let own = |server, rights| Peer { member_of: Some(ServerId(server)), ..peer(None, rights) };
        let joins = verb(KvGroupVerb::Add { member: formats::message::member::member_of(ServerId(3), 1) });
        let member = Rights { kv: true, member: true, ..Rights::default() };
        assert!(own(3, member).may_send(&joins) && !own(3, member).may_send(&admin));
        assert!(!own(2, member).may_send(&joins), "another server's membership is not its business");
    }
}
