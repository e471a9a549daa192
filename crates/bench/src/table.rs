//! What comes out: rows of a Markdown table.

use std::fmt::Write as _;

/// One line of the report.
pub struct Row {
    measure: String,
    hub: String,
    against: String,
    result: String,
    target: String,
    met: Option<bool>,
}

impl Row {
    /// A measure and what the hub did.
    pub fn new(measure: impl Into<String>, hub: impl Into<String>) -> Self {
        let (measure, hub) = (measure.into(), hub.into());
        Self { measure, hub, against: String::new(), result: String::new(), target: String::new(), met: None }
    }

    /// What it is compared with.
    pub fn against(mut self, against: impl Into<String>) -> Self {
        self.against = against.into();
        self
    }

    /// The figure that counts must be at least this.
    pub fn at_least(mut self, figure: f64, target: f64) -> Self {
        self.result = format!("{figure:.2}");
        self.target = format!("≥ {target}");
        self.met = Some(figure >= target);
        self
    }

    /// The figure that counts must be at most this.
    pub fn at_most(mut self, figure: f64, target: f64, unit: &str) -> Self {
        self.result = format!("{figure:.2}{unit}");
        self.target = format!("≤ {target}{unit}");
        self.met = Some(figure <= target);
        self
    }

    /// A figure without a target.
    pub fn figure(mut self, figure: impl Into<String>) -> Self {
        self.result = figure.into();
        self
    }
}

/// The rows as a Markdown table.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| measure | the hub | against | result | target | met |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let met = match row.met {
            None => "",
            Some(true) => "yes",
            Some(false) => "**no**",
        };
        let Row { measure, hub, against, result, target, .. } = row;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {measure} | {hub} | {against} | {result} | {target} | {met} |");
    }
    text
}

/// The middle of some figures; the mean of the two in the middle when their number is even.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => figures[n / 2],
        n => f64::midpoint(figures[n / 2 - 1], figures[n / 2]),
    }
}

/// Records a second, to the thousand.
pub fn rate(per_second: f64) -> String {
    format!("{:.1}k/s", per_second / 1000.0)
}

/// Microseconds of processor time for each record.
pub fn micros(seconds: f64, records: usize) -> f64 {
    seconds * 1e6 / records.max(1) as f64
}
