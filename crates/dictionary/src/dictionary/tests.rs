use super::*;
use crate::{
    CodeDefinition, CodeListDefinition, CodePairDefinition, ElementDefinition, MappedCode, Scalar, ValueMapDefinition,
};

fn element(id: &str, change: impl FnOnce(&mut ElementDefinition)) -> Element {
    let mut definition = ElementDefinition {
        id: id.into(),
        name_vi: "Tên".into(),
        value_type: "string".into(),
        sensitivity: "none".into(),
        ..ElementDefinition::default()
    };
    change(&mut definition);
    Element::new(definition).expect("good element")
}

/// An element that states nothing but what it derives from, and what is changed.
fn derived(id: &str, parent: &str, change: impl FnOnce(&mut ElementDefinition)) -> Element {
    element(id, |d| {
        (d.value_type, d.sensitivity) = (String::new(), String::new());
        d.derives_from = parent.into();
        change(d);
    })
}

fn list(id: &str, codes: &[&str], value_maps: Vec<ValueMapDefinition>) -> CodeList {
    let code = |code: &&str| CodeDefinition { code: (*code).into(), label_vi: "Nhãn".into(), ..Default::default() };
    let codes = codes.iter().map(code).collect();
    CodeList::new(CodeListDefinition { id: id.into(), name_vi: "Tên".into(), codes, value_maps, ..Default::default() })
        .expect("good list")
}

fn day(text: &str) -> Date {
    Date::parse(text).expect("good date")
}

fn fields(errors: &[DefinitionError]) -> Vec<&str> {
    errors.iter().map(|error| error.field.as_str()).collect()
}

#[test]
fn a_change_makes_another_snapshot_and_must_hold_together() {
    let sex = element("person.sex", |d| d.code_list = "sex".into());
    let empty = Dictionary::default();
    let errors = empty.with_changes([sex.clone()], []).expect_err("the list is missing");
    assert_eq!(fields(&errors), ["person.sex.code_list"]);
    let full = empty.with_changes([sex.clone()], [list("sex", &["1"], Vec::new())]).expect("holds together");
    assert!(empty.element("person.sex").is_none());
    assert_eq!(full.element("person.sex"), Some(&sex));
    assert_eq!(full.codes_of(&sex).map(CodeList::len), Some(1));
    assert_eq!((full.elements().len(), full.code_lists().len()), (1, 1));
}

#[test]
fn references_must_lead_somewhere() {
    let lost = element("a", |d| {
        d.domain = "people".into();
        d.relations = vec![("part_of".into(), "b".into()), ("related_to".into(), "c".into())];
    });
    let other = element("b", |d| d.derives_from = "gone".into());
    let map = ValueMapDefinition {
        to: "sex-2".into(),
        pairs: vec![CodePairDefinition { from: "1".into(), to: "9".into() }],
        ..Default::default()
    };
    let nowhere = ValueMapDefinition { to: "sex-3".into(), ..map.clone() };
    let lists = [list("sex", &["1"], vec![map, nowhere]), list("sex-2", &["1"], Vec::new())];
    let errors = Dictionary::default().with_changes([lost, other], lists).expect_err("nothing is there");
    assert_eq!(
        fields(&errors),
        [
            "sex.value_maps[0].pairs[0].to",
            "sex.value_maps[1].to",
            "a.domain",
            "a.relations[1].element",
            "b.derives_from"
        ]
    );
}

#[test]
fn what_is_not_stated_is_inherited_down_a_chain() {
    let national = element("name", |d| {
        d.max_length = Some(50);
        d.normalisation = vec!["nfc".into()];
        d.sensitivity = "basic_personal".into();
        d.unit = "1".into();
    });
    let provincial = derived("name.gialai", "name", |d| d.min_length = Some(2));
    let district = derived("name.gialai.x", "name.gialai", |d| {
        d.max_length = Some(30);
        d.normalisation = vec!["nfc".into(), "trim".into()];
    });
    // Children may be given before their parents.
    let dictionary = Dictionary::default().with_changes([district, provincial, national], []).expect("narrows only");
    let found = dictionary.element("name.gialai.x").expect("is there");
    let d = found.definition();
    assert_eq!((d.min_length, d.max_length, &*d.unit, &*d.value_type), (Some(2), Some(30), "1", "string"));
    assert_eq!(found.sensitivity(), ldop_types::Sensitivity::BasicPersonal);
    assert_eq!(found.written().min_length, None, "what was written stays as it was");
    let broken = |text: &str| found.check(Scalar::Text(text), day("2026-01-01"), None).iter().collect::<Vec<_>>();
    assert_eq!(broken("x"), [ldop_types::Rule::MinLength]);
    assert_eq!(broken("Lê "), [ldop_types::Rule::Normalisation]);
}

