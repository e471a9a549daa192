//! `changes` and `export` against a hub.

use super::*;

const CHANGES: [&str; 5] = ["changes", "--agreement", "communes-to-tax", "--positions", "positions.json"];

fn publish(hub: &Hub, records: &[Value]) {
    hub.write("communes.jsonl", &jsonl(records));
    let published = hub.ldop(&[&["publish", "communes.jsonl"], &DATASET, &PROVIDER]);
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
}

/// A commune of its own.
fn another(code: &str) -> Value {
    let mut record = commune(1);
    record["code"] = code.into();
    record
}

fn changes(hub: &Hub, more: &[&str]) -> Vec<Value> {
    let output = hub.ldop(&[&CHANGES, &CONSUMER, more]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

#[test]
fn changes_go_on_where_the_positions_file_says() {
    let hub = Hub::start();
    assert!(hub.ldop(&[&["apply", "schemas"]]).status.success());
    publish(&hub, &[commune(1), another("23575")]);
    assert_eq!(changes(&hub, &["--count", "1"]).len(), 1);
    assert_eq!(changes(&hub, &[]).len(), 1);
    assert_eq!(changes(&hub, &[]), Vec::<Value>::new());
    publish(&hub, &[commune(2)]);
    let new = changes(&hub, &["--records-only"]);
    assert_eq!(new.iter().map(|record| &record["name"]).collect::<Vec<_>>(), ["Quy Nhơn 2"]);
    assert!(new[0].get("slug").is_none(), "not granted");
    // Since a time, without a file.
    let since = |time: &str| {
        let arguments = ["changes", "--agreement", "communes-to-tax", "--since", time];
        let output = hub.ldop(&[&arguments, &CONSUMER]);
        String::from_utf8(output.stdout).expect("UTF-8").lines().count()
    };
    assert_eq!((since("2020-01-01T00:00:00Z"), since("2100-01-01T00:00:00Z")), (3, 0));
    // Positions of another agreement are not these.
    let other = ["changes", "--agreement", "communes-to-police", "--positions", "positions.json"];
    assert_eq!(hub.ldop(&[&other, &CONSUMER]).status.code(), Some(2));
    // The agreement does not grant the mode.
    let consumer = ["--cert", "pki/systems/bhxh-tinh/tiep-nhan.crt", "--key", "pki/systems/bhxh-tinh/tiep-nhan.key"];
    let refused = hub.ldop(&[&["changes", "--agreement", "communes-to-social-insurance"], &consumer]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("MODE_NOT_GRANTED"));
}

#[test]
fn a_package_is_exported_in_every_format_and_can_be_checked() {
    let hub = Hub::start();
    assert!(hub.ldop(&[&["apply", "schemas"]]).status.success());
    publish(&hub, &[commune(1), another("23575"), commune(2)]);
    for format in ["jsonl", "csv", "parquet"] {
        let export = ["export", "--agreement", "communes-to-tax", "--format", format, "--to", format];
        let manifest = hub.json(&[&export, &CONSUMER], 0);
        assert_eq!((&manifest["records"], &manifest["agreement"]), (&json!(3), &json!("communes-to-tax")));
        assert_eq!((&manifest["source"], &manifest["schema_versions"]), (&json!("log"), &json!([1])));
        let checked = hub.json(&[&["export", "check", format]], 0);
        assert_eq!(checked, json!({ "right": true, "records": 3, "problems": [] }));
        // It is there: not written over.
        assert_eq!(hub.ldop(&[&export, &CONSUMER]).status.code(), Some(73));
    }
    let text = fs::read_to_string(hub.path().join("csv/part-00001.csv")).expect("there");
    assert!(text.starts_with("code,name,full_name,"), "{text}");
    assert!(text.contains("21583,Quy Nhơn 2,Phường Quy Nhơn,"), "texts are texts, not JSON: {text}");
    // One byte is enough to be found out.
    let file = hub.path().join("jsonl/part-00001.jsonl");
    let altered = fs::read_to_string(&file).expect("there").replacen("21583", "21584", 1);
    fs::write(&file, altered).expect("written");
    let checked = hub.json(&[&["export", "check", "jsonl"]], 1);
    assert_eq!(checked["right"], json!(false));
    assert!(!checked["problems"].as_array().expect("a list").is_empty());
    let told = hub.ldop(&[&["export", "check", "jsonl"]]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("đã bị thay đổi"));
}

#[test]
fn the_same_command_goes_on_with_an_export_that_was_killed() {
    const RECORDS: u32 = 20_000;
    let hub = Hub::start();
    assert!(hub.ldop(&[&["apply", "schemas"]]).status.success());
    publish(&hub, &(0..RECORDS).map(commune).collect::<Vec<_>>());
    // A file for each message, each on the disk before the next: it takes a while.
    let export =
        ["export", "--agreement", "communes-to-tax", "--format", "csv", "--to", "cut", "--records-per-file", "1"];
    let state = hub.path().join("cut/export.partial.json");
    let has_begun = || {
        let state: Value = serde_json::from_slice(&fs::read(&state).ok()?).ok()?;
        state["manifest"]["files"].as_array().filter(|files| !files.is_empty()).map(|_| ())
    };
    let mut is_cut = false;
    for _ in 0..20 {
        let mut process = command(hub.path(), &[&export[..], &CONSUMER].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        while has_begun().is_none() && process.try_wait().expect("ours").is_none() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        process.kill().expect("killed");
        process.wait().expect("ours");
        if state.exists() {
            is_cut = true;
            break;
        }
        // It was faster than we were.
        fs::remove_dir_all(hub.path().join("cut")).expect("removed");
    }
    assert!(is_cut);
    assert_eq!(hub.ldop(&[&["export", "check", "cut"]]).status.code(), Some(1));
    let manifest = hub.json(&[&export, &CONSUMER], 0);
    assert_eq!(manifest["records"], json!(RECORDS));
    let calls = manifest["calls"].as_array().expect("a list");
    assert_eq!((calls.len(), &calls[1]["resumed"]), (2, &json!(true)));
    let checked = hub.json(&[&["export", "check", "cut"]], 0);
    assert_eq!((&checked["right"], &checked["records"]), (&json!(true), &json!(RECORDS)));
}
