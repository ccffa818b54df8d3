//! `ovs cluster …`: the folder that holds a cluster's authority, and what its servers and clients need.

mod folder;
mod list;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use certificates::{Identity, Role, Roles};
use glossary::ServerId;
use serde_json::{Value, json};

use crate::cli::{ClusterVerb, NewClient, NewCluster, NewServer, Renew, Revoke};
use crate::config::Address;
use crate::failure::{ExitCode, Failure};
use folder::Folder;

/// The administrator that every cluster begins with.
const ADMIN: &str = "admin";

/// The first server of a cluster.
const FIRST: ServerId = ServerId(1);

/// Does it. Returns what goes to standard output.
pub(crate) fn run(verb: &ClusterVerb) -> Result<String, Failure> {
    let path = &verb.place().folder;
    let (sentence, value) = match verb {
        ClusterVerb::Init(new) => init(new)?,
        ClusterVerb::AddServer(new) => add_server(&Folder::open(path)?, new)?,
        ClusterVerb::AddClient(new) => add_client(&Folder::open(path)?, new)?,
        ClusterVerb::Renew(verb) => renew(&Folder::open(path)?, verb)?,
        ClusterVerb::Revoke(verb) => revoke(&Folder::open(path)?, verb)?,
        ClusterVerb::Certificates(place) => return list::certificates(&Folder::open(path)?, place.json),
        ClusterVerb::ReplaceAuthority(_) => replace_authority(&Folder::replace_authority(path)?)?,
        ClusterVerb::RetireAuthority(_) => retire_authority(&Folder::open(path)?)?,
    };
    Ok(if verb.place().json { format!("{value}\n") } else { format!("{sentence}\n") })
}

type Done = Result<(String, Value), Failure>;

fn init(new: &NewCluster) -> Done {
    let path = new.place.folder.display();
    let servers: BTreeMap<_, _> = (FIRST.0..).map(ServerId).zip(new.addresses.iter().copied()).collect();
    let addresses = servers.iter().map(|(server, at)| (*server, Address::from(*at))).collect();
    if servers.values().collect::<BTreeSet<_>>().len() < new.addresses.len() {
        return Err(Failure::usage("every server needs an --address of its own"));
    }
    let roles = roles_of_servers(new)?;
    let folder = Folder::create(&new.place.folder)?;
    refuse_other_servers(&folder, &servers)?;
    let admin = identity(&folder, ADMIN, &[Role::Admin, Role::Client])?;
    for (server, at) in &servers {
        folder.make_server((*server, *at), roles[server].clone(), &addresses, new.life.duration())?;
    }
    folder.make_client(&admin, new.life.duration())?;
    let has_kv = |server: &&ServerId| roles[server].has(Role::Kv);
    let members: Vec<_> = servers.keys().filter(has_kv).map(ToString::to_string).collect();
    let with = if members.len() > 1 { format!(" --with {}", members.join(",")) } else { String::new() };
    let mut sentence = format!("cluster {} in {path}", folder.cluster());
    for server in servers.keys() {
        let config = format!("--config {path}/server-{server}/ovs.toml");
        let init = format!("ovs kv init {config}{with}\n          ");
        let init = if roles[server].has(Role::Kv) { init } else { String::new() };
        sentence += &format!("\nserver {server}: {init}ovs serve {config}");
    }
    if members.len() % 2 == 0 {
        sentence += &format!(
            "\n{} servers with a KV stand the loss of no more of them than {} do: an odd number is better",
            members.len(),
            members.len() - 1
        );
    }
    let numbers: Vec<_> = servers.keys().map(|server| server.0).collect();
    Ok((sentence, json!({ "done": "init", "cluster": folder.cluster().to_string(), "servers": numbers })))
}

/// Refuses other servers than those of a cluster that is complete: what would be said of it was never so.
fn refuse_other_servers(folder: &Folder, wanted: &BTreeMap<ServerId, SocketAddr>) -> Result<(), Failure> {
    let there = folder.servers()?;
    let wanted = wanted.iter().map(|(server, at)| (*server, Address::from(*at)));
    if !folder.holds(ADMIN) || there == wanted.collect() {
        return Ok(());
    }
    let there: Vec<_> = there.iter().map(|(server, at)| format!("server-{server} at {at}")).collect();
    Err(Failure::refused(format!(
        "cluster {} is there, with {}: ovs cluster add-server adds a server",
        folder.cluster(),
        there.join(", ")
    )))
}

