//! Sessions: who may begin one, and what becomes of those that were forgotten.

use crate::support::disk::Disk;
use crate::support::tally::Tally;
use consensus::RaftGroup;
use core::time::Duration;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, KvGroupsVerb};
use formats::message::kv::{FunctionId, KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvRequest, KvStep};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId, ServerId};
use kv::limits::{MAX_FORGOTTEN, MAX_SESSIONS, RESERVED_SESSIONS};
use kv::{Config, Kv};
use step::{Effects, Machine, Timestamp};

const CLIENT: NodeId = NodeId(u32::MAX - 1);

/// A KV on a disk that does everything at once, at a time that the test says.
struct World {
    kv: Kv<Tally, RaftGroup>,
    disk: Disk,
    now: Timestamp,
    answers: Vec<KvAnswer>,
    verbs: Vec<AdminAnswer>,
}

fn asked(from: NodeId, body: KvBody) -> Event {
    Event::Message { from, message: Message::Kv(KvRequest { request: 1, body }) }
}

/// A command of a session, which sets the key of its own to the number of the command.
fn set_own(session: u64, sequence: u64, answered_below: u64) -> KvBody {
    let step = KvStep::Set { key: session.to_le_bytes().to_vec(), value: vec![sequence as u8] };
    KvBody::Command { session, sequence, answered_below, command: KvCommand::Sequence(vec![step]) }
}

impl World {
    fn started() -> Self {
        World::on(Disk::default())
    }

    fn on(disk: Disk) -> Self {
        let config = Config::new(ClusterIdentity([7; 16]), [(FunctionId(9), Tally)].into());
        let mut world =
            World { kv: Kv::new(config), disk, now: Timestamp(1), answers: Vec::new(), verbs: Vec::new() };
        world.event(Event::Start { seed: [0; 32] });
        world
    }

    fn event(&mut self, event: Event) {
        self.turn(vec![event]);
    }

