//! Whole runtimes: messages, timers, work, disks, lives and deaths of nodes.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use std::sync::{Arc, Mutex};

use common::{PATIENCE, Toy, answer, ask, everywhere, perform, question, toy};
use formats::work::Done;
use formats::{Effect, Event};
use glossary::NodeId;
use io::{AskError, Builder, IoChoice, NodeSpec, NodeState, Settings, StartError, Tap};
use step::{Effects, Machine, Timestamp};

#[test]
fn messages_arrive_on_the_same_shard_across_shards_and_as_frames() {
    everywhere(|runtime| {
        assert_eq!(ask(runtime, 1, "echo hello"), "hello");
        assert_eq!(ask(runtime, 1, "relay 2 echo there and back"), "there and back");
        assert_eq!(ask(runtime, 2, "relay 1 relay 2 relay 1 echo far"), "far");
        assert_eq!(ask(runtime, 1, "bounce 2 500"), "over");
        assert_eq!(ask(runtime, 1, "relay 1 echo to myself"), "to myself");
    });
}

#[test]
fn many_threads_ask_at_once() {
    everywhere(|runtime| {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    let mut port = runtime.port();
                    for number in 0..200 {
                        let words = format!("relay 2 echo {thread}:{number}");
                        let reply = port.ask(NodeId(1), PATIENCE, |request| question(request, &words));
                        assert_eq!(answer(reply.unwrap()), format!("{thread}:{number}"));
                    }
                });
            }
        });
    });
}

#[test]
fn a_message_to_nobody_is_lost_and_a_question_says_so() {
    everywhere(|runtime| {
        let mut port = runtime.port();
        let ask = port.ask(NodeId(9), PATIENCE, |request| question(request, "echo"));
        assert_eq!(ask, Err(AskError::NotRunning(NodeId(9))));
        port.send(NodeId(9), question(1, "echo"));
        let patience = std::time::Duration::from_millis(20);
        let lost = port.ask(NodeId(1), patience, |request| question(request, "relay 9 echo"));
        assert_eq!(lost, Err(AskError::TimedOut(NodeId(1))));
        assert_eq!(self::ask(runtime, 1, "echo still here"), "still here");
    });
}

#[test]
fn timers_run_out_in_order_and_cleared_ones_never_do() {
    everywhere(|runtime| {
        assert_eq!(ask(runtime, 1, "timers 30 10 20 10"), "1 3 2 0");
        assert_eq!(ask(runtime, 2, "move"), "cleared");
        assert_eq!(ask(runtime, 2, "timers 5"), "0");
        assert_eq!(ask(runtime, 2, "surprises"), "");
    });
}

#[test]
fn a_loop_without_work_sleeps() {
    let settings = Settings { shards: 2, ..Settings::default() };
    let runtime = Builder::new(settings).node(toy(1, 0)).node(toy(2, 1)).start(perform).unwrap();
    let before = runtime.counters();
    assert_eq!(ask(&runtime, 1, "timers 120"), "0");
    let after = runtime.counters();
    // A loop that looks for work all the time would have turned a hundred thousand times.
    for (before, after) in before.iter().zip(&after) {
        assert!(after.turns - before.turns < 50, "{before:?} {after:?}");
        assert!(after.sleeps > before.sleeps);
    }
}

#[test]
fn a_loop_that_spins_sleeps_too_when_nothing_comes() {
    let spin = io::Spin::For(std::time::Duration::from_micros(200));
    let runtime =
        Builder::new(Settings { spin, ..Settings::default() }).node(toy(1, 0)).start(perform).unwrap();
    let before = runtime.counters()[0].sleeps;
    assert_eq!(ask(&runtime, 1, "timers 50"), "0");
    assert!(runtime.counters()[0].sleeps > before);
}

