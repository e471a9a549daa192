//! The binary as people run it: what it writes, and how it ends.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// Runs `ldop` in a folder, without the environment's own settings.
fn ldop(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldop"));
    command.current_dir(folder).args(arguments);
    for variable in ["HUB", "CA", "CERT", "KEY", "SERVER_NAME", "CONFIG", "PATIENCE"] {
        command.env_remove(format!("LDOP_{variable}"));
    }
    command.output().expect("the binary runs")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[track_caller]
fn exits(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "stdout: {}\nstderr: {}", out(output), err(output));
}

/// A folder made by `ldop init`.
fn province() -> TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    exits(&ldop(folder.path(), &["init", "."]), 0);
    folder
}

#[test]
fn what_init_makes_is_right_and_is_not_made_twice() {
    let folder = province();
    for file in ["ldop.toml", "README.md", ".gitignore", "pki/ca.key", "pki/systems/so-tu-phap/ho-tich.crt"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
    let check = ldop(folder.path(), &["check"]);
    exits(&check, 0);
    assert!(out(&check).contains("ldop.toml: right"), "{}", out(&check));

    let key = fs::read(folder.path().join("pki/ca.key")).expect("made");
    exits(&ldop(folder.path(), &["init", "."]), 73);
    assert_eq!(fs::read(folder.path().join("pki/ca.key")).expect("still there"), key);
    exits(&ldop(folder.path(), &["init", ".", "--force"]), 0);
    assert_ne!(fs::read(folder.path().join("pki/ca.key")).expect("made anew"), key);
}

#[test]
fn a_credential_is_shown_once_and_its_file_is_one_the_hub_takes() {
    let folder = province();
    let make = |name: &str, kind: &str, id: &str| {
        ldop(folder.path(), &["registry", "credential", name, kind, id, "--output", "json"])
    };
    let made = make("connect", "--operator", "so-khcn/connect");
    exits(&made, 0);
    let secret = serde_json::from_str::<Value>(&out(&made)).expect("JSON")["secret"].as_str().unwrap_or("").to_owned();
    assert_eq!(secret.len(), 64);
    exits(&make("console", "--system", "vp-ubnd/ioc"), 0);
    exits(&make("connect", "--operator", "so-khcn/other"), 2);
    exits(&make("a:b", "--operator", "so-khcn/other"), 2);
    exits(&make("c", "--operator", "no agency"), 2);
    let file = folder.path().join("registry-credentials.toml");
    let text = fs::read_to_string(&file).expect("made");
    assert_eq!(text.matches("[[credential]]").count(), 2);
    assert!(!text.contains(&secret));
    let config = folder.path().join("ldop.toml");
    let with = fs::read_to_string(&config).expect("made").replace("# credentials =", "credentials =");
    fs::write(&config, with).expect("written");
    exits(&ldop(folder.path(), &["check"]), 0);
    fs::write(&file, text.replace("operator =", "role =")).expect("written");
    let check = ldop(folder.path(), &["check"]);
    exits(&check, 78);
    assert!(out(&check).contains("registry.credentials"), "{}", out(&check));
}

#[test]
fn check_looks_at_the_key_file_of_current_copies() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("temporary folder");
    exits(&ldop(folder.path(), &["init", "."]), 0);
    let config = folder.path().join("ldop.toml");
    let text = fs::read_to_string(&config).expect("made") + "\n[current_copy]\nkey_file = \"copies.key\"\n";
    fs::write(&config, text).expect("written");
    let file = folder.path().join("copies.key");
    for (key, mode, code) in [
        (Some("5a".repeat(32)), 0o600, 0),
        (Some("5a".repeat(32)), 0o644, 78),
        (Some("5a".into()), 0o600, 78),
        (None, 0, 78),
    ] {
        match &key {
            Some(key) => {
                fs::write(&file, key).expect("written");
                fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
            }
            None => fs::remove_file(&file).expect("removed"),
        }
        let check = ldop(folder.path(), &["check"]);
        exits(&check, code);
        assert_eq!(out(&check).contains("current_copy.key_file"), code != 0, "{}", out(&check));
    }
}

