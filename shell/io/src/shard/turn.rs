//! The turns of a shard's loop.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Receiver;
use formats::Event;
use glossary::NodeId;
use step::Effects;

use super::command::{Command, Failure, Starting};
use super::core::{Core, Delivery, Parts};
use super::slot::Tenant;
use super::{Life, Node, Seat, Shard};
use crate::clock;
use crate::disk::Finished;
use crate::gateway::SocketId;
use crate::mailbox::Input;
use crate::poller::{Readiness, Token};
use crate::relay::Relayed;

/// Rounds of one turn, before sockets are looked at again.
const ROUNDS_MAX: usize = 64;

/// Events delivered before `TurnEnd` comes, so that no burst is gathered for ever.
const EVENTS_MAX: usize = 4096;

/// Inputs taken from the mailbox in one turn.
const INPUTS_MAX: usize = 4096;

impl<N: Node> Shard<N> {
    /// A shard without tenants.
    pub(crate) fn new(parts: Parts, commands: Receiver<Command<N>>, spin: Duration) -> io::Result<Self> {
        let core = Core::new(parts);
        core.poller.watch_level(core.mailbox.descriptor(), Token::Bell)?;
        if let Some(descriptor) = core.backend.descriptor() {
            core.poller.watch_level(descriptor, Token::Disk)?;
        }
        if let Some(links) = &core.links {
            links.watch(&core.poller)?;
        }
        Ok(Shard {
            slots: Vec::new(),
            last_event: core.now,
            core,
            commands,
            effects: Effects::new(),
            touched: Vec::new(),
            touched_gateways: Vec::new(),
            spin,
            events: 0,
            ending: false,
        })
    }

    /// Starts those who are there from the beginning. All have their seats before the first of them hears a
    /// word, so that none of their first messages is lost.
    pub(crate) fn begin_all(&mut self, starting: Vec<Starting<N>>) -> Vec<(NodeId, String, Failure)> {
        let mut seats = Vec::new();
        for one in starting {
            let (node, name) = (one.node, one.name.clone());
            let seat = self.seat(one).expect("a node is started once at the beginning");
            seats.push((node, name, seat));
        }
        let begun = seats.into_iter().map(|(node, name, seat)| (node, name, self.begin(seat)));
        begun.filter_map(|(node, name, result)| Some((node, name, result.err()?))).collect()
    }

