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

/// Looks now and then.
pub(super) struct Alarms {
    kv: Option<NodeId>,
    ports: Ports,
    trust: Trust,
    certificates: String,
    next: Instant,
    said: Said,
}

/// What was said, so that it is said once.
#[derive(Debug, Default)]
struct Said {
    /// The trouble that was there when it was looked last.
    seen: Option<String>,
    /// The trouble that was told, and whose end was not.
    told: Option<String>,
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
            next: Instant::now(),
            said: Said::default(),
        }
    }

    /// Looks, where it is time to.
    pub(super) fn look(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + EVERY;
        let (until, now) = (self.trust.current().until(), SystemTime::now());
        let days = days_left(until, now);
        if self.said.is_to_renew(days) {
            let when = if until <= now {
                "has ended, or the clock is wrong: nobody speaks to this server".to_owned()
            } else {
                format!("ends in {days} days, and then nobody speaks to this server")
            };
            tracing::error!(
                "the certificate in {} {when}: renew it (ovs cluster renew), and put the new files there",
                self.certificates
            );
        }
        let status = self.kv.and_then(|kv| ask::status(&mut self.ports.open(), kv, PATIENCE));
        let Some(RoleStatus::Kv { trouble, .. } | RoleStatus::KvMember { trouble, .. }) = status else {
            return;
        };
        match self.said.news_of(trouble) {
            Some(Some(trouble)) => tracing::error!("the KV: {trouble}"),
            Some(None) => tracing::info!("the KV: what was said before is over"),
            None => {}
        }
    }
}

impl Said {
    /// Trouble that is new, or none where what was told is over. What is there twice in a row is told: a start or a join takes
    /// its time.
    fn news_of(&mut self, now: Option<String>) -> Option<Option<String>> {
        let before = std::mem::replace(&mut self.seen, now.clone());
        let is_news = self.told != now && (now.is_none() || before == now);
        is_news.then(|| {
            self.told.clone_from(&now);
            now
        })
    }

    /// Whether it is time to speak of a certificate: once a day.
    fn is_to_renew(&mut self, days: u64) -> bool {
        self.days_left.replace(days) != Some(days) && days < DAYS_MIN
    }
}

/// Whole days from now until a certificate ends.
pub(crate) fn days_left(until: SystemTime, now: SystemTime) -> u64 {
    until.duration_since(now).unwrap_or_default().as_secs() / (24 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_stays_is_told_once_and_its_end() {
        let mut said = Said::default();
        let looks =
            [None, Some("a"), None, Some("a"), Some("a"), Some("a"), Some("b"), Some("b"), None, None];
        let news: Vec<_> = looks.into_iter().map(|now| said.news_of(now.map(str::to_owned))).collect();
        let told = |text: &str| Some(Some(text.to_owned()));
        let expected = [None, None, None, None, told("a"), None, None, told("b"), Some(None), None];
        assert_eq!(news, expected);
    }

    #[test]
    fn a_certificate_that_ends_soon_is_spoken_of_once_a_day() {
        let mut said = Said::default();
        let told = [30, 29, 29, 28, 0].map(|days| said.is_to_renew(days));
        assert_eq!(told, [false, true, false, true, true]);
    }
}
