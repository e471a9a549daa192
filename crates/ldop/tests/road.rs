//! The commands against a hub of their own, started by the binary on the embedded log.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "road/exports.rs"]
mod exports;
#[path = "road/finds.rs"]
mod finds;
#[path = "road/life.rs"]
mod life;
#[path = "road/look_ups.rs"]
mod look_ups;
#[path = "road/report.rs"]
mod report;

const PROVIDER: [&str; 4] = ["--cert", "pki/systems/so-khcn/danh-muc.crt", "--key", "pki/systems/so-khcn/danh-muc.key"];
const CONSUMER: [&str; 4] =
    ["--cert", "pki/systems/thue-tinh/quan-ly-thue.crt", "--key", "pki/systems/thue-tinh/quan-ly-thue.key"];
const DATASET: [&str; 4] = ["--dataset", "communes", "--stage", "live"];

/// A working folder with a hub running in it.
struct Hub {
    folder: TempDir,
    process: Child,
}

impl Hub {
    fn start() -> Self {
        Self::start_with(|config| config)
    }

    fn start_with(change: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert!(command(folder.path(), &["init", "."]).output().expect("runs").status.success());
        let file = folder.path().join("ldop.toml");
        let config = fs::read_to_string(&file).expect("made");
        let config =
            change(config).replace("127.0.0.1:7443\"\n# Plain", "127.0.0.1:0\"\n# Plain").replace(":9443", ":0");
        fs::write(&file, &config).expect("writable");
        let process = serve(folder.path());
        let ready = wait_for(&folder.path().join("ready.json"));
        let grpc = ready["grpc"].as_str().expect("an address");
        fs::write(&file, config.replace("https://127.0.0.1:7443", &format!("https://{grpc}"))).expect("writable");
        Self { folder, process }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ldop(&self, arguments: &[&[&str]]) -> Output {
        command(self.path(), &arguments.concat()).output().expect("the binary runs")
    }

    fn json(&self, arguments: &[&[&str]], code: i32) -> Value {
        let output = self.ldop(&[&["--output", "json"], &arguments.concat()]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("one document; stderr: {stderr}"))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("writable");
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
    }

    /// The records an agreement gives from a position on.
    fn received(&self, more: &[&str]) -> Vec<Value> {
        let agreement = ["subscribe", "--agreement", "communes-to-tax", "--until-caught-up"];
        let output = self.ldop(&[&agreement, &CONSUMER, more]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldop"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for variable in ["HUB", "CA", "CERT", "KEY", "SERVER_NAME", "CONFIG", "PATIENCE"] {
        command.env_remove(format!("LDOP_{variable}"));
    }
    command
}

fn serve(folder: &Path) -> Child {
    let log = fs::File::create(folder.join("serve.log")).expect("writable");
    let mut command = command(folder, &["serve", "--ready-file", "ready.json"]);
    command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary runs")
}

/// Polls for the ready file.
fn wait_for(file: &Path) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(text) = fs::read_to_string(file)
            && let Ok(ready) = serde_json::from_str(&text)
        {
            return ready;
        }
        assert!(Instant::now() < deadline, "the hub did not become ready");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A commune record; `n` makes it different.
fn commune(n: u32) -> Value {
    json!({
        "code": "21583",
        "name": format!("Quy Nhơn {n}"),
        "full_name": "Phường Quy Nhơn",
        "kind": "ward",
        "province_code": "52",
        "effective_on": "2025-07-01",
        "centroid": { "longitude": 109.23715, "latitude": 13.78209 },
    })
}

fn jsonl(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

#[test]
fn definitions_and_records_travel_by_the_command_line() {
    let hub = Hub::start();

    // Definitions: what would change, what changes, nothing the second time.
    let dry = hub.json(&[&["apply", "schemas", "--dry-run"]], 0);
    assert!(dry["created"].as_u64() > Some(100));
    let applied = hub.json(&[&["apply", "schemas"]], 0);
    assert_eq!(applied["created"], dry["created"]);
    let again = hub.json(&[&["apply", "schemas"]], 0);
    assert_eq!((&again["created"], &again["changed"]), (&json!(0), &json!(0)));
    assert_eq!(again["unchanged"], applied["created"]);
    let status = hub.json(&[&["status"]], 0);
    assert_eq!(status["head"], again["head"]);
    assert_eq!(status["engine"], "embedded");

    // Records: two good ones, one that is wrong, one that is cut off, one line that is empty.
    let mut text = jsonl(&[commune(1), commune(2)]);
    let mut wrong = commune(3);
    wrong["kind"] = json!("city");
    text.push_str(&format!("\n{wrong}\n{{\"code\":\n"));
    hub.write("communes.jsonl", &text);
    let publish = |file: &str, code| hub.json(&[&["publish", file], &DATASET, &PROVIDER], code);
    let summary = publish("communes.jsonl", 1);
    assert_eq!((&summary["accepted"], &summary["refused"]), (&json!(2), &json!(2)));
    let refused = hub.lines("communes.refused.jsonl");
    assert_eq!((&refused[0]["line"], &refused[1]["line"]), (&json!(4), &json!(5)));
    assert_eq!(refused[0]["violations"][0]["pointer"], "/kind");
    assert_eq!(refused[0]["record"], wrong);
    assert_eq!(refused[1]["record_text"], "{\"code\":");

    // The same file again has no second effect.
    let summary = publish("communes.jsonl", 1);
    assert_eq!((&summary["accepted"], &summary["repeated"]), (&json!(2), &json!(2)));

    // What was refused is corrected in its file and sent from there.
    let mut line = refused[0].clone();
    line["record"]["kind"] = json!("ward");
    hub.write("communes.refused.jsonl", &jsonl(&[line]));
    let summary = publish("communes.refused.jsonl", 0);
    assert_eq!((&summary["accepted"], &summary["repeated"]), (&json!(1), &json!(0)));

    // CSV: the schema says what is a number.
    let header = "code,name,full_name,kind,province_code,effective_on,centroid.longitude,centroid.latitude";
    let row =
        |name: &str, longitude: &str| format!("21583,{name},Phường Quy Nhơn,ward,52,2025-07-01,{longitude},13.78209");
    hub.write("communes.csv", &format!("{header}\n{}\n{}\n", row("Từ CSV", "109.2"), row("Sai", "x")));
    let summary = hub.json(&[&["publish", "communes.csv", "--refusals", "csv.out"], &DATASET, &PROVIDER], 1);
    assert_eq!((&summary["accepted"], &summary["refused"]), (&json!(1), &json!(1)));
    let refused = hub.lines("csv.out");
    assert_eq!((&refused[0]["reason"], &refused[0]["line"]), (&json!("NOT_SENT"), &json!(3)));
    assert_eq!(refused[0]["record"]["centroid"]["longitude"], "x");

    // The consumer gets each once, in order, reduced to what it was granted, and goes on where it acknowledged.
    let names = |lines: &[Value]| -> Vec<String> {
        lines.iter().map(|line| line["record"]["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(&hub.received(&["--count", "3"])), ["Quy Nhơn 1", "Quy Nhơn 2", "Quy Nhơn 3"]);
    let rest = hub.received(&[]);
    assert_eq!(names(&rest), ["Từ CSV"]);
    assert_eq!(rest[0]["record"]["centroid"]["longitude"], json!(109.2));
    assert!(hub.received(&[]).is_empty(), "everything is acknowledged");
    assert_eq!(hub.received(&["--name", "other", "--no-ack"]).len(), 4);
    assert_eq!(hub.received(&["--name", "other"]).len(), 4, "nothing was acknowledged");

    // What became of a record; and a caller only hears of its own.
    let id = rest[0]["exchange_id"].as_str().expect("an id").to_owned();
    let exchange = hub.json(&[&["exchange", &id], &DATASET, &PROVIDER], 0);
    assert_eq!(exchange["state"], "accepted");
    let other = hub.ldop(&[&["exchange", &id], &DATASET, &CONSUMER]);
    assert_eq!(other.status.code(), Some(1));
}

#[test]
fn refusals_of_the_hub_end_with_their_reason() {
    let hub = Hub::start();
    hub.json(&[&["apply", "schemas"]], 0);
    hub.write("x.jsonl", &jsonl(&[commune(1)]));
    let refused = |arguments: &[&[&str]], reason: &str| {
        let output = hub.ldop(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    };
    refused(&[&["apply", "schemas"], &PROVIDER], "NOT_AN_OPERATOR");
    refused(&[&["publish", "x.jsonl"], &DATASET, &CONSUMER], "NOT_A_PROVIDER");
    refused(&[&["publish", "x.jsonl", "--dataset", "communes", "--stage", "testing"], &PROVIDER], "NOT_A_PROVIDER");
    refused(&[&["publish", "x.jsonl", "--dataset", "nothing", "--stage", "live"], &PROVIDER], "DATASET_UNKNOWN");
    refused(&[&["subscribe", "--agreement", "communes-to-tax"], &PROVIDER], "NOT_THE_CONSUMER");
    refused(&[&["subscribe", "--agreement", "nothing"], &CONSUMER], "AGREEMENT_UNKNOWN");

    // A hub refuses definitions at the place they stand at.
    fs::create_dir(hub.path().join("part")).expect("writable");
    let agreement = "[[agreement]]\nid = \"x\"\nprovider = \"so-khcn\"\nconsumer = \"thue-tinh/nobody\"\n\
                     dataset = \"communes\"\nstage = \"live\"\npurpose = \"trial\"\npurpose_vi = \"Thử\"\n\
                     legal_bases = [\"law-60-2024\"]\ngranted_fields = [\"code\"]\n";
    hub.write("part/x.toml", agreement);
    let output = hub.ldop(&[&["apply", "part", "--partial"]]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("part/x.toml:1:1: agreement(x).consumer"), "{stderr}");
    assert!(stderr.contains("the hub refused: 1 problem"), "{stderr}");
}

#[test]
fn a_folder_of_several_change_sets_is_judged_whole_before_anything_is_changed() {
    use std::fmt::Write as _;
    let hub = Hub::start();
    hub.json(&[&["apply", "schemas"]], 0);
    let head = hub.json(&[&["status"]], 0)["head"].clone();
    fs::create_dir(hub.path().join("many")).expect("writable");
    let mut elements = String::new();
    for n in 0..1_500 {
        let definition = "type = \"string\"\nsensitivity = \"none\"\nsource = \"test\"\n";
        let _ = write!(elements, "[[element]]\nid = \"many.e{n}\"\nname_vi = \"Phần tử {n}\"\n{definition}");
    }
    // In the last change set: the hub alone knows that the consumer is not there.
    let stray = "[[agreement]]\nid = \"x\"\nprovider = \"so-khcn\"\nconsumer = \"so-khcn/khong-co\"\ndataset = \"communes\"\n\
                 stage = \"live\"\npurpose_vi = \"Thử\"\ngranted_fields = [\"code\"]\n";
    hub.write("many/elements.toml", &elements);
    hub.write("many/stray.toml", stray);
    for command in [&["apply", "many", "--partial"][..], &["apply", "many", "--partial", "--dry-run"]] {
        let refused = hub.ldop(&[command]);
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("many/stray.toml:1:1: agreement(x).consumer"), "{stderr}");
    }
    let plan = hub.json(&[&["plan", "many", "--partial"]], 1);
    assert_eq!((&plan["change_sets"], &plan["problems"][0]["file"]), (&json!(2), &json!("many/stray.toml")));
    assert_eq!(hub.json(&[&["status"]], 0)["head"], head, "nothing was changed");

    fs::remove_file(hub.path().join("many/stray.toml")).expect("removed");
    let plan = hub.json(&[&["plan", "many", "--partial"]], 0);
    assert_eq!(plan["changes"].as_array().map(Vec::len), Some(1_500));
    let based_on = head["hash"].as_str().expect("a hash");
    let applied = hub.json(&[&["apply", "many", "--partial", "--based-on", based_on]], 0);
    assert_eq!(applied["created"], json!(1_500));
    let again = hub.json(&[&["apply", "many", "--partial"]], 0);
    assert_eq!((&again["created"], &again["unchanged"]), (&json!(0), &json!(1_500)));

    // Whoever applies against what is no longer so is told what somebody else has changed.
    let refused = hub.ldop(&[&["apply", "many", "--partial", "--based-on", based_on]]);
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("element(many.e0)") && stderr.contains("is version 1 now, changed by operator"),
        "{stderr}"
    );
}

#[test]
fn a_plan_tells_what_applying_would_do_and_changes_nothing() {
    let hub = Hub::start();
    let plan = hub.json(&[&["plan", "schemas"]], 0);
    assert!(plan["changes"].as_array().is_some_and(|changes| changes.len() > 100));
    hub.json(&[&["apply", "schemas"]], 0);
    let head = hub.json(&[&["status"]], 0)["head"].clone();
    let plan = hub.json(&[&["plan", "schemas"]], 0);
    assert_eq!((&plan["changes"], &plan["schemas"]), (&json!([]), &json!([])));

    // Wider: compatible, one version more, and the dataset that rests on it.
    hub.json(&[&["schema", "settings", "commune", "--approval", "required"]], 0);
    let settled = hub.json(&[&["status"]], 0)["head"].clone();
    assert_ne!(settled, head);
    let wider = changed_commune(&hub, without_required_centroid);
    hub.write("schemas/records/commune.schema.json", &wider);
    let plan = hub.json(&[&["plan", "schemas"]], 0);
    assert_eq!(plan["changes"], json!([{ "kind": "schema", "id": "commune", "version": 2, "effect": "changed" }]));
    let commune = &plan["schemas"][0];
    assert_eq!((&commune["compatible"], &commune["waits_for_approval"]), (&json!(true), &json!(true)));
    assert_eq!(commune["differences"][0]["kind"], "REQUIRED_REMOVED");
    assert_eq!(commune["datasets"], json!(["communes"]));

    // Narrower: refused, with the reason and the place, by plan as by apply.
    let narrow = changed_commune(&hub, |schema| schema["properties"]["remark"]["maxLength"] = json!(10));
    hub.write("schemas/records/commune.schema.json", &narrow);
    let plan = hub.json(&[&["plan", "schemas"]], 1);
    assert_eq!((&plan["ok"], &plan["schemas"][0]["compatible"]), (&json!(false), &json!(false)));
    assert_eq!(plan["schemas"][0]["differences"][0]["kind"], "MAX_LENGTH_DECREASED");
    assert_eq!(plan["problems"][0]["file"], "schemas/records/commune.schema.json");
    let text = hub.ldop(&[&["plan", "schemas"]]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("schema commune: NOT compatible with what is registered (BACKWARD, STRICT)"), "{text}");
    assert!(text.contains("waits for approval, by an operator other than the one who applies"), "{text}");
    assert_eq!(hub.ldop(&[&["apply", "schemas"]]).status.code(), Some(1));
    assert_eq!(hub.json(&[&["status"]], 0)["head"], settled, "planning changes nothing");
    let refused = hub.ldop(&[&["plan", "schemas"], &PROVIDER]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("NOT_AN_OPERATOR"));
}

#[test]
fn schema_files_that_refer_to_each_other_are_applied_as_a_folder() {
    let hub = Hub::start();
    hub.json(&[&["apply", "schemas"]], 0);
    let place = |length: u32| {
        let name = format!(r#"{{"type": "string", "maxLength": {length}, "x-ldop-element": "part.name"}}"#);
        hub.write(
            "part/place.schema.json",
            &format!(r#"{{"type": "object", "additionalProperties": false, "properties": {{"name": {name}}}}}"#),
        );
    };
    fs::create_dir(hub.path().join("part")).expect("writable");
    let element = "[[element]]\nid = \"part.name\"\nname_vi = \"Tên\"\ntype = \"string\"\nmax_length = 50\n\
                   sensitivity = \"none\"\nsource = \"test\"\n";
    hub.write("part/part.toml", element);
    // By name the one that refers comes first.
    let inn =
        r#"{"type": "object", "additionalProperties": false, "properties": {"at": {"$ref": "place.schema.json"}}}"#;
    hub.write("part/inn.schema.json", inn);
    place(20);
    assert_eq!(hub.json(&[&["apply", "part"]], 0)["created"], json!(3));
    let again = hub.json(&[&["apply", "part"]], 0);
    assert_eq!((&again["created"], &again["changed"], &again["unchanged"]), (&json!(0), &json!(0), &json!(3)));
    let shown = hub.json(&[&["schema", "show", "inn"]], 0);
    assert_eq!(shown["references"], json!([{ "name": "place.schema.json", "subject": "place", "version": 1 }]));

    // What is referred to becomes wider: the one that refers to it gets a new version with it.
    place(30);
    let plan = hub.json(&[&["plan", "part"]], 0);
    let changed = |id: &str| json!({ "kind": "schema", "id": id, "version": 2, "effect": "changed" });
    assert_eq!(plan["changes"], json!([changed("place"), changed("inn")]));
    let kinds: Vec<_> =
        plan["schemas"].as_array().into_iter().flatten().map(|s| &s["differences"][0]["kind"]).collect();
    assert_eq!(kinds, ["MAX_LENGTH_INCREASED"; 2], "{plan}");
    assert_eq!(hub.json(&[&["schema", "diff", "--registered", "inn", "part/inn.schema.json"]], 0)["compatible"], true);
    assert_eq!(hub.json(&[&["apply", "part"]], 0)["changed"], json!(2));
    assert_eq!(hub.json(&[&["schema", "show", "inn"]], 0)["references"][0]["version"], json!(2));

    // Narrower: refused for both, each at its file.
    place(10);
    let plan = hub.json(&[&["plan", "part"]], 1);
    let verdicts: Vec<_> =
        plan["schemas"].as_array().into_iter().flatten().map(|s| (&s["name"], &s["compatible"])).collect();
    assert_eq!(verdicts, [(&json!("place"), &json!(false)), (&json!("inn"), &json!(false))], "{plan}");
    // Alone, it refers to what the hub has.
    fs::remove_file(hub.path().join("part/place.schema.json")).expect("there");
    let alone = hub.json(&[&["apply", "part", "--partial"]], 0);
    assert_eq!(alone["unchanged"], json!(2));
}

/// The schema of the communes with one keyword changed, as text.
fn changed_commune(hub: &Hub, change: impl FnOnce(&mut Value)) -> String {
    let file = hub.path().join("schemas/records/commune.schema.json");
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(file).expect("made")).expect("JSON");
    change(&mut schema);
    schema.to_string()
}

/// Compatible backward, and no looser than the elements.
fn without_required_centroid(schema: &mut Value) {
    let required = schema["required"].as_array_mut().expect("a list");
    required.retain(|name| name != "centroid");
}

#[test]
fn schemas_live_by_the_command_line() {
    let hub = Hub::start();
    hub.json(&[&["apply", "schemas"]], 0);

    // Compared with what the hub has, as the subject is set.
    hub.write("narrow.json", &changed_commune(&hub, |schema| schema["properties"]["remark"]["maxLength"] = json!(10)));
    let diff = hub.json(&[&["schema", "diff", "--registered", "commune", "narrow.json"]], 1);
    assert_eq!((&diff["mode"], &diff["policy"]), (&json!("BACKWARD"), &json!("STRICT")));
    assert_eq!(diff["differences"][0]["kind"], "MAX_LENGTH_DECREASED");
    assert_eq!(diff["differences"][0]["version"], 1);
    let forward = ["schema", "diff", "--registered", "commune", "narrow.json", "--mode", "FORWARD", "--version", "1"];
    assert_eq!(hub.json(&[&forward], 0)["compatible"], true);
    let gone = hub.ldop(&[&["schema", "diff", "--registered", "commune", "narrow.json", "--version", "9"]]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("RESOURCE_NOT_FOUND"));

    // Two operators: who registers a version does not approve it.
    assert!(hub.ldop(&[&["pki", "issue", "--operator", "so-khcn/nguoi-duyet"]]).status.success());
    let (cert, key) = ("pki/operators/so-khcn/nguoi-duyet.crt", "pki/operators/so-khcn/nguoi-duyet.key");
    let other = ["--cert", cert, "--key", key];
    let settings = hub.json(&[&["schema", "settings", "commune", "--approval", "required", "--policy", "lenient"]], 0);
    assert_eq!((&settings["own"]["approval"], &settings["own"]["policy"]), (&json!("REQUIRED"), &json!("LENIENT")));
    let settings = hub.json(&[&["schema", "settings", "commune", "--policy", "inherit"]], 0);
    assert_eq!((&settings["own"]["approval"], &settings["own"]["policy"]), (&json!("REQUIRED"), &Value::Null));
    assert_eq!(settings["in_force"]["policy"], "STRICT");
    assert_eq!(hub.json(&[&["schema", "settings"]], 0)["in_force"]["approval"], "NOT_REQUIRED");

    let wider = changed_commune(&hub, without_required_centroid);
    hub.write("schemas/records/commune.schema.json", &wider);
    assert_eq!(hub.json(&[&["apply", "schemas"]], 0)["changed"], 1);
    let shown = hub.json(&[&["schema", "show", "commune", "--version", "2"]], 0);
    assert_eq!((&shown["state"], &shown["text"]), (&json!("DRAFT"), &json!(wider)));
    let own = hub.ldop(&[&["schema", "approve", "commune", "2"]]);
    assert_eq!(own.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&own.stderr).contains("APPROVED_BY_ITS_AUTHOR"));
    assert_eq!(hub.json(&[&["schema", "approve", "commune", "2"], &other], 0)["state"], "APPROVED");
    assert_eq!(hub.json(&[&["schema", "deprecate", "commune", "1"]], 0)["state"], "DEPRECATED");
    assert_eq!(hub.json(&[&["schema", "retire", "commune", "1"]], 0)["state"], "RETIRED");
    assert_eq!(hub.json(&[&["schema", "delete", "commune", "1"]], 0)["deleted"], true);
    let numbers = |more: &[&str]| -> Vec<Value> {
        let versions = hub.json(&[&["schema", "versions", "commune"], more], 0);
        versions["schemas"].as_array().expect("a list").iter().map(|schema| schema["version"].clone()).collect()
    };
    assert_eq!((numbers(&[]), numbers(&["--deleted"])), (vec![json!(2)], vec![json!(1), json!(2)]));
    assert_eq!(hub.json(&[&["schema", "delete", "commune", "1", "--permanently"]], 0)["state"], Value::Null);
    assert_eq!(numbers(&["--deleted"]), [json!(2)]);
    let list = hub.json(&[&["schema", "list"]], 0);
    let commune = list["schemas"].as_array().expect("a list").iter().find(|schema| schema["name"] == "commune");
    assert_eq!(commune.expect("listed")["version"], 2);
    let text = hub.ldop(&[&["schema", "show", "commune"]]);
    assert_eq!(String::from_utf8_lossy(&text.stdout).trim_end(), wider);
}

#[test]
fn certificates_of_another_authority_are_told_apart() {
    let hub = Hub::start();
    let init = hub.ldop(&[&["pki", "init", "--dir", "other"]]);
    assert!(init.status.success());
    assert!(hub.ldop(&[&["pki", "issue", "--dir", "other", "--operator", "so-khcn/quan-tri"]]).status.success());
    let status = |arguments: &[&str], hint: &str| {
        let output = hub.ldop(&[&["status", "--patience", "5"], arguments]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains(hint), "{stderr}");
    };
    status(&["--ca", "other/ca.crt"], "The hub's certificate does not fit");
    status(&["--server-name", "hub.example"], "The hub's certificate does not fit");
    let (cert, key) = ("other/operators/so-khcn/quan-tri.crt", "other/operators/so-khcn/quan-tri.key");
    status(&["--cert", cert, "--key", key], "The hub does not take your certificate");
}

#[test]
fn impact_tells_where_the_codes_that_stop_stand_in_records() {
    let hub = Hub::start();
    hub.json(&[&["apply", "schemas"]], 0);
    let records: Vec<Value> = (1..=3).map(commune).collect();
    hub.write("communes.jsonl", &jsonl(&records));
    let summary = hub.json(&[&["publish", "communes.jsonl"], &DATASET, &PROVIDER], 0);
    assert_eq!(summary["accepted"], 3);

    // A new edition, in which two codes end.
    let lists = hub.path().join("new");
    fs::create_dir(&lists).expect("made");
    for file in fs::read_dir(hub.path().join("schemas/code-lists")).expect("readable") {
        let file = file.expect("readable");
        fs::copy(file.path(), lists.join(file.file_name())).expect("copied");
    }
    let file = lists.join("gialai-communes.csv");
    let mut text = fs::read_to_string(&file).expect("readable");
    for code in ["21583", "21553"] {
        let start =
            text.find(&format!("\n{code},Phường")).and_then(|at| text[at..].find("2025-07-01,,").map(|to| at + to));
        let start = start.expect("the row in force");
        text.replace_range(start..start + "2025-07-01,,".len(), "2025-07-01,2027-06-30,");
    }
    fs::write(&file, text).expect("writable");
    let impact = ["impact", "new", "--against", "schemas", "--live", "--days", "7"];

    let told = hub.json(&[&impact], 0);
    let told = &told["impacts"][0];
    assert_eq!((&told["code_list"], &told["live"]["days"]), (&json!("gialai-communes"), &json!(7)));
    let counts = told["live"]["counts"].as_array().expect("a list");
    assert_eq!(counts.len(), 1, "{told:#}");
    let count = &counts[0];
    assert!(count["last_accepted"].as_str().is_some_and(|time| time.ends_with("+07:00")), "{count}");
    let place = ["code", "dataset", "stage", "pointer"].map(|key| count[key].as_str().unwrap_or_default());
    assert_eq!((place, &count["records"]), (["21583", "communes", "live", "/code"], &json!(3)));
    assert_eq!(told["live"]["not_seen"], json!(["21553"]));
    let looked = told["live"]["datasets"].as_array().expect("a list");
    assert!(looked.contains(&json!({ "dataset": "communes", "stage": "live", "records": 3 })), "{told:#}");

    let shown = hub.ldop(&[&impact]);
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    assert!(shown.contains("seen in 3 records of the last 7 days") && shown.contains("1 code, 1 not"), "{shown}");
    assert!(!shown.contains("Quy Nhơn 1"), "nothing of a record but the code");

    // Only operators may ask; without --live no hub is asked.
    let refused = hub.ldop(&[&impact, &PROVIDER]);
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("NOT_AN_OPERATOR"));
    let offline = hub.json(&[&["impact", "new", "--against", "schemas"]], 0);
    assert!(offline["impacts"][0].get("live").is_none());

    // A list the hub does not have in this form is told, code by code.
    hub.write("new/extra.toml", "[[code_list]]\nid = \"gone\"\nname_vi = \"Cũ\"\ncodes = [{ code = \"a\", label_vi = \"A\", valid_to = \"2027-01-01\" }]\n");
    fs::create_dir(hub.path().join("old")).expect("made");
    hub.write(
        "old/extra.toml",
        "[[code_list]]\nid = \"gone\"\nname_vi = \"Cũ\"\ncodes = [{ code = \"a\", label_vi = \"A\" }]\n",
    );
    let unknown = hub.ldop(&[&["impact", "new", "--against", "old", "--against", "schemas", "--live"]]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("RESOURCE_NOT_FOUND"),
        "{}",
        String::from_utf8_lossy(&unknown.stderr)
    );
}
