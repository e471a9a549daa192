//! What rows of a report are told apart by.

use ldop_types::{Date, TimestampMs};

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "described in proto/ldop/control/v1/report.proto")]
pub enum Dimension {
    Dataset,
    Stage,
    ProviderAgency,
    ProviderSystem,
    ConsumerAgency,
    ConsumerSystem,
    Agreement,
    Purpose,
    Mode,
    Outcome,
    Reason,
}

impl Dimension {
    /// How many there are.
    pub const COUNT: usize = 11;
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Dataset,
        Self::Stage,
        Self::ProviderAgency,
        Self::ProviderSystem,
        Self::ConsumerAgency,
        Self::ConsumerSystem,
        Self::Agreement,
        Self::Purpose,
        Self::Mode,
        Self::Outcome,
        Self::Reason,
    ];
}

/// Periods in Việt Nam's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they say what they are")]
pub enum Bucket {
    Day,
    /// From Monday.
    Week,
    Month,
    Year,
}

impl Bucket {
    /// The first day of the bucket a moment falls into.
    #[must_use]
    pub fn first_day(self, time: TimestampMs) -> Date {
        let day = time.date_in_vietnam();
        let (year, month, _) = day.ymd();
        // Of a year that no date has, the day itself.
        match self {
            Self::Day => day,
            // 1970-01-01 was a Thursday.
            Self::Week => Date(day.0.saturating_sub(day.0.saturating_add(3).rem_euclid(7))),
            Self::Month => Date::from_ymd(year, month, 1).unwrap_or(day),
            Self::Year => Date::from_ymd(year, 1, 1).unwrap_or(day),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_begin_where_they_do_in_viet_nam() {
        // 2026-03-01T17:30:00Z is 2026-03-02 00:30 in Việt Nam, a Monday.
        let time = TimestampMs(1_772_386_200_000);
        let first = |bucket: Bucket, time| bucket.first_day(time).to_string();
        assert_eq!(first(Bucket::Day, time), "2026-03-02");
        assert_eq!(first(Bucket::Week, time), "2026-03-02");
        assert_eq!(first(Bucket::Month, time), "2026-03-01");
        assert_eq!(first(Bucket::Year, time), "2026-01-01");
        let before = TimestampMs(time.0 - 3_600_000);
        assert_eq!(
            (first(Bucket::Day, before), first(Bucket::Week, before)),
            ("2026-03-01".into(), "2026-02-23".into())
        );
        assert_eq!(first(Bucket::Week, TimestampMs(0)), "1969-12-29");
    }

    #[test]
    fn dimensions_stand_in_their_order() {
        assert!(Dimension::ALL.iter().enumerate().all(|(at, dimension)| *dimension as usize == at));
    }
}
