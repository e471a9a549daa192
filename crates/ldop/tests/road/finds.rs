//! `find` by the secondary keys of the sample definitions.

use super::*;

const FIND: [&str; 2] = ["find", "commune-changes-to-tax"];

fn change(line: u32, old: &str, new: &str) -> Value {
    json!({
        "line": line, "old_code": old, "old_name": format!("Phường {old}"), "old_district": "Thành phố Quy Nhơn",
        "old_province": "Tỉnh Bình Định", "new_code": new, "new_name": "Phường Quy Nhơn Bắc", "effective_on": "2025-07-01",
        "remark": "dòng thử",
    })
}

/// Finds until the copy holds so many records: it follows the log by itself.
fn found(hub: &Hub, key: &str, records: usize) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = hub.ldop(&[&["--output", "json"], &FIND, &[key], &CONSUMER]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            let found: Value = serde_json::from_slice(&output.stdout).expect("one document");
            if found["records"].as_array().is_some_and(|found| found.len() == records) {
                return found;
            }
        } else {
            assert!(told.contains("COPY_NOT_READY"), "{told}");
            assert_eq!(output.status.code(), Some(75));
        }
        assert!(Instant::now() < deadline, "the copy does not answer: {told}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn records_are_found_by_a_value_by_the_command_line() {
    let hub = Hub::start();
    assert!(hub.ldop(&[&["apply", "schemas"]]).status.success());
    let changes = [change(1, "21559", "21553"), change(2, "21562", "21553"), change(3, "21583", "21583")];
    hub.write("changes.jsonl", &jsonl(&changes));
    let publish = ["publish", "changes.jsonl", "--dataset", "commune-changes", "--stage", "live"];
    let published = hub.ldop(&[&publish, &PROVIDER]);
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));

    let both = found(&hub, "new_code=21553", 2);
    assert_eq!((&both["more"], &both["records"][0]["source"]), (&json!(false), &json!("hub")));
    let names: Vec<_> = both["records"].as_array().expect("a list").iter().map(|r| &r["record"]["old_code"]).collect();
    assert_eq!(names, ["21559", "21562"]);
    assert!(!both.to_string().contains("dòng thử"), "a field that is not granted is shown: {both}");
    assert!(both["followed_time"].is_string() && both["exchange_id"].is_string());

    let one = hub.json(&[&FIND, &["new_code=21553", "--most", "1", "--officer", "dvh", "--case", "7"], &CONSUMER], 0);
    assert_eq!((one["records"].as_array().map(Vec::len), &one["more"]), (Some(1), &json!(true)));
    let shown = hub.ldop(&[&FIND, &["old_code=21583"], &CONSUMER]);
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    assert!(shown.contains("Phường 21583") && shown.contains("old_code=21583: 1 found, of what"), "{shown}");
    let none = hub.json(&[&FIND, &["old_code=99999"], &CONSUMER], 0);
    assert_eq!(none["records"], json!([]));

    // What cannot be searched by is told, with what can.
    for (agreement, key, told) in [
        ("commune-changes-to-tax", "old_name=x", "key: expected a JSON object with exactly old_code, or new_code"),
        ("communes-to-tax", "kind=ward", "COPY_NOT_KEPT"),
        ("no-such", "kind=ward", "AGREEMENT_UNKNOWN"),
    ] {
        let refused = hub.ldop(&[&["find", agreement, key], &CONSUMER]);
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
    let usage = hub.ldop(&[&FIND, &["old_code=1", "--most", "1001"], &CONSUMER]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_field_the_agreement_does_not_show_is_not_searched_by() {
    let hub = Hub::start();
    let file = hub.path().join("schemas/agreements/reference.toml");
    let text = fs::read_to_string(&file).expect("made");
    let begin = text.find("id = \"commune-changes-to-tax\"").expect("an agreement");
    let (before, after) = text.split_at(begin);
    let after = after.replacen("\"new_code\", ", "", 1);
    fs::write(&file, format!("{before}{after}")).expect("writable");
    assert!(hub.ldop(&[&["apply", "schemas"]]).status.success());
    let refused = hub.ldop(&[&FIND, &["new_code=21553"], &CONSUMER]);
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("FIELD_NOT_GRANTED") && stderr.contains("key.new_code"), "{stderr}");
}
