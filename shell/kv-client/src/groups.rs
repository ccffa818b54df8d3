//! Groups beside the root group: each has a map of its own. They are made, dropped and listed by management, which takes an
//! administrator's certificate but for the list; what is in one is read and changed as in the root group.

use std::io;
use std::time::{Duration, Instant};

use formats::kv_groups::check_name;
use formats::message::admin::{
    AdminAnswer, AdminBody, AdminRequest, KvGroupStatus, KvGroupsVerb, RoleStatus,
};
use glossary::{GroupId, ServerId};

use crate::client::{Client, DIAL};
use crate::connection::Connection;
use crate::error::Error;

/// How long to wait before all members are asked again.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

impl Client {
    /// Reads and changes what is in this group from now on.
    ///
    /// # Errors
    /// [`Error::NoGroup`] where no member that answers has it.
    pub fn use_group(&mut self, name: &str) -> Result<(), Error> {
        let (mut last, mut is_heard) = (None, false);
        for server in self.places() {
            match self.ask_place(server, KvGroupsVerb::List) {
                Ok(AdminAnswer::KvGroups(groups)) => {
                    is_heard = true;
                    if let Some(found) = groups.into_iter().find(|group| group.name == name) {
                        self.turn_to(found.group);
                        return Ok(());
                    }
                }
                Ok(other) => last = said(other),
                Err(error) => last = Some(error.to_string()),
            }
        }
        if is_heard { Err(Error::NoGroup(name.into())) } else { Err(Error::TimedOut(last)) }
    }

    /// Means a group from now on, in a session of its own: no group knows what was said in another.
    pub(crate) fn turn_to(&mut self, group: GroupId) {
        if self.group != group {
            self.give_up();
            self.group = group;
        }
    }

    /// The groups, as the first member that answers knows them, in order of their names.
    ///
    /// # Errors
    /// [`Error::TimedOut`] where none answers in time.
    pub fn groups(&mut self) -> Result<Vec<KvGroupStatus>, Error> {
        match self.ask_groups(&KvGroupsVerb::List)? {
            AdminAnswer::KvGroups(groups) => Ok(groups),
            other => Err(crate::client::nonsense(&other)),
        }
    }

    /// The groups that there were when a command of the root group was applied, and later ones perhaps: what one member knows
    /// may be old, and one that was removed goes on telling it.
    pub(crate) fn groups_as_of(&mut self, index: u64) -> Result<Vec<KvGroupStatus>, Error> {
        let until = Instant::now() + self.patience;
        loop {
            for server in self.places() {
                let applied = match self.manage(server, AdminBody::Status) {
                    Ok(AdminAnswer::Status(
                        RoleStatus::Kv { index, .. } | RoleStatus::KvMember { index, .. },
                    )) => index,
                    _ => continue,
                };
                if applied >= index
                    && let Ok(AdminAnswer::KvGroups(groups)) = self.ask_place(server, KvGroupsVerb::List)
                {
                    return Ok(groups);
                }
            }
            if Instant::now() + PAUSE > until {
                return Err(Error::TimedOut(Some("no member tells which groups there are".into())));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Makes a group, with the members that the root group has. One that is there is as good as made.
    ///
    /// # Errors
    /// [`Error::TooLarge`] says why a name is none; [`Error::TimedOut`] where no leader makes it in time.
    pub fn make_group(&mut self, name: &str) -> Result<(), Error> {
        check_name(name).map_err(|why| Error::TooLarge(why.into()))?;
        self.ask_groups(&KvGroupsVerb::Make { name: name.into() }).map(drop)
    }

    /// Drops a group and all that it holds, for good. One that isn't there is as good as dropped.
    ///
    /// # Errors
    /// As [`Client::make_group`].
    pub fn drop_group(&mut self, name: &str) -> Result<(), Error> {
        check_name(name).map_err(|why| Error::TooLarge(why.into()))?;
        self.ask_groups(&KvGroupsVerb::Drop { name: name.into() }).map(drop)
    }

    /// Asks all members in turn until one does it: the others say who leads, and that may have changed by then.
    fn ask_groups(&mut self, verb: &KvGroupsVerb) -> Result<AdminAnswer, Error> {
        let until = Instant::now() + self.patience;
        let mut refused = None;
        loop {
            let (mut last, mut by_leader) = (None, None);
            for server in self.places() {
                match self.ask_place(server, verb.clone()) {
                    Ok(AdminAnswer::NotAllowed(why)) => return Err(Error::NotManaged(why)),
                    Ok(AdminAnswer::Failed(why)) => {
                        by_leader = self.leads(server).then(|| why.clone()).or(by_leader);
                        last = Some(why);
                    }
                    Ok(AdminAnswer::NotYet(why)) => last = Some(why),
                    Ok(done) => return Ok(done),
                    Err(error) => last = last.or(Some(error.to_string())),
                }
            }
            // Who leads may have begun to since it was asked: it is asked again.
            match (by_leader, refused) {
                (Some(now), Some(before)) if now == before => return Err(Error::NotManaged(now)),
                (now, _) => refused = now,
            }
            if Instant::now() + PAUSE > until {
                return Err(Error::TimedOut(last));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The places that can be asked.
    fn places(&self) -> Vec<ServerId> {
        let servers = self.dial.servers();
        if servers.is_empty() { vec![ServerId(0)] } else { servers }
    }

    fn ask_place(&mut self, server: ServerId, verb: KvGroupsVerb) -> io::Result<AdminAnswer> {
        self.manage(server, AdminBody::KvGroups(verb))
    }

    /// Whether a server leads the root group, as it says itself.
    fn leads(&mut self, server: ServerId) -> bool {
        match self.manage(server, AdminBody::Status) {
            Ok(AdminAnswer::Status(RoleStatus::KvMember { me, leader, .. })) => leader == Some(me),
            Ok(AdminAnswer::Status(RoleStatus::Kv { .. })) => true,
            _ => false,
        }
    }

    fn manage(&mut self, server: ServerId, body: AdminBody) -> io::Result<AdminAnswer> {
        let mut connection = Connection::open(self.dial.dial(server, DIAL)?, DIAL)?;
        connection.manage(AdminRequest { request: 1, body }, DIAL)
    }

    /// The group whose map is meant.
    pub(crate) fn group(&self) -> GroupId {
        self.group
    }
}

/// What a member says instead of a list.
fn said(answer: AdminAnswer) -> Option<String> {
    match answer {
        AdminAnswer::Failed(why) | AdminAnswer::NotYet(why) | AdminAnswer::NotAllowed(why) => Some(why),
        _ => None,
    }
}