#[test]
fn init_refuses_names_no_server_can_have() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let output = ldop(folder.path(), &["init", "x", "--server-name", "hub gialai"]);
    exits(&output, 2);
    assert!(err(&output).contains("hub gialai"));
    assert!(!folder.path().join("x").exists(), "nothing is begun");
}

#[test]
fn check_says_everything_at_once_in_both_forms() {
    let folder = province();
    let config = fs::read_to_string(folder.path().join("ldop.toml")).expect("made");
    let config = config.replace("engine = \"embedded\"", "engine = \"sqlite\"").replace("[drain]", "[drian]");
    fs::write(folder.path().join("ldop.toml"), config).expect("writable");
    let agencies = folder.path().join("schemas/catalog/agencies.toml");
    let text = fs::read_to_string(&agencies).expect("made");
    fs::write(&agencies, format!("{text}\n[[agency]]\nid = \"so-x\"\n")).expect("writable");

    let output = ldop(folder.path(), &["check"]);
    exits(&output, 78);
    let text = out(&output);
    assert!(text.contains("log.engine: \"sqlite\" stands here; expected one of \"embedded\", \"kafka\""), "{text}");
    assert!(text.contains("drian: unknown key; expected a known key; did you mean \"drain\"?"), "{text}");
    assert!(text.contains("agency.name_vi: the key is missing"), "{text}");
    assert!(text.ends_with("3 problems\n"), "{text}");

    let output = ldop(folder.path(), &["check", "--output", "json"]);
    exits(&output, 78);
    let json: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(json["ok"], false);
    let problems = json["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 3);
    assert!(problems.iter().all(|problem| problem["line"].as_u64() > Some(0)), "{json}");
}

#[test]
fn check_looks_at_the_files_the_configuration_names() {
    let folder = province();
    fs::copy(folder.path().join("pki/ca.key"), folder.path().join("pki/server.key")).expect("writable");
    let output = ldop(folder.path(), &["check"]);
    exits(&output, 78);
    assert!(out(&output).contains("tls.key: pki/server.key is not the key of pki/server.crt"), "{}", out(&output));

    fs::remove_file(folder.path().join("pki/ca.crt")).expect("ours");
    fs::write(folder.path().join("pki/server.crt"), "nothing").expect("writable");
    let text = out(&ldop(folder.path(), &["check"]));
    assert!(text.contains("tls.ca: pki/ca.crt cannot be read"), "{text}");
    assert!(text.contains("tls.cert: pki/server.crt is not well-formed PEM of certificates"), "{text}");
}

#[cfg(unix)]
#[test]
fn check_notices_a_key_that_everybody_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = province();
    let key = folder.path().join("pki/server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("ours");
    let output = ldop(folder.path(), &["check"]);
    exits(&output, 78);
    assert!(out(&output).contains("open to everybody (mode 0644)"), "{}", out(&output));
}

#[test]
fn check_can_look_at_definitions_or_a_client_alone() {
    let folder = province();
    exits(&ldop(folder.path(), &["check", "schemas"]), 0);
    exits(&ldop(folder.path(), &["check", "schemas/agreements"]), 78);
    exits(&ldop(folder.path(), &["check", "--partial", "schemas/agreements"]), 0);

    let empty = tempfile::tempdir().expect("temporary folder");
    exits(&ldop(empty.path(), &["check"]), 2);
    fs::write(empty.path().join("ldop.toml"), "[client]\nhub = \"http://hub:7443\"\n").expect("writable");
    let output = ldop(empty.path(), &["check"]);
    exits(&output, 78);
    assert!(out(&output).contains("client.hub: \"http://hub:7443\" stands here; expected an address"));
}

#[test]
fn schema_diff_tells_every_difference_and_refuses_what_is_not_proven() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writable");
    let ldop = |arguments: &[&str]| ldop(folder.path(), arguments);
    write("old.json", r#"{"type": "object", "properties": {"name": {"type": "string", "maxLength": 50}}}"#);
    write("new.json", r#"{"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}}}"#);

    let output = ldop(&["schema", "diff", "old.json", "new.json"]);
    exits(&output, 1);
    let text = out(&output);
    assert!(text.contains("MAX_LENGTH_DECREASED") && text.contains("INCOMPATIBLE"), "{text}");
    assert!(text.contains("giảm độ dài tối đa") && text.contains("the greatest length was lowered"), "{text}");
    assert!(text.ends_with("not compatible (BACKWARD, STRICT): 1 difference, 1 in the way\n"), "{text}");

    let arguments = ["schema", "diff", "old.json", "new.json", "--mode", "forward", "--policy", "lenient"];
    let output = ldop(&[&arguments[..], &["--output", "json"]].concat());
    exits(&output, 0);
    let json: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(
        (&json["compatible"], &json["mode"], &json["policy"]),
        (&true.into(), &"FORWARD".into(), &"LENIENT".into())
    );
    assert_eq!(json["differences"][0]["pointer"], "/properties/name/maxLength");
    assert_eq!(json["differences"][0]["severity"], "COMPATIBLE");
    exits(&ldop(&["schema", "diff", "old.json", "old.json", "--mode", "FULL_TRANSITIVE"]), 0);

    write("broken.json", "{\n  \"$ref\": \"https://example.org/x\"\n}");
    let output = ldop(&["schema", "diff", "old.json", "broken.json"]);
    exits(&output, 78);
    assert!(err(&output).contains("broken.json:2:11: /$ref"), "{}", err(&output));
    exits(&ldop(&["schema", "diff", "old.json", "gone.json"]), 78);
    exits(&ldop(&["schema", "diff", "old.json"]), 2);
    exits(&ldop(&["schema", "diff", "old.json", "new.json", "--mode", "SIDEWAYS"]), 2);
    exits(&ldop(&["schema", "diff", "old.json", "new.json", "--registered", "x"]), 2);
}

#[test]
fn schema_lint_gives_errors_and_advice_in_three_forms() {
    let folder = province();
    let ldop = |arguments: &[&str]| ldop(folder.path(), arguments);
    let output = ldop(&["schema", "lint"]);
    exits(&output, 0);
    assert!(out(&output).contains("0 errors"), "{}", out(&output));

    // Advice alone is no failure.
    let open =
        r#"{"type": "object", "properties": {"code": {"type": "string", "x-ldop-element": "address.commune-code"}}}"#;
    fs::write(folder.path().join("schemas/open.schema.json"), open).expect("writable");
    let output = ldop(&["schema", "lint", "--output", "json"]);
    exits(&output, 0);
    let json: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let of_open = |json: &Value| -> Vec<Value> {
        let findings = json["findings"].as_array().expect("a list").iter();
        findings.filter(|finding| finding["file"] == "schemas/open.schema.json").map(|f| f["rule"].clone()).collect()
    };
    assert_eq!(of_open(&json), ["ADVICE_NOTHING_REQUIRED", "ADVICE_NO_EXAMPLE", "ADVICE_OPEN_CONTENT"]);
    let first = &json["findings"][0];
    assert!(first["message"]["vi"].is_string() && first["remedy"]["en"].is_string(), "{first}");

    // An error is told with its rule and line, and nothing else of the folder changes.
    let broken = "{\"type\": \"object\",\n \"properties\": {\n  \"x\": {\"type\": \"string\"}}}";
    fs::write(folder.path().join("schemas/không ràng buộc.schema.json"), broken).expect("writable");
    fs::write(folder.path().join("schemas/open.schema.json"), broken).expect("writable");
    let output = ldop(&["schema", "lint", "--format", "sarif"]);
    exits(&output, 78);
    let json: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(json["version"], "2.1.0");
    let run = &json["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "ldop");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("a list");
    let results = run["results"].as_array().expect("a list");
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("a number")).expect("small");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(matches!(result["level"].as_str(), Some("error" | "warning")), "{result}");
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{result}");
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["region"]["startLine"].as_u64() > Some(0), "{result}");
        assert!(place["artifactLocation"]["uri"].as_str().is_some_and(|uri| uri.is_ascii()), "{result}");
    }
    let of = |uri: &str, rule: &str| {
        let is =
            |r: &&Value| r["ruleId"] == rule && r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri;
        results.iter().find(is).map(|result| (result["level"].clone(), result["locations"][0].clone()))
    };
    let (level, place) = of("schemas/open.schema.json", "SCHEMA_UNBOUND").expect("told");
    assert_eq!((level, &place["physicalLocation"]["region"]["startLine"]), ("error".into(), &3.into()));
    let misnamed = "schemas/kh%C3%B4ng%20r%C3%A0ng%20bu%E1%BB%99c.schema.json";
    assert!(of(misnamed, "DEFINITION").is_some(), "{json:#}");
}

