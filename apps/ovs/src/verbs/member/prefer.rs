//! Which server leads the group where it can.

use formats::kv_store::{PREFERRED_KEY, decode_preferred, encode_preferred};
use formats::message::member::server_of;
use glossary::ServerId;
use kv_client::{Client, Consistency, Scope, UnixDial};
use serde_json::json;

use super::members::Known;
use super::said;
use crate::cli::{MemberPrefer, OfGroup};
use crate::config::ServerConfig;
use crate::failure::{ExitCode, Failure};
use crate::group;

/// Says in the KV who is to lead; every leader looks there.
pub(super) fn run(prefer: &MemberPrefer) -> Result<String, Failure> {
    let known = Known::ask(&prefer.configured, &OfGroup::ROOT)?;
    let votes = |server: ServerId| known.members.voters.iter().any(|voter| server_of(*voter) == server);
    if let Some(server) = prefer.server.filter(|server| !votes(*server)) {
        return Err(Failure::usage(format!("server {server} has no vote in the group, so it can't lead")));
    }
    let mut client = Client::connect(Box::new(group::dial(&known.config)?)).map_err(failed)?;
    client.within(Scope::Whole);
    client.wait_for(prefer.waiting.patience());
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

/// Whom the group prefers, as the server on this machine knows.
pub(super) fn preferred(config: &ServerConfig) -> Result<Option<ServerId>, Failure> {
    let dial = UnixDial::new(config.data.join(links::LOCAL_SOCKET));
    let mut client = Client::connect(Box::new(dial)).map_err(failed)?;
    client.within(Scope::Whole);
    client.read_with(Consistency::Stale);
    let value = client.get(PREFERRED_KEY).map_err(failed)?;
    Ok(value.as_deref().and_then(decode_preferred))
}

fn failed(error: kv_client::Error) -> Failure {
    match error {
        kv_client::Error::NotAllowed => {
            Failure::refused("this certificate does not allow it: use an administrator's (--certificates)")
        }
        error => Failure::new(ExitCode::Failed, error.to_string()),
    }
}
