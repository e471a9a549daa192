//! Communes, provinces and addresses, read once from the code lists of `schemas/` and from `data/`.

use std::{collections::HashMap, sync::LazyLock};

use crate::{json::Digits, rng::Rng, words};

pub(crate) const COMMUNES_CSV: &str = include_str!("../data/communes.csv");
const COMMUNE_CODES_CSV: &str = include_str!("../../../schemas/code-lists/gialai-communes.csv");
const PROVINCES_CSV: &str = include_str!("../../../schemas/code-lists/provinces.csv");
const PREFIXES_CSV: &str = include_str!("../../../schemas/code-lists/personal-id-prefixes.csv");

/// Everything about places.
pub(crate) static PLACES: LazyLock<Places> = LazyLock::new(Places::read);

#[derive(Debug)]
pub(crate) struct Places {
    /// Since and until 2025-07-01.
    pub(crate) now: Units,
    pub(crate) before: Units,
    /// Commune codes of before that nobody has now.
    pub(crate) ended: Vec<String>,
    /// Province prefixes of personal ids.
    pub(crate) prefixes: Vec<String>,
}

/// The administrative units of one time.
#[derive(Debug)]
pub(crate) struct Units {
    pub(crate) communes: Vec<Commune>,
    pub(crate) provinces: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Commune {
    pub(crate) code: String,
    /// Such as "Phường Quy Nhơn".
    pub(crate) name: String,
    /// The name as it stands inside a sentence, with what it belongs to: "phường Quy Nhơn, tỉnh Gia Lai".
    pub(crate) in_full: String,
    pub(crate) is_urban: bool,
    /// In Gia Lai as it was before the merger, the highlands; the rest is Bình Định, the coast.
    pub(crate) is_highland: bool,
    /// Code of the province it belongs to, and of the people born there.
    pub(crate) province: &'static str,
    pub(crate) id_prefix: &'static str,
    /// Degrees times 10^7.
    pub(crate) bounds: Bounds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) west: i32,
    pub(crate) south: i32,
    pub(crate) east: i32,
    pub(crate) north: i32,
}

impl Bounds {
    fn parse(text: &str) -> Self {
        let mut degrees = text.split(' ').map(|number| (number.parse::<f64>().unwrap_or(0.0) * 1e7).round() as i32);
        let mut next = || degrees.next().unwrap_or(0);
        Self { west: next(), south: next(), east: next(), north: next() }
    }

    /// A point within, latitude first.
    pub(crate) fn point(self, rng: &mut Rng) -> (i32, i32) {
        let latitude = self.south + rng.below((self.north - self.south) as u32) as i32;
        let longitude = self.west + rng.below((self.east - self.west) as u32) as i32;
        (latitude, longitude)
    }
}

impl Places {
    fn read() -> Self {
        let mut bounds = HashMap::new();
        for row in rows(COMMUNES_CSV) {
            bounds.insert(row[0].to_owned(), Bounds::parse(&row[8]));
        }
        let (mut now, mut before, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows(COMMUNE_CODES_CSV) {
            let (code, label, is_old) = (&row[0], &row[1], !row[4].is_empty());
            let today = if is_old { &row[5] } else { code };
            let is_highland = if is_old { label.ends_with("Gia Lai") } else { code >= "23500" };
            let name = label.split(',').next().unwrap_or(label).to_owned();
            let in_full = if is_old { lower_first(label) } else { format!("{}, tỉnh Gia Lai", lower_first(label)) };
            let commune = Commune {
                code: code.to_owned(),
                is_urban: !name.starts_with("Xã"),
                name,
                in_full,
                is_highland,
                province: if is_old && is_highland { "64" } else { "52" },
                id_prefix: if is_highland { "064" } else { "052" },
                bounds: bounds[today],
            };
            if is_old {
                if !bounds.contains_key(code) {
                    ended.push(code.to_owned());
                }
                before.push(commune);
            } else {
                now.push(commune);
            }
        }
        let provinces = |old: bool| {
            rows(PROVINCES_CSV).filter(|row| row[4].is_empty() != old).map(|row| row[0].to_owned()).collect()
        };
        Self {
            now: Units { communes: now, provinces: provinces(false) },
            before: Units { communes: before, provinces: provinces(true) },
            ended,
            prefixes: rows(PREFIXES_CSV).map(|row| row[0].to_owned()).collect(),
        }
    }
}

/// The rows of a CSV file of this crate, without its header.
pub(crate) fn rows(text: &'static str) -> impl Iterator<Item = csv::StringRecord> {
    csv::Reader::from_reader(text.as_bytes())
        .into_records()
        .map(|row| row.expect("the embedded file is well-formed: a test reads it"))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// A house number and street, or a village: the parts of a text, the last of them free. The numbers live in `scratch`.
pub(crate) fn address<'a>(commune: &Commune, rng: &mut Rng, scratch: &'a mut [Digits; 2]) -> [&'a str; 7] {
    let (first, second) = if commune.is_urban { (400, 24) } else { (12, 60) };
    *scratch = [Digits::new(u64::from(rng.between(1, first)), 0), Digits::new(u64::from(rng.between(1, second)), 0)];
    let [first, second] = scratch;
    if commune.is_urban {
        ["Số ", first.as_str(), " đường ", words::STREETS.pick(rng), ", tổ dân phố ", second.as_str(), ""]
    } else if commune.is_highland && rng.percent(60) {
        ["Làng ", words::HIGHLAND_VILLAGES.pick(rng), ", hộ số ", second.as_str(), "", "", ""]
    } else {
        ["Thôn ", words::VILLAGES.pick(rng), " ", first.as_str(), "", "", ""]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_hold_what_the_merger_left() {
        assert_eq!(PLACES.now.communes.len(), 135);
        assert_eq!(PLACES.before.communes.len(), 373);
        assert_eq!(PLACES.ended.len(), 373 - 135);
        assert_eq!(PLACES.now.provinces.len(), 34);
        assert_eq!(PLACES.before.provinces.len(), 63);
        assert_eq!(PLACES.prefixes.len(), 63);
        assert_eq!(PLACES.now.communes.iter().filter(|commune| commune.is_highland).count(), 77);
        assert!(PLACES.now.communes.iter().all(|c| c.bounds.west < c.bounds.east && c.bounds.south < c.bounds.north));
    }
}