#[test]
fn schema_test_counts_the_examples_of_each_schema() {
    let folder = province();
    let ldop = |arguments: &[&str]| ldop(folder.path(), arguments);
    let tests = |code: i32| -> Value {
        let output = ldop(&["schema", "test", "--output", "json"]);
        exits(&output, code);
        serde_json::from_slice(&output.stdout).expect("one document")
    };
    let of = |json: &Value, name: &str| -> Value {
        let schemas = json["schemas"].as_array().expect("a list");
        schemas.iter().find(|schema| schema["name"] == name).expect("listed").clone()
    };
    let right = of(&tests(0), "business");
    assert_eq!((&right["compiled"], &right["accepted"]["failed"]), (&true.into(), &0.into()));
    assert!(right["accepted"]["run"].as_u64() > Some(2) && right["rejected"]["run"].as_u64() > Some(5), "{right}");

    let example = folder.path().join("schemas/records/business.accepted/empty.json");
    fs::write(&example, "{}").expect("writable");
    fs::write(folder.path().join("schemas/records/commune.schema.json"), "{\"$ref\": \"x\"}").expect("writable");
    let wrong = tests(78);
    assert_eq!(of(&wrong, "business")["accepted"]["failed"], 1);
    assert_eq!(of(&wrong, "business")["rejected"], right["rejected"]);
    assert_eq!(of(&wrong, "commune")["compiled"], false);
    let text = out(&ldop(&["schema", "test"]));
    assert!(text.contains("1 failed") && text.contains("not compiled"), "{text}");
    assert!(
        text.contains("business.accepted/empty.json:1:1: business /tax_id: the record is rejected: REQUIRED"),
        "{text}"
    );
    exits(&ldop(&["schema", "test", "gone"]), 78);
}