    /// Events that come at once, and all that follows.
    fn turn(&mut self, mut events: Vec<Event>) {
        events.push(Event::TurnEnd);
        while !events.is_empty() {
            let mut effects = Effects::new();
            self.kv.step(self.now, events.remove(0), &mut effects);
            for effect in effects.drain() {
                match effect {
                    Effect::Disk { operation, what } => {
                        let result = self.disk.run(what);
                        events.extend([Event::Disk { operation, result }, Event::TurnEnd]);
                    }
                    Effect::Send { message: Message::KvReply(reply), .. } => self.answers.push(reply.body),
                    Effect::Send { message: Message::AdminReply(reply), .. } => self.verbs.push(reply.body),
                    Effect::SetTimer { .. } | Effect::ClearTimer(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn ask(&mut self, from: NodeId, body: KvBody) -> KvAnswer {
        self.event(asked(from, body));
        let [answer] = &std::mem::take(&mut self.answers)[..] else { panic!("one answer") };
        answer.clone()
    }

    /// Sets the key of a session's own to the number of the command.
    fn command(&mut self, from: NodeId, session: u64, sequence: u64, answered_below: u64) -> KvAnswer {
        self.ask(from, set_own(session, sequence, answered_below))
    }

    /// The first commands of these sessions, many at once.
    fn begin(&mut self, from: NodeId, sessions: std::ops::Range<u64>) {
        for some in sessions.collect::<Vec<_>>().chunks(100) {
            self.turn(some.iter().map(|session| asked(from, set_own(*session, 1, 1))).collect());
            assert_eq!(std::mem::take(&mut self.answers), vec![done(); some.len()], "sessions {some:?}");
        }
    }

    fn value(&mut self, session: u64) -> Option<u8> {
        let key = session.to_le_bytes().to_vec();
        match self.ask(CLIENT, KvBody::Query(KvQuery::Get { key })) {
            KvAnswer::Value(value) => value.map(|value| value[0]),
            other => panic!("{other:?}"),
        }
    }

    /// Has a group made, by a command of the member's own: whether it is there then.
    fn makes_group(&mut self, name: &str) -> bool {
        for _ in 0..3 {
            let body = AdminBody::KvGroups(KvGroupsVerb::Make { name: name.into() });
            self.event(Event::Message {
                from: CLIENT,
                message: Message::Admin(AdminRequest { request: 1, body }),
            });
        }
        self.verbs.pop() == Some(AdminAnswer::Done)
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }
}

fn done() -> KvAnswer {
    KvAnswer::Done(Vec::new())
}

fn server() -> NodeId {
    NodeId::at(ServerId(2), 1)
}

const TOO_MANY: KvAnswer = KvAnswer::Failed(KvError::TooManySessions);
const FORGOTTEN: KvAnswer = KvAnswer::Failed(KvError::Forgotten);
const CLIENTS: u64 = (MAX_SESSIONS - RESERVED_SESSIONS) as u64;
const ALL: u64 = MAX_SESSIONS as u64;

/// However many clients come, servers begin sessions, and nobody is forgotten who was heard lately.
#[test]
fn clients_leave_places_for_servers_and_too_many_are_told_so() {
    let mut world = World::started();
    world.begin(CLIENT, 0..CLIENTS);
    assert_eq!(world.command(CLIENT, 90_000, 1, 1), TOO_MANY);
    assert_eq!(world.value(90_000), None, "it came to nothing");
    assert_eq!(world.command(CLIENT, 5, 2, 2), done(), "who has a session goes on");
    world.begin(server(), CLIENTS..ALL);
    assert_eq!(world.command(server(), 90_001, 1, 1), TOO_MANY);
    assert_eq!(world.command(CLIENT, 0, 1, 1), done(), "all are remembered");
    world.pass(15);
    assert_eq!(world.command(CLIENT, 90_000, 1, 1), TOO_MANY, "how old the others are was not looked at");
    world.pass(15);
    assert_eq!(world.command(CLIENT, 90_000, 1, 1), done());
    assert_eq!(world.command(CLIENT, 0, 2, 2), FORGOTTEN, "it was idle for longest");
    assert_eq!(world.command(CLIENT, 5, 2, 2), done(), "it was used since");
}

/// What is known of sessions at a start has no age: a start must not keep anybody out.
#[test]
fn a_start_with_a_full_table_takes_new_sessions_at_once() {
    let mut world = World::started();
    world.begin(server(), 0..ALL);
    assert_eq!(world.command(server(), 90_000, 1, 1), TOO_MANY);
    let mut world = World::on(world.disk);
    assert_eq!(world.command(CLIENT, 90_000, 1, 1), done());
    assert_eq!(world.command(CLIENT, 0, 2, 2), FORGOTTEN);
    assert_eq!(world.command(CLIENT, 1, 1, 1), done(), "only one had to go");
}

/// A command is in doubt for a long time, and so many sessions come meanwhile that nobody knows any more that its own was
/// forgotten.
#[test]
fn a_session_that_was_begun_is_never_begun_again() {
    let mut world = World::started();
    assert_eq!(world.command(server(), 7, 1, 1), done());
    assert_eq!(world.command(server(), 7, 2, 2), done());
    let step = KvStep::Set { key: 7_u64.to_le_bytes().to_vec(), value: vec![99] };
    let later = KvCommand::Sequence(vec![step]);
    let body = KvBody::Command { session: 8, sequence: 1, answered_below: 1, command: later };
    assert_eq!(world.ask(CLIENT, body), done());
    for round in 0..(MAX_SESSIONS + MAX_FORGOTTEN) as u64 / 1000 + 2 {
        world.pass(12);
        world.begin(CLIENT, 10_000 + 1000 * round..11_000 + 1000 * round);
    }
    assert_eq!(world.command(server(), 7, 2, 2), FORGOTTEN);
    assert_eq!(world.value(7), Some(99), "it was not applied again");
    assert_eq!(world.command(server(), 8, 1, 1), done(), "of a first command nobody can know");
}

/// A member has a session as everybody has, for the little that it wants itself. It is forgotten like any other.
#[test]
fn a_member_whose_own_session_is_forgotten_goes_on_in_another() {
    let mut world = World::started();
    assert!(world.makes_group("before"));
    // The member's own has a low number.
    for round in 1..6 {
        world.pass(12);
        world.begin(CLIENT, 1000 * round..1000 * (round + 1));
    }
    assert!(world.makes_group("after"));
    assert!(world.makes_group("later"), "and there it stays");
}