#[test]
fn every_place_where_an_element_would_widen_is_told() {
    let national = element("n", |d| {
        (d.min_length, d.max_length) = (Some(2), Some(5));
        d.pattern = "[0-9]+".into();
        d.code_list = "codes".into();
        d.identifier = "tax_id".into();
        d.format = "partial_date".into();
        d.unit = "m".into();
        d.sensitivity = "basic_personal".into();
        d.normalisation = vec!["nfc".into(), "trim".into()];
    });
    let wider = derived("p", "n", |d| {
        (d.min_length, d.max_length) = (Some(1), Some(6));
        d.pattern = "[0-9a]+".into();
        d.code_list = "other".into();
        d.identifier = "personal_id".into();
        d.format = "date_time".into();
        d.unit = "cm".into();
        d.sensitivity = "none".into();
        d.normalisation = vec!["trim".into()];
    });
    let lists = || [list("codes", &["11", "12"], Vec::new()), list("other", &["11", "1a"], Vec::new())];
    let errors = Dictionary::default().with_changes([national.clone(), wider], lists()).expect_err("it is wider");
    assert_eq!(
        fields(&errors),
        [
            "p.code_list",
            "p.format",
            "p.identifier",
            "p.max_length",
            "p.min_length",
            "p.normalisation",
            "p.pattern",
            "p.sensitivity",
            "p.unit"
        ]
    );
    assert!(errors.iter().all(|error| error.expected.contains("leave")), "each says how to mend it");
    let another_type = derived("p", "n", |d| d.value_type = "integer".into());
    let errors = Dictionary::default().with_changes([national, another_type], lists()).expect_err("another type");
    assert!(errors.iter().all(|error| error.field.starts_with("p.")) && !errors.is_empty());

    let number = element("x", |d| {
        (d.value_type, d.minimum, d.maximum) = ("number".into(), "0".into(), "9007199254740993".into());
    });
    let good = derived("y", "x", |d| (d.value_type, d.minimum) = ("integer".into(), "0.5".into()));
    let dictionary = Dictionary::default().with_changes([number, good], []).expect("an integer is a number");
    let bad = derived("y", "x", |d| (d.minimum, d.maximum) = ("-1".into(), "9007199254740994".into()));
    let errors = dictionary.with_changes([bad], []).expect_err("it is wider");
    assert_eq!(fields(&errors), ["y.maximum", "y.minimum"]);
}

#[test]
fn a_pattern_may_differ_where_a_code_list_keeps_the_parents() {
    let national = element("n", |d| d.pattern = "[0-9]{2}".into());
    let good = derived("p", "n", |d| (d.pattern, d.code_list) = ("1[0-9]".into(), "codes".into()));
    let lists = [list("codes", &["11", "12"], Vec::new())];
    let dictionary = Dictionary::default().with_changes([national, good], lists).expect("every code matches");
    let errors = dictionary.with_changes([], [list("codes", &["11", "x"], Vec::new())]).expect_err("x does not");
    assert_eq!(fields(&errors), ["p.pattern"]);
}

#[test]
fn changing_a_parent_checks_its_children_again() {
    let parent = |max: u32| element("n", |d| d.max_length = Some(max));
    let child = derived("p", "n", |d| d.max_length = Some(30));
    let dictionary = Dictionary::default().with_changes([parent(50), child], []).expect("narrower");
    let errors = dictionary.with_changes([parent(20)], []).expect_err("now it is wider");
    assert_eq!(fields(&errors), ["p.max_length"]);
    let wider = dictionary.with_changes([parent(60)], []).expect("narrower still");
    assert_eq!(wider.element("p").and_then(|p| p.definition().max_length), Some(30));
}

#[test]
fn inheritance_that_leads_in_a_circle_is_refused() {
    let circle = [derived("a", "b", |_| {}), derived("b", "c", |_| {}), derived("c", "b", |_| {})];
    let errors = Dictionary::default().with_changes(circle, []).expect_err("a circle");
    assert_eq!(fields(&errors), ["b.derives_from"]);
    let errors = Element::new(ElementDefinition {
        id: "a".into(),
        name_vi: "A".into(),
        derives_from: "a".into(),
        ..ElementDefinition::default()
    });
    assert_eq!(fields(&errors.expect_err("itself")), ["derives_from"]);
}

