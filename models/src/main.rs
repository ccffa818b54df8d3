//! Prints what each rule is for: without it, how soon which promise is broken; with all, that none is.
//! `--steps` adds the steps.
#![forbid(unsafe_code)]

use models::log_recovery::{Rule, Rules, Search, check};

/// All states that can be reached are more than these.
const STATES_MIN: usize = 1_000_000;

fn main() -> std::process::ExitCode {
    let with_steps = std::env::args().any(|argument| argument == "--steps");
    let mut good = true;
    println!("log recovery (L3, L4, F10)");
    for rule in Rule::ALL {
        let report = check(Rules::without(&[rule]), Search::UntilBroken);
        let breach = report.breaches.iter().find(|breach| breach.promise == rule.breaks().text());
        good &= breach.is_some();
        let found = breach.map_or("no counterexample".into(), |breach| {
            format!("{} steps against: {}", breach.steps.len(), breach.promise)
        });
        println!("  without {:<24} {:>9} states, {found}", format!("{rule:?}"), report.states);
        if with_steps {
            breach.iter().flat_map(|breach| &breach.steps).for_each(|step| println!("      {step}"));
        }
    }
    let report = check(Rules::all(), Search::Exhaustive);
    // A model that grew too small to show anything would pass as well.
    good &= report.breaches.is_empty() && report.never.is_empty() && report.states > STATES_MIN;
    println!(
        "  all rules, all states            {:>9} states, {}",
        report.states,
        if good { "safe" } else { "NOT SAFE" }
    );
    if good { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
