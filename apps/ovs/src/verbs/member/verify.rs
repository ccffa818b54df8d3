//! Comparing what the members of the group have, at one entry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use consensus::{LogIndex, Member};
use formats::message::admin::{AdminAnswer, KvGroupVerb};
use formats::message::member::server_of;
use formats::message::standing::Fingerprint;
use kv_client::TlsDial;
use serde_json::json;

use super::local::PATIENCE;
use super::members::Known;
use super::place::Place;
use crate::cli::{MemberVerify, OfGroup};
use crate::config::ClientConfig;
use crate::failure::{ExitCode, Failure};
use crate::group;
use crate::verbs::table::table;

/// What each member has at the entry, or why it doesn't say.
type Told = BTreeMap<Member, Result<Fingerprint, String>>;

/// Asks all members until they have told what they had at one entry, and says whether that is the same.
pub(super) fn run(verify: &MemberVerify) -> Result<String, Failure> {
    let known = Known::ask(Place::of(&verify.configured, None)?, &verify.of)?;
    let members: Vec<Member> = known.members().collect();
    let each = verify.waiting.patience() / u32::try_from(members.len().max(1)).unwrap_or(u32::MAX);
    let mut asker = Asker {
        dial: group::dial(&known.place.reach)?,
        config: &known.place.reach,
        of: &verify.of,
        until: Instant::now() + verify.waiting.patience(),
        patience: PATIENCE.min(each),
    };
    let told = asker.compare(&members);
    judge(&told)?;
    let entry = told.values().flatten().map(|told| told.index.0).max().unwrap_or_default();
    if verify.waiting.json {
        let members: Vec<_> = told.iter().map(|(member, told)| json_of(*member, told)).collect();
        return Ok(format!("{}\n", json!({ "alike": true, "entry": entry, "members": members })));
    }
    let rows: Vec<_> = told.iter().map(|(member, told)| row(*member, told)).collect();
    Ok(table(&["SERVER", "MEMBER", "HASH"], &rows) + &format!("all alike at entry {entry}\n"))
}

/// Asks members one after another.
struct Asker<'a> {
    dial: TlsDial,
    config: &'a ClientConfig,
    of: &'a OfGroup,
    until: Instant,
    /// How long one of them may take.
    patience: Duration,
}

impl Asker<'_> {
    /// The newest entry that any member has applied is asked for of all: those behind it get there.
    fn compare(&mut self, members: &[Member]) -> Told {
        loop {
            let first: Vec<_> = members.iter().map(|member| (*member, self.ask(*member, None))).collect();
            let newest = first.iter().filter_map(|(_, told)| told.as_ref().ok()).map(|told| told.index).max();
            // Who doesn't answer is waited for once.
            let again = |(member, told)| match told {
                Err(Unsaid::Never(why)) => (member, Err(why)),
                _ => (member, self.wait(member, newest)),
            };
            let told: Told = first.into_iter().map(again).collect();
            let is_one = told.values().all(Result::is_ok);
            // Members remember the last few thousand entries: one that was slow is asked for a newer one.
            if is_one || Instant::now() > self.until {
                return told;
            }
            std::thread::sleep(group::PAUSE);
        }
    }

    /// Waits until a member has applied an entry.
    fn wait(&mut self, member: Member, at: Option<LogIndex>) -> Result<Fingerprint, String> {
        const ROUND: Duration = Duration::from_secs(5);
        let until = self.until.min(Instant::now() + ROUND);
        loop {
            match self.ask(member, at) {
                Err(Unsaid::NotYet(_)) if Instant::now() < until => std::thread::sleep(group::PAUSE / 10),
                Err(Unsaid::NotYet(why) | Unsaid::Never(why)) => return Err(why),
                Ok(told) => return Ok(told),
            }
        }
    }

    fn ask(&mut self, member: Member, at: Option<LogIndex>) -> Result<Fingerprint, Unsaid> {
        let verb = self.of.verb(KvGroupVerb::Fingerprint { at });
        match group::ask_server(&mut self.dial, self.config, server_of(member), verb, self.patience) {
            Ok(AdminAnswer::Fingerprint(told)) => Ok(told),
            Ok(AdminAnswer::NotYet(why)) => Err(Unsaid::NotYet(why)),
            Ok(AdminAnswer::Failed(why) | AdminAnswer::NotAllowed(why)) => Err(Unsaid::Never(why)),
            Ok(other) => Err(Unsaid::Never(format!("it says {other:?}"))),
            Err(why) => Err(Unsaid::Never(format!("it does not answer: {why}"))),
        }
    }
}

