//! Births, marriages and deaths, schema `civil-status`.

use ldop_types::Date;

use crate::{
    draft::Draft,
    json::Digits,
    people::{Person, born},
    places::Commune,
    words,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Birth,
    Marriage,
    Death,
}

impl Kind {
    const fn code(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::Marriage => "marriage",
            Self::Death => "death",
        }
    }

    const fn register(self) -> &'static str {
        match self {
            Self::Birth => "KS-",
            Self::Marriage => "KH-",
            Self::Death => "KT-",
        }
    }
}

/// Writes one register entry.
pub(crate) fn write(draft: &mut Draft<'_>) {
    let kind = draft.rng.weighted(&[(Kind::Birth, 55), (Kind::Marriage, 25), (Kind::Death, 20)], 100);
    let commune = draft.commune();
    let day = draft.first.day;
    let is_female = kind != Kind::Marriage && draft.rng.percent(49);
    let birth = match kind {
        Kind::Birth => Date(day.0 - draft.rng.between(1, 58) as i32),
        Kind::Marriage => born(day, 20, 45, &mut draft.rng),
        Kind::Death => born(day, 40, 95, &mut draft.rng),
    };
    let person = Person::of(commune, is_female, birth, &mut draft.rng);
    let father = Person::of(commune, false, born(birth, 22, 45, &mut draft.rng), &mut draft.rng);
    let mother = Person::of(commune, true, born(birth, 19, 40, &mut draft.rng), &mut draft.rng);
    let person = if kind == Kind::Birth { person.child_of(&father, &mut draft.rng) } else { person };

    write_entry(draft, kind, commune);
    write_person(draft, kind, commune, &person);
    match kind {
        Kind::Birth => {
            // A child may be registered without a father.
            if draft.rng.percent(96) {
                write_relative(draft, "father", &father);
            }
            write_relative(draft, "mother", &mother);
            let (declarant, relation) = if draft.rng.percent(60) { (&father, "father") } else { (&mother, "mother") };
            write_declarant(draft, declarant, relation);
        }
        Kind::Marriage => {
            let wife = Person::of(commune, true, born(day, 18, 42, &mut draft.rng), &mut draft.rng);
            write_relative(draft, "spouse", &wife);
            write_declarant(draft, &person, "self");
        }
        Kind::Death => {
            write_death(draft, commune);
            let child = Person::of(commune, draft.rng.percent(45), born(day, 20, 40, &mut draft.rng), &mut draft.rng);
            let child = child.child_of(&person, &mut draft.rng);
            write_declarant(draft, &child, "child");
        }
    }
    let registrar = Person::of(commune, draft.rng.percent(50), born(day, 28, 58, &mut draft.rng), &mut draft.rng);
    draft.write_name("registrar_name", registrar.full_name());
    if draft.rng.percent(75) {
        draft.write_dossier("16");
    }
    draft.write_end();
}

fn write_entry(draft: &mut Draft<'_>, kind: Kind, commune: &Commune) {
    let day = draft.first.day;
    let year = Digits::new(day.ymd().0 as u64, 4);
    let number = Digits::new((draft.serial + 1) % 10_000_000, 7);
    let parts = [kind.register(), &commune.code, "-", year.as_str(), "-", number.as_str()];
    draft.writer.texts("register_no", &parts);
    draft.writer.text("kind", kind.code());
    draft.writer.number("revision", u64::from(draft.revision));
    draft.writer.text("status", if draft.revision == 1 { "valid" } else { "amended" });
    draft.writer.date("registered_on", day);
    draft.writer.texts("book_no", &[if draft.rng.percent(80) { "01/" } else { "02/" }, year.as_str()]);
    draft.writer.text("registry_commune", &commune.code);
    draft.writer.texts("registry_name", &["Ủy ban nhân dân ", &commune.in_full]);
}

fn write_person(draft: &mut Draft<'_>, kind: Kind, commune: &Commune, person: &Person) {
    draft.writer.text("personal_id", person.personal_id());
    draft.write_name("full_name", person.full_name());
    draft.writer.text("sex", person.sex());
    if kind == Kind::Birth {
        draft.writer.date("birth_date", person.birth);
        let hospital = words::HOSPITALS.pick(&mut draft.rng);
        draft.writer.text("birth_place", hospital);
    } else {
        person.write_birth(draft.writer, &mut draft.rng);
    }
    draft.writer.text("ethnicity", person.ethnicity);
    if draft.rng.percent(70) {
        let religion = draft.rng.weighted(&[("99", 78), ("01", 9), ("02", 7), ("08", 5), ("05", 1)], 100);
        draft.writer.text("religion", religion);
    }
    draft.writer.text("nationality", "VN");
    let marital = match kind {
        Kind::Birth => "1",
        Kind::Marriage => "2",
        Kind::Death => *draft.rng.pick(&["2", "3", "3", "1"]),
    };
    draft.writer.text("marital_status", marital);
    let units = draft.units;
    let home = if draft.rng.percent(88) { commune.province } else { draft.rng.pick(&units.provinces).as_str() };
    draft.writer.text("home_province", home);
    draft.writer.object("permanent_address");
    draft.writer.text("commune_code", &commune.code);
    draft.writer.text("commune_name", &commune.name);
    draft.write_address("detail", commune, "");
    draft.writer.close();
}

fn write_relative(draft: &mut Draft<'_>, key: &str, person: &Person) {
    draft.writer.object(key);
    draft.write_name("full_name", person.full_name());
    draft.writer.text("personal_id", person.personal_id());
    if key == "spouse" {
        draft.writer.text("sex", person.sex());
    }
    person.write_birth(draft.writer, &mut draft.rng);
    draft.writer.text("nationality", "VN");
    draft.writer.close();
}

fn write_death(draft: &mut Draft<'_>, commune: &Commune) {
    let day = Date(draft.first.day.0 - draft.rng.between(0, 14) as i32);
    draft.writer.object("death");
    draft.writer.date("died_on", day);
    if draft.rng.percent(35) {
        let hospital = words::HOSPITALS.pick(&mut draft.rng);
        draft.writer.text("place", hospital);
    } else {
        draft.writer.texts("place", &["Tại nhà riêng, ", &commune.in_full]);
    }
    draft.writer.close();
    // Beside the object, not in it: an agreement can then grant the day and place without the cause.
    if draft.rng.percent(80) {
        let cause = words::CAUSES_OF_DEATH.pick(&mut draft.rng);
        draft.writer.text("death_cause", cause);
    }
}

fn write_declarant(draft: &mut Draft<'_>, person: &Person, relation: &str) {
    draft.writer.object("declarant");
    draft.write_name("full_name", person.full_name());
    draft.writer.text("relation", relation);
    if draft.rng.percent(70) {
        draft.write_phone();
    }
    draft.writer.close();
}
