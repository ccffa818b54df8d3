//! Asking whoever leads the KV's group to change it, through TLS.

use std::time::{Duration, Instant};

use certificates::Credentials;
use consensus::{LogIndex, Member, Membership};
use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, KvGroupVerb, RoleStatus};
use formats::message::member::server_of;
use formats::registry::{self, ServerRecord};
use glossary::ServerId;
use kv_client::{Client, Dial, Scope, TlsDial};

use crate::config::{ClientConfig, ServerConfig};
use crate::conversation::{Error, converse};
use crate::failure::{ExitCode, Failure};
use crate::serve::{own_address, remembered};

/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before all are asked again.
pub(crate) const PAUSE: Duration = Duration::from_millis(300);

/// How a server reaches the others: those that its configuration knows, and those that the KV named when it last ran.
pub(crate) fn reach(config: &ServerConfig) -> ClientConfig {
    let mut servers = config.servers.clone();
    servers.extend(remembered(&config.data));
    ClientConfig { cluster: config.cluster, certificates: config.certificates.clone(), servers }
}

/// The servers that a configuration knows, as clients reach them.
pub(crate) fn dial(config: &ClientConfig) -> Result<TlsDial, Failure> {
    let credentials = Credentials::load(&config.certificates)
        .map_err(|error| Failure::refused(format!("the certificate can't be used: {error}")))?;
    let me = credentials.me();
    if me.cluster != config.cluster {
        return Err(Failure::refused(format!(
            "the certificate in {} is that of {} of cluster {}, and the configuration is of cluster {}: put the right one there",
            config.certificates.display(),
            me.name,
            me.cluster,
            config.cluster
        )));
    }
    let known = config.servers.iter().map(|(server, address)| (*server, address.to_string()));
    Ok(TlsDial::new(credentials, known.collect()))
}

/// Has the group know where a server is: its members answer it through links of theirs, and send to it as soon as it is
/// one of them.
///
/// # Errors
/// When the group is not told.
pub(crate) fn announce(config: &ServerConfig) -> Result<(), Failure> {
    let address = own_address(config)?;
    let failed = |error: kv_client::Error| {
        Failure::new(
            ExitCode::NotRunning,
            format!("the KV's group is not told where this server is: {error}"),
        )
    };
    let mut others = reach(config);
    others.servers.remove(&config.server);
    let mut client = Client::connect(Box::new(dial(&others)?)).map_err(failed)?;
    client.within(Scope::Whole);
    let record = ServerRecord { server: config.server, address };
    client.set(&registry::server_key(config.server), &registry::encode(&record)).map_err(failed)
}

/// Asks every server in turn until one does it: the others say who leads, and that may have changed by then.
///
/// # Errors
/// Why not, when the leader says so twice; why the last that answered didn't, when `patience` ended.
pub(crate) fn ask(config: &ClientConfig, verb: KvGroupVerb, patience: Duration) -> Result<(), Failure> {
    ask_for(config, &AdminBody::KvGroup(verb), patience)
}