#[test]
fn a_version_judges_from_its_effective_date_on() {
    let version = |max: u32, from: &str| {
        element("a", |d| {
            d.max_length = Some(max);
            d.effective_from = from.into();
        })
    };
    let max_on = |dictionary: &Dictionary, on: &str| {
        dictionary.as_of(day(on)).element("a").and_then(|a| a.definition().max_length)
    };
    let first = Dictionary::default().with_changes([version(10, "2025-07-01")], []).expect("holds together");
    assert_eq!(max_on(&first, "2020-01-01"), Some(10), "the first version judges all days before it");
    let second = first.with_changes([version(20, "2027-01-01")], []).expect("holds together");
    assert_eq!([max_on(&second, "2026-12-31"), max_on(&second, "2027-01-01")], [Some(10), Some(20)]);
    assert_eq!(second.element("a").and_then(|a| a.definition().max_length), Some(20), "schemas bind the latest");
    let a = second.element("a").expect("is there").id().clone();
    assert_eq!(second.effective_days([&a]), [day("2027-01-01")]);
    // The same again changes nothing.
    let again = second.with_changes([version(20, "2027-01-01")], []).expect("holds together");
    assert_eq!(max_on(&again, "2026-12-31"), Some(10));
    // A later version with an earlier date takes the place of what has not begun by then.
    let earlier = second.with_changes([version(30, "2026-06-01")], []).expect("holds together");
    assert_eq!([max_on(&earlier, "2026-05-31"), max_on(&earlier, "2027-01-01")], [Some(10), Some(30)]);
    let always = earlier.with_changes([version(40, "")], []).expect("holds together");
    assert_eq!(max_on(&always, "2020-01-01"), Some(40));
    assert!(always.effective_days([&a]).is_empty());
}

#[test]
fn a_child_is_judged_with_its_parents_version_of_the_day() {
    let parent = |max: u32, from: &str| element("n", |d| (d.max_length, d.effective_from) = (Some(max), from.into()));
    let first = Dictionary::default()
        .with_changes([parent(50, ""), derived("p", "n", |_| {}), element("q", |_| {})], [])
        .expect("holds together");
    let second = first.with_changes([parent(20, "2027-01-01")], []).expect("holds together");
    let max_on = |on: &str| second.as_of(day(on)).element("p").and_then(|p| p.definition().max_length);
    assert_eq!([max_on("2026-12-31"), max_on("2027-01-01")], [Some(50), Some(20)]);
    let id = |id: &str| second.element(id).expect("is there").id().clone();
    assert_eq!(second.effective_days([&id("p")]), [day("2027-01-01")]);
    assert!(second.effective_days([&id("q")]).is_empty());
}

#[test]
fn a_code_is_mapped_between_schemes_both_ways() {
    let pair = |from: &str, to: &str| CodePairDefinition { from: from.into(), to: to.into() };
    let map = ValueMapDefinition {
        to: "two".into(),
        pairs: vec![pair("1", "1"), pair("2", "0"), pair("3", "0"), pair("3", "9")],
        ..Default::default()
    };
    let lists = [list("one", &["0", "1", "2", "3"], vec![map]), list("two", &["0", "1", "9"], Vec::new())];
    let dictionary = Dictionary::default().with_changes([], lists).expect("holds together");
    let there = |code: &str| dictionary.map_code("one", "two", code);
    let back = |code: &str| dictionary.map_code("two", "one", code);
    assert_eq!(there("1"), MappedCode::One("1"));
    assert_eq!(there("3"), MappedCode::Ambiguous(vec!["0", "9"]));
    assert_eq!((there("0"), there("x")), (MappedCode::Missing, MappedCode::Unknown));
    assert_eq!((back("9"), back("0")), (MappedCode::One("3"), MappedCode::Ambiguous(vec!["2", "3"])));
    assert_eq!(dictionary.map_code("one", "gone", "1"), MappedCode::NoMap);
}

#[test]
fn the_number_of_periods_is_bounded() {
    let version =
        |month: i32| element("a", |d| d.effective_from = format!("{:04}-{:02}-01", 2000 + month / 12, month % 12 + 1));
    let many = Dictionary::default().with_changes((0..366).map(version), []).expect("a month for thirty years");
    let a = many.element("a").expect("is there");
    let later = element("a", |d| d.effective_from = "2090-01-01".into());
    // The first version begins before all days, so 366 versions make 366 periods.
    assert_eq!(a.effective_from(), Some(day("2030-06-01")));
    assert_eq!(fields(&many.with_changes([later], []).expect_err("one more")), ["effective_from"]);
}