#[test]
fn agreement_simulate_tells_what_a_consumer_would_see_and_why() {
    let folder = province();
    let record = "schemas/records/civil-status.accepted/birth-without-father.json";
    let simulate = |id: &str, record: &str, output: &str| {
        let arguments = ["agreement", "simulate", id, record, "--definitions", "schemas", "--output", output];
        ldop(folder.path(), &arguments)
    };
    let shown = simulate("civil-status-of-an-area-to-ioc", record, "json");
    exits(&shown, 0);
    let told: Value = serde_json::from_str(&out(&shown)).expect("JSON");
    let published: Value =
        serde_json::from_slice(&fs::read(folder.path().join(record)).expect("there")).expect("a record");
    assert_eq!((told["accepted"].as_bool(), told["shown"].as_bool()), (Some(true), Some(true)));
    assert_eq!(told["record"]["birth_date"].as_str(), published["birth_date"].as_str().and_then(|day| day.get(..4)));
    assert_eq!(told["why"]["mother"], "not granted");
    let personal_id = published["personal_id"].as_str().expect("a text");
    assert!(
        !out(&shown).contains(personal_id) && !out(&shown).contains(published["full_name"].as_str().expect("a text"))
    );

    let text = simulate("civil-status-of-an-area-to-ioc", record, "text");
    assert!(
        out(&text).contains("masked: the year only") && out(&text).contains("the record is shown"),
        "{}",
        out(&text)
    );
    let elsewhere = fs::read_to_string(folder.path().join(record)).expect("there").replace("\"21583\"", "\"21556\"");
    fs::write(folder.path().join("elsewhere.json"), elsewhere).expect("writable");
    let withheld: Value =
        serde_json::from_str(&out(&simulate("civil-status-of-an-area-to-ioc", "elsewhere.json", "json")))
            .expect("JSON");
    assert_eq!((withheld["shown"].as_bool(), &withheld["record"]), (Some(false), &Value::Null));

    let unknown = simulate("no-such", record, "text");
    exits(&unknown, 2);
    assert!(err(&unknown).contains("civil-status-to-police"), "{}", err(&unknown));
    fs::write(folder.path().join("list.json"), "[1]").expect("writable");
    exits(&simulate("civil-status-to-police", "list.json", "text"), 2);
    exits(&simulate("civil-status-to-police", "nowhere.json", "text"), 74);
}

