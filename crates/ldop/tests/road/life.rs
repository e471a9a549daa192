//! The whole life of an agreement with certificates of every role, and with every wrong one.

use super::*;

const ID: &str = "civil-status-to-police";

/// Issues a certificate, and tells the options that use it.
fn certificate(hub: &Hub, role: &str, who: &str) -> Vec<String> {
    let option = format!("--{role}");
    let issued = hub.json(&[&["pki", "issue", &option, who]], 0);
    let file = |key: &str| issued[key].as_str().expect("a file").to_owned();
    vec!["--cert".to_owned(), file("certificate"), "--key".to_owned(), file("key")]
}

fn words(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

/// A step, and the reason it was refused for.
fn step(hub: &Hub, by: &[String], step: &[&str]) -> Result<Value, String> {
    let output = hub.ldop(&[&["--output", "json", "agreement", step[0], ID], &step[1..], &words(by)]);
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).expect("JSON"));
    }
    let told: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    Err(told["error"]["reason"].as_str().unwrap_or_default().to_owned())
}

/// How the agreement stands in the list.
fn listed(hub: &Hub, by: &[String]) -> Vec<Value> {
    let all = hub.json(&[&["agreement", "list"], &words(by)], 0);
    let all = all["agreements"].as_array().expect("a list").clone();
    all.into_iter().filter(|agreement| agreement["agreement"] == ID).collect()
}

#[test]
fn an_agreement_goes_its_way_by_the_right_certificates_only() {
    let hub = Hub::start_with(|config| config.replace("approvals = \"not_required\"", "approvals = \"required\""));
    let applied = hub.json(&[&["apply", "schemas"]], 0);
    let again = hub.json(&[&["apply", "schemas"]], 0);
    assert_eq!((&again["created"], &again["changed"]), (&json!(0), &json!(0)), "a draft stands as it is");
    assert_eq!(again["unchanged"], applied["created"]);

    let operator = certificate(&hub, "operator", "so-khcn/van-hanh");
    let provider = certificate(&hub, "engineer", "so-tu-phap/an");
    let consumer = certificate(&hub, "engineer", "cong-an-tinh/binh");
    let other = certificate(&hub, "engineer", "so-nnmt/chi");
    let steward = certificate(&hub, "steward", "so-khcn/dung");
    let auditor = certificate(&hub, "auditor", "so-khcn/em");
    let system: Vec<String> =
        ["--cert", "pki/systems/cong-an-tinh/doi-soat.crt", "--key", "pki/systems/cong-an-tinh/doi-soat.key"]
            .map(ToOwned::to_owned)
            .to_vec();
    let subscribe = || hub.ldop(&[&["subscribe", "--agreement", ID, "--until-caught-up"], &words(&system)]);
    let refused = |reason: &str| {
        let output = subscribe();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains(reason), "{told}");
    };
    let role = Err("ROLE_MISSING".to_owned());
    let unfit = Err("AGREEMENT_STATE_UNFIT".to_owned());

    refused("AGREEMENT_NOT_LIVE");
    let draft = listed(&hub, &auditor);
    assert_eq!((&draft[0]["state"], &draft[0]["in_force"]), (&json!("draft"), &json!(false)));
    assert_eq!(draft[0]["awaited"], json!(["provider", "consumer", "steward"]));
    assert!(draft[0]["answer_due"].is_string());
    for by in [&operator, &other, &auditor] {
        assert_eq!(step(&hub, by, &["approve"]), role);
    }
    assert_eq!(step(&hub, &system, &["approve"]), Err("NOT_AN_OPERATOR".to_owned()));
    assert_eq!(step(&hub, &provider, &["start-testing"]), unfit);
    step(&hub, &provider, &["approve", "--version", "1"]).expect("for the provider");
    assert_eq!(step(&hub, &provider, &["approve"]), Err("APPROVED_ALREADY".to_owned()));
    step(&hub, &consumer, &["approve"]).expect("for the consumer");
    assert_eq!(step(&hub, &provider, &["start-testing"]), unfit, "the steward is missing");
    let agreed = step(&hub, &steward, &["approve"]).expect("for what is personal");
    assert_eq!(agreed["standing"]["waiting"], json!({ "version": 1, "state": "fields_agreed" }));
    for by in [&consumer, &other, &steward, &auditor] {
        assert_eq!(step(&hub, by, &["start-testing"]), role);
    }
    step(&hub, &provider, &["start-testing"]).expect("by its provider");
    refused("AGREEMENT_NOT_LIVE");
    assert_eq!(step(&hub, &consumer, &["go-live"]), role);
    step(&hub, &operator, &["go-live"]).expect("by an operator");
    assert!(subscribe().status.success(), "in force");
    assert_eq!(listed(&hub, &system)[0]["state"], "valid");

    for by in [&consumer, &other, &steward, &auditor] {
        assert_eq!(step(&hub, by, &["suspend", "--reason", "x"]), role);
    }
    step(&hub, &provider, &["suspend", "--reason", "sai địa bàn"]).expect("by its provider");
    refused("AGREEMENT_SUSPENDED");
    step(&hub, &operator, &["resume", "--reason", "đã sửa"]).expect("by an operator");
    step(&hub, &steward, &["review"]).expect("by a steward");
    assert!(subscribe().status.success(), "it goes on");

    // A changed version waits, is refused with its reason, and the one in force goes on.
    let file = hub.path().join("schemas/agreements/personal.toml");
    let text = fs::read_to_string(&file).expect("made");
    let changed = text.replace("Đối soát và cập nhật Cơ sở", "Đối soát, cập nhật Cơ sở");
    assert_ne!(changed, text);
    fs::write(&file, changed).expect("writable");
    let denied = hub.ldop(&[&["apply", "schemas"], &words(&other)]);
    let told = String::from_utf8_lossy(&denied.stderr).into_owned();
    assert!(told.contains("needs the role operator, or engineer of so-tu-phap or cong-an-tinh"), "{told}");
    assert_eq!(hub.json(&[&["apply", "schemas"], &words(&provider)], 0)["changed"], 1, "its own, in a whole folder");
    assert_eq!(step(&hub, &provider, &["approve"]), Err("APPROVED_BY_ITS_AUTHOR".to_owned()));
    step(&hub, &consumer, &["refuse", "--reason", "mục đích chưa rõ"]).expect("by a party");
    let both: Vec<Value> = listed(&hub, &auditor).iter().map(|a| json!([a["version"], a["state"]])).collect();
    assert_eq!(both, [json!([1, "valid"]), json!([2, "refused"])]);
    assert!(subscribe().status.success());
    let history = hub.ldop(&[&["agreement", "history", ID], &words(&auditor)]);
    let history = String::from_utf8_lossy(&history.stdout).into_owned();
    for expected in ["mục đích chưa rõ", "sai địa bàn", "engineer cong-an-tinh/binh", "go_live", "register"] {
        assert!(history.contains(expected), "{history}");
    }

    assert_eq!(step(&hub, &auditor, &["end"]), role);
    step(&hub, &consumer, &["end"]).expect("by a party");
    refused("AGREEMENT_ENDED");

    // What is not about agreements: operators' calls by other roles, and reading by all.
    let raise = hub.ldop(&[&["raise-level"], &words(&provider)]);
    assert!(String::from_utf8_lossy(&raise.stderr).contains("ROLE_MISSING"));
    for by in [&provider, &steward, &auditor] {
        hub.json(&[&["status"], &words(by)], 0);
    }
    let subscriptions = |by: &[String]| hub.json(&[&["status"], &words(by)], 0)["subscriptions"].clone();
    assert_eq!(subscriptions(&auditor), subscriptions(&operator));
    assert_eq!(subscriptions(&consumer), subscriptions(&operator), "those of its agency's systems");
    assert_eq!(subscriptions(&provider), json!([]));
}

