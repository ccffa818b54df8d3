//! Running the model and telling what came of it.

use stateright::{Checker, HasDiscoveries, Model};

use super::{LogRecovery, Rules};

/// When a search ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// When every reachable state was seen.
    Exhaustive,
    /// When a promise was broken, in few steps.
    UntilBroken,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which, as [`super::Verdict::text`] says it.
    pub promise: &'static str,
    /// The steps that break it.
    pub steps: Vec<String>,
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Different states that were seen.
    pub states: usize,
    /// Every promise that was seen broken, once.
    pub breaches: Vec<Breach>,
    /// What should be possible and was not seen.
    pub never: Vec<&'static str>,
}

/// Searches the model under some rules.
pub fn check(rules: Rules, search: Search) -> Report {
    let finish = match search {
        Search::Exhaustive => HasDiscoveries::All,
        Search::UntilBroken => HasDiscoveries::AnyFailures,
    };
    let checker = LogRecovery { rules }.checker().finish_when(finish).spawn_bfs().join();
    let mut report = Report { states: checker.unique_state_count(), breaches: Vec::new(), never: Vec::new() };
    for property in checker.model().properties() {
        let must_hold = property.expectation.discovery_is_failure();
        match checker.discovery(property.name) {
            Some(path) if must_hold => {
                let steps = path.into_actions().iter().map(|action| format!("{action:?}")).collect();
                report.breaches.push(Breach { promise: property.name, steps });
            }
            None if !must_hold => report.never.push(property.name),
            Some(_) | None => {}
        }
    }
    report
}
