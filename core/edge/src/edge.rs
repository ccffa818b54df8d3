//! The Edge itself: who asks and who answers.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest, RoleStatus};
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError, EdgeReply};
use formats::message::guest::{GuestAnswer, GuestBody, GuestError, GuestRequest};
use formats::{Effect, Event, Message};
use glossary::{ByteCount, NodeId, VdiskId, VdiskName};
use step::{Effects, Entropy, Machine, Timestamp};

use crate::attaching::Attaching;
use crate::change::ChangeBody;
use crate::config::Config;
use crate::context::{Asker, Context, Owner, Shared, TICK};
use crate::counters::Counter;
use crate::disk::{Disk, Fate, NO_SESSION, Opened, to_guest};
use crate::patience::Patience;

/// The role between gateways and the volume driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    config: Config,
    shared: Shared,
    lists: BTreeMap<u64, (Asker, Patience)>,
    attaching: BTreeMap<VdiskName, Attaching>,
    disks: BTreeMap<VdiskId, Disk>,
}

impl Machine for Edge {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        let context = &mut Context { now, config: &self.config, shared: &mut self.shared, effects };
        let parts =
            &mut Parts { lists: &mut self.lists, attaching: &mut self.attaching, disks: &mut self.disks };
        match event {
            Event::Start { seed } => context.shared.entropy = Some(Entropy::new(seed)),
            Event::Message { from, message } => parts.on_message(from, message, context),
            Event::Timer(TICK) => parts.tick(context),
            Event::TurnEnd => parts.flush_for_room(context),
            // It has neither disk nor work, and no other timer.
            Event::Timer(_) | Event::Disk { .. } | Event::Worked { .. } => {}
        }
        parts.admit_held(context);
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
    }
}

impl Edge {
    /// An Edge that has not started yet.
    pub fn new(config: Config) -> Self {
        let (lists, attaching, disks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Edge { config, shared: Shared::new(), lists, attaching, disks }
    }

    /// What it says of itself.
    pub fn status(&self) -> RoleStatus {
        status(&self.shared)
    }

    /// Panics when an invariant of the module `disk` does not hold, or the sums over all vDisks are wrong.
    pub fn check_invariants(&self) {
        self.disks.values().for_each(Disk::check_invariants);
        let remembered: u64 = self.disks.values().map(Disk::remembered).sum();
        debug_assert_eq!(remembered, self.shared.remembered, "the sum of what is remembered");
        let held: usize = self.disks.values().map(Disk::held).sum();
        debug_assert_eq!(held, self.shared.held, "the sum of what is held back");
    }
}

/// The Edge without what its parts share.
struct Parts<'a> {
    lists: &'a mut BTreeMap<u64, (Asker, Patience)>,
    attaching: &'a mut BTreeMap<VdiskName, Attaching>,
    disks: &'a mut BTreeMap<VdiskId, Disk>,
}

