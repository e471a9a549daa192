//! Enterprises, branches and business households, schema `business`.

use ldop_types::Date;

use crate::{
    draft::Draft,
    identifiers::tax_id,
    json::Digits,
    people::{Person, born},
    places::Commune,
    words,
};

/// Forms a company may have: code, beginning of its name, most members.
const COMPANIES: [(&str, &str, u32); 4] = [
    ("llc-1", "Công ty TNHH Một thành viên ", 1),
    ("llc-2", "Công ty TNHH ", 4),
    ("joint-stock", "Công ty Cổ phần ", 6),
    ("private", "Doanh nghiệp tư nhân ", 1),
];

/// Industry codes of the list `industries`.
const INDUSTRIES: [&str; 40] = [
    "0111", "0123", "0124", "0125", "0126", "0141", "0145", "0146", "0210", "0311", "0810", "1020", "1030", "1077",
    "1610", "2396", "3100", "3511", "4101", "4102", "4212", "4330", "4620", "4632", "4663", "4711", "4773", "4933",
    "5210", "5510", "5610", "5630", "6201", "6202", "6810", "6920", "7110", "7310", "7912", "8559",
];

/// Writes one business.
pub(crate) fn write(draft: &mut Draft<'_>) {
    let commune = draft.commune();
    let day = draft.first.day;
    let form = draft.rng.weighted(&[(Form::Company, 65), (Form::Household, 28), (Form::Branch, 7)], 100);
    let company = *draft.rng.pick(&COMPANIES);
    // A permutation of the serial numbers below 9,999,999: keys of different serials differ, and neighbours look unlike.
    let number = (draft.serial % 9_999_999 * 7_919 % 9_999_999) as u32;
    let is_female = draft.rng.percent(38);
    let owner = Person::of(commune, is_female, born(day, 23, 68, &mut draft.rng), &mut draft.rng);
    let owner = if form == Form::Household { owner.with_id_tail(number % 1_000_000) } else { owner };
    let (work, name) = (words::BUSINESS_KINDS_OF_WORK.pick(&mut draft.rng), words::BUSINESS_NAMES.pick(&mut draft.rng));

    let code = tax_id(number);
    match form {
        Form::Company => draft.writer.text("tax_id", code.as_str()),
        Form::Household => draft.writer.text("tax_id", owner.personal_id()),
        Form::Branch => draft.writer.texts("tax_id", &[code.as_str(), "-001"]),
    }
    draft.writer.number("revision", u64::from(draft.revision));
    let status = draft.rng.weighted(&[("active", 86), ("paused", 8), ("dissolving", 2), ("closed", 4)], 100);
    draft.writer.text("status", status);
    draft.writer.text("kind", form.code(company.0));
    let number_text = Digits::new(u64::from(number), 0);
    match form {
        Form::Company => draft.writer.texts("name", &[company.1, work, " ", name]),
        Form::Household => draft.writer.texts("name", &["Hộ kinh doanh ", name, " ", number_text.as_str()]),
        Form::Branch => draft.writer.texts("name", &["Chi nhánh ", company.1, work, " ", name, " tại ", &commune.name]),
    }
    if form == Form::Company && draft.rng.percent(45) {
        draft.writer.texts("short_name", &["GL", number_text.as_str(), " CO., LTD"]);
    }
    write_dates(draft);
    draft.writer.object("head_office");
    draft.writer.text("commune_code", &commune.code);
    draft.writer.text("commune_name", &commune.name);
    let ending = format!(", {}", commune.in_full);
    draft.write_address("detail", commune, &ending);
    draft.writer.close();
    draft.write_phone();
    if form != Form::Household {
        draft.writer.texts("email", &["lienhe.", number_text.as_str(), "@doanhnghiep.example"]);
    }
    write_representative(draft, form, commune, &owner);
    write_size(draft, form);
    write_industries(draft);
    if form == Form::Company && company.2 > 1 {
        write_members(draft, commune, &owner, company.2);
    }
    if form == Form::Company && draft.rng.percent(12) {
        draft.writer.array("dependent_units");
        draft.writer.object("");
        draft.writer.texts("tax_id", &[code.as_str(), "-001"]);
        draft.writer.texts("name", &["Chi nhánh ", name, " tại ", &commune.name]);
        draft.writer.close();
        draft.writer.close();
    }
    if form == Form::Branch {
        draft.writer.text("parent_tax_id", code.as_str());
    }
    let office = Digits::new(u64::from(draft.rng.between(1, 14)), 0);
    draft.writer.texts("tax_office", &["Thuế cơ sở ", office.as_str(), " tỉnh Gia Lai"]);
    draft.writer.text("registry_office", "Phòng Đăng ký kinh doanh, Sở Tài chính tỉnh Gia Lai");
    draft.write_end();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Company,
    Household,
    Branch,
}

