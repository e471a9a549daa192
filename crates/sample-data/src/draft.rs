//! What the three kinds of flow records share: when, where, and the fields each of them ends with.

use ldop_types::{Date, TimestampMs};

use crate::{
    json::{Digits, Writer, date_text},
    places::{Commune, PLACES, Units},
    rng::Rng,
    words,
};

/// First day commune and province codes of the merger are in force: 2025-07-01.
pub(crate) const MERGER: Date = Date(20_270);
/// Days after the merger the first writings of records spread over; the last falls on 2026-10-03.
const DAYS_AFTER: u32 = 460;
/// Days before the merger a few late records come from; the first falls on 2025-01-02.
const DAYS_BEFORE: u32 = 180;

/// A moment in Việt Nam (UTC+7).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) day: Date,
    second: u32,
}

impl Moment {
    pub(crate) fn timestamp(self) -> TimestampMs {
        TimestampMs((i64::from(self.day.0) * 86_400 + i64::from(self.second) - 7 * 3_600) * 1_000)
    }

    pub(crate) fn is_before_merger(self) -> bool {
        self.day < MERGER
    }

    /// When a record is written for the first time, in office hours.
    fn first(rng: &mut Rng) -> Self {
        let day = match rng.below(32) {
            0 => MERGER.0 - rng.between(1, DAYS_BEFORE) as i32,
            _ => MERGER.0 + rng.below(DAYS_AFTER) as i32,
        };
        Self { day: Date(day), second: rng.between(27_000, 61_200) }
    }

    /// When it is written again. What began before the merger stays before it, so that its codes stay in force.
    fn again(self, rng: &mut Rng) -> Self {
        let mut day = self.day.0 + rng.between(1, 20) as i32;
        if self.is_before_merger() {
            day = day.min(MERGER.0 - 1);
        }
        // On the same day it must still be later.
        let second = if day == self.day.0 { self.second + 1_800 } else { rng.between(27_000, 61_200) };
        Self { day: Date(day), second }
    }
}

/// A record being written. The same serial number always draws the same numbers, so that a second writing of a
/// record speaks of the same people and things.
#[derive(Debug)]
pub(crate) struct Draft<'w> {
    pub(crate) writer: &'w mut Writer,
    pub(crate) rng: Rng,
    pub(crate) serial: u64,
    pub(crate) revision: u32,
    /// When it was written for the first time.
    pub(crate) first: Moment,
    /// When it was written this time.
    pub(crate) moment: Moment,
    pub(crate) units: &'static Units,
}

impl<'w> Draft<'w> {
    pub(crate) fn new(writer: &'w mut Writer, mut rng: Rng, serial: u64, revision: u32) -> Self {
        let first = Moment::first(&mut rng);
        let again = first.again(&mut rng);
        let moment = if revision == 1 { first } else { again };
        let units = if first.is_before_merger() { &PLACES.before } else { &PLACES.now };
        Self { writer, rng, serial, revision, first, moment, units }
    }

    pub(crate) fn commune(&mut self) -> &'static Commune {
        self.rng.pick(&self.units.communes)
    }

    pub(crate) fn write_name(&mut self, key: &str, name: [&'static str; 5]) {
        self.writer.texts(key, &name);
    }

    pub(crate) fn write_address(&mut self, key: &str, commune: &Commune, ending: &str) {
        let mut scratch = [Digits::new(0, 0); 2];
        let mut parts = crate::places::address(commune, &mut self.rng, &mut scratch);
        parts[6] = ending;
        self.writer.texts(key, &parts);
    }

    pub(crate) fn write_phone(&mut self) {
        let (prefix, number) = crate::people::phone(&mut self.rng);
        self.writer.texts("phone", &[prefix, number.as_str()]);
    }

    /// `000.00.<unit>.H21-<YYMMDD>-<NNNN>`. The agency part is a shape, not a code anybody was given.
    pub(crate) fn write_dossier(&mut self, unit: &str) {
        let (year, month, day) = self.moment.day.ymd();
        let date = Digits::new((year % 100 * 10_000 + month * 100 + day) as u64, 6);
        let number = Digits::new(u64::from(self.rng.between(1, 240)), 4);
        self.writer.texts("dossier_no", &["000.00.", unit, ".H21-", date.as_str(), "-", number.as_str()]);
    }

    /// A note now and then, always when the record is written again; then when.
    pub(crate) fn write_end(&mut self) {
        let (has_note, note) = (self.rng.percent(40), words::NOTES.pick(&mut self.rng));
        if has_note || self.revision > 1 {
            self.writer.text("note", note);
        }
        let day = date_text(self.moment.day);
        let day = std::str::from_utf8(&day).unwrap_or("1970-01-01");
        let second = u64::from(self.moment.second);
        let [hour, minute, second] = [second / 3_600, second / 60 % 60, second % 60].map(|value| Digits::new(value, 2));
        let parts = [day, "T", hour.as_str(), ":", minute.as_str(), ":", second.as_str(), "+07:00"];
        self.writer.texts("updated_at", &parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_merger_was_on_the_first_of_july_2025() {
        assert_eq!(Date::parse("2025-07-01"), Some(MERGER));
    }

    #[test]
    fn a_second_writing_is_later_and_on_the_same_side_of_the_merger() {
        for number in 0..5_000 {
            let mut rng = Rng::new(1, 2, number);
            let first = Moment::first(&mut rng);
            let again = first.again(&mut rng);
            assert!(first.timestamp() < again.timestamp());
            assert_eq!(first.is_before_merger(), again.is_before_merger());
            assert_eq!(again.timestamp().date_in_vietnam(), again.day);
        }
    }
}
