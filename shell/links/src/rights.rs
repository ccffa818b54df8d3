//! Who is at the other end of a connection, and what it may say.

use certificates::{Role, Roles};
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, KvGroupVerb, KvGroupsVerb};
use formats::message::kv::{KvAnswer, KvError, KvReply, KvRequest};
use formats::message::member::server_of;
use formats::{Message, kv_scope};
use glossary::{NodeId, ServerId};

use crate::settings::{Bounds, Settings};

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
    /// What members of the KV's group say to each other, and answers of a KV.
    pub(crate) member: bool,
    /// Requests to ASDs, and how they are.
    pub(crate) volumes: bool,
    /// Answers of ASDs.
    pub(crate) asds: bool,
}

impl Rights {
    /// Whoever may open the socket in a folder could as well change the files in it.
    pub(crate) const LOCAL: Rights =
        Rights { kv: true, map: true, admin: true, member: false, volumes: false, asds: false };

    /// What roles allow. Those of servers allow what nodes say to each other only to who is a server.
    pub(crate) fn of(roles: &Roles, is_server: bool) -> Rights {
        let serves = |role| is_server && roles.has(role);
        Rights {
            kv: roles.iter().next().is_some(),
            map: roles.iter().any(|role| role != Role::Client),
            admin: roles.has(Role::Admin),
            member: serves(Role::Kv),
            volumes: serves(Role::VolumeDriver),
            asds: serves(Role::Asd),
        }
    }

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
            // Where members are is in the root group's map.
            Message::Kv(request) => {
                self.may_ask_kv(request) || (self.rights.kv && kv_scope::asks_members(&request.body))
            }
            Message::KvOf(of) => self.may_ask_kv(&of.request),
            // Who asked through a link hears through the link of the server that answers. That it runs no KV any server
            // may say.
            Message::KvReply(reply) => is_server && (self.rights.member || reply.body == NO_KV),
            Message::Member(_) | Message::MemberOf(_) => is_server && self.rights.member,
            Message::Asd(_) => is_server && self.rights.volumes,
            Message::AsdReply(_) => is_server && self.rights.asds,
            // How an ASD is may be asked in the name of a node. Verbs of management may not: the answer goes back to who
            // asked here, by name.
            Message::Admin(request) if is_server => self.rights.volumes && request.body == AdminBody::Status,
            Message::Admin(request) => self.may_ask(&request.body),
            Message::AdminReply(_) => is_server && self.rights.asds,
            Message::Guest(_)
            | Message::GuestReply(_)
            | Message::Edge(_)
            | Message::EdgeReply(_)
            | Message::Object(_)
            | Message::ObjectReply(_) => false,
        }
    }
}

impl Peer {
    /// Whether what a server sends may go to a node of this process: requests to whom they are for, and answers to
    /// whoever asked.
    pub(crate) fn may_reach(&self, message: &Message, to: NodeId, settings: &Settings) -> bool {
        let is_here = to.server() == settings.server;
        match message {
            Message::Asd(_) | Message::Admin(_) => is_here && to.is_asd(),
            Message::KvReply(_) | Message::AsdReply(_) | Message::AdminReply(_) => is_here,
            _ => to == settings.kv,
        }
    }

    /// The longest frame that it may send, in bytes: only those to and from ASDs have a payload.
    pub(crate) fn frame_bytes_max(&self, bounds: &Bounds) -> usize {
        let has_payload = self.server.is_some() && (self.rights.volumes || self.rights.asds);
        bounds.frame_bytes_max + if has_payload { bounds.payload_bytes_max } else { 0 }
    }

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
            | AdminBody::KvLevels
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

/// What a server that runs no KV says to who asks it: another is asked next.
pub(crate) const NO_KV: KvAnswer = KvAnswer::Failed(KvError::NotLeader { leader: None });

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
    use formats::samples;
    use glossary::{ClusterIdentity, OsdId};
    use std::collections::BTreeMap;

