//! `cargo xtask test`: everything that CI checks, cheapest first.

mod packages;
mod release;
mod steps;
mod toolchain;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use steps::{STEPS, Step};

/// Which steps to run.
#[derive(clap::Args)]
pub(crate) struct Choice {
    /// Run only this step (may be repeated).
    #[arg(long, value_name = "STEP", conflicts_with = "skip")]
    only: Vec<String>,
    /// Leave this step out (may be repeated).
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
    /// Name the steps and what they check, and do nothing.
    #[arg(long)]
    list: bool,
}

/// Runs the chosen steps and stops at the first that fails. The last line on success is `steps: N passed, 0 failed`.
pub(crate) fn run(root: &Path, choice: &Choice) -> Result<()> {
    let chosen = chosen(STEPS, choice)?;
    if choice.list {
        for step in chosen {
            println!("{:<12} {}", step.name, step.checks);
        }
        return Ok(());
    }
    let mut times = Vec::new();
    for step in &chosen {
        println!("==> {}: {}", step.name, step.checks);
        let start = Instant::now();
        if let Err(error) = step.run(root) {
            println!("steps: {} passed, 1 failed", times.len());
            let again = format!("once mended, `cargo xtask test --only {}` repeats it alone", step.name);
            return Err(error.context(format!("step `{}` failed ({again})", step.name)));
        }
        println!("<== {}: {}", step.name, seconds(start.elapsed()));
        times.push((step.name, start.elapsed()));
    }
    for (name, time) in &times {
        println!("{name:<12} {:>10}", seconds(*time));
    }
    println!("{:<12} {:>10}", "all", seconds(times.iter().map(|(_, time)| *time).sum()));
    println!("steps: {} passed, 0 failed", times.len());
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The steps asked for, in their order; an unknown name is an error that names the known ones.
fn chosen<'a>(steps: &'a [Step], choice: &Choice) -> Result<Vec<&'a Step>> {
    for name in choice.only.iter().chain(&choice.skip) {
        if !steps.iter().any(|step| step.name == name) {
            let known: Vec<&str> = steps.iter().map(|step| step.name).collect();
            bail!("there is no step `{name}`; there are {}", known.join(", "));
        }
    }
    let is_named = |names: &[String], step: &&Step| names.iter().any(|name| name == step.name);
    let wanted = |step: &&Step| {
        (choice.only.is_empty() || is_named(&choice.only, step)) && !is_named(&choice.skip, step)
    };
    Ok(steps.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], skip: &[&str]) -> Result<Vec<&'static str>> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let choice = Choice { only: owned(only), skip: owned(skip), list: false };
        Ok(chosen(STEPS, &choice)?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn all_steps_by_default_and_each_name_once() {
        let mut all = names(&[], &[]).unwrap();
        assert_eq!(all.len(), STEPS.len());
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), STEPS.len());
    }

    #[test]
    fn steps_can_be_chosen() {
        assert_eq!(names(&["tidy", "format"], &[]).unwrap(), ["format", "tidy"]);
        assert_eq!(names(&[], &["tidy"]).unwrap().len(), STEPS.len() - 1);
    }

    #[test]
    fn unknown_steps_are_refused() {
        let error = names(&["nothing"], &[]).unwrap_err().to_string();
        assert!(error.contains("`nothing`") && error.contains("tidy"), "{error}");
    }
}
