//! Which server leads the group where it can.

use formats::kv_store::{PREFERRED_KEY, decode_preferred, encode_preferred};
use formats::message::member::server_of;
use glossary::ServerId;
use kv_client::{Client, Consistency, Dial, Scope, UnixDial};
use serde_json::json;

use super::local::PATIENCE;
use super::members::Known;
use super::place::Place;
use super::said;
use crate::cli::{MemberPrefer, OfGroup};
use crate::failure::{ExitCode, Failure};
use crate::group;

/// Says in the KV who is to lead; every leader looks there.
pub(super) fn run(prefer: &MemberPrefer) -> Result<String, Failure> {
    let known = Known::ask(Place::of(&prefer.configured, None)?, &prefer.of)?;
    let votes = |server: ServerId| known.members.voters.iter().any(|voter| server_of(*voter) == server);
    if let Some(server) = prefer.server.filter(|server| !votes(*server)) {
        return Err(Failure::usage(format!("server {server} has no vote in the group, so it can't lead")));
    }
    let mut client = Client::connect(Box::new(group::dial(&known.place.reach)?)).map_err(failed)?;
    client.within(Scope::Whole);
    client.wait_for(prefer.waiting.patience());
    use_group(&mut client, &prefer.of).map_err(failed)?;
    let text = match prefer.server {
        Some(server) => {
            client.set(PREFERRED_KEY, &encode_preferred(server)).map_err(failed)?;
            format!("server {server} leads from when it can")
        }
        None => {
            client.delete(PREFERRED_KEY).map_err(failed)?;
            "no server is preferred as leader".to_owned()
        }
    };
    let value = json!({ "preferred": prefer.server.map(|server| server.0) });
    Ok(said(prefer.waiting.json, &text, &value))
}

/// Whom the group prefers, as the server that is asked knows. Nobody where who asks may not read that: it takes the right to
/// read the whole map.
pub(super) fn preferred(place: &Place, of: &OfGroup) -> Option<ServerId> {
    let dial: Box<dyn Dial> = match place.own() {
        Some(own) => Box::new(UnixDial::new(own.data.join(links::LOCAL_SOCKET))),
        None => Box::new(group::dial(&place.reach).ok()?),
    };
    let mut client = Client::connect(dial).ok()?;
    client.within(Scope::Whole);
    client.wait_for(PATIENCE);
    use_group(&mut client, of).ok()?;
    client.read_with(Consistency::Stale);
    client.get(PREFERRED_KEY).ok()?.as_deref().and_then(decode_preferred)
}

/// Each group has a wish of its own, in its own map.
fn use_group(client: &mut Client, of: &OfGroup) -> Result<(), kv_client::Error> {
    of.group.as_ref().map_or(Ok(()), |name| client.use_group(name))
}

fn failed(error: kv_client::Error) -> Failure {
    match error {
        kv_client::Error::NotAllowed => {
            Failure::refused("this certificate does not allow it: use an administrator's (--certificates)")
        }
        error => Failure::new(ExitCode::Failed, error.to_string()),
    }
}