    fn peer(server: Option<u16>, rights: Rights) -> Peer {
        Peer { name: "someone".into(), server: server.map(ServerId), member_of: None, rights }
    }

    #[test]
    fn each_kind_of_message_needs_its_right() {
        let kv = Message::Kv(KvRequest { request: 1, body: KvBody::Query(KvQuery::Get { key: vec![1] }) });
        let verb = |verb| Message::Admin(AdminRequest { request: 1, body: AdminBody::KvGroup(verb) });
        let admin = verb(KvGroupVerb::Snapshot);
        let all = Rights { kv: true, map: true, admin: true, member: true, volumes: true, asds: true };
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

    /// Whom to ask is told to whoever may ask for users' keys: that one key of the root group, to be read, and nothing else of
    /// what only the whole map shows.
    #[test]
    fn a_client_may_read_who_has_members_and_no_other_record() {
        use formats::kv_members::MEMBERS_KEY;
        use formats::message::kv::{Consistency, KvCommand, KvOf, KvStep};
        let user = peer(None, Rights { kv: true, ..Rights::default() });
        let asks = |body| KvRequest { request: 1, body };
        let get = |key: &[u8]| KvQuery::Get { key: key.to_vec() };
        let stale = |query| KvBody::Read { consistency: Consistency::Stale, query };
        let members = asks(stale(get(MEMBERS_KEY)));
        assert!(user.may_send(&Message::Kv(members.clone())));
        assert!(user.may_send(&Message::Kv(asks(KvBody::Query(get(MEMBERS_KEY))))));
        assert!(
            !peer(None, Rights { admin: true, ..Rights::default() }).may_send(&Message::Kv(members.clone()))
        );
        assert!(!user.may_send(&Message::KvOf(KvOf { group: glossary::GroupId(1), request: members })));
        let longer = [MEMBERS_KEY, b"/"].concat();
        let records = [&b"kv/level"[..], b"kv/leader", b"kv/", b"cluster", b"server/", b"", &longer];
        for key in records {
            assert!(!user.may_send(&Message::Kv(asks(stale(get(key))))), "{}", key.escape_ascii());
        }
        let key = MEMBERS_KEY.to_vec();
        let step = KvStep::Set { key: key.clone(), value: vec![1, 9, 0] };
        for body in [
            stale(KvQuery::Watch { prefix: key.clone(), after: 0 }),
            stale(KvQuery::MultiGet { keys: vec![key.clone(), b"cluster".to_vec()] }),
            KvBody::Query(KvQuery::Range { prefix: key.clone(), from: key.clone(), limit: 1 }),
            KvBody::Command {
                session: 1,
                sequence: 1,
                answered_below: 1,
                command: KvCommand::Sequence(vec![step]),
            },
        ] {
            assert!(!user.may_send(&Message::Kv(asks(body))));
        }
    }

    /// A message of each kind that is no verb of management, by its name.
    fn every_kind() -> BTreeMap<&'static str, Message> {
        let status = Message::Admin(AdminRequest { request: 1, body: AdminBody::Status });
        let all = samples::messages().into_iter().filter(|message| !matches!(message, Message::Admin(_)));
        all.chain([status]).map(|message| (kind(&message), message)).collect()
    }

    /// What a server of these roles may say through its link, and to which of this server's nodes.
    fn said_by(roles: &[Role]) -> Vec<(&'static str, Vec<&'static str>)> {
        let roles = Roles::of(roles.iter().copied());
        let peer = peer(Some(2), Rights::of(&roles, true));
        let here = Settings::new(ClusterIdentity([1; 16]), ServerId(1));
        let nodes = [
            ("kv", here.kv),
            ("asd", NodeId::asd(OsdId::at(here.server, 3))),
            ("other", NodeId::at(here.server, 3)),
            ("elsewhere", NodeId::asd(OsdId::at(ServerId(3), 3))),
        ];
        let may = every_kind().into_iter().filter(|(_, message)| peer.may_send(message));
        may.map(|(kind, message)| {
            let reached = nodes.iter().filter(|(_, to)| peer.may_reach(&message, *to, &here));
            (kind, reached.map(|(name, _)| *name).collect())
        })
        .collect()
    }

