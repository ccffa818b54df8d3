//! Recordings of whole clusters, replayed: equal where nothing changed, told where something did.

use std::sync::{Arc, Mutex};

use formats::recording::{Recorded, RecordingError, digest_of, header};
use formats::work::{Done, Work};
use formats::{Effect, Event, Message};
use glossary::NodeId;
use roles::Role;
use simulator::cluster::{Cluster, Layout};
use simulator::replay::{ReplayError, Replayed, replay};
use simulator::roles_cluster::{RolesCluster, RolesFactory};
use simulator::runs::{Factory, Settings, run_one};
use step::{Bug, Effects, Machine, Timestamp};

/// A recording that is being written.
#[derive(Clone, Debug)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Tape {
    fn write(&self, entry: &Recorded) {
        self.0.lock().expect("nobody panics while writing").extend(entry.encode());
    }
}

impl PartialEq for Tape {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Tape {}

/// The roles of a deployment, with a tape that runs along as in `ovs up --record`.
struct TapedCluster {
    inner: RolesCluster,
    tape: Tape,
}

#[derive(Debug)]
struct TapedRole {
    node: NodeId,
    role: Role,
    tape: Tape,
}

impl Machine for TapedRole {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        self.role.step(now, event.clone(), effects);
        let effects = digest_of(effects.as_slice());
        self.tape.write(&Recorded::Stepped { node: self.node, now, event, effects });
    }
}

impl Cluster for TapedCluster {
    type Node = TapedRole;

    fn layout(&self) -> &Layout {
        self.inner.layout()
    }

    fn build(&self, node: NodeId) -> TapedRole {
        let card = self.inner.card(node);
        let role = roles::cast(&card, None);
        self.tape.write(&Recorded::Begins { node, card });
        TapedRole { node, role, tape: self.tape.clone() }
    }

    fn perform(&self, work: Work) -> Done {
        roles::perform(work)
    }

    fn relay(&self, message: Message) -> Result<Message, String> {
        self.inner.relay(message)
    }
}

/// What happened to every role in a run under faults.
fn recording() -> Vec<u8> {
    let tape = Tape(Arc::new(Mutex::new(header())));
    let make = || TapedCluster {
        inner: RolesFactory { bug: None, members: Some(1), groups: Some(0) }.make(1),
        tape: tape.clone(),
    };
    let report = run_one(make, 1, &Settings { operations: 60, ..Settings::default() });
    assert!(report.is_passed(), "{:?} {:?}", report.panic, report.violations.first());
    Arc::into_inner(tape.0).expect("the run is over").into_inner().expect("nobody panicked while writing")
}

#[test]
fn a_replay_wants_the_same() {
    let replayed = replay(&recording(), None).unwrap();
    assert_eq!(replayed.difference, None);
    assert!(!replayed.torn && replayed.lives > 10 && replayed.steps > 1_000, "{replayed}");
}

#[test]
fn another_program_is_told_at_its_first_step_that_differs() {
    let bytes = recording();
    let whole = replay(&bytes, None).unwrap();
    for (bug, role) in [(Bug::FragmentCountedBeforeSync, "ASD"), (Bug::KvAnswersBeforeSync, "KV")] {
        let replayed = replay(&bytes, Some(bug)).unwrap();
        let difference = replayed.difference.expect("the bug makes a difference");
        assert_eq!((difference.role, difference.step), (role, replayed.steps));
        assert!(difference.step < whole.steps && !difference.event.is_empty());
        let said = difference.to_string();
        assert!(said.starts_with(&format!("step {}: the {role} (node ", difference.step)), "{said}");
    }
}

#[test]
fn a_kill_leaves_a_recording_that_can_be_replayed() {
    let bytes = recording();
    let whole = replay(&bytes, None).unwrap();
    let cut = replay(&bytes[..bytes.len() - 1], None).unwrap();
    assert_eq!(cut, Replayed { torn: true, steps: whole.steps - 1, ..whole.clone() });
    let half = replay(&bytes[..bytes.len() / 2], None).unwrap();
    assert!(half.difference.is_none() && half.steps < whole.steps && half.steps > 0);
}

#[test]
fn damage_is_an_error() {
    let mut bytes = recording();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let error = replay(&bytes, None).unwrap_err();
    assert!(matches!(error, ReplayError::Entry { whole: 1.., error: RecordingError::Damaged }), "{error}");
}

#[test]
fn what_is_no_recording_is_refused() {
    let refused = |bytes: &[u8]| replay(bytes, None).unwrap_err();
    assert_eq!(refused(b""), ReplayError::Header(RecordingError::Foreign));
    assert_eq!(refused(b"OVSTLOG\0\x01\0"), ReplayError::Header(RecordingError::Foreign));
    assert_eq!(refused(b"OVSRECRD\xff\0"), ReplayError::Header(RecordingError::Version(255)));
    let unborn = Recorded::Stepped { node: NodeId(7), now: Timestamp(1), event: Event::TurnEnd, effects: 0 };
    let bytes = [header(), unborn.encode()].concat();
    assert_eq!(refused(&bytes), ReplayError::Unborn { step: 1, node: NodeId(7) });
}

#[test]
fn an_empty_recording_has_nothing_to_differ() {
    assert_eq!(replay(&header(), None), Ok(Replayed::default()));
}
