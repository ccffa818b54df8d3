//! What is known of each OSD: whether it answers, has room, and what is to be deleted from it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use formats::message::admin::OsdState;
use formats::message::asd::AsdKey;
use glossary::OsdId;
use step::Timestamp;

use crate::config::{Config, OsdConfig, Settings};
use crate::latency::Latency;
use crate::placement::Candidate;

/// One OSD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Osd {
    pub(crate) config: OsdConfig,
    pub(crate) state: OsdState,
    /// When it last said anything that shows that it serves.
    pub(crate) last_heard: Option<Timestamp>,
    /// While full: when it may be asked for room again.
    full_until: Timestamp,
    /// When it is to be asked whether it is there, and how long after that again if it isn't.
    pub(crate) probe_due: Timestamp,
    pub(crate) probe_pause: Duration,
    /// The question is on its way.
    pub(crate) probing: bool,
    /// How long it may take to say that it is there.
    pub(crate) probe_patience: Duration,
    /// Somebody waits for it: a look at its silence is due.
    pub(crate) is_watched: bool,
    /// Keys to delete, oldest first.
    pub(crate) garbage: VecDeque<AsdKey>,
    /// How many of them are in the request that is on its way.
    pub(crate) garbage_asked: usize,
    /// After a failure: when it is tried again.
    pub(crate) garbage_due: Timestamp,
    /// How long it takes for blocks.
    pub(crate) latency: Latency,
}

/// All of them, in the order of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Osds {
    list: Vec<Osd>,
}

impl Osd {
    /// Whether nothing is to be expected from it now.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.state, OsdState::Down | OsdState::Gone)
    }
}

impl Osds {
    /// All are expected to be there but those that are known to be gone.
    pub(crate) fn new(config: &Config) -> Self {
        let gone = &config.gone;
        let Settings { hedge_after, hedge_longest, probe_first, probe_patience, .. } = config.settings;
        let osd = |config: &OsdConfig| Osd {
            config: *config,
            state: if gone.contains(&config.osd) { OsdState::Gone } else { OsdState::Up },
            last_heard: None,
            full_until: Timestamp(0),
            probe_due: Timestamp(0),
            probe_pause: probe_first,
            probing: false,
            probe_patience,
            is_watched: false,
            garbage: VecDeque::new(),
            garbage_asked: 0,
            garbage_due: Timestamp(0),
            latency: Latency::new(hedge_after / 2, hedge_longest / 2),
        };
        Osds { list: config.osds.iter().map(osd).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn get(&self, osd: usize) -> &Osd {
        &self.list[osd]
    }

    pub(crate) fn get_mut(&mut self, osd: usize) -> &mut Osd {
        &mut self.list[osd]
    }

    pub(crate) fn states(&self) -> Vec<(OsdId, OsdState)> {
        self.list.iter().map(|osd| (osd.config.osd, osd.state)).collect()
    }

    /// The place of an OSD, by its number.
    pub(crate) fn index_of(&self, id: OsdId) -> Option<usize> {
        self.list.iter().position(|osd| osd.config.osd == id)
    }

    /// The same, when it answers.
    pub(crate) fn answering(&self, id: OsdId) -> Option<usize> {
        self.index_of(id).filter(|osd| !self.list[*osd].is_away())
    }

    /// Whether nothing will come from the OSD of this number before an operator acts.
    pub(crate) fn is_gone(&self, id: OsdId) -> bool {
        self.index_of(id).is_none_or(|osd| self.list[osd].state == OsdState::Gone)
    }

    /// Whether the OSD of this number answers.
    pub(crate) fn answers(&self, id: OsdId) -> bool {
        self.answering(id).is_some()
    }

    /// OSDs that answer and, as far as is known, have room.
    pub(crate) fn with_room(&self, now: Timestamp) -> Vec<Candidate> {
        self.candidates(|osd| match osd.state {
            OsdState::Up => true,
            OsdState::Full => osd.full_until <= now,
            OsdState::Down | OsdState::Gone => false,
        })
    }

    /// OSDs that answer.
    pub(crate) fn all_answering(&self) -> Vec<Candidate> {
        self.candidates(|osd| !osd.is_away())
    }

    fn candidates(&self, may: impl Fn(&Osd) -> bool) -> Vec<Candidate> {
        let list = self.list.iter().enumerate().filter(|(_, osd)| may(osd));
        list.map(|(index, osd)| Candidate {
            osd: index,
            id: osd.config.osd,
            storage_node: osd.config.storage_node,
        })
        .collect()
    }

    /// It answered: it is there, whatever was thought before. True when that is news.
    pub(crate) fn on_heard(&mut self, osd: usize, now: Timestamp) -> bool {
        let osd = &mut self.list[osd];
        osd.last_heard = Some(now);
        let was_away = osd.is_away();
        if was_away {
            osd.state = OsdState::Up;
        }
        was_away
    }

    /// It says "not now": if it was gone, somebody has seen to it.
    pub(crate) fn is_back_soon(&mut self, osd: usize) {
        let state = &mut self.list[osd].state;
        if *state == OsdState::Gone {
            *state = OsdState::Down;
        }
    }

    /// It stored something for a guest: it has room.
    pub(crate) fn on_stored(&mut self, osd: usize) {
        self.list[osd].state = OsdState::Up;
    }

    /// It has no room for guests.
    pub(crate) fn on_full(&mut self, osd: usize, until: Timestamp) {
        let osd = &mut self.list[osd];
        osd.state = OsdState::Full;
        osd.full_until = until;
    }
}
