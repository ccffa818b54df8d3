//! A backend in memory that holds the driver to the rules of PROTOCOLS L5 and L6.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use formats::Payload;
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use formats::namespace::{NamespaceRecord, ObjectName};
use glossary::{ObjectId, OsdId};

#[derive(Default)]
pub(crate) struct Backend {
    pub(crate) objects: BTreeMap<ObjectName, Bytes>,
    ever: BTreeSet<ObjectName>,
    /// Answers `Unavailable` while set.
    pub(crate) down: bool,
    /// What it was to store meanwhile.
    pub(crate) turned_away: BTreeSet<ObjectName>,
    /// Objects of which more is lost than parity makes up for.
    pub(crate) lost: BTreeSet<ObjectName>,
    /// OSDs that are gone.
    pub(crate) gone: Vec<OsdId>,
}

impl Backend {
    pub(crate) fn answer(&mut self, namespace: &mut NamespaceRecord, body: ObjectBody) -> ObjectAnswer {
        if self.down {
            if let ObjectBody::Put { name, .. } = body {
                self.turned_away.insert(name);
            }
            return ObjectAnswer::Failed(ObjectError::Unavailable);
        }
        match body {
            ObjectBody::Put { generation, name, present, head, payload } => {
                if generation != namespace.generation {
                    return ObjectAnswer::Failed(ObjectError::Fenced);
                }
                assert!(payload.verify(), "uploads check");
                let data = payload.contiguous();
                if let Some(there) = self.objects.get(&name) {
                    assert_eq!(*there, data, "{name:?} was stored with other content");
                    return stored();
                }
                assert!(
                    present.iter().all(|name| self.objects.contains_key(name)),
                    "a TLog's SCOs are there (L6)"
                );
                if let Some(change) = head {
                    assert_eq!(change.from, namespace.head, "TLogs form a chain (L6)");
                    assert_eq!(change.to.checksum, checksum::crc32c(&data));
                    namespace.head = Some(change.to);
                }
                assert!(self.ever.insert(name), "{name:?} is never written twice (L5)");
                self.objects.insert(name, data);
                stored()
            }
            ObjectBody::Get { name, .. } if self.lost.contains(&name) => {
                ObjectAnswer::Failed(ObjectError::Lost)
            }
            ObjectBody::Get { name, offset, length } => match self.objects.get(&name) {
                Some(data) => ObjectAnswer::Data(Payload::entering(
                    data.slice(offset as usize..(offset + length) as usize),
                )),
                None => ObjectAnswer::Failed(ObjectError::NotFound),
            },
            ObjectBody::Delete { generation, names } => {
                if generation != namespace.generation {
                    return ObjectAnswer::Failed(ObjectError::Fenced);
                }
                names.iter().for_each(|name| drop(self.objects.remove(name)));
                ObjectAnswer::Done
            }
            ObjectBody::LostParts { name } => {
                let size = self.objects.get(&name).map_or(0, |data| data.len() as u64);
                let lost = self.lost.contains(&name).then_some((0, size));
                ObjectAnswer::LostParts(lost.into_iter().collect())
            }
            ObjectBody::Redundancy { .. } => ObjectAnswer::Redundancy { spare: 1 },
            ObjectBody::Sweep => unreachable!("it needs no namespace"),
        }
    }
}

fn stored() -> ObjectAnswer {
    ObjectAnswer::Stored { object: ObjectId([0; 32]), spare: 1 }
}
