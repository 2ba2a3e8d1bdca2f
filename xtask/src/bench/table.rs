//! The table at the end, with bars and goals.

/// Which way is better.
#[derive(Clone, Copy)]
pub enum Want {
    AtLeast { bar: f64, goal: f64 },
    AtMost { bar: f64, goal: f64 },
}

struct Row {
    id: &'static str,
    what: &'static str,
    measured: f64,
    unit: &'static str,
    want: Want,
}

#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn row(
        &mut self,
        id: &'static str,
        what: &'static str,
        measured: f64,
        unit: &'static str,
        want: Want,
    ) {
        self.0.push(Row { id, what, measured, unit, want });
    }

    pub fn is_below_bar(&self) -> bool {
        self.0.iter().any(|row| !row.reaches(|want| want.bar()))
    }

    pub fn print(&self) {
        println!("\n| id | what | measured | bar | goal | |");
        println!("|---|---|---|---|---|---|");
        for row in &self.0 {
            let (sign, verdict) = match row.want {
                Want::AtLeast { .. } => ("≥", row.verdict()),
                Want::AtMost { .. } => ("≤", row.verdict()),
            };
            let [measured, bar, goal] = [row.measured, row.want.bar(), row.want.goal()].map(show);
            let Row { id, what, unit, .. } = row;
            println!("| {id} | {what} | {measured} {unit} | {sign} {bar} | {sign} {goal} | {verdict} |");
        }
    }
}

impl Want {
    fn bar(self) -> f64 {
        match self {
            Want::AtLeast { bar, .. } | Want::AtMost { bar, .. } => bar,
        }
    }

    fn goal(self) -> f64 {
        match self {
            Want::AtLeast { goal, .. } | Want::AtMost { goal, .. } => goal,
        }
    }
}

impl Row {
    /// What is not a number reaches nothing.
    fn reaches(&self, limit: impl Fn(Want) -> f64) -> bool {
        match self.want {
            Want::AtLeast { .. } => self.measured >= limit(self.want),
            Want::AtMost { .. } => self.measured <= limit(self.want),
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.reaches(Want::goal), self.reaches(Want::bar)) {
            (true, _) => "goal",
            (false, true) => "bar",
            (false, false) => "BELOW",
        }
    }
}

/// Three digits that count.
fn show(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        n if n >= 0.1 || n == 0.0 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let mut table = Table::default();
        let verdict = |measured, want| Row { id: "P0", what: "", measured, unit: "", want }.verdict();
        let more = Want::AtLeast { bar: 1.0, goal: 2.0 };
        assert_eq!([0.5, 1.0, 2.0, f64::NAN].map(|m| verdict(m, more)), ["BELOW", "bar", "goal", "BELOW"]);
        let less = Want::AtMost { bar: 2.0, goal: 1.0 };
        assert_eq!([0.5, 1.5, 2.5].map(|m| verdict(m, less)), ["goal", "bar", "BELOW"]);
        table.row("P0", "", 1.5, "", less);
        assert!(!table.is_below_bar());
        table.row("P0", "", f64::NAN, "", less);
        assert!(table.is_below_bar());
    }
}