#[test]
fn schema_new_writes_what_lint_and_check_take() {
    let folder = province();
    let ldop = |arguments: &[&str]| ldop(folder.path(), arguments);
    let fields = [
        "--field=personal_id=person.personal-id",
        "--field=full_name=person.full-name",
        "--field=home.commune_code=address.commune-code",
        "--field=home.longitude=geography.longitude",
        "--field=children[].full_name=person.full-name",
        "--field=remarks[]=reference.remark",
    ];
    let new = |more: &[&str]| ldop(&[&["schema", "new", "--name", "resident"], &fields[..], more].concat());
    let output = new(&["--required", "full_name,home.commune_code", "--key", "personal_id"]);
    exits(&output, 0);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let name = &json["properties"]["full_name"];
    assert_eq!((&name["title"], &name["x-ldop-element"]), (&"Họ và tên".into(), &"person.full-name".into()));
    assert_eq!(name.as_object().map(serde_json::Map::len), Some(2), "nothing of the element is repeated: {name}");
    assert_eq!(json["properties"]["home"]["properties"]["longitude"]["type"], "number");
    assert_eq!(json["required"], serde_json::json!(["personal_id", "full_name"]));
    assert_eq!(json["properties"]["home"]["required"], serde_json::json!(["commune_code"]));
    let items = &json["properties"]["children"]["items"];
    assert_eq!((&items["additionalProperties"], &json["additionalProperties"]), (&false.into(), &false.into()));
    assert!(err(&output).contains("key_fields = [\"personal_id\"]"), "{}", err(&output));

    // What is written is right, enforces its elements, and is not written over.
    exits(&new(&["--required", "full_name", "--write"]), 0);
    exits(&new(&["--write"]), 73);
    let records = folder.path().join("schemas/records");
    fs::create_dir(records.join("resident.accepted")).expect("writable");
    fs::create_dir(records.join("resident.rejected")).expect("writable");
    let accepted = r#"{"full_name": "Đặng Quốc Bảo", "home": {"longitude": 109.2}, "remarks": ["Thử"]}"#;
    fs::write(records.join("resident.accepted/one.json"), accepted).expect("writable");
    let rejected = r#"{"record": {"full_name": 3, "home": {"longitude": 200}, "x": 1}, "expect": [
        {"pointer": "/full_name", "rule": "TYPE"}, {"pointer": "/home/longitude", "rule": "MAXIMUM"},
        {"pointer": "", "rule": "NOT_PERMITTED"}]}"#;
    fs::write(records.join("resident.rejected/two.json"), rejected).expect("writable");
    exits(&ldop(&["check", "schemas"]), 0);
    let lint = ldop(&["schema", "lint"]);
    exits(&lint, 0);
    assert!(!out(&lint).contains("resident.schema.json"), "{}", out(&lint));

    // Everything wrong with a request is said at once.
    let arguments =
        ["schema", "new", "--name", "Resident", "--field", "a=person.full-nam", "--field", "a.b=person.sex"];
    let output = ldop(&arguments);
    exits(&output, 2);
    let text = err(&output);
    assert!(text.contains("did you mean \"person.full-name\"?") && text.contains("is not a schema name"), "{text}");
    exits(&new(&["--required", "nothing"]), 2);
    exits(&new(&["--key", "home.commune_code"]), 2);
    exits(&new(&["--field", "full_name=person.full-name"]), 2);
    exits(&ldop(&["schema", "new", "--name", "x", "--field", "a"]), 2);
}