    /// Runs until the runtime ends.
    pub(crate) fn run(mut self) {
        while !(self.ending && self.slots.iter().all(|slot| slot.in_flight == 0)) {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let before = self.events;
        self.wait();
        self.core.now = clock::now();
        self.take_mail();
        self.expire_timers();
        for _ in 0..ROUNDS_MAX {
            self.round();
            if self.core.queue.is_empty() {
                break;
            }
            self.core.now = clock::now();
        }
        self.end_gateways_turn();
        if self.events != before {
            self.last_event = self.core.now;
        }
        let counters = &self.core.hub.counters[self.core.index];
        counters.turns.fetch_add(1, Ordering::Relaxed);
        counters.events.store(self.events, Ordering::Relaxed);
    }

    /// Waits until something comes, a timer runs out, or not at all when something is left to do.
    fn wait(&mut self) {
        let patience = self.patience();
        if patience != Some(Duration::ZERO) {
            self.core.hub.counters[self.core.index].sleeps.fetch_add(1, Ordering::Relaxed);
        }
        let found = self.core.poller.wait(patience);
        self.core.mailbox.awake();
        // Gateways that ask again while they are told are told in the next turn.
        for (seat, socket) in std::mem::take(&mut self.core.again) {
            let readiness = Readiness { readable: true, writable: false, ended: false };
            self.on_socket(seat, socket, readiness);
        }
        for index in 0..found {
            let (token, readiness) = self.core.poller.found(index);
            self.on_ready(token, readiness);
        }
    }

    fn patience(&self) -> Option<Duration> {
        let now = clock::now();
        let is_busy =
            !self.core.queue.is_empty() || !self.core.again.is_empty() || !self.core.relayed.is_empty();
        let spins = !self.spin.is_zero() && now.since(self.last_event) < self.spin;
        if is_busy || spins || !self.core.mailbox.prepare_to_sleep() {
            return Some(Duration::ZERO);
        }
        self.core.timers.next_due().map(|due| due.since(now))
    }

    fn on_ready(&mut self, token: Token, readiness: Readiness) {
        match token {
            Token::Bell => self.core.mailbox.silence(),
            // Completions are reaped in every round.
            Token::Disk => {}
            Token::Socket(seat, socket) => self.on_socket(seat, SocketId(socket), readiness),
            Token::FramesOut(shard) => {
                let links = self.core.links.as_mut().expect("links are watched where there are some");
                links.on_ready_out(shard, readiness);
            }
            Token::FramesIn(shard) => {
                let mut links = self.core.links.take().expect("links are watched where there are some");
                let core = &mut self.core;
                links.on_ready_in(shard, readiness, |from, to, message| core.deliver_here(from, to, message));
                self.core.links = Some(links);
            }
        }
    }

    fn on_socket(&mut self, seat: Seat, socket: SocketId, readiness: Readiness) {
        self.events += 1;
        let slot = &mut self.slots[seat.0 as usize];
        let told =
            slot.visit(seat, &mut self.core, |gateway, context| gateway.ready(socket, readiness, context));
        self.touch(seat);
        if let Err(leaving) = told {
            self.vacate(seat, leaving);
        }
    }

    fn take_mail(&mut self) {
        for _ in 0..INPUTS_MAX {
            let Some(input) = self.core.mailbox.take() else { return };
            match input {
                Input::Message { from, to, message } => self.core.deliver_here(from, to, message),
                Input::Disk(finished) => self.on_finished(finished),
                Input::Worked { seat, life, job, done } => {
                    let event = Event::Worked { job, result: done };
                    self.core.queue.push_back(Delivery { seat, life: Some(life), event });
                }
                Input::Route { node, place } => self.core.on_route(node, place),
                Input::Relay(relay) => self.core.relays.add(relay),
                Input::Command => {
                    let command = self.commands.try_recv().expect("a command lies beside its notice");
                    self.on_command(command);
                }
            }
        }
    }

    fn on_finished(&mut self, finished: Finished) {
        let Finished { ticket, result, trace } = finished;
        let slot = &mut self.slots[ticket.seat.0 as usize];
        slot.in_flight -= 1;
        if slot.life != ticket.life {
            return self.answer_if_stopped(ticket.seat);
        }
        if let Some(Tenant::Node(hosted)) = &mut slot.tenant
            && let Some(folder) = &mut hosted.folder
        {
            folder.on_finished(trace);
        }
        let event = Event::Disk { operation: ticket.operation, result };
        self.core.queue.push_back(Delivery { seat: ticket.seat, life: Some(ticket.life), event });
    }

    fn expire_timers(&mut self) {
        let horizon = self.core.timers.horizon();
        while let Some((seat, timer)) = self.core.timers.pop(self.core.now, horizon) {
            // At once, not through the queue: a timer that an event before it clears must not come.
            self.deliver(seat, None, Event::Timer(timer));
        }
    }

    /// Delivers what is queued, and what it leads to as far as disks.
    fn round(&mut self) {
        self.reap();
        for _ in 0..EVENTS_MAX {
            let Some(Delivery { seat, life, event }) = self.core.queue.pop_front() else { break };
            self.deliver(seat, life, event);
        }
        let mut touched = std::mem::take(&mut self.touched);
        for seat in touched.drain(..) {
            self.slots[seat.0 as usize].touched = false;
            self.deliver(seat, None, Event::TurnEnd);
        }
        self.touched = touched;
        self.core.flush_messages();
        // What other servers are to hear leaves before the disk has its turn: they work meanwhile.
        if !self.core.relayed.is_empty() && !self.core.disk_requests.is_empty() {
            self.end_gateways_turn();
        }
        let mut requests = std::mem::take(&mut self.core.disk_requests);
        for (ticket, what) in requests.drain(..) {
            self.slots[ticket.seat.0 as usize].start_operation(ticket, what, &mut self.core);
        }
        self.core.disk_requests = requests;
        self.core.backend.flush();
        self.reap();
    }

    fn reap(&mut self) {
        let mut finished = Vec::new();
        self.core.backend.reap(&mut |one| finished.push(one));
        finished.into_iter().for_each(|one| self.on_finished(one));
    }

    /// Gives gateways the messages to nodes that they speak for. What they send themselves meanwhile is the next
    /// turn's.
    fn relay(&mut self) {
        for Relayed { gateway, from, to, message } in std::mem::take(&mut self.core.relayed) {
            let Some(seat) = self.core.seat_of(gateway).filter(|seat| (seat.0 as usize) < self.slots.len())
            else {
                continue;
            };
            self.events += 1;
            let slot = &mut self.slots[seat.0 as usize];
            let told = slot.visit(seat, &mut self.core, |gateway, context| {
                gateway.relay(from, to, message, context);
            });
            self.touch(seat);
            if let Err(leaving) = told {
                self.vacate(seat, leaving);
            }
        }
    }

    fn end_gateways_turn(&mut self) {
        self.relay();
        let mut touched = std::mem::take(&mut self.touched_gateways);
        for seat in touched.drain(..) {
            self.slots[seat.0 as usize].touched = false;
            self.deliver(seat, None, Event::TurnEnd);
        }
        self.touched_gateways = touched;
        // What gateways sent at the end of their turn goes on at once; what is here is the next turn's.
        self.core.flush_messages();
    }

    /// Gives an event to whoever has the seat, when it is the one whom it concerns.
    pub(super) fn deliver(&mut self, seat: Seat, life: Option<Life>, event: Event) {
        // A seat may be announced before anybody sat there.
        let Some(slot) = self.slots.get(seat.0 as usize) else { return };
        if slot.tenant.is_none() || life.is_some_and(|life| life != slot.life) {
            return;
        }
        self.events += 1;
        if !matches!(event, Event::TurnEnd) {
            self.touch(seat);
        }
        let slot = &mut self.slots[seat.0 as usize];
        if let Err(leaving) = slot.deliver(seat, event, &mut self.core, &mut self.effects) {
            self.vacate(seat, leaving);
        }
    }

    /// Notes that a tenant got something, and so gets a `TurnEnd`.
    pub(super) fn touch(&mut self, seat: Seat) {
        let slot = &mut self.slots[seat.0 as usize];
        if std::mem::replace(&mut slot.touched, true) {
            return;
        }
        match slot.tenant {
            Some(Tenant::Gateway(_)) => self.touched_gateways.push(seat),
            _ => self.touched.push(seat),
        }
    }
}
