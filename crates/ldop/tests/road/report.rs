//! `report` against a hub with traffic of every kind, and against the hub's metrics.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};

use super::*;

/// Answers look-ups. Killed on drop.
struct Provider(Child);

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `/metrics` says.
struct Metrics(String);

impl Metrics {
    fn of(hub: &Hub) -> Self {
        let ready: Value =
            serde_json::from_slice(&fs::read(hub.path().join("ready.json")).expect("there")).expect("JSON");
        let ops = ready["ops"].as_str().expect("an address");
        let mut stream = TcpStream::connect(ops).expect("listens");
        write!(stream, "GET /metrics HTTP/1.0\r\nhost: {ops}\r\n\r\n").expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("UTF-8");
        assert!(text.contains("200 OK"), "{text}");
        Self(text)
    }

    /// The sum over all that have these labels.
    fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let of = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label)))
        };
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number");
        self.0.lines().filter(of).map(value).sum::<f64>() as u64
    }
}

fn report(hub: &Hub, more: &[&str]) -> Value {
    hub.json(&[&["report"], more], 0)
}

/// The sum of a figure over the rows that have these values.
fn figure(report: &Value, figure: &str, values: &[(&str, &str)]) -> u64 {
    let rows = report["rows"].as_array().expect("a list").iter();
    let of = rows.filter(|row| values.iter().all(|(by, value)| row[by] == *value));
    of.map(|row| row[figure].as_u64().expect("a number")).sum()
}

/// Traffic of each kind; what is refused too.
fn traffic(hub: &Hub) {
    let mut wrong = commune(3);
    wrong["kind"] = "hamlet".into();
    hub.write("communes.jsonl", &jsonl(&[commune(1), commune(2), wrong]));
    assert_eq!(hub.ldop(&[&["publish", "communes.jsonl"], &DATASET, &PROVIDER]).status.code(), Some(1));
    assert_eq!(hub.received(&[]).len(), 2);
    let agreement = ["--agreement", "communes-to-tax"];
    assert!(hub.ldop(&[&["changes"], &agreement, &CONSUMER]).status.success());
    assert!(hub.ldop(&[&["export", "--format", "jsonl", "--to", "package"], &agreement, &CONSUMER]).status.success());

    hub.write("served.jsonl", &jsonl(&[commune(2)]));
    let arguments = [&["--output", "json", "serve-look-ups", "served.jsonl"], &DATASET[..], &PROVIDER].concat();
    let mut process = command(hub.path(), &arguments).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let _provider = Provider(process);
    lines.next().expect("opened").expect("UTF-8");
    let look_up = |keys: &[&str]| hub.ldop(&[&["look-up", "communes-to-tax"], keys, &CONSUMER]);
    assert!(look_up(&["code=21583", "code=23575"]).status.success());
    assert!(look_up(&["code=21583"]).status.success());

    let other = ["--cert", "pki/systems/bhxh-tinh/tiep-nhan.crt", "--key", "pki/systems/bhxh-tinh/tiep-nhan.key"];
    let refused = |arguments: &[&[&str]]| assert_eq!(hub.ldop(arguments).status.code(), Some(1));
    refused(&[&["changes", "--agreement", "communes-to-social-insurance"], &other]);
    refused(&[&["look-up", "communes-to-social-insurance", "code=21583"], &other]);
    refused(&[&["subscribe", "--agreement", "communes-to-tax", "--until-caught-up"], &other]);
}