impl Parts<'_> {
    fn on_message(&mut self, from: NodeId, message: Message, context: &mut Context<'_>) {
        match message {
            Message::Guest(request) => self.on_guest(from, request, context),
            Message::EdgeReply(reply) => self.on_reply(reply, context),
            Message::Admin(request) => on_admin(from, &request, context),
            // Not meant for an Edge.
            _ => {}
        }
    }

    fn on_guest(
        &mut self,
        node: NodeId,
        GuestRequest { request, body }: GuestRequest,
        context: &mut Context<'_>,
    ) {
        let asker = Asker { node, request };
        let (vdisk, offset, length) = match &body {
            GuestBody::List => return self.list(asker, context),
            GuestBody::Attach { name } => return self.attach(name, alloc::vec![asker], context),
            GuestBody::Write { vdisk, offset, payload, .. } => (*vdisk, *offset, payload.len() as u64),
            GuestBody::Read { vdisk, offset, length }
            | GuestBody::Discard { vdisk, offset, length, .. }
            | GuestBody::Extents { vdisk, offset, length } => (*vdisk, *offset, *length),
            GuestBody::Flush { vdisk } => (*vdisk, 0, 0),
        };
        count(&body, length, context);
        let Some(disk) = self.disks.get_mut(&vdisk) else { return context.fail(asker, GuestError::NotFound) };
        if let Some(error) = disk.refuses(asker, offset, length) {
            return context.fail(asker, error);
        }
        match body {
            GuestBody::Read { .. } => disk.read(asker, offset, length, context),
            GuestBody::Extents { .. } => disk.extents(asker, offset, length, context),
            GuestBody::Flush { .. } => disk.flush(asker, context),
            GuestBody::Write { .. } | GuestBody::Discard { .. } if length == 0 => {
                context.reply(asker, GuestAnswer::Done);
            }
            GuestBody::Write { fua, payload, .. } => {
                disk.change(asker, ChangeBody::Write { offset, fua, payload }, context);
            }
            GuestBody::Discard { fua, .. } => {
                disk.change(asker, ChangeBody::Discard { offset, length, fua }, context);
            }
            GuestBody::List | GuestBody::Attach { .. } => unreachable!("answered above"),
        }
    }

    fn list(&mut self, asker: Asker, context: &mut Context<'_>) {
        // No session keeps answers to an earlier life apart, and that life may have asked before a vDisk was made.
        let request = context.entropy().next_u64();
        self.lists.insert(request, (asker, Patience::new(context.now, context.config)));
        context.send(NO_SESSION, request, EdgeBody::List);
    }

    fn attach(&mut self, name: &VdiskName, askers: Vec<Asker>, context: &mut Context<'_>) {
        if let Some(attaching) = self.attaching.get_mut(name) {
            attaching.askers.extend(askers);
            return;
        }
        let known = self.disks.values_mut().find(|disk| disk.name == *name);
        match known {
            Some(disk) if !disk.has_failed() => {
                askers.into_iter().for_each(|asker| disk.attach_again(asker, context));
            }
            known => {
                // A vDisk that failed is opened anew, as a new client that never was promised anything.
                let failed = known.map(|disk| disk.id);
                failed.map(|id| self.disks.remove(&id));
                self.attaching.insert(name.clone(), Attaching::begin(name.clone(), askers, context));
            }
        }
    }

    fn on_reply(&mut self, reply: EdgeReply, context: &mut Context<'_>) {
        if reply.session == NO_SESSION {
            self.on_list(reply, context);
            return;
        }
        match context.shared.sessions.get(&reply.session) {
            None => context.count(Counter::StaleAnswers, 1),
            Some(Owner::Attaching(name)) => {
                let name = name.clone();
                self.on_attach_reply(&name, reply, context);
            }
            Some(Owner::Disk(vdisk)) => {
                let vdisk = *vdisk;
                let Some(disk) = self.disks.get_mut(&vdisk) else { return };
                let fate = disk.on_reply(reply, context);
                if fate == Fate::Gone || disk.has_failed() {
                    let (name, attachers) = (disk.name.clone(), disk.take_attachers());
                    if fate == Fate::Gone {
                        self.disks.remove(&vdisk);
                    }
                    if !attachers.is_empty() {
                        self.attach(&name, attachers, context);
                    }
                }
            }
        }
    }

    fn on_list(&mut self, reply: EdgeReply, context: &mut Context<'_>) {
        let answer = match reply.body {
            EdgeAnswer::Vdisks(vdisks) => GuestAnswer::Vdisks(vdisks),
            EdgeAnswer::Failed(error) => GuestAnswer::Failed(to_guest(error)),
            // Not an answer to this question.
            _ => return,
        };
        if let Some((asker, _)) = self.lists.remove(&reply.request) {
            context.reply(asker, answer);
        }
    }

    /// The answer to the first opening of a vDisk.
    fn on_attach_reply(&mut self, name: &VdiskName, reply: EdgeReply, context: &mut Context<'_>) {
        match reply.body {
            EdgeAnswer::Opened { vdisk, size, applied } => {
                let attaching = self.attaching.remove(name).expect("a session has an owner");
                let Attaching { name, session, askers, .. } = attaching;
                context.shared.sessions.insert(session, Owner::Disk(vdisk));
                let opened = Opened { session, generation: reply.generation, size, applied };
                let mut disk = Disk::new(vdisk, name, opened, context);
                askers.into_iter().for_each(|asker| disk.attach(asker, context));
                if let Some(mut older) = self.disks.insert(vdisk, disk) {
                    // It was known by another name.
                    older.fail("the vDisk was renamed and attached anew", context);
                }
            }
            // The question was not taken; it is asked again.
            EdgeAnswer::Failed(EdgeError::NoSession) => {}
            EdgeAnswer::Failed(EdgeError::NotNewest { newest }) => {
                let attaching = self.attaching.get_mut(name).expect("a session has an owner");
                attaching.follow(newest, reply.generation, context);
            }
            EdgeAnswer::Failed(error) => {
                context.shared.sessions.remove(&reply.session);
                let attaching = self.attaching.remove(name).expect("a session has an owner");
                let error = to_guest(error);
                attaching.askers.into_iter().for_each(|asker| context.fail(asker, error.clone()));
            }
            // Not an answer to this question.
            _ => {}
        }
    }

    /// Sends again what was not answered for long; goes on ticking while anything is awaited.
    fn tick(&mut self, context: &mut Context<'_>) {
        context.shared.ticking = false;
        let mut awaits = !self.lists.is_empty() || !self.attaching.is_empty();
        for (request, (_, patience)) in self.lists.iter_mut() {
            if patience.ran_out(context.now, context.config) {
                context.count(Counter::Resent, 1);
                context.send(NO_SESSION, *request, EdgeBody::List);
            }
        }
        self.attaching.values_mut().for_each(|attaching| attaching.tick(context));
        for disk in self.disks.values_mut() {
            awaits |= disk.tick(context);
        }
        if awaits {
            context.tick();
        }
    }

    /// Near the bound, makes what is remembered stable, so that it can be forgotten (E1, P9).
    fn flush_for_room(&mut self, context: &mut Context<'_>) {
        if context.shared.held > 0 || context.shared.remembered >= context.config.flush_from() {
            self.disks.values_mut().for_each(|disk| disk.flush_for_room(context));
        }
    }

    /// Lets changes in that waited for room, one of each vDisk in turn.
    fn admit_held(&mut self, context: &mut Context<'_>) {
        let mut admitted = true;
        while context.shared.held > 0 && admitted {
            admitted = false;
            for disk in self.disks.values_mut() {
                admitted |= disk.admit(context);
            }
        }
    }
}

fn count(body: &GuestBody, length: u64, context: &mut Context<'_>) {
    match body {
        GuestBody::Read { .. } => {
            context.count(Counter::Reads, 1);
            context.count(Counter::ReadBytes, length);
        }
        GuestBody::Write { .. } => {
            context.count(Counter::Writes, 1);
            context.count(Counter::WriteBytes, length);
        }
        GuestBody::Discard { .. } => context.count(Counter::Discards, 1),
        GuestBody::Flush { .. } => context.count(Counter::Flushes, 1),
        GuestBody::List | GuestBody::Attach { .. } | GuestBody::Extents { .. } => {}
    }
}

fn on_admin(from: NodeId, request: &AdminRequest, context: &mut Context<'_>) {
    let body = match &request.body {
        AdminBody::Status => AdminAnswer::Status(status(context.shared)),
        _ => AdminAnswer::Failed("an Edge has nothing but a status; ask a volume driver".to_string()),
    };
    let message = Message::AdminReply(AdminReply { request: request.request, body });
    context.effects.push(Effect::Send { to: from, message });
}

fn status(shared: &Shared) -> RoleStatus {
    RoleStatus::Edge { remembered: ByteCount(shared.remembered), counters: shared.counters.values().to_vec() }
}
