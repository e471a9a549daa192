//! Views: masks and conditions against a schema, and what is shown of records.

use ldop_schema_registry::{CompiledSchema, Grant, Parser};
use ldop_types::Mask;

use super::births;

fn schema() -> CompiledSchema {
    CompiledSchema::compile(births::SCHEMA, &births::dictionary()).expect("a good schema")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What a grant shows of a record; none where it is withheld.
fn shown(fields: &[&str], masks: &[(&str, Mask)], condition: &str, record: &str) -> Option<String> {
    let (fields, keys) = (names(fields), names(&["so_dang_ky"]));
    let masks: Vec<(String, Mask)> = masks.iter().map(|(name, mask)| ((*name).to_owned(), *mask)).collect();
    let grant = Grant { granted_fields: &fields, masks: &masks, row_condition: condition, key_fields: &keys };
    assert_eq!(grant.misfits(&schema(), &births::dictionary()), [], "{condition}");
    let view = grant.view(grant.condition(&schema(), &births::dictionary()).expect("compiles"), b"key");
    let mut out = Vec::new();
    let is_shown = view.show(&mut Parser::default(), record.as_bytes(), &mut out).expect("an object");
    assert!(is_shown || out.is_empty(), "nothing of a record that is withheld");
    is_shown.then(|| String::from_utf8(out).expect("text"))
}

const RECORD: &str = r#"{"so_dang_ky":"1/2026","quoc_tich":"VN","ngay_sinh":"2026-01-02","so_dinh_danh":"064226000123","me_ho_ten":"Lê Thị Ô"}"#;

#[test]
fn a_view_shows_granted_fields_of_records_that_meet_its_condition() {
    let fields = ["so_dang_ky", "quoc_tich", "ngay_sinh", "so_dinh_danh"];
    let masks = [("ngay_sinh", Mask::YearOnly), ("so_dinh_danh", Mask::PartlyHidden { first: 0, last: 3 })];
    let expected = r#"{"so_dang_ky":"1/2026","quoc_tich":"VN","ngay_sinh":"2026","so_dinh_danh":"*********123"}"#;
    assert_eq!(shown(&fields, &masks, "", RECORD).as_deref(), Some(expected));
    assert_eq!(shown(&fields, &masks, "this.so_dang_ky == '1/2026'", RECORD).as_deref(), Some(expected));
    assert_eq!(shown(&fields, &masks, "this.so_dang_ky == '2/2026'", RECORD), None);
    let guarded = "has(this.quoc_tich) && this.quoc_tich in ['VN', 'LA']";
    assert!(shown(&fields, &[], guarded, RECORD).is_some());
    assert_eq!(shown(&fields, &[], guarded, r#"{"so_dang_ky":"1/2026"}"#), None);
    // Of another version of the schema: the field is no text, so that nothing can be said.
    assert_eq!(shown(&fields, &[], "this.so_dang_ky == '1/2026'", r#"{"so_dang_ky":{"a":1}}"#), None);
    assert_eq!(
        shown(&fields, &[], "this.so_dang_ky == '1/2026'", r#"{"quoc_tich":"VN"}"#),
        None,
        "undecided is withheld"
    );
}

#[test]
fn what_does_not_fit_the_schema_is_told_at_once() {
    let fields = names(&["so_dang_ky", "no_such", "ngay_sinh", "so_dinh_danh"]);
    let masks = [
        ("so_dang_ky".to_owned(), Mask::YearOnly),
        ("ngay_sinh".to_owned(), Mask::YearOnly),
        ("so_dinh_danh".to_owned(), Mask::PartlyHidden { first: 3, last: 0 }),
        ("so_dinh_danh".to_owned(), Mask::KeyedHash),
    ];
    let misfits = |condition: &str| {
        let grant = Grant { granted_fields: &fields, masks: &masks, row_condition: condition, key_fields: &[] };
        let found = grant.misfits(&schema(), &births::dictionary());
        found.into_iter().map(|misfit| (misfit.field, misfit.message.en.into_owned())).collect::<Vec<_>>()
    };
    let places: Vec<String> = misfits("this.me_ho_ten == 'x'").into_iter().map(|(field, _)| field).collect();
    assert_eq!(places, ["granted_fields[1]", "masks[0]", "masks[2]", "row_condition"]);
    for (condition, expected) in [
        ("this.so_dang_ky ==", "not well-formed CEL"),
        ("this.so_dang_ky", "string"),
        ("this.so_dang_ky == 1", "`"),
        ("this.no_such == '1'", "has no field `no_such`"),
        ("has(this.quoc_tich) && this.quoc_tich == 'VN'", "neither a granted field nor a key field"),
        (&"(".repeat(900), "not well-formed CEL"),
        (&format!("this.so_dang_ky in [{}]", vec!["'1'"; 300].join(",")), "longer than"),
    ] {
        let found = misfits(condition);
        let told = found.iter().filter(|(field, _)| field == "row_condition").map(|(_, text)| text.as_str());
        let told: Vec<&str> = told.collect();
        assert!(told.iter().any(|text| text.contains(expected)), "{condition}: {told:?}");
    }
}