/// The same with a verb of any group.
///
/// # Errors
/// As [`ask`].
pub(crate) fn ask_for(config: &ClientConfig, verb: &AdminBody, patience: Duration) -> Result<(), Failure> {
    let mut dial = dial(config)?;
    let until = Instant::now() + patience;
    let mut why = String::from("no server of [servers] can be reached");
    let mut refused = None;
    loop {
        let mut by_leader = None;
        for server in dial.servers() {
            match ask_one(&mut dial, config, server, verb.clone()) {
                Some(AdminAnswer::Done) => return Ok(()),
                Some(AdminAnswer::Failed(text)) => {
                    let leads = leads(&mut dial, config, server, verb);
                    by_leader = leads.then(|| text.clone()).or(by_leader);
                    why = text;
                }
                Some(AdminAnswer::NotYet(text)) => why = text,
                Some(AdminAnswer::NotAllowed(text)) => return Err(Failure::refused(text)),
                Some(
                    AdminAnswer::Status(_)
                    | AdminAnswer::Fingerprint(_)
                    | AdminAnswer::KvGroups(_)
                    | AdminAnswer::KvLevels(_),
                )
                | None => {}
            }
        }
        // Who leads may have begun to since it was asked: it is asked again.
        match (by_leader, refused) {
            (Some(now), Some(before)) if now == before => return Err(Failure::refused(now)),
            (now, _) => refused = now,
        }
        if Instant::now() > until {
            return Err(Failure::new(ExitCode::TimedOut, why));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether a server leads the group that a verb is for, as it says itself. Which groups there are the root group's knows.
fn leads(dial: &mut TlsDial, config: &ClientConfig, server: ServerId, verb: &AdminBody) -> bool {
    let mut status = |body| ask_one(dial, config, server, body);
    let answer = match verb {
        AdminBody::KvGroupOf { name, .. } => match status(AdminBody::KvStatusOf { name: name.clone() }) {
            Some(AdminAnswer::Failed(_)) => status(AdminBody::Status),
            answer => answer,
        },
        _ => status(AdminBody::Status),
    };
    match answer {
        Some(AdminAnswer::Status(RoleStatus::KvMember { me, leader, .. })) => leader == Some(me),
        Some(AdminAnswer::Status(RoleStatus::Kv { .. })) => true,
        _ => false,
    }
}

/// Who belongs to the group, as the first other server says that has a member of it; none where those that answer are only
/// starting.
///
/// # Errors
/// When no other server answers.
pub(crate) fn membership(config: &ServerConfig) -> Result<Option<Membership>, Failure> {
    let (config, own) = (&reach(config), config.server);
    let mut dial = dial(config)?;
    let others = dial.servers().into_iter().filter(|server| *server != own);
    let mut answers = 0;
    for server in others.collect::<Vec<_>>() {
        match ask_one(&mut dial, config, server, AdminBody::Status) {
            Some(AdminAnswer::Status(RoleStatus::KvMember { members, .. })) if !members.voters.is_empty() => {
                return Ok(Some(members));
            }
            answer => answers += usize::from(answer.is_some()),
        }
    }
    match answers {
        0 => Err(Failure::new(
            ExitCode::NotRunning,
            "no other server of the group answers: what this one lost can only come from them",
        )),
        _ => Ok(None),
    }
}

/// The members that a server is to the group, as who has heard most of the group says: one, but for moments.
///
/// # Errors
/// When no server answers, or the server has none.
pub(crate) fn members_of(config: &ClientConfig, server: ServerId) -> Result<Vec<Member>, Failure> {
    let told = all_told(config, |_| true);
    if told.is_empty() {
        return Err(Failure::new(ExitCode::NotRunning, "no server of the KV's group answers"));
    }
    let known = told.into_iter().filter_map(|(_, status)| match status {
        RoleStatus::KvMember { term, commit, members, .. } if !members.voters.is_empty() => {
            Some(((term, commit), members))
        }
        _ => None,
    });
    // One that keeps the KV alone knows of no members.
    let (_, Membership { voters, learners }) = known.max_by_key(|(heard, _)| *heard).unwrap_or_default();
    let its: Vec<_> =
        voters.into_iter().chain(learners).filter(|member| server_of(*member) == server).collect();
    match its.is_empty() {
        true => Err(Failure::new(ExitCode::NotFound, format!("server {server} is not in the KV's group"))),
        false => Ok(its),
    }
}

/// Whether the group took out a member that knows of what it agreed upon up to an entry: others don't speak to it any more, so
/// it can't hear so from them.
pub(crate) fn has_taken_out(config: &ServerConfig, member: Member, commit: LogIndex) -> bool {
    let is_without = |(_, status): &(ServerId, RoleStatus)| match status {
        RoleStatus::KvMember { commit: theirs, members, .. } => {
            *theirs >= commit && !members.voters.is_empty() && !members.contains(member)
        }
        // It keeps the KV alone.
        RoleStatus::Kv { index, .. } => LogIndex(*index) >= commit && *index > 0,
        _ => false,
    };
    all_told(&reach(config), |server| server != config.server).iter().any(is_without)
}

/// What every server that is meant and answers says of itself and of the group.
fn all_told(config: &ClientConfig, is_meant: impl Fn(ServerId) -> bool) -> Vec<(ServerId, RoleStatus)> {
    let Ok(mut dial) = dial(config) else { return Vec::new() };
    let servers = dial.servers().into_iter().filter(|server| is_meant(*server));
    let told = servers.filter_map(|server| match ask_one(&mut dial, config, server, AdminBody::Status) {
        Some(AdminAnswer::Status(status)) => Some((server, status)),
        _ => None,
    });
    told.collect()
}

fn servers_of(members: &Membership) -> String {
    let servers: Vec<_> =
        members.voters.iter().map(|member| format!("server {}", server_of(*member))).collect();
    servers.join(", ")
}

/// Refuses to begin a KV where another server that answers has one that is not this one, which begins with `first`: there would be two
/// under one name, and who asks all servers would hear now one, now the other.
///
/// # Errors
/// When there is one.
pub(crate) fn refuse_another(config: &ServerConfig, first: &Membership) -> Result<(), Failure> {
    let has = |members: &Membership, server: ServerId| {
        members.voters.iter().chain(&members.learners).any(|member| server_of(*member) == server)
    };
    let is_another = |(other, status): &(ServerId, RoleStatus)| match status {
        // It has only begun to, or waits for this server.
        RoleStatus::KvMember { members, .. } => {
            let is_same = has(members, config.server) && has(first, *other);
            !members.voters.is_empty() && !is_same
        }
        // One that is only starting has nothing yet, and says so.
        RoleStatus::Kv { index, trouble, .. } => *index > 0 || trouble.is_none(),
        _ => false,
    };
    match all_told(&reach(config), |server| server != config.server).into_iter().find(is_another) {
        None => Ok(()),
        Some((other, _)) => Err(Failure::refused(format!(
            "server {other} keeps a KV of this cluster, and this server would begin another under the same name, with {with}: \
             `ovs kv join` makes server {me} a member of that one. Where they are to begin one together, all say the same by \
             `ovs kv init --with`",
            me = config.server,
            with = servers_of(first)
        ))),
    }
}

/// What the first member that answers says of itself and of the group. `None`: nobody answers.
pub(crate) fn status(config: &ServerConfig) -> Option<RoleStatus> {
    told(config).map(|(_, status)| status)
}

/// The same, and which server it is.
pub(crate) fn told(config: &ServerConfig) -> Option<(ServerId, RoleStatus)> {
    let (config, own) = (&reach(config), config.server);
    let mut dial = dial(config).ok()?;
    let mut others = dial.servers().into_iter().filter(|server| *server != own);
    others.find_map(|server| match ask_one(&mut dial, config, server, AdminBody::Status) {
        Some(AdminAnswer::Status(status)) => Some((server, status)),
        _ => None,
    })
}

/// Asks one server. `None`: it doesn't answer.
fn ask_one(
    dial: &mut TlsDial,
    config: &ClientConfig,
    server: ServerId,
    body: AdminBody,
) -> Option<AdminAnswer> {
    let asked = ask_server(dial, config, server, body, PATIENCE);
    asked.inspect_err(|error| tracing::debug!(%server, "{error}")).ok()
}

/// Asks one server.
///
/// # Errors
/// Why there is no answer.
pub(crate) fn ask_server(
    dial: &mut TlsDial,
    config: &ClientConfig,
    server: ServerId,
    body: AdminBody,
    patience: Duration,
) -> Result<AdminAnswer, Error> {
    let question = Message::Admin(AdminRequest { request: 1, body });
    let mut stream = dial.dial(server, patience)?;
    stream.set_patience(patience)?;
    match converse(stream.as_mut(), config.cluster, server, &question)? {
        Message::AdminReply(reply) => Ok(reply.body),
        _ => Err("it answers something else than it was asked".into()),
    }
}
