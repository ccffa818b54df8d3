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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use alloc::vec::Vec;
    use formats::message::kv::{KvBody, KvReply, KvRequest};
    use formats::{Event, Message};
    use glossary::{NodeId, ServerId};
    use step::Machine;

    fn kv(server: u16) -> NodeId {
        NodeId::kv_of(ServerId(server))
    }

    fn driver(members: &[u16]) -> VolumeDriver {
        let members = members.iter().copied().map(kv).collect();
        VolumeDriver::new(Config::new(NodeId(1), members, NodeId(2)))
    }

    fn step(driver: &mut VolumeDriver, event: Event) -> Vec<Effect> {
        let mut effects = Effects::new();
        driver.step(Timestamp(1), event, &mut effects);
        driver.step(Timestamp(1), Event::TurnEnd, &mut effects);
        effects.drain().collect()
    }

    fn sets_timer(effects: &[Effect]) -> bool {
        effects.iter().any(|effect| matches!(effect, Effect::SetTimer { timer: LEARN, .. }))
    }

    fn asked(effects: &[Effect]) -> Option<(NodeId, u64)> {
        effects.iter().find_map(|effect| match effect {
            Effect::Send { to, message: Message::Kv(KvRequest { request, body: KvBody::Query(query) }) } => {
                matches!(query, KvQuery::Get { key } if key == MEMBERS_KEY).then_some((*to, *request))
            }
            _ => None,
        })
    }

    #[test]
    fn members_are_asked_for_one_question_at_a_time_and_learned() {
        let mut driver = driver(&[1, 2]);
        assert!(sets_timer(&step(&mut driver, Event::Start { seed: [7; 32] })));
        let effects = step(&mut driver, Event::Timer(LEARN));
        let (to, request) = asked(&effects).expect("it asks");
        assert!(to == kv(1) && sets_timer(&effects));
        assert_eq!(asked(&step(&mut driver, Event::Timer(LEARN))), None, "the last one still waits");
        let value = Some(kv_members::encode(&[2, 3].map(ServerId).into()));
        let message = Message::KvReply(KvReply { request, body: KvAnswer::Value(value) });
        step(&mut driver, Event::Message { from: to, message });
        let mut expected = driver.asks.clone();
        expected.learn(&[kv(2), kv(3)]);
        assert!(driver.asks == expected && driver.asks.knows(kv(3)));
    }

    #[test]
    fn one_that_is_alone_costs_nothing_and_an_older_kv_names_nobody() {
        assert!(!sets_timer(&step(&mut driver(&[1]), Event::Start { seed: [7; 32] })));
        let mut driver = driver(&[1, 2]);
        let before = driver.asks.clone();
        for answer in [KvAnswer::Value(None), KvAnswer::Value(Some(Vec::new()))] {
            driver.members_told(&answer);
        }
        assert_eq!(driver.asks, before);
    }
}
