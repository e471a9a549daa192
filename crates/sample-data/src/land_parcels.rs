//! Land parcels, schema `land-parcel`.

use ldop_types::Date;

use crate::{
    draft::Draft,
    identifiers::{geohash, tax_id},
    json::Digits,
    people::{Person, born},
    places::Commune,
    words,
};

/// 2025-03-01, when the department of environment became part of another one.
const DEPARTMENTS_MERGED: Date = Date(20_148);

/// Writes one parcel.
pub(crate) fn write(draft: &mut Draft<'_>) {
    let commune = draft.commune();
    let (latitude, longitude) = commune.bounds.point(&mut draft.rng);
    let sheet = draft.rng.between(1, 220);
    let number = draft.rng.between(1, 1_400);
    let area = draft.rng.weighted(&[((450, 3_000), 50), ((3_001, 60_000), 20), ((60_001, 4_000_000), 30)], 100);
    let area = draft.rng.between(area.0, area.1);
    let use_code = use_of(area, commune, draft);
    let is_organisation = matches!(use_code, "TMD" | "SKC" | "SKK" | "TSC" | "DGD");

    draft.writer.text("parcel_id", geohash(latitude, longitude).as_str());
    let (sheet_text, number_text) = (Digits::new(u64::from(sheet), 0), Digits::new(u64::from(number), 0));
    draft.writer.texts("legacy_key", &[&commune.code, "-", sheet_text.as_str(), "-", number_text.as_str()]);
    draft.writer.number("revision", u64::from(draft.revision));
    let status = draft.rng.weighted(&[("registered", 88), ("unregistered", 9), ("disputed", 1), ("retired", 2)], 100);
    draft.writer.text("status", status);
    draft.writer.text("commune_code", &commune.code);
    draft.writer.text("commune_name", &commune.name);
    let ending = format!(", {}", commune.in_full);
    draft.write_address("address", commune, &ending);
    draft.writer.number("map_sheet_no", u64::from(sheet));
    draft.writer.number("parcel_no", u64::from(number));
    draft.writer.decimal("area_m2", u64::from(area), 1);
    draft.writer.text("land_use", use_code);
    let holders = if is_organisation { 1 } else { draft.rng.between(1, 2) };
    draft.writer.text("use_form", if holders == 1 { "single" } else { "shared" });
    let day = draft.first.day;
    if !matches!(use_code, "ONT" | "ODT" | "TSC") {
        let until = Date(day.0 + draft.rng.between(365, 50 * 365) as i32);
        draft.writer.date("use_until", until);
    }
    let origin = if is_organisation {
        draft.rng.weighted(&[("leased", 70), ("allocated", 30)], 100)
    } else {
        draft.rng.weighted(&[("recognised", 45), ("transferred", 30), ("inherited", 13), ("gift", 12)], 100)
    };
    draft.writer.text("use_origin", origin);
    draft.writer.decimal("latitude", latitude as u64, 7);
    draft.writer.decimal("longitude", longitude as u64, 7);
    let accuracy = draft.rng.between(3, 40);
    draft.writer.decimal("position_accuracy_m", u64::from(accuracy), 2);
    let measured = Date(day.0 - draft.rng.between(10, 6_000) as i32);
    draft.writer.date("measured_on", measured);
    write_holders(draft, commune, if is_organisation { 0 } else { holders });
    if status == "registered" {
        write_certificate(draft, measured);
    }
    write_encumbrances(draft);
    let office = ["Chi nhánh Văn phòng đăng ký đất đai khu vực ", OFFICES[usize::from(commune.is_highland)]];
    draft.writer.texts("registry_office", &office);
    if draft.rng.percent(60) {
        draft.write_dossier("12");
    }
    draft.write_end();
}

const OFFICES: [&str; 2] = ["Quy Nhơn", "Pleiku"];

/// Area in tenths of a square metre.
fn use_of(area: u32, commune: &Commune, draft: &mut Draft<'_>) -> &'static str {
    let rng = &mut draft.rng;
    match (area, commune.is_urban) {
        (..=3_000, true) => rng.weighted(&[("ODT", 90), ("TMD", 6), ("DGD", 2), ("TSC", 2)], 100),
        (..=3_000, false) => rng.weighted(&[("ONT", 92), ("TMD", 3), ("SKC", 3), ("TSC", 2)], 100),
        (..=60_000, _) => rng.weighted(&[("LUC", 35), ("BHK", 25), ("CLN", 30), ("NTS", 7), ("SKC", 3)], 100),
        _ if commune.is_highland => rng.weighted(&[("CLN", 50), ("NHK", 25), ("RSX", 20), ("RPH", 5)], 100),
        _ => rng.weighted(&[("LUC", 40), ("RSX", 35), ("CLN", 20), ("SKK", 5)], 100),
    }
}

/// With no people it is an organisation that holds the parcel.
fn write_holders(draft: &mut Draft<'_>, commune: &Commune, people: u32) {
    draft.writer.array("holders");
    if people == 0 {
        draft.writer.object("");
        draft.writer.text("kind", "organisation");
        let (work, name) =
            (words::BUSINESS_KINDS_OF_WORK.pick(&mut draft.rng), words::BUSINESS_NAMES.pick(&mut draft.rng));
        draft.writer.texts("organisation_name", &["Công ty TNHH ", work, " ", name]);
        let number = draft.rng.below(9_999_999);
        draft.writer.text("tax_id", tax_id(number).as_str());
        draft.writer.close();
    }
    let day = draft.first.day;
    for number in 0..people {
        let is_female = if number == 0 { draft.rng.percent(40) } else { draft.rng.percent(75) };
        let person = Person::of(commune, is_female, born(day, 22, 80, &mut draft.rng), &mut draft.rng);
        let is_household = people == 1 && draft.rng.percent(25);
        draft.writer.object("");
        draft.writer.text("kind", if is_household { "household" } else { "person" });
        draft.write_name("full_name", person.full_name());
        person.write_birth(draft.writer, &mut draft.rng);
        draft.writer.text("personal_id", person.personal_id());
        draft.write_address("residence", commune, "");
        draft.writer.close();
    }
    draft.writer.close();
}

fn write_certificate(draft: &mut Draft<'_>, measured: Date) {
    let rng = &mut draft.rng;
    let serial = [rng.pick(&["BK", "BM", "BT", "CA", "CD", "CL", "CR", "CV", "DA", "DB"]), " "];
    let digits = if rng.percent(30) {
        Digits::new(u64::from(rng.below(100_000_000)), 8)
    } else {
        Digits::new(u64::from(rng.below(1_000_000)), 6)
    };
    let book = Digits::new(u64::from(rng.below(100_000)), 5);
    let issued = Date(measured.0 + rng.between(5, 9) as i32);
    draft.writer.object("certificate");
    draft.writer.texts("number", &[serial[0], serial[1], digits.as_str()]);
    draft.writer.texts("book_no", &[if draft.rng.percent(70) { "CS " } else { "CH " }, book.as_str()]);
    draft.writer.date("issued_on", issued);
    let issuer = if issued < DEPARTMENTS_MERGED {
        "Sở Tài nguyên và Môi trường"
    } else {
        "Sở Nông nghiệp và Môi trường"
    };
    draft.writer.text("issued_by", issuer);
    draft.writer.close();
}

fn write_encumbrances(draft: &mut Draft<'_>) {
    draft.writer.array("encumbrances");
    for (code, share) in [("mortgage", 28), ("planning", 6), ("road-corridor", 4), ("seizure", 1)] {
        if draft.rng.percent(share) {
            draft.writer.item(code);
        }
    }
    draft.writer.close();
}
