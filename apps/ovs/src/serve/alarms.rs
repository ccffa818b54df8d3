//! What an operator is told in the log without having asked: that this server's KV is in trouble, and that a certificate ends
//! soon.

use std::time::{Duration, Instant, SystemTime};

use formats::message::admin::RoleStatus;
use glossary::NodeId;
use links::Trust;

use crate::config::ServerConfig;
use crate::storage::ask;
use crate::storage::ports::Ports;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(10);

/// How long the KV may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many days before its end a certificate is spoken of.
const DAYS_MIN: u64 = 30;

/// What was said, so that it is said once.
pub(super) struct Alarms {
    kv: Option<NodeId>,
    ports: Ports,
    trust: Trust,
    certificates: String,
    next: Instant,
    /// The trouble that was there when it was looked last, and the last that was told.
    seen: Option<String>,
    trouble: Option<String>,
    days_left: Option<u64>,
}

impl Alarms {
    /// Nothing was said yet.
    pub(super) fn new(config: &ServerConfig, ports: Ports, trust: Trust) -> Self {
        let runs_kv = config.roles.has(certificates::Role::Kv);
        Alarms {
            kv: runs_kv.then(|| NodeId::kv_of(config.server)),
            ports,
            trust,
            certificates: config.certificates.display().to_string(),
            next: Instant::now() + EVERY,
            seen: None,
            trouble: None,
            days_left: None,
        }
    }

    /// Looks, where it is time to.
    pub(super) fn look(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + EVERY;
        self.on_certificate(days_left(self.trust.current().until(), SystemTime::now()));
        let status = self.kv.and_then(|kv| ask::status(&mut self.ports.open(), kv, PATIENCE));
        if let Some(RoleStatus::Kv { trouble, .. } | RoleStatus::KvMember { trouble, .. }) = status {
            self.on_trouble(trouble);
        }
    }

    /// Trouble that is there twice in a row is told: a start or a join takes its time.
    fn on_trouble(&mut self, now: Option<String>) {
        let before = std::mem::replace(&mut self.seen, now.clone());
        let trouble = now.filter(|now| before.as_ref() == Some(now));
        match (&trouble, &self.trouble) {
            (Some(now), before) if before.as_ref() != Some(now) => tracing::error!("the KV: {now}"),
            (None, Some(_)) => tracing::info!("the KV: what was said before is over"),
            _ => return,
        }
        self.trouble = trouble;
    }

    fn on_certificate(&mut self, days: u64) {
        let is_new = self.days_left.replace(days) != Some(days);
        if is_new && days < DAYS_MIN {
            tracing::error!(
                "the certificate in {} ends in {days} days, and then nobody speaks to this server: renew it (ovs cluster \
                 renew), and put the new files there",
                self.certificates
            );
        }
    }
}

/// Whole days from now until a certificate ends.
pub(crate) fn days_left(until: SystemTime, now: SystemTime) -> u64 {
    until.duration_since(now).unwrap_or_default().as_secs() / (24 * 3600)
}