#[test]
fn schema_infer_proposes_elements_by_name_and_content_and_shows_no_value() {
    let folder = province();
    let ldop = |arguments: &[&str]| ldop(folder.path(), arguments);
    let infer = |arguments: &[&str]| -> Value {
        let output = ldop(&[&["schema", "infer", "--output", "json"], arguments].concat());
        exits(&output, 0);
        assert!(!out(&output).contains("052079004561") && !out(&output).contains("Quốc"), "{}", out(&output));
        serde_json::from_slice(&output.stdout).expect("one document")
    };
    let field = |json: &Value, name: &str| -> Value {
        let fields = json["fields"].as_array().expect("a list");
        fields.iter().find(|field| field["field"] == name).unwrap_or_else(|| panic!("{name}: {json:#}")).clone()
    };
    let csv =
        "HoVaTen,cot_1,so_luong,noi_o.ma_xa\nĐặng Quốc Bảo,052079004561,3,21583\nNguyễn Thị Hoa,052079004561,,23575\n";
    fs::write(folder.path().join("Cư dân.csv"), csv).expect("writable");
    exits(&ldop(&["schema", "infer", "Cư dân.csv", "--name", "Cư dân"]), 2);
    let json = infer(&["Cư dân.csv", "--name", "resident"]);
    assert_eq!(json["records"], 2);
    let name = field(&json, "HoVaTen");
    assert_eq!(name["element"], "person.full-name", "{name}");
    assert!(name["candidates"][0]["reason"]["en"].as_str().is_some_and(|reason| reason.contains("named like")));
    // No name says so, but every value passes the rule of an identifier; which one of several, is for people to say.
    let id = field(&json, "cot_1");
    assert_eq!(id["element"], Value::Null, "{id}");
    assert_eq!(id["candidates"][0]["reason"]["en"], "2 of 2 values fit its identifier");
    assert_eq!(field(&json, "noi_o.ma_xa")["element"], "address.commune-code");
    let count = field(&json, "so_luong");
    assert_eq!(
        (&count["types"], &count["present"], &count["of"]),
        (&serde_json::json!(["integer"]), &1.into(), &2.into())
    );
    assert_eq!(json["schema"]["required"], serde_json::json!(["HoVaTen", "cot_1", "noi_o"]));

    let lines = r#"{"full_name": "Đặng Quốc Bảo", "children": [{"birth_date": "2015-05"}, {"birth_date": "2018-01-02"}], "by_id": {"052079004561": 1}}"#;
    fs::write(folder.path().join("resident.jsonl"), format!("{lines}\n\n{lines}\n")).expect("writable");
    let json = infer(&["resident.jsonl"]);
    assert_eq!((&json["records"], &json["unnamed"]), (&2.into(), &2.into()));
    let birth = field(&json, "children[].birth_date");
    assert_eq!((&birth["element"], &birth["present"]), (&"person.birth-date".into(), &4.into()), "{birth}");
    exits(&ldop(&["schema", "infer", "resident.jsonl", "--write"]), 0);
    let text = fs::read_to_string(folder.path().join("schemas/records/resident.schema.json")).expect("written");
    assert!(text.contains("\"x-ldop-element\": \"person.birth-date\""), "{text}");

    fs::write(folder.path().join("broken.jsonl"), "{}\n{\"x\": Quốc}\n").expect("writable");
    let output = ldop(&["schema", "infer", "broken.jsonl"]);
    exits(&output, 78);
    assert!(err(&output).contains("broken.jsonl:2: not a JSON object") && !err(&output).contains("Quốc"));
    exits(&ldop(&["schema", "infer", "gone.csv"]), 78);
}

#[test]
fn pki_issues_what_show_tells_and_overwrites_nothing_unasked() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let ldop = |arguments: &[&str]| ldop(folder.path(), arguments);
    exits(&ldop(&["pki", "issue", "--system", "a/b"]), 74); // there is no authority yet
    exits(&ldop(&["pki", "init", "--server-name", "hub.example"]), 0);
    exits(&ldop(&["pki", "init"]), 73);
    let issued = ldop(&["pki", "issue", "--system", "so-tu-phap/ho-tich", "--output", "json"]);
    exits(&issued, 0);
    let json: Value = serde_json::from_slice(&issued.stdout).expect("one document");
    assert_eq!(json["identity"], "spiffe://ldop.gialai.example/agency/so-tu-phap/system/ho-tich");
    let certificate = json["certificate"].as_str().expect("a path").to_owned();
    exits(&ldop(&["pki", "issue", "--system", "so-tu-phap/ho-tich"]), 73);
    exits(&ldop(&["pki", "issue", "--system", "so-tu-phap/ho-tich", "--force"]), 0);
    exits(&ldop(&["pki", "issue", "--operator", "so-khcn/an", "--days", "1"]), 0);

    let show = ldop(&["pki", "show", &certificate, "pki/server.crt", "pki/ca.crt"]);
    exits(&show, 0);
    let text = out(&show);
    assert!(text.contains("spiffe://ldop.gialai.example/agency/so-tu-phap/system/ho-tich"), "{text}");
    assert!(text.contains("89 days left") && text.contains("hub.example") && text.contains("an authority"), "{text}");
}

