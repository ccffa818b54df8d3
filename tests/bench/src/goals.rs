//! The goals, what was reached, and by how much it falls short.

/// A goal that has a number.
pub(crate) struct Goal {
    pub(crate) what: String,
    /// What was measured; none when a part of it is missing.
    pub(crate) measured: Option<f64>,
    pub(crate) bound: Bound,
    /// What the number is of.
    pub(crate) unit: &'static str,
}

/// Which side of a number is good.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// A line of the table.
    pub(crate) fn row(&self) -> String {
        let (sign, limit) = match self.bound {
            Bound::AtLeast(limit) => ('\u{2265}', limit),
            Bound::AtMost(limit) => ('\u{2264}', limit),
        };
        let (measured, verdict) = match self.measured {
            None => ("\u{2013}".to_owned(), "not measured".to_owned()),
            Some(measured) => (format!("{measured:.2} {}", self.unit), verdict(measured, self.bound)),
        };
        format!("| {} | {sign} {limit} {} | {measured} | {verdict} |", self.what, self.unit)
    }
}

fn verdict(measured: f64, bound: Bound) -> String {
    let short = match bound {
        Bound::AtLeast(limit) => limit / measured,
        Bound::AtMost(limit) => measured / limit,
    };
    if short <= 1.0 { "reached".to_owned() } else { format!("**short by a factor of {short:.2}**") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_on_its_good_side() {
        assert_eq!(verdict(1.2, Bound::AtLeast(1.2)), "reached");
        assert_eq!(verdict(0.6, Bound::AtLeast(1.2)), "**short by a factor of 2.00**");
        assert_eq!(verdict(0.9, Bound::AtMost(1.0)), "reached");
        assert_eq!(verdict(3.0, Bound::AtMost(1.0)), "**short by a factor of 3.00**");
    }
}
