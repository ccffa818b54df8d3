//! Where the KV's members are: the KV itself is asked from time to time, as all that were configured may be replaced while the
//! driver runs. Of one that is alone nothing is asked: it has named no other.

use formats::Effect;
use formats::kv_members::{self, MEMBERS_KEY};
use formats::kv_route::LEARN_EVERY;
use formats::message::kv::{KvAnswer, KvQuery};
use step::{Bug, Effects, TimerId, Timestamp};

use super::{DriverAsk, VolumeDriver};
use crate::context::Purpose;

/// The timer for asking; timers of volumes carry their id, and none has this one.
pub(super) const LEARN: TimerId = TimerId(u64::MAX - 1);

impl VolumeDriver {
    /// A turn is over: sets the timer, where there are others to learn of.
    pub(super) fn learn_later(&mut self, effects: &mut Effects<Effect>) {
        if !self.learning && self.asks.has_others() && !self.config.has(Bug::FirstMembersOnly) {
            self.learning = true;
            effects.push(Effect::SetTimer { timer: LEARN, after: LEARN_EVERY });
        }
    }

    /// Asks, unless the last question still waits; the end of the turn sees to the next.
    pub(super) fn ask_members(&mut self, now: Timestamp, effects: &mut Effects<Effect>) {
        self.learning = false;
        let purpose = Purpose::Driver(DriverAsk::Members);
        if !self.asks.any(|asked| *asked == purpose) {
            let query = KvQuery::Get { key: MEMBERS_KEY.to_vec() };
            self.asks.query(purpose, query, now, effects);
        }
    }

    /// The KV told. One whose leader has an older program names nobody.
    pub(super) fn members_told(&mut self, answer: &KvAnswer) {
        if let KvAnswer::Value(value) = answer {
            self.asks.learn(&kv_members::named(value.as_deref()));
        }
    }
}