    /// Whatever isn't listed here is refused.
    #[test]
    fn each_role_of_a_server_may_say_only_its_own() {
        assert_eq!(every_kind().len(), 15, "all kinds are tried");
        let (kv, asd, here) = (|| vec!["kv"], || vec!["asd"], || vec!["kv", "asd", "other"]);
        let asks = || vec![("Kv", kv()), ("KvOf", kv())];
        assert_eq!(said_by(&[]), []);
        assert_eq!(said_by(&[Role::Client]), [], "what samples ask for are no keys of users");
        assert_eq!(said_by(&[Role::Edge]), asks());
        let mut expected = asks();
        expected.splice(0..0, [("AdminReply", here()), ("AsdReply", here())]);
        assert_eq!(said_by(&[Role::Asd]), expected);
        expected = asks();
        expected.splice(0..0, [("Admin", asd()), ("Asd", asd())]);
        assert_eq!(said_by(&[Role::VolumeDriver]), expected);
        expected = asks();
        expected.extend([("KvReply", here()), ("Member", kv()), ("MemberOf", kv())]);
        assert_eq!(said_by(&[Role::Kv]), expected);
        let everything: Vec<_> = said_by(&Role::ALL).into_iter().map(|(kind, _)| kind).collect();
        let never = ["Edge", "EdgeReply", "Guest", "GuestReply", "Object", "ObjectReply"];
        assert!(never.iter().all(|kind| !everything.contains(kind)), "{everything:?}");
    }

    /// Verbs of management are a client's, whatever the certificate allows; and so is what a server's roles allow not a
    /// client's that has them.
    #[test]
    fn roles_of_servers_are_no_clients() {
        let all = Roles::of(Role::ALL);
        let snapshot = AdminBody::KvGroup(KvGroupVerb::Snapshot);
        let snapshot = Message::Admin(AdminRequest { request: 1, body: snapshot });
        assert!(!peer(Some(2), Rights::of(&all, true)).may_send(&snapshot));
        let client = peer(None, Rights::of(&all, true));
        assert!(client.may_send(&snapshot));
        let may = every_kind().into_iter().filter(|(_, message)| client.may_send(message));
        assert_eq!(may.map(|(kind, _)| kind).collect::<Vec<_>>(), ["Admin", "Kv", "KvOf"]);
        let named = Rights::of(&all, false);
        assert!(!named.member && !named.volumes && !named.asds && named.admin);
    }

    #[test]
    fn a_server_without_a_kv_may_say_only_that() {
        let edge = peer(Some(2), Rights::of(&Roles::of([Role::Edge]), true));
        let says = |body| edge.may_send(&Message::KvReply(KvReply { request: 1, body }));
        assert!(says(NO_KV));
        let leader = Some(formats::message::member::member_of(ServerId(2), 0));
        assert!(!says(KvAnswer::Failed(KvError::NotLeader { leader })) && !says(KvAnswer::Value(None)));
        assert!(!peer(None, edge.rights).may_send(&Message::KvReply(KvReply { request: 1, body: NO_KV })));
    }

    #[test]
    fn only_frames_of_asds_may_be_long() {
        let bounds = Bounds::default();
        let longest = |server, roles: &[Role]| {
            let roles = Roles::of(roles.iter().copied());
            peer(server, Rights::of(&roles, true)).frame_bytes_max(&bounds)
        };
        let long = bounds.frame_bytes_max + bounds.payload_bytes_max;
        assert_eq!(longest(Some(2), &[Role::Asd]), long);
        assert_eq!(longest(Some(2), &[Role::VolumeDriver]), long);
        assert_eq!(longest(Some(2), &[Role::Kv, Role::Edge]), bounds.frame_bytes_max);
        assert_eq!(longest(None, &Role::ALL), bounds.frame_bytes_max);
    }
}
