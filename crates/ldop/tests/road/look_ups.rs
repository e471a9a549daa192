//! `look-up` and `serve-look-ups` against each other.

use std::io::{BufRead as _, BufReader};

use super::*;

const LOOK_UP: [&str; 2] = ["look-up", "communes-to-tax"];

/// A provider that answers from a file. Killed on drop.
struct Provider(Child);

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_record_is_looked_up_in_a_file_by_the_command_line() {
    let hub = Hub::start();
    assert!(hub.ldop(&[&["apply", "schemas"]]).status.success());
    let key = ["code=21583"];

    // Nobody serves: told at once, with the exit code of what may work later.
    let nobody = hub.ldop(&[&LOOK_UP, &key, &CONSUMER]);
    let told = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert_eq!(nobody.status.code(), Some(75), "{told}");
    assert!(told.contains("LOOK_UP_NOT_SERVED"), "{told}");

    // The last of two records with one key counts; one without a key stands in nobody's way.
    hub.write("communes.jsonl", &jsonl(&[commune(1), json!({ "name": "no code" }), commune(2)]));
    let serve = ["--output", "json", "serve-look-ups", "communes.jsonl"];
    let arguments = [&serve[..], &DATASET, &PROVIDER].concat();
    let mut process = command(hub.path(), &arguments).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let _provider = Provider(process);
    let mut line =
        move || -> Value { serde_json::from_str(&lines.next().expect("goes on").expect("UTF-8")).expect("JSON lines") };
    let opened = line();
    assert_eq!((&opened["key_fields"], &opened["records"]), (&json!(["code"]), &json!(1)));

    let other = r#"{"code":"23575"}"#;
    let found = hub.json(&[&LOOK_UP, &key, &[other], &CONSUMER, &["--officer", "dvh", "--case", "7"]], 0);
    let [first, second] = &found["answers"].as_array().expect("a list")[..] else { panic!("{found:#}") };
    assert_eq!((&first["outcome"], &first["record"]["name"]), (&json!("found"), &json!("Quy Nhơn 2")));
    assert_eq!((&second["outcome"], &second["source"]), (&json!("not_found"), &json!("so-khcn/danh-muc")));
    let answered = line();
    assert_eq!((&answered["keys"], &answered["found"]), (&json!(2), &json!(1)));
    assert!(!answered.to_string().contains("21583"), "a key is shown: {answered}");

    let shown = hub.ldop(&[&LOOK_UP, &key, &CONSUMER]);
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    assert!(shown.contains("code=21583: found by so-khcn/danh-muc") && shown.contains("Quy Nhơn 2"), "{shown}");

    // What the hub says of the request is shown by field.
    let bad = hub.ldop(&[&LOOK_UP, &["name=x"], &CONSUMER]);
    let told = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert_eq!(bad.status.code(), Some(1), "{told}");
    assert!(told.contains("keys[0]: expected a JSON object with code"), "{told}");
    let usage = hub.ldop(&[&LOOK_UP, &["21583"], &CONSUMER]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("field=value"));

    // A system that does not provide the dataset answers for nobody.
    let refused = hub.ldop(&[&["serve-look-ups", "communes.jsonl"], &DATASET, &CONSUMER]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("NOT_A_PROVIDER"));
}
