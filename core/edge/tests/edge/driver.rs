//! A volume driver in memory: one volume, a log of which a power cut keeps what was synced and perhaps more,
//! clients whose changes come in order and once.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use formats::Payload;
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError, EdgeReply, EdgeRequest, Opening};
use glossary::{ByteCount, CLUSTER_BYTES, ClientId, Generation, SessionId, VdiskId};
use step::Entropy;

/// Clusters of the volume.
pub(crate) const CLUSTERS: u64 = 8;

/// An entry of the log: the tag that each cluster of the range has afterwards; 0 stands for zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    client: ClientId,
    change: u64,
    first: u64,
    count: u64,
    pub(crate) tag: u64,
    /// The change was refused. That must be in the log as well: with later changes in it, a restarted driver
    /// would take it for one that it has applied.
    refused: bool,
}

#[derive(Default)]
struct Client {
    session: Option<SessionId>,
    /// What it had in the log when the session was opened.
    applied: u64,
    accepted: u64,
    stable: u64,
    unstable: Vec<(u64, usize)>,
    refused: BTreeSet<u64>,
    early: BTreeMap<u64, (SessionId, EdgeRequest)>,
}

pub(crate) struct Driver {
    generation: u32,
    pub(crate) log: Vec<Entry>,
    pub(crate) synced: usize,
    clients: BTreeMap<ClientId, Client>,
    sessions: BTreeMap<SessionId, ClientId>,
    /// What each change did when it first came, and the highest that came, for ever: the test's knowledge, not
    /// the driver's.
    seen: BTreeMap<(ClientId, u64), (u64, u64, u64)>,
    pub(crate) restarts: u32,
    pub(crate) refusals: u32,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Driver {
            generation: 1,
            log: Vec::new(),
            synced: 0,
            clients: BTreeMap::new(),
            sessions: BTreeMap::new(),
            seen: BTreeMap::new(),
            restarts: 0,
            refusals: 0,
        }
    }

    /// Dies and starts again. Without power it may lose any end of the log that was not synced.
    pub(crate) fn restart(&mut self, power_cut: bool, random: &mut Entropy) {
        self.restarts += 1;
        self.generation += 1;
        if power_cut {
            let unsynced = (self.log.len() - self.synced) as u64;
            self.log.truncate(self.synced + random.below(unsynced + 1) as usize);
        }
        self.synced = self.log.len();
        self.sessions.clear();
        self.clients.clear();
        for entry in &self.log {
            let client = self.clients.entry(entry.client).or_default();
            (client.accepted, client.stable) = (entry.change, entry.change);
            if entry.refused {
                client.refused.insert(entry.change);
            }
        }
    }

    pub(crate) fn receive(&mut self, request: EdgeRequest, random: &mut Entropy) -> Vec<EdgeReply> {
        let (session, number) = (request.session, request.request);
        let body = match &request.body {
            EdgeBody::Open(opening) => {
                if opening.generation.0 > self.generation {
                    return Vec::new();
                }
                self.open(session, opening)
            }
            _ if !self.sessions.contains_key(&session) => EdgeAnswer::Failed(EdgeError::NoSession),
            EdgeBody::Read { offset, length } => self.read(*offset, *length, random),
            EdgeBody::Flush => {
                self.synced = self.log.len();
                self.note_stable();
                EdgeAnswer::Done
            }
            EdgeBody::Write { .. } | EdgeBody::Discard { .. } => return self.change(request, random),
            EdgeBody::List | EdgeBody::Extents { .. } | EdgeBody::Close => panic!("the test asks for none"),
        };
        vec![self.reply(session, number, body)]
    }

    fn reply(&self, session: SessionId, request: u64, body: EdgeAnswer) -> EdgeReply {
        let client = self.sessions.get(&session).map(|client| &self.clients[client]);
        let stable = client.map_or(0, |client| client.stable);
        EdgeReply { session, request, generation: Generation(self.generation), stable, body }
    }

    fn open(&mut self, session: SessionId, opening: &Opening) -> EdgeAnswer {
        let known = self.clients.entry(opening.client).or_default();
        let newest = known.session.unwrap_or(SessionId(0));
        if newest != session {
            if (newest, Generation(self.generation)) != (opening.newest, opening.generation) {
                return EdgeAnswer::Failed(EdgeError::NotNewest { newest });
            }
            self.sessions.remove(&newest);
            known.early.clear();
            known.session = Some(session);
            known.applied = known.accepted;
            known.accepted = known.accepted.max(opening.first_change.saturating_sub(1));
            self.sessions.insert(session, opening.client);
        }
        let applied = known.applied;
        EdgeAnswer::Opened { vdisk: VdiskId(7), size: ByteCount(CLUSTERS * CLUSTER_BYTES), applied }
    }

    fn change(&mut self, request: EdgeRequest, random: &mut Entropy) -> Vec<EdgeReply> {
        let session = request.session;
        let id = self.sessions[&session];
        let number = change_number(&request.body);
        let client = self.clients.get_mut(&id).expect("a session's client");
        if number > client.accepted + 1 {
            client.early.insert(number, (session, request));
            return Vec::new();
        }
        if number <= client.accepted {
            let refused = client.refused.contains(&number);
            let body = if refused { EdgeAnswer::Failed(EdgeError::NoSpace) } else { EdgeAnswer::Done };
            return vec![self.reply(session, request.request, body)];
        }
        let mut replies = vec![self.accept(id, &request, random)];
        while let Some((session, next)) = {
            let client = self.clients.get_mut(&id).expect("a session's client");
            client.early.remove(&(client.accepted + 1))
        } {
            assert_eq!(session, next.session);
            replies.push(self.accept(id, &next, random));
        }
        replies
    }

    fn accept(&mut self, id: ClientId, request: &EdgeRequest, random: &mut Entropy) -> EdgeReply {
        let (number, first, count, tag, fua) = decode(&request.body);
        let newest =
            self.seen.range((id, 0)..=(id, u64::MAX)).next_back().map_or(0, |((_, change), _)| *change);
        let void = count == 0;
        if !void {
            let before = *self.seen.entry((id, number)).or_insert((first, count, tag));
            assert_eq!(before, (first, count, tag), "change {number} is not what it was");
        }
        let client = self.clients.get_mut(&id).expect("a session's client");
        client.accepted = number;
        // Only what nobody can have acknowledged is refused.
        if !void && number > newest && random.below(12) == 0 {
            self.refusals += 1;
            client.refused.insert(number);
            self.log.push(Entry { client: id, change: number, first, count: 0, tag: 0, refused: true });
            return self.reply(request.session, request.request, EdgeAnswer::Failed(EdgeError::NoSpace));
        }
        if !void {
            let last = self.log.iter().rev().find(|entry| entry.client == id).map_or(0, |entry| entry.change);
            assert!(last < number, "change {number} after {last}");
            self.log.push(Entry { client: id, change: number, first, count, tag, refused: false });
        }
        self.clients.get_mut(&id).expect("known").unstable.push((number, self.log.len()));
        if fua {
            self.synced = self.log.len();
        }
        self.note_stable();
        self.reply(request.session, request.request, EdgeAnswer::Done)
    }

    fn note_stable(&mut self) {
        for client in self.clients.values_mut() {
            let stable = client.unstable.iter().take_while(|(_, length)| *length <= self.synced).last();
            client.stable = stable.map_or(client.stable, |(change, _)| *change);
            client.unstable.retain(|(_, length)| *length > self.synced);
        }
    }

    fn read(&self, offset: u64, length: u64, random: &mut Entropy) -> EdgeAnswer {
        let tags = self.tags();
        let (first, end) = (offset / CLUSTER_BYTES, (offset + length).div_ceil(CLUSTER_BYTES));
        let bytes: Vec<u8> =
            tags[first as usize..end as usize].iter().flat_map(|tag| cluster(*tag)).collect();
        let right = Payload::entering(Bytes::from(bytes.clone()));
        if random.below(30) > 0 {
            return EdgeAnswer::Data(right);
        }
        let mut wrong = bytes;
        let at = random.below(wrong.len() as u64) as usize;
        wrong[at] ^= 0x10;
        EdgeAnswer::Data(Payload::with_crcs(vec![wrong.into()], right.crcs().to_vec()).expect("fits"))
    }

    pub(crate) fn tags(&self) -> [u64; CLUSTERS as usize] {
        let mut tags = [0; CLUSTERS as usize];
        for entry in &self.log {
            tags[entry.first as usize..(entry.first + entry.count) as usize].fill(entry.tag);
        }
        tags
    }
}

