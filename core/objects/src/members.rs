//! Where the KV's members are: the KV itself is asked from time to time, as all that were configured may be replaced while the
//! client runs. Of one that is alone nothing is asked: it has named no other.

use formats::kv_members::{self, MEMBERS_KEY};
use formats::kv_route::LEARN_EVERY;
use formats::message::kv::{Consistency, KvAnswer, KvFound, KvQuery};
use step::Bug;

use crate::context::Asked;
use crate::deadlines::Due;
use crate::objects::{Life, Turn};

impl Life {
    /// A turn is over: the KV is asked later, where there are others to learn of.
    pub(crate) fn learn_later(&mut self, turn: &mut Turn<'_>) {
        let hub = &mut self.hub;
        if !hub.learning && hub.kv.has_others() && !hub.has(Bug::FirstMembersOnly) {
            hub.learning = true;
            hub.deadlines.insert(turn.now.after(LEARN_EVERY), Due::Members);
        }
    }

    /// Asks whoever leads the group of the namespaces for what it has applied of the root group: that it leads that one too
    /// nobody knows. One question is under way at most, and it takes none of the places of tasks' questions.
    pub(crate) fn ask_members(&mut self, turn: &mut Turn<'_>) {
        let query = KvQuery::Get { key: MEMBERS_KEY.to_vec() };
        let request = self.hub.kv.read(turn.now, Consistency::Stale, query);
        self.context(turn).ask(Asked::Members, request);
    }

    /// The KV told. One whose leader has an older program names nobody.
    pub(crate) fn on_members(&mut self, answer: &KvAnswer) {
        self.hub.learning = false;
        if let KvAnswer::Read { found: KvFound::Value(value), .. } = answer {
            self.hub.kv.learn(&kv_members::named(value.as_deref()));
        }
    }
}
