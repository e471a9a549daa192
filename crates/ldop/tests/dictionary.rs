//! The sample dictionary as a whole, and `ldop impact` over it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ldop_control::ControlState;
use ldop_definitions::{References, load};
use ldop_dictionary::{CodeStatus, Dictionary, MappedCode};
use ldop_types::Date;
use serde_json::Value;

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

fn sample() -> Dictionary {
    let loaded = load(&[schemas()], References::Within).expect("the sample folder is right");
    let changes = loaded.changes.into_iter().map(|(_, change)| change);
    ControlState::standing(changes).expect("it holds together").dictionary
}

#[test]
fn every_sample_element_says_what_it_is_and_where_it_comes_from() {
    let dictionary = sample();
    assert!(dictionary.elements().len() >= 150, "{}", dictionary.elements().len());
    let mut names = BTreeSet::new();
    for element in dictionary.elements() {
        let (id, d) = (element.id(), element.definition());
        for (field, text) in [
            ("name_en", &d.name_en),
            ("definition_vi", &d.definition_vi),
            ("definition_en", &d.definition_en),
            ("source", &d.source),
            ("domain", &d.domain),
            ("entity", &d.entity),
            ("owning_unit", &d.owning_unit),
            ("technical_name", &d.technical_name),
        ] {
            assert!(!text.trim().is_empty(), "{id} has no {field}");
        }
        assert!(names.insert(d.technical_name.clone()), "{id} shares the name {}", d.technical_name);
        assert!(d.unconfirmed || !d.source.contains("Định nghĩa mẫu"), "{id} has no source and does not say so");
    }
    let domains: BTreeSet<&str> = dictionary.elements().map(|e| e.definition().domain.as_str()).collect();
    for basic in ["people", "organisations", "assets", "cadastre", "addresses", "geography"] {
        assert!(domains.contains(basic), "the basic domain {basic} is empty");
    }
    for list in dictionary.code_lists() {
        assert!(!list.definition().source.is_empty(), "{} has no source", list.id());
    }
}

#[test]
fn sex_is_mapped_between_the_three_schemes() {
    let dictionary = sample();
    let map = |from: &str, to: &str, code: &str| match dictionary.map_code(from, to, code) {
        MappedCode::One(code) => code.to_owned(),
        other => format!("{other:?}"),
    };
    let (qcvn, bhyt, lltp) = ("sex-qcvn109", "sex-bhyt", "sex-lltp");
    for (from, to, pairs) in [
        (qcvn, bhyt, [("0", "3"), ("1", "1"), ("2", "2"), ("9", "Unknown")]),
        (bhyt, qcvn, [("3", "0"), ("1", "1"), ("2", "2"), ("0", "Unknown")]),
        (qcvn, lltp, [("0", "Missing"), ("1", "1"), ("2", "0"), ("9", "Unknown")]),
        (lltp, qcvn, [("0", "2"), ("1", "1"), ("2", "Unknown"), ("", "Unknown")]),
        (lltp, bhyt, [("0", "2"), ("1", "1"), ("2", "Unknown"), ("3", "Unknown")]),
    ] {
        for (code, expected) in pairs {
            assert_eq!(map(from, to, code), expected, "{code} of {from} in {to}");
        }
    }
}

#[test]
fn the_communes_before_the_merger_lead_to_those_after_it_and_back() {
    let dictionary = sample();
    let communes = dictionary.code_list("gialai-communes").expect("is there");
    let day = |text: &str| Date::parse(text).expect("a day");
    let (before, after) = (day("2025-06-30"), day("2025-07-01"));
    let old: Vec<&str> = communes.codes().filter(|code| communes.status(code, before) == CodeStatus::InForce).collect();
    let new: Vec<&str> = communes.codes().filter(|code| communes.status(code, after) == CodeStatus::InForce).collect();
    assert_eq!((old.len(), new.len()), (373, 135), "379 old units, of which six have no code");
    let mut reached = BTreeSet::new();
    for code in &old {
        let successors = communes.successors(code, before);
        assert!(!successors.is_empty(), "{code} leads nowhere");
        for next in successors {
            assert_eq!(communes.status(&next.code, after), CodeStatus::InForce, "{code} leads to {}", next.code);
            let back = communes.predecessors(&next.code, after);
            assert!(back.iter().any(|row| row.code == *code), "{} does not lead back to {code}", next.code);
            reached.insert(next.code.clone());
        }
    }
    assert_eq!(reached.len(), new.len(), "every commune of today comes from somewhere");
}

#[test]
fn impact_tells_what_a_new_edition_of_a_list_touches() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["shared.toml", "gialai-communes.csv", "provinces.csv", "personal-id-prefixes.csv", "ethnic-groups.csv"]
    {
        fs::copy(schemas().join("code-lists").join(name), folder.path().join(name)).expect("copied");
    }
    for name in ["religions.csv", "nationalities.csv"] {
        fs::copy(schemas().join("code-lists").join(name), folder.path().join(name)).expect("copied");
    }
    let impact = || {
        let output = Command::new(env!("CARGO_BIN_EXE_ldop"))
            .args(["impact", "--output", "json", "--against"])
            .args([schemas(), folder.path().to_owned()])
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    assert_eq!(impact()["impacts"], serde_json::json!([]), "the same lists touch nothing");

    let file = folder.path().join("gialai-communes.csv");
    let text = fs::read_to_string(&file).expect("readable");
    let row = "21553,Phường Quy Nhơn Bắc,Quy Nhon Bac Ward,2025-07-01,,";
    assert!(text.contains(row), "the row went missing");
    let ended = "21553,Phường Quy Nhơn Bắc,Quy Nhon Bac Ward,2025-07-01,2027-06-30,21583";
    fs::write(&file, text.replace(row, ended)).expect("writable");
    let impacts = impact();
    let impact = &impacts["impacts"][0];
    assert_eq!((&impact["code_list"], &impact["changes"][0]["change"]), (&"gialai-communes".into(), &"merged".into()));
    assert_eq!(impact["changes"][0]["valid_to"], "2027-06-30");
    let holds = |list: &str, key: &str, id: &str| {
        let all = impact[list].as_array().expect("a list");
        all.iter().any(|entry| entry == id || entry[key] == id)
    };
    assert!(holds("elements", "", "address.commune-code") && holds("datasets", "", "civil-status"), "{impact:#}");
    assert!(holds("schemas", "schema", "land-parcel") && holds("agreements", "agreement", "parcels-to-tax"));
    assert!(!holds("datasets", "", "databases"), "what does not hold the codes is left out");
}
