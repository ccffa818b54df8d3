//! A survey: which parts of the vDisk are lost, while more OSDs are gone than every object bears. Status names them
//! before anybody reads them.
//!
//! It goes over the published map, a few pages at a time, and asks the objects client once for each SCO that is not
//! in a local file which parts of it are lost. Other OSDs that are gone, or fewer, begin it anew.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use formats::namespace::ObjectName;
use glossary::{CLUSTER_BYTES, OsdId, ScoId};

use super::{LostRanges, Retry, Serving};
use crate::context::{Context, Purpose, VolumeAsk};
use crate::map::{PAGE_CLUSTERS, Run};

/// Pages of the map that are looked at in one step: some milliseconds at the worst.
const PAGES_AT_ONCE: usize = 512;

/// Questions on their way at once.
const ASKS_AT_ONCE: usize = 64;

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// The OSDs that are gone; none while objects bear it.
    gone: Vec<OsdId>,
    /// The first page that was not looked at.
    page: u64,
    awaits: Awaits,
    asked: BTreeSet<ScoId>,
    /// What is lost of each SCO: from and length, in bytes.
    told: BTreeMap<ScoId, Vec<(u64, u64)>>,
    /// Not everything could be told: it is begun anew some time later.
    unsure: bool,
    lost: LostRanges,
}

/// What it goes on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Awaits {
    /// It is at its end.
    #[default]
    Nothing,
    /// The end of this turn.
    Turn,
    Answers,
    Tick,
}

/// How the look at a page ended.
enum Looked {
    Through,
    /// These SCOs are to be asked for first.
    Asks(BTreeSet<ScoId>),
}

impl Survey {
    fn begin(gone: Vec<OsdId>) -> Self {
        let awaits = if gone.is_empty() { Awaits::Nothing } else { Awaits::Turn };
        Survey { gone, awaits, ..Survey::default() }
    }

    pub(crate) fn lost(&self) -> &LostRanges {
        &self.lost
    }

    /// These clusters were read, or hold something else now.
    pub(crate) fn remove(&mut self, from: u64, end: u64) {
        self.lost.remove(from, end);
    }

    /// The tick that it waits for.
    pub(crate) fn tick(&mut self) {
        if self.awaits == Awaits::Nothing {
            *self = Survey { lost: core::mem::take(&mut self.lost), ..Survey::begin(self.gone.clone()) };
        }
        if self.awaits == Awaits::Tick {
            self.awaits = Awaits::Turn;
        }
    }

    fn told(&mut self, sco: ScoId, answer: &ObjectAnswer) {
        if !self.asked.remove(&sco) {
            return;
        }
        let parts = match answer {
            ObjectAnswer::LostParts(parts) => parts.clone(),
            ObjectAnswer::Failed(ObjectError::NotFound) => alloc::vec![(0, u64::MAX)],
            _ => {
                self.unsure = true;
                Vec::new()
            }
        };
        self.told.insert(sco, parts);
        if self.asked.is_empty() {
            self.awaits = Awaits::Turn;
        }
    }

    fn note(&mut self, run: &Run) {
        let from = u64::from(run.location.offset().0);
        for (lost_from, length) in self.told.get(&run.location.sco()).into_iter().flatten() {
            let lost_end = lost_from.saturating_add(*length).div_ceil(CLUSTER_BYTES);
            let first = from.max(lost_from / CLUSTER_BYTES);
            let end = lost_end.min(from + run.clusters);
            if first < end {
                self.lost.add(run.address.0 + first - from, run.address.0 + end - from);
            }
        }
    }
}

impl Serving {
    /// Begins when other OSDs are gone than before, and goes on when it may.
    pub(crate) fn survey(&mut self, context: &mut Context<'_>) {
        if self.survey.gone != context.gone {
            self.survey = Survey::begin(context.gone.to_vec());
            let id = self.id;
            let is_mine = |p: &Purpose| matches!(p, Purpose::Volume(of, VolumeAsk::Survey(_)) if *of == id);
            context.asks.forget(is_mine);
        }
        if self.survey.awaits == Awaits::Turn {
            self.survey_on(context);
        }
    }

    /// The objects client answered for a SCO.
    pub(crate) fn surveyed(&mut self, sco: ScoId, answer: &ObjectAnswer) {
        self.survey.told(sco, answer);
    }

    fn survey_on(&mut self, context: &mut Context<'_>) {
        for _ in 0..PAGES_AT_ONCE {
            let Some(page) = self.base.page_from(self.survey.page) else { return self.survey_ended(context) };
            match self.look_at_page(page) {
                Looked::Through => self.survey.page = page + 1,
                Looked::Asks(scos) => return self.ask_for(scos, context),
            }
        }
        self.survey.awaits = Awaits::Tick;
        self.retries.push((context.now, Retry::Survey));
    }

    fn look_at_page(&mut self, page: u64) -> Looked {
        let runs = self.look_up(page * PAGE_CLUSTERS, (page + 1) * PAGE_CLUSTERS);
        let elsewhere = |run: &&Run| !run.location.is_none() && !self.local.contains_key(&run.location.sco());
        let elsewhere: Vec<Run> = runs.iter().filter(elsewhere).copied().collect();
        let scos = elsewhere.iter().map(|run| run.location.sco());
        let unknown: BTreeSet<ScoId> =
            scos.filter(|sco| !self.survey.told.contains_key(sco)).take(ASKS_AT_ONCE).collect();
        if !unknown.is_empty() {
            return Looked::Asks(unknown);
        }
        elsewhere.iter().for_each(|run| self.survey.note(run));
        Looked::Through
    }

    fn ask_for(&mut self, scos: BTreeSet<ScoId>, context: &mut Context<'_>) {
        for sco in &scos {
            let body = ObjectBody::LostParts { name: ObjectName::Sco(*sco) };
            context.object(self.id, VolumeAsk::Survey(*sco), self.record.namespace, body);
        }
        self.survey.asked = scos;
        self.survey.awaits = Awaits::Answers;
    }

    fn survey_ended(&mut self, context: &Context<'_>) {
        self.survey.awaits = Awaits::Nothing;
        self.survey.told.clear();
        if core::mem::take(&mut self.survey.unsure) {
            self.retries.push((context.now.after(context.config.retry_max), Retry::Survey));
        }
    }
}
