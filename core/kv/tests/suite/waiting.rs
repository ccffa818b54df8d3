//! Reads at an index, and watches: exact effects.

use crate::support::tally::Tally;
use consensus::RaftGroup;
use formats::message::kv::{
    Consistency, FunctionId, KvAnswer, KvBody, KvCommand, KvQuery, KvRequest, KvStep,
};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId};
use kv::{Config, Kv};
use std::fmt::Write;
use step::{Effects, Machine, TimerId, Timestamp};

use crate::support::disk::Disk;

/// A KV on a disk that does everything at once.
struct Script {
    kv: Kv<Tally, RaftGroup>,
    disk: Disk,
    text: String,
}

impl Script {
    fn started() -> Self {
        let config = Config::new(ClusterIdentity([7; 16]), [(FunctionId(9), Tally)].into());
        let mut script = Script { kv: Kv::new(config), disk: Disk::default(), text: String::new() };
        script.event(Event::Start { seed: [0; 32] });
        script
    }

    /// An event, the end of its turn, and whatever the disk has to say then.
    fn event(&mut self, event: Event) {
        let mut events = vec![event, Event::TurnEnd];
        while !events.is_empty() {
            let mut effects = Effects::new();
            self.kv.step(Timestamp(0), events.remove(0), &mut effects);
            for effect in effects.drain() {
                match effect {
                    Effect::Disk { operation, what } => {
                        let result = self.disk.run(what);
                        events.extend([Event::Disk { operation, result }, Event::TurnEnd]);
                    }
                    Effect::Send { to, message: Message::KvReply(reply) } => {
                        writeln!(self.text, "    {to} gets {}: {:?}", reply.request, reply.body)
                            .expect("text");
                    }
                    Effect::SetTimer { timer: TimerId(10), after } => {
                        writeln!(self.text, "    looks in {after:?}").expect("text");
                    }
                    Effect::SetTimer { .. } | Effect::ClearTimer(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn ask(&mut self, from: u32, request: u64, body: KvBody) {
        writeln!(self.text, "> {from} asks {request}").expect("text");
        self.event(Event::Message { from: NodeId(from), message: Message::Kv(KvRequest { request, body }) });
    }

    fn set(&mut self, request: u64, key: &str) {
        let step = KvStep::Set { key: key.into(), value: b"v".to_vec() };
        let command = KvCommand::Steps(vec![step]);
        self.ask(3, request, KvBody::Command { session: 1, sequence: request, answered_below: 1, command });
    }

    fn read(&mut self, request: u64, consistency: Consistency) {
        let query = KvQuery::Exists { key: b"k".to_vec() };
        self.ask(4, request, KvBody::Read { consistency, query });
    }

    fn watch(&mut self, from: u32, request: u64, prefix: &str, after: u64) {
        let query = KvQuery::Watch { prefix: prefix.into(), after };
        self.ask(from, request, KvBody::Read { consistency: Consistency::Stale, query });
    }

    /// It looks who waited long enough.
    fn look(&mut self) {
        self.text += "> looks\n";
        self.event(Event::Timer(TimerId(10)));
    }

    fn check(&self, expected: &str) {
        assert!(self.text == expected, "--- it is\n{}--- it should be\n{expected}", self.text);
    }
}

#[test]
fn a_read_at_an_index_waits_for_it_and_not_for_ever() {
    let mut script = Script::started();
    script.set(1, "k");
    script.read(2, Consistency::Linearizable);
    script.read(3, Consistency::Stale);
    script.read(4, Consistency::AtLeast(1));
    script.read(5, Consistency::AtLeast(2));
    script.set(2, "other");
    script.read(6, Consistency::AtLeast(9));
    // Again: it is the same question, and waits no longer for that.
    script.look();
    script.read(6, Consistency::AtLeast(9));
    (0..3).for_each(|_| script.look());
    script.check(
        "\
> 3 asks 1
    3 gets 1: Applied { index: 1, answers: [Done] }
> 4 asks 2
    4 gets 2: Read { index: 1, found: Exists(true) }
> 4 asks 3
    4 gets 3: Read { index: 1, found: Exists(true) }
> 4 asks 4
    4 gets 4: Read { index: 1, found: Exists(true) }
> 4 asks 5
    looks in 500ms
> 3 asks 2
    3 gets 2: Applied { index: 2, answers: [Done] }
    4 gets 5: Read { index: 2, found: Exists(true) }
> 4 asks 6
> looks
    looks in 500ms
> 4 asks 6
> looks
    looks in 500ms
> looks
    looks in 500ms
> looks
    4 gets 6: Failed(NotYet { applied: 2 })
",
    );
}

#[test]
fn a_watch_waits_for_a_change_under_its_prefix() {
    let mut script = Script::started();
    script.set(1, "a/1");
    script.watch(4, 1, "a/", 0);
    script.watch(4, 2, "a/", 1);
    script.watch(5, 1, "b/", 1);
    script.watch(6, 1, "a/", 2);
    script.set(2, "a/2");
    script.set(3, "b/1");
    script.check(
        "\
> 3 asks 1
    3 gets 1: Applied { index: 1, answers: [Done] }
> 4 asks 1
    4 gets 1: Read { index: 1, found: Changes { through: 1, changes: [([97, 47, 49], Some([118]))] } }
> 4 asks 2
    looks in 500ms
> 5 asks 1
> 6 asks 1
> 3 asks 2
    3 gets 2: Applied { index: 2, answers: [Done] }
    4 gets 2: Read { index: 2, found: Changes { through: 2, changes: [([97, 47, 50], Some([118]))] } }
> 3 asks 3
    3 gets 3: Applied { index: 3, answers: [Done] }
    5 gets 1: Read { index: 3, found: Changes { through: 3, changes: [([98, 47, 49], Some([118]))] } }
",
    );
}

#[test]
fn a_watch_hears_that_there_was_nothing() {
    let mut script = Script::started();
    script.watch(4, 1, "a/", 0);
    script.set(1, "b/1");
    (0..20).for_each(|_| script.look());
    assert!(
        script.text.ends_with(
            "\
> looks
    4 gets 1: Read { index: 1, found: Changes { through: 1, changes: [] } }
"
        ),
        "{}",
        script.text
    );
}

/// Who waits is bounded: one asker can't keep others from waiting.
#[test]
fn those_who_wait_are_bounded() {
    let mut script = Script::started();
    (0..200).for_each(|request| script.watch(4, request, "a/", 0));
    let refused = format!("{:?}", KvAnswer::Failed(formats::message::kv::KvError::Unavailable));
    assert_eq!(script.text.matches(&refused).count(), 200 - kv::limits::MAX_WAITING_OF_ONE);
    script.text.clear();
    (0..2000).for_each(|asker| script.watch(1000 + asker, 1, "a/", 0));
    let room = kv::limits::MAX_WAITING - kv::limits::MAX_WAITING_OF_ONE;
    assert_eq!(script.text.matches(&refused).count(), 2000 - room);
    script.text.clear();
    script.set(1, "a/1");
    assert_eq!(script.text.matches("Changes").count(), kv::limits::MAX_WAITING);
}