#[test]
fn pki_refuses_what_cannot_be() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let ldop = |arguments: &[&str]| ldop(folder.path(), arguments);
    exits(&ldop(&["pki", "init"]), 0);
    for arguments in [
        &["pki", "issue"][..],
        &["pki", "issue", "--system", "so-tu-phap"],
        &["pki", "issue", "--system", "So Tu Phap/x"],
        &["pki", "issue", "--system", "a/b", "--operator", "a/c"],
        &["pki", "issue", "--system", "a/b", "--trust-domain", "Gia Lai"],
        &["pki", "issue", "--system", "a/b", "--days", "0"],
        &["pki", "show"],
    ] {
        exits(&ldop(arguments), 2);
    }
    exits(&ldop(&["pki", "show", "gone.crt"]), 74);
    fs::write(folder.path().join("broken.crt"), "nothing").expect("writable");
    let output = ldop(&["pki", "show", "broken.crt"]);
    exits(&output, 2);
    assert!(err(&output).contains("broken.crt"));
    let output = ldop(&["pki", "show", "pki/ca.key"]);
    assert!(!err(&output).contains("PRIVATE KEY") && !out(&output).contains("PRIVATE KEY"));
}

#[test]
fn without_a_hub_client_commands_say_so_and_end_in_time() {
    let folder = province();
    // Nothing listens on this port: it was bound a moment ago and is free again.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let hub = format!("https://127.0.0.1:{port}");
    let output = ldop(folder.path(), &["status", "--hub", &hub, "--patience", "1"]);
    exits(&output, 3);
    assert!(err(&output).contains("cannot reach") && err(&output).contains("refused"), "{}", err(&output));
    let output = ldop(folder.path(), &["status", "--hub", &hub, "--patience", "1", "--output", "json"]);
    exits(&output, 3);
    let json: Value = serde_json::from_slice(&output.stderr).expect("one document");
    assert_eq!(json["error"]["exit_code"], 3);
}

#[test]
fn serve_without_a_broker_says_so_with_a_code_of_its_own() {
    let folder = province();
    let path = folder.path().join("ldop.toml");
    let text = fs::read_to_string(&path).expect("made");
    // Nothing listens on port 1.
    let kafka = "engine = \"kafka\"\n\n[log.kafka]\nbootstrap = [\"127.0.0.1:1\"]";
    assert_eq!(text.matches("engine = \"embedded\"").count(), 1);
    fs::write(&path, text.replace("engine = \"embedded\"", kafka)).expect("write");
    let output = ldop(folder.path(), &["serve"]);
    exits(&output, 69);
    assert!(err(&output).contains("no kafka broker reached: 127.0.0.1:1"), "{}", err(&output));
}

#[test]
fn client_commands_say_what_is_not_given() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let output = ldop(folder.path(), &["status"]);
    exits(&output, 2);
    assert!(err(&output).contains("--hub") && err(&output).contains("LDOP_HUB"), "{}", err(&output));
    let output = ldop(folder.path(), &["status", "--hub", "hub:7443"]);
    exits(&output, 2);
    assert!(err(&output).contains("https://host:port"));
    let arguments = ["status", "--hub", "https://hub:7443", "--ca", "gone", "--cert", "gone", "--key", "gone"];
    let output = ldop(folder.path(), &arguments);
    exits(&output, 74);
    assert!(err(&output).contains("gone"));
}