#[test]
fn an_agreement_is_drafted_checked_and_compared_without_a_hub() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let run = |arguments: &[&str], code: i32| -> String {
        let output = command(folder.path(), arguments).output().expect("the binary runs");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}{}", String::from_utf8_lossy(&output.stderr));
        told
    };
    for dir in [".", "old"] {
        run(&["init", dir, "--force"], 0);
    }
    let new =
        ["agreement", "new", "births-to-tax", "--dataset", "civil-status", "--consumer", "thue-tinh/quan-ly-thue"];
    let draft = run(&[&new[..], &["--definitions", "schemas"]].concat(), 0);
    assert!(
        draft.contains("\"full_name\", # basic_personal") && draft.contains("\"ethnicity\", # sensitive_personal"),
        "{draft}"
    );
    let file = "schemas/agreements/new.toml";
    let check = ["agreement", "check", file, "--definitions", "schemas"];
    let write = |text: &str| fs::write(folder.path().join(file), text).expect("writable");
    write(&draft);
    let told = run(&check, 78);
    assert!(told.contains("purpose_vi") && told.contains("3 problems"), "{told}");
    let coded = |code: &str| {
        draft
            .replace("purpose_vi = \"\"", "purpose_vi = \"Thử\"")
            .replace("purpose = \"\"", &format!("purpose = \"{code}\""))
            .replace("legal_bases = []", "legal_bases = [\"decree-278-2025\"]")
    };
    assert!(draft.contains("\"tax-administration\"  Quản lý thuế"), "the codes there are: {draft}");
    write(&coded("tax-administratoin"));
    let told = run(&check, 78);
    assert!(told.contains("did you mean \"tax-administration\"?") && told.contains("1 problem"), "{told}");
    write(&coded("tax-administration"));
    run(&check, 0);
    let told = run(&["--output", "json", "agreement", "diff", "schemas", "--against", "old/schemas"], 0);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (&told["agreements"][0]["agreement"], &told["agreements"][0]["new"]),
        (&json!("births-to-tax"), &json!(true))
    );
    assert_eq!(told["agreements"].as_array().map(Vec::len), Some(1));
    let text = run(&["agreement", "diff", "schemas", "--against", "old/schemas"], 0);
    assert!(text.contains("more / thêm") && text.contains("1 agreement would grant otherwise"), "{text}");
}