/// Why a member doesn't say.
enum Unsaid {
    NotYet(String),
    Never(String),
}

/// Whether all said the same; if not, who said what.
fn judge(told: &Told) -> Result<(), Failure> {
    let said: Vec<&Fingerprint> = told.values().flatten().collect();
    let different: BTreeSet<u64> = said.iter().map(|said| said.hash).collect();
    let programs: BTreeSet<u16> = said.iter().map(|said| said.scheme).collect();
    if programs.len() > 1 {
        return Err(Failure::refused(
            "the members run programs that make hashes in different ways: have all run the same, and ask again",
        ));
    }
    if different.len() > 1 {
        let each: Vec<_> = told.iter().map(|(member, told)| line(*member, told)).collect();
        return Err(Failure::new(
            ExitCode::Failed,
            format!(
                "the members differ at entry {}: {}. A disk, a machine or the program made a mistake: take out the one \
                 that none is like, and have its server join anew (ovs kv rejoin)",
                said[0].index,
                each.join("; ")
            ),
        ));
    }
    let silent: Vec<_> =
        told.iter().filter(|(_, told)| told.is_err()).map(|(m, told)| line(*m, told)).collect();
    if silent.is_empty() {
        return Ok(());
    }
    let (alike, all, silent) = (said.len(), told.len(), silent.join("; "));
    let text = match alike {
        0 | 1 => format!("{alike} of {all} members said what they have, so nothing is compared; {silent}"),
        _ => format!("{alike} of {all} members are alike; {silent}"),
    };
    Err(Failure::new(ExitCode::TimedOut, text))
}

fn line(member: Member, told: &Result<Fingerprint, String>) -> String {
    match told {
        Ok(told) => format!("server {} has {:016x}", server_of(member), told.hash),
        Err(why) => format!("server {}: {why}", server_of(member)),
    }
}

fn row(member: Member, told: &Result<Fingerprint, String>) -> Vec<String> {
    let hash = told.as_ref().map_or_else(Clone::clone, |told| format!("{:016x}", told.hash));
    vec![server_of(member).to_string(), member.to_string(), hash]
}

fn json_of(member: Member, told: &Result<Fingerprint, String>) -> serde_json::Value {
    let hash = told.as_ref().ok().map(|told| format!("{:016x}", told.hash));
    json!({ "server": server_of(member).0, "member": member.0, "hash": hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(hash: u64) -> Result<Fingerprint, String> {
        Ok(Fingerprint { scheme: 1, index: LogIndex(9), hash })
    }

    fn verdict(told: [Result<Fingerprint, String>; 3]) -> Result<(), Failure> {
        judge(&(1..).map(Member).zip(told).collect())
    }

    #[test]
    fn one_that_differs_is_told_before_one_that_is_silent() {
        let silent = || Err("it does not answer".to_owned());
        assert_eq!(verdict([said(1), said(1), said(1)]), Ok(()));
        let why = verdict([said(1), said(2), silent()]).expect_err("they differ");
        assert!(
            why.code == ExitCode::Failed && why.message.contains("server 2 has 0000000000000002"),
            "{why:?}"
        );
        let why = verdict([said(1), said(1), silent()]).expect_err("one is silent");
        assert!(why.code == ExitCode::TimedOut && why.message.contains("2 of 3 members are alike; server 3"));
        let why = verdict([said(1), silent(), silent()]).expect_err("nothing is compared");
        assert!(
            why.message.starts_with("1 of 3 members said what they have, so nothing is compared; server 2")
        );
        let other = Ok(Fingerprint { scheme: 2, index: LogIndex(9), hash: 1 });
        assert_eq!(verdict([said(1), other, said(1)]).expect_err("another program").code, ExitCode::Refused);
    }
}