#[test]
fn apply_and_publish_look_at_their_input_before_they_connect() {
    let folder = province();
    fs::write(folder.path().join("schemas/dictionary/x.toml"), "[[elemnt]]\n").expect("writable");
    let output = ldop(folder.path(), &["apply", "schemas"]);
    exits(&output, 78);
    assert!(err(&output).contains("schemas/dictionary/x.toml:1:3: elemnt: unknown key"), "{}", err(&output));
    let publish = |file: &str, more: &[&str]| {
        let mut arguments = vec!["publish", file, "--dataset", "communes", "--stage", "live"];
        arguments.extend(more);
        ldop(folder.path(), &arguments)
    };
    exits(&publish("gone.jsonl", &[]), 74);
    exits(&publish("schemas", &[]), 2);
    exits(&publish("ldop.toml", &["--delimiter", "ab"]), 2);
    exits(&ldop(folder.path(), &["publish", "x", "--dataset", "Communes", "--stage", "live"]), 2);
    exits(&ldop(folder.path(), &["publish", "x", "--dataset", "communes"]), 2);
    exits(&ldop(folder.path(), &["exchange", "17", "--dataset", "communes", "--stage", "live"]), 2);
    exits(&ldop(folder.path(), &["subscribe", "--agreement", "x", "--from", "yesterday"]), 2);
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let output = ldop(folder.path(), &["--help"]);
    exits(&output, 0);
    assert!(out(&output).contains("Exit codes:") && out(&output).contains("ldop init province"));
    for command in ["init", "check", "apply", "publish", "subscribe", "status", "exchange", "pki", "schema", "plan"] {
        let output = ldop(folder.path(), &[command, "--help"]);
        exits(&output, 0);
        assert!(out(&output).contains("Examples:"), "{command}");
    }
    for command in
        ["lint", "test", "diff", "list", "show", "versions", "approve", "deprecate", "retire", "delete", "settings"]
    {
        let output = ldop(folder.path(), &["schema", command, "--help"]);
        exits(&output, 0);
        assert!(out(&output).contains("Examples:"), "schema {command}");
    }
    exits(&ldop(folder.path(), &["aply"]), 2);
    assert!(err(&ldop(folder.path(), &["aply"])).contains("'apply'"));
}

#[test]
fn a_dictionary_goes_to_a_spreadsheet_and_back_and_nothing_is_written_over() {
    let folder = province();
    for (out_name, imported) in [("dictionary.xlsx", "from-workbook"), ("tables", "from-tables")] {
        let export = ["dictionary", "export", "schemas", "--out", out_name];
        exits(&ldop(folder.path(), &export), 0);
        exits(&ldop(folder.path(), &export), 73);
        let import = ["--output", "json", "dictionary", "import", out_name, "--out", imported];
        let told = ldop(folder.path(), &import);
        exits(&told, 0);
        let told: Value = serde_json::from_str(&out(&told)).expect("JSON");
        assert!(told["elements"].as_u64() > Some(200) && told["codes"].as_u64() > Some(1_000), "{told}");
        exits(&ldop(folder.path(), &import), 73);
        exits(&ldop(folder.path(), &["check", imported]), 0);
    }
    let book = ["dictionary", "book", "schemas", "--out", "book.html"];
    exits(&ldop(folder.path(), &book), 0);
    exits(&ldop(folder.path(), &book), 73);
    assert!(fs::read_to_string(folder.path().join("book.html")).expect("written").contains("element:person.full-name"));

    fs::write(folder.path().join("tables/codes.csv"), "code_list,code,label_vi,valid_to\nxa,1,Một,30/06/2025\n")
        .expect("written");
    let wrong = ldop(folder.path(), &["dictionary", "import", "tables", "--out", "wrong"]);
    exits(&wrong, 78);
    assert!(err(&wrong).contains("codes.csv:2: valid_to (column 4): \"30/06/2025\" stands here"), "{}", err(&wrong));
    assert!(err(&wrong).contains("codes.csv:2: code_list (column 1): \"xa\" stands here"), "{}", err(&wrong));
    assert!(!folder.path().join("wrong").exists(), "nothing is written while a cell is wrong");
}