/// What each of the servers runs.
fn roles_of_servers(new: &NewCluster) -> Result<BTreeMap<ServerId, Roles>, Failure> {
    let count = u16::try_from(new.addresses.len()).unwrap_or(u16::MAX);
    let mut roles: BTreeMap<_, _> =
        (FIRST.0..=count).map(|server| (ServerId(server), Roles::of([Role::Kv]))).collect();
    for (server, wanted) in &new.roles {
        let Some(roles) = roles.get_mut(server) else {
            return Err(Failure::usage(format!(
                "--roles names server {server}, and the servers go from {FIRST} to {count}: one for each --address"
            )));
        };
        roles.clone_from(wanted);
    }
    let have = |role: Role| roles.values().filter(|roles| roles.has(role)).count();
    if have(Role::Kv) == 0 {
        return Err(Failure::usage("no server has the role kv, and without a KV there is no cluster"));
    }
    if have(Role::VolumeDriver) > 1 {
        return Err(Failure::usage("a cluster has one server with the role volume-driver for now"));
    }
    Ok(roles)
}

fn add_server(folder: &Folder, new: &NewServer) -> Done {
    let server = folder.next_server(new.address)?;
    let life = new.life.duration();
    folder.make_server((server, new.address), new.roles.clone(), &folder.servers()?, life)?;
    let config = folder.config_of(&format!("server-{server}")).display().to_string();
    let join = if new.roles.has(Role::Kv) {
        format!("ovs kv join --config {config}\n      ")
    } else {
        String::new()
    };
    let sentence = format!("server-{server} at {}\nnext: {join}ovs serve --config {config}", new.address);
    Ok((sentence, json!({ "done": "add-server", "server": server.0, "address": new.address.to_string() })))
}

fn add_client(folder: &Folder, new: &NewClient) -> Done {
    let client = identity(folder, &new.name, &new.roles)?;
    if folder.holds(&client.name) {
        return Err(Failure::refused(format!(
            "{} is there; ovs cluster renew gives it a new certificate",
            client.name
        )));
    }
    folder.make_client(&client, new.life.duration())?;
    let config = folder.config_of(&client.name);
    let sentence = format!("{} ({}): {}", client.name, client.roles, config.display());
    Ok((sentence, json!({ "done": "add-client", "client": client.name, "roles": client.roles.to_string() })))
}

fn renew(folder: &Folder, verb: &Renew) -> Done {
    let mut holders = match &verb.name {
        Some(name) => vec![folder.holder(name)?],
        None => folder.holders()?,
    };
    if let Some(roles) = &verb.roles {
        let holder = &mut holders[0];
        if holder.server.is_none() {
            return Err(Failure::usage(format!("{} is a client: --roles is for servers", holder.name)));
        }
        holder.roles = roles.clone();
    }
    for holder in &holders {
        folder.issue(holder, verb.life.duration())?;
        if verb.revoke_old {
            folder.revoke(&holder.name, true)?;
        }
    }
    folder.share()?;
    let names: Vec<_> = holders.into_iter().map(|holder| holder.name).collect();
    let sentence = format!(
        "renewed {}; put the new files in the certificates' folders of their holders, where they are taken up without \
         a restart",
        names.join(", ")
    );
    Ok((sentence, json!({ "done": "renew", "names": names })))
}

fn revoke(folder: &Folder, verb: &Revoke) -> Done {
    let count = folder.revoke(&verb.name, false)?;
    folder.share()?;
    let sentence = match count {
        0 => format!("{} was revoked before", verb.name),
        _ => format!(
            "revoked {}; put revoked.pem in the certificates' folder of every server and client, where it is taken up \
             without a restart",
            verb.name
        ),
    };
    Ok((sentence, json!({ "done": "revoke", "name": verb.name, "certificates": count })))
}

fn replace_authority(folder: &Folder) -> Done {
    folder.share()?;
    let sentence = "the new authority is trusted beside the old one\nnext: put authority.pem and revoked.pem in every \
                    certificates' folder; then ovs cluster renew, and its files; then ovs cluster retire-authority, \
                    and its files"
        .to_owned();
    Ok((sentence, json!({ "done": "replace-authority" })))
}

fn retire_authority(folder: &Folder) -> Done {
    folder.retire()?;
    folder.share()?;
    let sentence =
        "only the newest authority is trusted; put authority.pem and revoked.pem in every certificates' \
                    folder"
            .to_owned();
    Ok((sentence, json!({ "done": "retire-authority" })))
}

fn identity(folder: &Folder, name: &str, roles: &[Role]) -> Result<Identity, Failure> {
    Identity::client(folder.cluster(), name, Roles::of(roles.iter().copied()))
        .map_err(|error| Failure::usage(error.to_string()))
}

/// What certificates have to say, as a verb says it.
fn failure(error: certificates::CertificateError) -> Failure {
    use certificates::CertificateError as Error;
    let code = match error {
        Error::File { .. } => ExitCode::System,
        Error::NotIssued(_) => ExitCode::NotFound,
        Error::Name(_) => ExitCode::Usage,
        Error::Making(_) => ExitCode::Failed,
        Error::Content { .. } | Error::Foreign(_) | Error::OtherCluster { .. } => ExitCode::Refused,
    };
    Failure::new(code, error.to_string())
}
