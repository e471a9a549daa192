//! A birth register entry of about 1 KB with 28 bound properties, its dictionary, and as many varied records as wanted.

use ldop_dictionary::{CodeDefinition, CodeList, CodeListDefinition, Dictionary, Element, ElementDefinition};

/// The schema: JSON Schema says what is a record, the dictionary what is a value.
pub const SCHEMA: &str = include_str!("birth.schema.json");

/// Communes of Gia Lai in the sample list.
const COMMUNES: u64 = 135;

/// The dictionary the schema is bound to.
pub fn dictionary() -> Dictionary {
    let text = |id: &str, max: u32, sensitivity: &str| ElementDefinition {
        id: id.into(),
        name_vi: format!("Phần tử {id}"),
        value_type: "string".into(),
        min_length: Some(1),
        max_length: Some(max),
        sensitivity: sensitivity.into(),
        ..ElementDefinition::default()
    };
    let elements = [
        ElementDefinition { pattern: r"[0-9]{1,5}/[0-9]{4}".into(), ..text("register.number", 20, "none") },
        ElementDefinition { pattern: r"[A-Z0-9-]+".into(), ..text("register.book", 20, "none") },
        ElementDefinition { format: "date".into(), ..text("register.date", 10, "none") },
        ElementDefinition { format: "date_time".into(), ..text("register.updated-at", 35, "none") },
        ElementDefinition { pattern: r"[\p{L} '.-]+".into(), ..text("person.full-name", 100, "basic_personal") },
        ElementDefinition {
            min_length: Some(12),
            identifier: "personal_id".into(),
            ..text("person.personal-id", 12, "basic_personal")
        },
        ElementDefinition { format: "partial_date".into(), ..text("person.birth-date", 10, "basic_personal") },
        ElementDefinition { code_list: "sex".into(), ..text("person.sex", 1, "basic_personal") },
        ElementDefinition { code_list: "ethnic-groups".into(), ..text("person.ethnic-group", 2, "sensitive_personal") },
        ElementDefinition { pattern: "[A-Z]{2}".into(), ..text("person.nationality", 2, "basic_personal") },
        ElementDefinition { code_list: "communes".into(), ..text("address.commune", 5, "basic_personal") },
        text("address.detail", 200, "basic_personal"),
        text("agency.name", 200, "none"),
        ElementDefinition { pattern: r"(0|\+84)[0-9]{9}".into(), ..text("contact.phone", 12, "basic_personal") },
        ElementDefinition {
            value_type: "integer".into(),
            min_length: None,
            max_length: None,
            minimum: "1".into(),
            maximum: "30".into(),
            ..text("birth.order", 0, "basic_personal")
        },
        ElementDefinition {
            value_type: "number".into(),
            min_length: None,
            max_length: None,
            minimum: "0.2".into(),
            maximum: "9".into(),
            ..text("birth.weight", 0, "sensitive_personal")
        },
        ElementDefinition {
            value_type: "boolean".into(),
            min_length: None,
            max_length: None,
            ..text("birth.late-registration", 0, "none")
        },
    ];
    let elements = elements.map(|definition| Element::new(definition).expect("a good element"));
    let list = |id: &str, codes: Vec<String>| {
        let codes =
            codes.into_iter().map(|code| CodeDefinition { code, label_vi: "Nhãn".into(), ..Default::default() });
        let definition = CodeListDefinition {
            id: id.into(),
            name_vi: format!("Danh mục {id}"),
            codes: codes.collect(),
            ..CodeListDefinition::default()
        };
        CodeList::new(definition).expect("a good list")
    };
    let lists = [
        list("sex", vec!["0".into(), "1".into(), "2".into()]),
        list("ethnic-groups", (1..=55).map(|n| format!("{n:02}")).collect()),
        list("communes", (0..COMMUNES).map(|n| format!("{:05}", 21_553 + 3 * n)).collect()),
        list("personal-id-prefixes", (1..=96).map(|n| format!("{n:03}")).collect()),
    ];
    Dictionary::default().with_changes(elements, lists).expect("holds together")
}

/// A small generator, so that records are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