#[test]
fn what_a_report_counts_is_what_the_metrics_say() {
    let hub = Hub::start();
    assert!(hub.ldop(&[&["apply", "schemas"]]).status.success());
    traffic(&hub);
    let by = ["--by", "mode,outcome,reason,dataset,stage,consumer,agreement,purpose"];
    // How a transfer ended is written just behind its call.
    let deadline = Instant::now() + Duration::from_secs(60);
    let report = loop {
        let report = report(&hub, &by);
        if figure(&report, "calls", &[("outcome", "finished")]) == 2 {
            break report;
        }
        assert!(Instant::now() < deadline, "{report:#}");
    };
    let metrics = Metrics::of(&hub);
    let dataset = ["dataset=\"communes\"", "stage=\"live\""];
    let of = |mode, outcome| [("mode", mode), ("outcome", outcome), ("dataset", "communes"), ("stage", "live")];
    let same = |told: u64, metric: &str, labels: &[&str], expected: u64| {
        assert_eq!((told, metrics.sum(metric, labels)), (expected, expected), "{metric} {labels:?}\n{report:#}");
    };
    let admissions = "ldop_admissions_total";
    same(figure(&report, "records", &of("publish", "accepted")), admissions, &["result=\"accepted\"", dataset[0]], 2);
    let invalid = [("mode", "publish"), ("reason", "RECORD_INVALID")];
    same(figure(&report, "refusals", &invalid), admissions, &["result=\"RECORD_INVALID\"", dataset[0]], 1);
    same(figure(&report, "records", &of("subscribe", "delivered")), "ldop_delivered_records_total", &[], 2);
    for mode in ["changes", "export"] {
        let label = format!("mode=\"{mode}\"");
        let labels = [label.as_str(), "result=\"finished\""];
        same(figure(&report, "calls", &of(mode, "finished")), "ldop_transfers_total", &labels, 1);
        same(figure(&report, "records", &of(mode, "finished")), "ldop_transferred_records_total", &labels[..1], 2);
    }
    let answered = ["result=\"answered\"", dataset[0], dataset[1]];
    same(figure(&report, "calls", &of("look_up", "answered")), "ldop_look_ups_total", &answered, 2);
    same(figure(&report, "records", &of("look_up", "answered")), "ldop_look_up_keys_total", &["outcome=\"found\""], 2);
    let refused = |mode| [("mode", mode), ("outcome", "refused")];
    let calls = "ldop_calls_total";
    let not_granted = |method| [method, "result=\"MODE_NOT_GRANTED\""];
    same(figure(&report, "refusals", &refused("look_up")), calls, &not_granted("method=\"LookUp\""), 1);
    same(figure(&report, "refusals", &refused("changes")), calls, &not_granted("method=\"ReadChanges\""), 1);
    let of_another = ["method=\"Subscribe\"", "result=\"NOT_THE_CONSUMER\""];
    same(figure(&report, "refusals", &refused("subscribe")), calls, &of_another, 1);
    assert_eq!(report["totals"], json!({ "calls": 10, "records": 10, "refusals": 4 }), "{report:#}");
    assert_eq!((&report["passed_over"], &report["gaps"]), (&json!({}), &json!([])));
    // Everything that was shared tells its purpose.
    let shared = [("purpose", "reference-data"), ("agreement", "communes-to-tax"), ("consumer", CONSUMER_ID)];
    assert_eq!(figure(&report, "records", &shared), 8);
}

const CONSUMER_ID: &str = "thue-tinh/quan-ly-thue";

#[test]
fn a_report_is_a_table_a_csv_and_a_workbook_for_operators_and_auditors() {
    let hub = Hub::start();
    assert!(hub.ldop(&[&["apply", "schemas"]]).status.success());
    hub.write("communes.jsonl", &jsonl(&[commune(1), commune(2)]));
    assert!(hub.ldop(&[&["publish", "communes.jsonl"], &DATASET, &PROVIDER]).status.success());
    assert_eq!(hub.received(&[]).len(), 2);
    let text = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    // Of this month, by dataset, stage and consumer.
    let table = text(hub.ldop(&[&["report"]]));
    assert!(table.contains("communes") && table.contains(CONSUMER_ID), "{table}");
    assert!(table.contains("together  2 calls, 4 records, 0 refusals"), "{table}");
    let csv = text(hub.ldop(&[&["report", "--by", "mode,provider_agency", "--bucket", "month", "--format", "csv"]]));
    let lines: Vec<&str> = csv.trim_start_matches('\u{feff}').lines().collect();
    assert!(
        lines[0].starts_with("Tháng từ ngày (month),Hình thức (mode),Cơ quan cung cấp (provider_agency),"),
        "{csv}"
    );
    assert!(lines.len() == 3 && lines[1].ends_with("-01,publish,so-khcn,2,2,0"), "{csv}");
    let xlsx = ["report", "--format", "xlsx", "--to", "report.xlsx"];
    text(hub.ldop(&[&xlsx]));
    assert!(fs::read(hub.path().join("report.xlsx")).expect("there").starts_with(b"PK"));
    assert_eq!(hub.ldop(&[&xlsx]).status.code(), Some(73), "it is there");
    text(hub.ldop(&[&xlsx, &["--force"]]));
    // A period that is over, and questions that are none.
    let past = report(&hub, &["--from", "2020-01-01", "--until", "2020-12-31"]);
    assert_eq!((&past["rows"], &past["from"]), (&json!([]), &json!("2020-01-01T00:00:00+07:00")));
    assert_eq!(past["until"], "2021-01-01T00:00:00+07:00", "the last day is in it");
    for bad in [
        &["--from", "2026-02-30"][..],
        &["--from", "2026-02-02", "--until", "2026-02-01"],
        &["--by", "dataset,dataset"],
        &["--by", "person"],
        &["--format", "xlsx"],
    ] {
        assert_eq!(hub.ldop(&[&["report"], bad]).status.code(), Some(2), "{bad:?}");
    }
    // Who may ask: one row of docs/roles.md.
    assert_eq!(hub.ldop(&[&["report"], &CONSUMER]).status.code(), Some(1));
    let issued = |role: &str, name: &str, code: i32| {
        let issue = ["pki", "issue", role, name];
        let made = hub.json(&[&issue], 0);
        let (cert, key) = (made["certificate"].as_str().expect("a file"), made["key"].as_str().expect("a file"));
        let asked = hub.ldop(&[&["report", "--cert", cert, "--key", key]]);
        assert_eq!(asked.status.code(), Some(code), "{}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8_lossy(&asked.stderr).into_owned()
    };
    issued("--auditor", "so-khcn/kiem-toan", 0);
    let told = issued("--engineer", "so-khcn/ky-su", 1);
    assert!(told.contains("read_report: needs the role operator, or auditor"), "{told}");
}
