//! A seat of a shard and who sits in it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::Sender;
use formats::{Effect, Event};
use glossary::NodeId;
use step::{Effects, Machine};

use super::core::{Core, Delivery};
use super::{Life, Seat};
use crate::disk::{Folder, Ticket};
use crate::gateway::{Context, Gateway};
use crate::hub::NodeState;
use crate::tap::Tap;

/// A machine that an executor can run.
pub trait Node: Machine<Event = Event, Effect = Effect> + Send + 'static {}

impl<N: Machine<Event = Event, Effect = Effect> + Send + 'static> Node for N {}

/// A seat.
pub(super) struct Slot<N> {
    pub(super) node: NodeId,
    pub(super) name: String,
    /// Counts those who sat here, so that what one of them began doesn't end at the next.
    pub(super) life: Life,
    pub(super) tenant: Option<Tenant<N>>,
    /// Disk operations that were started and have not ended. The next life waits for them: they must not
    /// touch the folder under its hands.
    pub(super) in_flight: usize,
    /// Whether it got something this turn.
    pub(super) touched: bool,
    /// Who waits for it to have stopped.
    pub(super) stopping: Option<Sender<()>>,
}

/// Who sits there.
pub(super) enum Tenant<N> {
    Node(Box<Hosted<N>>),
    Gateway(Box<dyn Gateway>),
}

/// A role's machine and what belongs to it.
pub(super) struct Hosted<N> {
    pub(super) machine: N,
    pub(super) folder: Option<Folder>,
    pub(super) tap: Option<Box<dyn Tap>>,
}

/// Why a tenant has to leave.
pub(super) struct Leaving(pub(super) NodeState);

impl<N: Node> Slot<N> {
    pub(super) fn empty(node: NodeId) -> Self {
        let (life, name) = (Life(0), String::new());
        Slot { node, name, life, tenant: None, in_flight: 0, touched: false, stopping: None }
    }

    /// Gives an event to whoever sits here.
    pub(super) fn deliver(
        &mut self,
        seat: Seat,
        event: Event,
        core: &mut Core,
        effects: &mut Effects<Effect>,
    ) -> Result<(), Leaving> {
        match &mut self.tenant {
            None => Ok(()),
            Some(Tenant::Node(_)) => self.step(seat, event, core, effects),
            Some(Tenant::Gateway(_)) => self.visit(seat, core, |gateway, context| match event {
                Event::Message { from, message } => gateway.message(from, message, context),
                Event::Timer(timer) => gateway.timer(timer, context),
                Event::TurnEnd => gateway.turn_end(context),
                Event::Start { .. } | Event::Disk { .. } | Event::Worked { .. } => {
                    unreachable!("gateways have no disks and no work")
                }
            }),
        }
    }

    /// Calls the gateway that sits here.
    pub(super) fn visit(
        &mut self,
        seat: Seat,
        core: &mut Core,
        call: impl FnOnce(&mut dyn Gateway, &mut Context<'_>),
    ) -> Result<(), Leaving> {
        let Some(Tenant::Gateway(gateway)) = &mut self.tenant else { return Ok(()) };
        let mut context = Context { core, seat, node: self.node, finished: false };
        catch_unwind(AssertUnwindSafe(|| call(gateway.as_mut(), &mut context)))
            .map_err(|panic| Leaving(NodeState::Halted { reason: panicked(panic.as_ref()) }))?;
        if context.finished { Err(Leaving(NodeState::Stopped)) } else { Ok(()) }
    }

    fn step(
        &mut self,
        seat: Seat,
        event: Event,
        core: &mut Core,
        effects: &mut Effects<Effect>,
    ) -> Result<(), Leaving> {
        let Some(Tenant::Node(hosted)) = &mut self.tenant else { return Ok(()) };
        if let Some(tap) = &mut hosted.tap {
            tap.on_event(self.node, core.now, &event);
        }
        // A panic is a mistake of ours in one role. It loses that role's state, like a crash, and no other's.
        let stepped = catch_unwind(AssertUnwindSafe(|| hosted.machine.step(core.now, event, effects)));
        if let Err(panic) = stepped {
            effects.drain();
            return Err(Leaving(NodeState::Halted { reason: panicked(panic.as_ref()) }));
        }
        if let Some(tap) = &mut hosted.tap {
            tap.on_effects(self.node, core.now, effects.as_slice());
        }
        // What follows a halt is dropped with the drain.
        effects.drain().try_for_each(|effect| self.apply(seat, effect, core))
    }

    fn apply(&self, seat: Seat, effect: Effect, core: &mut Core) -> Result<(), Leaving> {
        match effect {
            Effect::Send { to, message } => core.send(self.node, to, message),
            Effect::Disk { operation, what } => {
                core.disk_requests.push((Ticket { seat, life: self.life, operation }, what));
            }
            Effect::Work { job, work } => core.work(seat, self.life, job, work),
            Effect::SetTimer { timer, after } => {
                let at = core.now.after(after);
                core.timers.set(seat, timer, at);
            }
            Effect::ClearTimer(timer) => core.timers.clear(seat, timer),
            Effect::Halt { reason } => return Err(Leaving(NodeState::Halted { reason })),
        }
        Ok(())
    }

    /// Starts a disk operation of whoever sits here; one of an earlier life is dropped, as by a crash.
    pub(super) fn start_operation(&mut self, ticket: Ticket, what: step::DiskOperation, core: &mut Core) {
        let Some(Tenant::Node(hosted)) = &mut self.tenant else { return };
        if ticket.life != self.life {
            return;
        }
        let done = match &mut hosted.folder {
            Some(folder) => folder.perform(core.backend.as_mut(), ticket, what),
            None => {
                tracing::error!(node = %self.name, "a role without a folder wants one");
                Some(Err(step::DiskError::Failed))
            }
        };
        match done {
            None => self.in_flight += 1,
            Some(result) => {
                let event = Event::Disk { operation: ticket.operation, result };
                core.queue.push_back(Delivery { seat: ticket.seat, life: Some(ticket.life), event });
            }
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a mistake in the program: {}", text.unwrap_or("a panic without words"))
}
