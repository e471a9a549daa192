//! Rows of a report while they are counted.

use std::{collections::HashMap, sync::Arc};

use ldop_types::{Date, TimestampMs};

use super::dimension::{Bucket, Dimension};

/// Most rows of a report.
pub const MOST_ROWS: usize = 100_000;

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Exchanges asked for.
    pub calls: u64,
    /// Records accepted, delivered, found or given.
    pub records: u64,
    /// Calls that were refused.
    pub refusals: u64,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.records = self.records.saturating_add(other.records);
        self.refusals = self.refusals.saturating_add(other.refusals);
    }
}

/// The question asks for more rows than the hub holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRows;

/// Something that was exchanged.
#[derive(Debug, Clone)]
pub(super) struct Fact<'a> {
    time: TimestampMs,
    values: [&'a str; Dimension::COUNT],
    figures: Figures,
}

impl<'a> Fact<'a> {
    pub(super) fn new(time: TimestampMs, figures: Figures) -> Self {
        Self { time, values: [""; Dimension::COUNT], figures }
    }

    pub(super) fn set(&mut self, dimension: Dimension, value: &'a str) {
        self.values[dimension as usize] = value;
    }
}

/// A row, by the numbers of its values; 0 where a dimension was not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    bucket: Date,
    values: [u32; Dimension::COUNT],
}

/// A row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'t> {
    /// First day of its bucket, if there are any.
    pub bucket: Option<Date>,
    /// A value for each dimension asked for.
    pub values: Vec<&'t str>,
    /// The figures.
    pub figures: Figures,
}

/// Words by number and numbers by word. Only words of rows come in, so there are no more than rows have room for.
#[derive(Debug, Default)]
struct Words {
    numbers: HashMap<Arc<str>, u32>,
    words: Vec<Arc<str>>,
}

impl Words {
    fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let (word, number) = (Arc::<str>::from(word), u32::try_from(self.words.len()).unwrap_or(u32::MAX));
        self.words.push(Arc::clone(&word));
        self.numbers.insert(word, number);
        number
    }

    fn word(&self, number: u32) -> &str {
        self.words.get(number as usize).map_or("", |word| word)
    }
}

/// Counts what is in the period.
#[derive(Debug)]
pub(super) struct Tally {
    from: TimestampMs,
    until: TimestampMs,
    dimensions: Vec<Dimension>,
    bucket: Option<Bucket>,
    words: Words,
    rows: HashMap<Key, Figures>,
    totals: Figures,
    most: usize,
}

impl Tally {
    pub(super) fn new(from: TimestampMs, until: TimestampMs, dimensions: &[Dimension], bucket: Option<Bucket>) -> Self {
        Self {
            from,
            until,
            dimensions: dimensions.to_vec(),
            bucket,
            words: Words::default(),
            rows: HashMap::new(),
            totals: Figures::default(),
            most: MOST_ROWS,
        }
    }

    pub(super) fn period(&self) -> (TimestampMs, TimestampMs) {
        (self.from, self.until)
    }

    pub(super) fn is_in(&self, time: TimestampMs) -> bool {
        self.from <= time && time < self.until
    }

    /// Counts a fact if it is in the period.
    pub(super) fn take(&mut self, fact: &Fact<'_>) -> Result<(), TooManyRows> {
        match self.key(fact) {
            Some(key) => self.add(key, fact.figures),
            None => Ok(()),
        }
    }

    /// The row a fact would go to, if it is in the period.
    pub(super) fn key(&mut self, fact: &Fact<'_>) -> Option<Key> {
        if !self.is_in(fact.time) {
            return None;
        }
        let mut values = [0; Dimension::COUNT];
        for dimension in &self.dimensions {
            values[*dimension as usize] = self.words.number(fact.values[*dimension as usize]);
        }
        let bucket = self.bucket.map_or(Date(0), |bucket| bucket.first_day(fact.time));
        Some(Key { bucket, values })
    }

    pub(super) fn add(&mut self, key: Key, figures: Figures) -> Result<(), TooManyRows> {
        if self.rows.len() >= self.most && !self.rows.contains_key(&key) {
            return Err(TooManyRows);
        }
        self.rows.entry(key).or_default().add(figures);
        self.totals.add(figures);
        Ok(())
    }

    pub(super) fn totals(&self) -> Figures {
        self.totals
    }

    /// The rows, by bucket and values.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let row = |(key, figures): (&Key, &Figures)| Row {
            bucket: self.bucket.map(|_| key.bucket),
            values: self.dimensions.iter().map(|at| self.words.word(key.values[*at as usize])).collect(),
            figures: *figures,
        };
        let mut rows: Vec<Row<'_>> = self.rows.iter().map(row).collect();
        rows.sort_by(|a, b| (a.bucket, &a.values).cmp(&(b.bucket, &b.values)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact<'a>(time: i64, dataset: &'a str, mode: &'a str) -> Fact<'a> {
        let mut fact = Fact::new(TimestampMs(time), Figures { calls: 1, records: 2, refusals: 0 });
        fact.set(Dimension::Dataset, dataset);
        fact.set(Dimension::Mode, mode);
        fact
    }

    #[test]
    fn rows_are_told_apart_by_what_was_asked_for_and_nothing_else() {
        let mut tally = Tally::new(TimestampMs(10), TimestampMs(20), &[Dimension::Mode], None);
        for (time, dataset, mode) in
            [(9, "a", "export"), (10, "a", "export"), (19, "b", "export"), (19, "b", "changes"), (20, "b", "changes")]
        {
            tally.take(&fact(time, dataset, mode)).expect("room");
        }
        let told: Vec<_> = tally.rows().into_iter().map(|row| (row.values, row.figures.calls)).collect();
        assert_eq!(told, [(vec!["changes"], 1), (vec!["export"], 2)]);
        assert_eq!(tally.totals(), Figures { calls: 3, records: 6, refusals: 0 });
        let mut tally = Tally::new(TimestampMs(10), TimestampMs(20), &[], None);
        tally.take(&fact(10, "a", "export")).expect("room");
        assert_eq!(tally.rows(), [Row { bucket: None, values: vec![], figures: tally.totals() }]);
    }

    #[test]
    fn a_question_for_too_many_rows_is_told_and_the_rows_there_are_go_on() {
        let mut tally = Tally::new(TimestampMs(0), TimestampMs(20), &[Dimension::Dataset], Some(Bucket::Day));
        tally.most = 2;
        for dataset in ["a", "b"] {
            tally.take(&fact(1, dataset, "")).expect("room");
        }
        assert_eq!(tally.take(&fact(1, "c", "")), Err(TooManyRows));
        tally.take(&fact(2, "a", "")).expect("a row that is there");
        assert_eq!(tally.rows().len(), 2);
        assert_eq!(tally.rows()[0].bucket.map(|day| day.to_string()).as_deref(), Some("1970-01-01"));
    }
}
