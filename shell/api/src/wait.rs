//! How long an asker waits, as HTTP says it: `Prefer: wait=SECONDS` (RFC 7240 section 4.3).

use std::time::Duration;

/// When nothing is said.
pub(crate) const DEFAULT: Duration = Duration::from_secs(30);

/// The longest.
pub(crate) const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the header. What isn't understood is ignored, as the RFC wants.
pub(crate) fn parse(header: Option<&str>) -> Duration {
    let preferences = header.unwrap_or_default().split(',');
    let mut seconds = preferences.filter_map(|one| one.trim().strip_prefix("wait=")?.parse().ok());
    seconds.next().map_or(DEFAULT, Duration::from_secs).min(MAX)
}

/// Writes the header: whole seconds, rounded up.
pub(crate) fn render(patience: Duration) -> String {
    format!("wait={}", patience.as_millis().div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        for seconds in [1, 30, 3600] {
            let patience = Duration::from_secs(seconds);
            assert_eq!(parse(Some(&render(patience))), patience);
        }
        assert_eq!(render(Duration::from_millis(1)), "wait=1");
        assert_eq!(parse(Some("respond-async, wait=7")), Duration::from_secs(7));
    }

    #[test]
    fn nonsense_means_nothing_and_there_is_a_bound() {
        for header in [None, Some(""), Some("wait="), Some("wait=-1"), Some("wait=soon"), Some("wait=1e3")] {
            assert_eq!(parse(header), DEFAULT);
        }
        assert_eq!(parse(Some("wait=18446744073709551615")), MAX);
    }
}