const FAMILY: &[&str] = &["Nguyễn", "Trần", "Lê", "Phạm", "Võ", "Đặng", "Rơ Châm", "Siu", "Kpă", "Ksor", "Đinh"];
const MIDDLE: &[&str] = &["Văn", "Thị", "Hữu", "Ngọc", "Minh", "Thanh", "Quốc", "H'"];
const GIVEN: &[&str] = &["An", "Bình", "Cường", "Dung", "Hạnh", "Khánh", "Phước", "Quỳnh", "Tuyết", "Yến", "Blang"];
const STREETS: &[&str] =
    &["Hùng Vương", "Trần Phú", "Lê Duẩn", "Phan Đình Phùng", "Nguyễn Tất Thành", "An Dương Vương"];

/// `count` records, all of them right.
pub fn records(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(20_260_701);
    (0..count).map(|number| record(&mut random, number).into_bytes()).collect()
}

fn record(random: &mut Random, number: usize) -> String {
    let name = |random: &mut Random| format!("{} {} {}", random.pick(FAMILY), random.pick(MIDDLE), random.pick(GIVEN));
    let commune = |random: &mut Random| format!("{:05}", 21_553 + 3 * random.below(COMMUNES));
    let address = |random: &mut Random| format!("Số {}, đường {}", 1 + random.below(400), random.pick(STREETS));
    // The id, the sex and the year of birth agree.
    let person = |random: &mut Random, century_and_sex: u64, year: u64| {
        format!(
            "{}{century_and_sex}{:02}{:06}",
            random.pick(&["052", "064", "066"]),
            year % 100,
            random.below(1_000_000)
        )
    };
    let sex = random.below(2);
    let (mother_year, father_year) = (1975 + random.below(25), 1970 + random.below(30));
    let (month, day) = (1 + random.below(6), 1 + random.below(28));
    format!(
        concat!(
            r#"{{"so_dang_ky":"{number}/2026","quyen_so":"KS-2026-{book}","ngay_dang_ky":"2026-{month:02}-{day:02}","#,
            r#""co_quan_dang_ky":"Ủy ban nhân dân phường Quy Nhơn","ma_xa_dang_ky":"{commune}","#,
            r#""ho_ten":"{child}","so_dinh_danh":"{child_id}","ngay_sinh":"2026-{month:02}-{day:02}","gioi_tinh":"{sex}","#,
            r#""dan_toc":"{ethnic:02}","quoc_tich":"VN","noi_sinh":"Bệnh viện đa khoa tỉnh Gia Lai","#,
            r#""ma_xa_que_quan":"{commune2}","que_quan":"{address}","#,
            r#""lan_sinh":{order},"can_nang_kg":{weight}.{grams},"dang_ky_qua_han":{late},"#,
            r#""me_ho_ten":"{mother}","me_so_dinh_danh":"{mother_id}","me_ngay_sinh":"{mother_year}","me_dan_toc":"{ethnic2:02}","#,
            r#""me_noi_cu_tru":"{address2}","me_dien_thoai":"09{phone:08}","#,
            r#""cha_ho_ten":"{father}","cha_so_dinh_danh":"{father_id}","cha_ngay_sinh":"{father_year}-{month:02}-{day:02}","#,
            r#""ghi_chu":"Đăng ký theo hồ sơ trực tuyến 000.00.16.H21-2603{day:02}-{file:04}; giấy chứng sinh do cơ sở y tế cấp","#,
            r#""cap_nhat_luc":"2026-{month:02}-{day:02}T08:{minute:02}:15+07:00"}}"#
        ),
        number = 1 + number % 90_000,
        book = 1 + random.below(9),
        month = month,
        day = day,
        commune = commune(random),
        commune2 = commune(random),
        child = name(random),
        child_id = person(random, 2 + sex, 2026),
        sex = 1 + sex,
        ethnic = 1 + random.below(54),
        ethnic2 = 1 + random.below(54),
        address = address(random),
        address2 = address(random),
        order = 1 + random.below(4),
        weight = 2 + random.below(2),
        grams = random.below(10),
        late = if random.below(20) == 0 { "true" } else { "false" },
        mother = name(random),
        mother_id = person(random, 1, mother_year),
        mother_year = mother_year,
        phone = random.below(100_000_000),
        father = name(random),
        father_id = person(random, 0, father_year),
        father_year = father_year,
        file = random.below(10_000),
        minute = random.below(60),
    )
}