/// A cluster of a tag.
pub(crate) fn cluster(tag: u64) -> Vec<u8> {
    tag.to_le_bytes().repeat(CLUSTER_BYTES as usize / 8)
}

/// The tag of a cluster; `None` for one that no single write made.
pub(crate) fn tag_of(bytes: &[u8]) -> Option<u64> {
    let tag = &bytes[..8];
    bytes.chunks(8).all(|chunk| chunk == tag).then(|| u64::from_le_bytes(tag.try_into().expect("8 bytes")))
}

fn change_number(body: &EdgeBody) -> u64 {
    decode(body).0
}

/// Number, first cluster, clusters, tag, and whether it must be stable.
fn decode(body: &EdgeBody) -> (u64, u64, u64, u64, bool) {
    match body {
        EdgeBody::Write { change, offset, fua, payload } => {
            assert!(payload.verify());
            let tag = tag_of(&payload.contiguous()).expect("one tag");
            (*change, offset / CLUSTER_BYTES, payload.clusters().expect("whole"), tag, *fua)
        }
        EdgeBody::Discard { change, offset, length, fua } => {
            (*change, offset / CLUSTER_BYTES, length / CLUSTER_BYTES, 0, *fua)
        }
        _ => panic!("no change: {body:?}"),
    }
}
