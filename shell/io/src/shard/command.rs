//! What the runtime tells a shard: start, stop, end.

use std::io;
use std::os::fd::OwnedFd;

use crossbeam_channel::Sender;
use formats::Event;
use glossary::NodeId;

use super::slot::{Hosted, Leaving, Slot, Tenant};
use super::{Life, Node, Seat, Shard, seed};
use crate::disk::{Finished, Folder};
use crate::gateway::Gateway;
use crate::hub::NodeState;
use crate::mailbox::Input;
use crate::tap::Tap;

/// A command.
pub(crate) enum Command<N> {
    Start(Box<Starting<N>>, Sender<Result<(), Failure>>),
    /// Stops a node, or asks a gateway to. The answer comes when nothing of it is in flight any more.
    Stop(NodeId, Sender<()>),
    /// Drops a gateway that was asked to stop.
    Abandon(NodeId),
    End,
}

/// Someone to be started.
pub(crate) struct Starting<N> {
    pub(crate) node: NodeId,
    pub(crate) name: String,
    pub(crate) tenant: NewTenant<N>,
}

/// Who.
pub(crate) enum NewTenant<N> {
    Node { machine: N, folder: Option<NewFolder>, tap: Option<Box<dyn Tap>> },
    Gateway(Box<dyn Gateway>),
}

/// An open folder and its bounds.
pub(crate) struct NewFolder {
    pub(crate) descriptor: OwnedFd,
    pub(crate) open_files: usize,
    pub(crate) threads: usize,
    pub(crate) past_page_cache: bool,
}

/// Why someone couldn't be started.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It runs.
    Running,
    /// Its last life still has operations in flight.
    Stopping,
    /// The gateway said why.
    Gateway(io::Error),
}

impl<N: Node> Shard<N> {
    pub(super) fn on_command(&mut self, command: Command<N>) {
        match command {
            Command::Start(starting, answer) => {
                let started = self.seat(*starting).and_then(|seat| self.begin(seat));
                // Who asked may have lost patience.
                let _ = answer.send(started);
            }
            Command::Stop(node, answer) => self.on_stop(node, answer),
            Command::Abandon(node) => {
                if let Some(seat) = self.core.seat_of(node) {
                    self.vacate(seat, Leaving(NodeState::Stopped));
                }
            }
            Command::End => {
                self.ending = true;
                for seat in (0..).map(Seat).take(self.slots.len()) {
                    if self.slots[seat.0 as usize].tenant.is_some() {
                        self.vacate(seat, Leaving(NodeState::Stopped));
                    }
                }
            }
        }
    }

    /// Gives someone a seat, without a word to them yet.
    pub(super) fn seat(&mut self, starting: Starting<N>) -> Result<Seat, Failure> {
        let Starting { node, name, tenant } = starting;
        let seat = self.core.seat_of(node).expect("a node is announced before it starts");
        while self.slots.len() <= seat.0 as usize {
            self.slots.push(Slot::empty(node));
        }
        let slot = &mut self.slots[seat.0 as usize];
        if slot.tenant.is_some() {
            return Err(Failure::Running);
        }
        if slot.in_flight > 0 {
            return Err(Failure::Stopping);
        }
        let distrust = self.core.hub.on_start(node, &name);
        let address = self.core.hub.addresses[self.core.index].clone();
        (slot.node, slot.name) = (node, name);
        slot.tenant = Some(match tenant {
            NewTenant::Gateway(gateway) => Tenant::Gateway(gateway),
            NewTenant::Node { machine, folder, tap } => {
                let sink = move |finished: Finished| address.post(Input::Disk(finished));
                let folder = folder.map(|new| {
                    let sink = std::sync::Arc::new(sink);
                    Folder::new(new.descriptor, distrust, new.open_files, new.threads, sink)
                        .past_page_cache(new.past_page_cache)
                });
                Tenant::Node(Box::new(Hosted { machine, folder, tap }))
            }
        });
        Ok(seat)
    }

    /// Says the first word.
    pub(super) fn begin(&mut self, seat: Seat) -> Result<(), Failure> {
        let slot = &mut self.slots[seat.0 as usize];
        if let Some(Tenant::Node(_)) = &slot.tenant {
            self.deliver(seat, None, Event::Start { seed: seed() });
            return Ok(());
        }
        let mut started = Ok(());
        let told = slot.visit(seat, &mut self.core, |gateway, context| started = gateway.start(context));
        self.touch(seat);
        if let Err(leaving) = told {
            self.vacate(seat, leaving);
        }
        started.map_err(|error| {
            self.vacate(seat, Leaving(NodeState::Halted { reason: error.to_string() }));
            Failure::Gateway(error)
        })
    }

    fn on_stop(&mut self, node: NodeId, answer: Sender<()>) {
        let Some(seat) = self.core.seat_of(node).filter(|seat| (seat.0 as usize) < self.slots.len()) else {
            let _ = answer.send(());
            return;
        };
        let slot = &mut self.slots[seat.0 as usize];
        slot.stopping = Some(answer);
        if let Some(Tenant::Gateway(_)) = &slot.tenant {
            let told = slot.visit(seat, &mut self.core, |gateway, context| gateway.stop(context));
            self.touch(seat);
            return if let Err(leaving) = told {
                self.vacate(seat, leaving)
            };
        }
        self.vacate(seat, Leaving(NodeState::Stopped));
    }

    /// Drops whoever sits there, all that belongs to it, and all that it wanted and did not get.
    pub(super) fn vacate(&mut self, seat: Seat, leaving: Leaving) {
        let slot = &mut self.slots[seat.0 as usize];
        if slot.tenant.take().is_some() || leaving.0 == NodeState::Stopped {
            self.core.hub.on_state(slot.node, leaving.0);
        }
        slot.life = Life(slot.life.0 + 1);
        self.core.timers.clear_all(seat);
        self.answer_if_stopped(seat);
    }

    /// Tells who waits for it when nothing of a stopped node is in flight any more.
    pub(super) fn answer_if_stopped(&mut self, seat: Seat) {
        let slot = &mut self.slots[seat.0 as usize];
        if slot.tenant.is_none() && slot.in_flight == 0 {
            slot.stopping.take().map(|answer| answer.send(()));
        }
    }
}
