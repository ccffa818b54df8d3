//! What every server that a client's file names says of its KV: a line each.

use formats::message::admin::RoleStatus;
use formats::message::member::server_of;
use glossary::ServerId;
use serde_json::{Value, json};

use super::place::Place;
use super::{local, status};
use crate::cli::OfGroup;
use crate::failure::{ExitCode, Failure};
use crate::verbs::table::table;

/// What one server said, or why it did not.
type Said = (ServerId, Result<RoleStatus, Failure>);

/// Asks all of them. Fails where none answers.
pub(super) fn run(place: &Place, of: &OfGroup, is_json: bool) -> Result<String, Failure> {
    let said = ask_all(place, of);
    if let Some(failure) = why_none(&said) {
        return Err(failure);
    }
    if is_json {
        let servers: Vec<_> = said.iter().map(value).collect();
        return Ok(format!("{}\n", json!({ "servers": servers })));
    }
    let rows: Vec<_> = said.iter().map(row).collect();
    Ok(table(&["SERVER", "ROLE", "TERM", "APPLIED", "KEYS", "SAYS"], &rows))
}

/// All at once, as one that is down may take as long as one waits.
fn ask_all(place: &Place, of: &OfGroup) -> Vec<Said> {
    let ask = |server| place.ask_server(server, &of.status(), local::PATIENCE).and_then(status::status_in);
    std::thread::scope(|scope| {
        let start = |server| (server, scope.spawn(move || ask(server)));
        let asked: Vec<_> = place.servers().into_iter().map(start).collect();
        asked.into_iter().map(|(server, said)| (server, said.join().expect("it panics nowhere"))).collect()
    })
}

/// Why there is nothing to show, where no server said anything.
fn why_none(said: &[Said]) -> Option<Failure> {
    let why = match said.first() {
        Some((_, Err(why))) => why.clone(),
        Some(_) => return None,
        None => Failure::new(ExitCode::Usage, "the configuration names no servers: add them below [servers]"),
    };
    said.iter().all(|(_, said)| said.is_err()).then_some(why)
}

fn value((server, said): &Said) -> Value {
    let mut value = match said {
        Ok(said) => status::value(said),
        Err(why) => json!({ "error": why.message }),
    };
    value["server"] = json!(server.0);
    value
}

fn row((server, said): &Said) -> Vec<String> {
    let mut row = vec![server.to_string()];
    row.extend(match said {
        Err(why) => ["-", "-", "-", "-", &why.message].map(str::to_owned),
        Ok(RoleStatus::Kv { keys, index, trouble, .. }) => {
            ["alone".into(), "-".into(), index.to_string(), keys.to_string(), told(trouble.as_deref(), None)]
        }
        Ok(RoleStatus::KvMember { keys, index, trouble, me, leader, term, members, refusal, .. }) => {
            let role = match (*leader == Some(*me), members.voters.contains(me)) {
                (true, _) => "leader",
                (false, true) => "follower",
                (false, false) => "learner",
            };
            // Who follows a leader refuses writes since that takes them.
            let refusal =
                refusal.as_deref().filter(|_| leader.is_none_or(|leader| server_of(leader) == *server));
            let said = told(trouble.as_deref(), refusal);
            [role.into(), term.to_string(), index.to_string(), keys.to_string(), said]
        }
        Ok(_) => ["-", "-", "-", "-", "what answers is no KV"].map(str::to_owned),
    });
    row
}

fn told(trouble: Option<&str>, refusal: Option<&str>) -> String {
    let refusal = refusal.map(|why| format!("writes are refused: {why}"));
    let all: Vec<_> = trouble.map(str::to_owned).into_iter().chain(refusal).collect();
    if all.is_empty() { "-".to_owned() } else { all.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::{LogIndex, Member, Membership, Term};

    fn member(me: u64, leader: Option<u64>, refusal: Option<&str>) -> Said {
        let members =
            Membership { learners: [Member(4)].into(), ..Membership::of_voters([1, 2, 3].map(Member)) };
        let status = RoleStatus::KvMember {
            keys: 5,
            index: 9,
            trouble: None,
            counters: Vec::new(),
            me: Member(me),
            leader: leader.map(Member),
            term: Term(4),
            commit: LogIndex(9),
            members,
            refusal: refusal.map(str::to_owned),
        };
        (ServerId(u16::try_from(me).unwrap()), Ok(status))
    }

    fn silent(server: u16) -> Said {
        (ServerId(server), Err(Failure::new(ExitCode::NotRunning, "server doesn't answer")))
    }

    #[test]
    fn each_server_has_its_line() {
        assert_eq!(row(&member(1, Some(1), None))[1..], ["leader", "4", "9", "5", "-"]);
        assert_eq!(row(&member(2, Some(1), Some("ask 1")))[1..], ["follower", "4", "9", "5", "-"]);
        assert_eq!(row(&member(4, Some(1), None))[1], "learner");
        assert_eq!(row(&member(2, None, Some("1 of 3")))[5], "writes are refused: 1 of 3");
        assert_eq!(row(&silent(3))[1..], ["-", "-", "-", "-", "server doesn't answer"]);
        assert_eq!(value(&silent(3)), json!({ "server": 3, "error": "server doesn't answer" }));
        assert_eq!(value(&member(1, Some(1), None))["role"], "leader");
    }

    #[test]
    fn it_fails_where_none_answers() {
        assert_eq!(why_none(&[silent(1), member(2, None, None)]), None);
        assert_eq!(why_none(&[silent(1), silent(2)]).unwrap().code, ExitCode::NotRunning);
        assert_eq!(why_none(&[]).unwrap().code, ExitCode::Usage);
    }
}