impl Form {
    fn code(self, company: &'static str) -> &'static str {
        match self {
            Self::Company => company,
            Self::Household => "household",
            Self::Branch => "branch",
        }
    }
}

fn write_dates(draft: &mut Draft<'_>) {
    let registered = Date(draft.first.day.0 - draft.rng.weighted(&[(0, 30), (400, 30), (3_500, 40)], 100));
    let changes = draft.rng.below(6);
    draft.writer.date("registered_on", registered);
    if changes > 0 || draft.revision > 1 {
        draft.writer.date("changed_on", draft.moment.day);
    }
    draft.writer.number("change_count", u64::from(changes + draft.revision - 1));
}

fn write_representative(draft: &mut Draft<'_>, form: Form, commune: &Commune, owner: &Person) {
    draft.writer.object("legal_representative");
    draft.write_name("full_name", owner.full_name());
    draft.writer.text("sex", owner.sex());
    owner.write_birth(draft.writer, &mut draft.rng);
    draft.writer.text("personal_id", owner.personal_id());
    draft.writer.text("nationality", "VN");
    let position = match form {
        Form::Company => words::POSITIONS.pick(&mut draft.rng),
        Form::Household => "Chủ hộ kinh doanh",
        Form::Branch => "Giám đốc chi nhánh",
    };
    draft.writer.text("position", position);
    draft.write_address("residence", commune, "");
    draft.writer.close();
}

fn write_size(draft: &mut Draft<'_>, form: Form) {
    let (low, high) = if form == Form::Household { (20, 900) } else { (300, 90_000) };
    let millions = draft.rng.between(low, high);
    draft.writer.number("charter_capital_vnd", u64::from(millions) * 1_000_000);
    let employees = 1 + millions / 400 + draft.rng.below(8);
    draft.writer.number("employees", u64::from(employees));
}

fn write_industries(draft: &mut Draft<'_>) {
    // Steps through the table from a random start, so that no code stands twice.
    let start = draft.rng.below(INDUSTRIES.len() as u32) as usize;
    let count = draft.rng.between(1, 6) as usize;
    let code = |number: usize| INDUSTRIES[(start + number * 7) % INDUSTRIES.len()];
    draft.writer.text("main_industry", code(0));
    draft.writer.array("industries");
    for number in 0..count {
        draft.writer.item(code(number));
    }
    draft.writer.close();
}

fn write_members(draft: &mut Draft<'_>, commune: &Commune, owner: &Person, most: u32) {
    let count = draft.rng.between(2, most.max(2)).min(4);
    let share = 1_000 / count;
    draft.writer.array("members");
    for number in 0..count {
        let is_female = draft.rng.percent(40);
        let birth = born(draft.first.day, 23, 70, &mut draft.rng);
        let other = Person::of(commune, is_female, birth, &mut draft.rng);
        let person = if number == 0 { owner } else { &other };
        draft.writer.object("");
        draft.write_name("full_name", person.full_name());
        draft.writer.text("personal_id", person.personal_id());
        let tenths = if number == 0 { 1_000 - share * (count - 1) } else { share };
        draft.writer.decimal("share_percent", u64::from(tenths), 1);
        draft.writer.close();
    }
    draft.writer.close();
}