#[test]
fn work_is_done_elsewhere_and_a_mistake_in_it_is_told() {
    everywhere(|runtime| assert_eq!(ask(runtime, 1, "work"), "worked"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let tap = Box::new(Recorder(Arc::clone(&told)));
    let runtime = Builder::new(Settings::default())
        .node(NodeSpec { tap: Some(tap), ..toy(1, 0) })
        .start(|_| panic!("a mistake in work"))
        .unwrap();
    let port = runtime.port();
    port.send(NodeId(1), question(1, "work"));
    let is_told = |event: &Event| matches!(event, Event::Worked { result: Done::Impossible, .. });
    while !told.lock().unwrap().iter().any(|(_, event, _)| is_told(event)) {
        std::thread::yield_now();
    }
}

fn with_folder(io: IoChoice, path: &tempfile::TempDir) -> io::Runtime<Toy> {
    let settings = Settings { io, ..Settings::default() };
    Builder::new(settings).node(in_folder(path)).node(toy(2, 0)).start(perform).unwrap()
}

fn in_folder(path: &tempfile::TempDir) -> NodeSpec<Toy> {
    NodeSpec { folder: Some(path.path().into()), ..toy(1, 0) }
}

#[test]
fn disks_hold_what_lives_before_wrote() {
    for io in [IoChoice::Portable, IoChoice::Auto] {
        let path = tempfile::tempdir().unwrap();
        let runtime = with_folder(io, &path);
        assert_eq!(ask(&runtime, 1, "save a first life"), "done");
        runtime.stop_node(NodeId(1), PATIENCE).unwrap();
        assert_eq!(runtime.states()[&NodeId(1)].1, NodeState::Stopped);
        runtime.start_node(in_folder(&path)).unwrap();
        assert_eq!(ask(&runtime, 1, "load a"), "first life");
        assert_eq!(ask(&runtime, 1, "load b"), "Err(NotFound)");
        assert!(matches!(runtime.start_node(in_folder(&path)), Err(StartError::Running(NodeId(1)))));
        runtime.shut_down(PATIENCE).unwrap();
        assert_eq!(std::fs::read(path.path().join("a")).unwrap(), b"first life");
    }
}

#[test]
fn a_node_without_a_folder_has_a_disk_that_fails() {
    let runtime = Builder::new(Settings::default()).node(toy(1, 0)).start(perform).unwrap();
    assert_eq!(ask(&runtime, 1, "load a"), "Err(Failed)");
}

#[test]
fn a_folder_that_is_not_there_is_told_before_anything_runs() {
    let path = tempfile::tempdir().unwrap();
    let missing = NodeSpec { folder: Some(path.path().join("missing")), ..toy(1, 0) };
    let started = Builder::new(Settings::default()).node(missing).start(perform);
    assert!(matches!(started.err(), Some(StartError::Folder { .. })));
}

#[test]
fn what_a_life_began_never_ends_in_the_next() {
    for io in [IoChoice::Portable, IoChoice::Auto] {
        let path = tempfile::tempdir().unwrap();
        let runtime = with_folder(io, &path);
        for _ in 0..10 {
            assert_eq!(ask(&runtime, 1, "fill a"), "begun");
            // Answers, timers and work of this life come when it is over.
            runtime.port().send(NodeId(1), question(1, "relay 2 echo late"));
            runtime.port().send(NodeId(1), question(2, "timers 1"));
            runtime.stop_node(NodeId(1), PATIENCE).unwrap();
            let length = || std::fs::metadata(path.path().join("a")).map(|data| data.len()).unwrap_or(0);
            let before = length();
            runtime.start_node(in_folder(&path)).unwrap();
            assert_eq!(ask(&runtime, 1, "timers 5"), "0");
            assert_eq!(ask(&runtime, 1, "surprises"), "");
            assert_eq!(length(), before, "nothing writes behind the back of the next life");
        }
    }
}

#[test]
fn work_of_an_earlier_life_is_dropped() {
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    let (begun, has_begun) = crossbeam_channel::bounded::<()>(8);
    let perform = move |work| {
        begun.send(()).unwrap();
        gate.recv().unwrap();
        perform(work)
    };
    let settings = Settings { compute_threads: 1, ..Settings::default() };
    let runtime = Builder::new(settings).node(toy(1, 0)).start(perform).unwrap();
    runtime.port().send(NodeId(1), question(1, "work"));
    has_begun.recv().unwrap();
    runtime.stop_node(NodeId(1), PATIENCE).unwrap();
    runtime.start_node(toy(1, 0)).unwrap();
    release.send(()).unwrap();
    // The one thread does this behind the other, so the other has ended.
    let port = runtime.port();
    port.send(NodeId(1), question(1, "work"));
    has_begun.recv().unwrap();
    release.send(()).unwrap();
    assert_eq!(answer(port.receive(PATIENCE).unwrap().1), "worked");
    assert_eq!(ask(&runtime, 1, "surprises"), "");
}

#[test]
fn a_node_that_halts_or_panics_takes_nobody_along() {
    everywhere(|runtime| {
        let port = runtime.port();
        port.send(NodeId(1), question(1, "halt"));
        let (from, message) = port.receive(PATIENCE).unwrap();
        assert_eq!((from, message), (NodeId(1), question(0, "before")));
        while runtime.states()[&NodeId(1)].1 == NodeState::Running {
            std::thread::yield_now();
        }
        assert_eq!(runtime.states()[&NodeId(1)].1, NodeState::Halted { reason: "told to".into() });
        assert_eq!(ask(runtime, 2, "echo alive"), "alive");
        assert_eq!(port.receive(std::time::Duration::ZERO), None, "nothing follows a halt");
        let shard = runtime.counters().len() - 1;
        runtime.port().send(NodeId(2), question(1, "panic"));
        while runtime.states()[&NodeId(2)].1 == NodeState::Running {
            std::thread::yield_now();
        }
        let reason = "a mistake in the program: told to".into();
        assert_eq!(runtime.states()[&NodeId(2)].1, NodeState::Halted { reason });
        runtime.start_node(toy(1, 0)).unwrap();
        runtime.start_node(toy(2, shard)).unwrap();
        assert_eq!(ask(runtime, 1, "relay 2 echo again"), "again");
    });
}

#[test]
fn a_runtime_ends_in_the_midst_of_everything() {
    for round in 0..40 {
        let path = tempfile::tempdir().unwrap();
        let settings = Settings { shards: 2, frames: round % 2 == 0, ..Settings::default() };
        let toys = Builder::new(settings).node(in_folder(&path)).node(toy(2, 1));
        let runtime = toys.start(perform).unwrap();
        let port = runtime.port();
        port.send(NodeId(1), question(1, "bounce 2 1000000000"));
        port.send(NodeId(1), question(2, "fill a"));
        assert_eq!(ask(&runtime, 2, "echo busy"), "busy");
        runtime.shut_down(PATIENCE).unwrap();
    }
}

#[test]
fn a_new_node_joins_a_runtime_that_runs() {
    everywhere(|runtime| {
        runtime.start_node(toy(3, runtime.counters().len() - 1)).unwrap();
        assert_eq!(ask(runtime, 1, "relay 3 relay 2 echo met"), "met");
    });
}

type Recorded = Vec<(Timestamp, Event, Vec<Effect>)>;

struct Recorder(Arc<Mutex<Recorded>>);

impl Tap for Recorder {
    fn on_event(&mut self, node: NodeId, now: Timestamp, event: &Event) {
        assert_eq!(node, NodeId(1));
        self.0.lock().unwrap().push((now, event.clone(), Vec::new()));
    }

    fn on_effects(&mut self, _: NodeId, now: Timestamp, effects: &[Effect]) {
        let mut recorded = self.0.lock().unwrap();
        let last = recorded.last_mut().unwrap();
        assert_eq!(last.0, now);
        last.2 = effects.to_vec();
    }
}

#[test]
fn what_is_recorded_replays() {
    let path = tempfile::tempdir().unwrap();
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let tap = Box::new(Recorder(Arc::clone(&recorded)));
    let runtime = Builder::new(Settings::default())
        .node(NodeSpec { tap: Some(tap), ..in_folder(&path) })
        .node(toy(2, 0))
        .start(perform)
        .unwrap();
    for words in ["save a x", "relay 2 echo y", "timers 3 1", "work", "load a"] {
        ask(&runtime, 1, words);
    }
    runtime.shut_down(PATIENCE).unwrap();
    let recorded = std::mem::take(&mut *recorded.lock().unwrap());
    assert!(recorded.len() > 15);
    assert!(recorded.windows(2).all(|pair| pair[0].0 <= pair[1].0), "time never goes back");
    let (mut machine, mut effects) = (Toy::default(), Effects::new());
    for (now, event, expected) in recorded {
        machine.step(now, event, &mut effects);
        assert_eq!(effects.drain().collect::<Vec<_>>(), expected);
    }
}
