//! A report as a table, as a JSON document, and as what a spreadsheet holds.

use clap::ValueEnum as _;
use comfy_table::CellAlignment;
use ldop_contract::{
    control::v1::{ReportFigures, ReportGap, ReportRow, ReportSummary},
    convert::{stage_from_wire, timestamp_from_wire},
};
use ldop_dictionary_sheets::figures::{Cell, Figures};
use ldop_types::{Date, TimestampMs};
use serde_json::{Map, Value, json};

use super::{Bucket, By, Report};
use crate::output::{self, hex, local_time};

/// How `--by` calls it.
pub(super) fn word(by: By) -> String {
    by.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What a column is called in a spreadsheet.
fn column(by: By) -> String {
    let vi = match by {
        By::Dataset => "Bộ dữ liệu",
        By::Stage => "Giai đoạn",
        By::ProviderAgency => "Cơ quan cung cấp",
        By::Provider => "Hệ thống cung cấp",
        By::ConsumerAgency => "Cơ quan khai thác",
        By::Consumer => "Hệ thống khai thác",
        By::Agreement => "Thỏa thuận",
        By::Purpose => "Mục đích",
        By::Mode => "Hình thức",
        By::Outcome => "Kết quả",
        By::Reason => "Lý do",
    };
    format!("{vi} ({})", word(by))
}

fn bucket_word(bucket: Bucket) -> String {
    bucket.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn bucket_title(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Day => "Ngày (day)",
        Bucket::Week => "Tuần từ thứ Hai (week)",
        Bucket::Month => "Tháng từ ngày (month)",
        Bucket::Year => "Năm từ ngày (year)",
    }
}

fn figures_of(row: &ReportRow) -> ReportFigures {
    row.figures.unwrap_or_default()
}

impl Report {
    fn period(&self) -> (TimestampMs, TimestampMs) {
        let ReportSummary { from, until, .. } = &self.summary;
        (
            from.as_ref().and_then(timestamp_from_wire).unwrap_or_default(),
            until.as_ref().and_then(timestamp_from_wire).unwrap_or_default(),
        )
    }

    fn totals(&self) -> ReportFigures {
        self.summary.totals.unwrap_or_default()
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let bucket = self.bucket.map(bucket_word);
        let by: Vec<String> = self.by.iter().map(|by| word(*by)).collect();
        let figures = ["calls", "records", "refusals"];
        let header: Vec<&str> =
            bucket.iter().map(String::as_str).chain(by.iter().map(String::as_str)).chain(figures).collect();
        let mut table = output::table(&header);
        for row in &self.rows {
            let told = figures_of(row);
            let shown = |value: &String| if value.is_empty() { "–".to_owned() } else { value.clone() };
            let bucket = self.bucket.map(|_| row.bucket.clone());
            let numbers = [told.calls, told.records, told.refusals].map(|number| number.to_string());
            table.add_row(bucket.into_iter().chain(row.values.iter().map(shown)).chain(numbers));
        }
        for column in table.column_iter_mut().skip(header.len() - figures.len()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let (from, until) = self.period();
        let mut text = format!("hub       {}\n", uuid(&self.summary.hub_id));
        text.push_str(&format!("period    {} to {}\n{table}\n", local_time(from.0), local_time(until.0)));
        let ReportFigures { calls, records, refusals } = self.totals();
        text.push_str(&format!("together  {calls} calls, {records} records, {refusals} refusals\n"));
        for remark in self.remarks() {
            text.push_str(&format!("{remark}\n"));
        }
        text
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let row = |row: &ReportRow| {
            let mut told = Map::new();
            if self.bucket.is_some() {
                told.insert("bucket".into(), json!(row.bucket));
            }
            told.extend(self.by.iter().zip(&row.values).map(|(by, value)| (word(*by), json!(value))));
            let ReportFigures { calls, records, refusals } = figures_of(row);
            told.extend([
                ("calls".to_owned(), json!(calls)),
                ("records".to_owned(), json!(records)),
                ("refusals".to_owned(), json!(refusals)),
            ]);
            Value::Object(told)
        };
        let (from, until) = self.period();
        let ReportFigures { calls, records, refusals } = self.totals();
        let passed_over = self.summary.passed_over.iter().map(|passed| (passed.why.clone(), json!(passed.entries)));
        let gaps = self.summary.gaps.iter().map(|gap| {
            json!({
                "dataset": Some(&gap.dataset).filter(|name| !name.is_empty()),
                "stage": stage_from_wire(gap.stage).map(ldop_types::Stage::as_str),
                "oldest": gap.oldest_time.as_ref().and_then(timestamp_from_wire).map(|time| local_time(time.0)),
            })
        });
        json!({
            "hub": uuid(&self.summary.hub_id),
            "from": local_time(from.0),
            "until": local_time(until.0),
            "by": self.by.iter().map(|by| word(*by)).collect::<Vec<_>>(),
            "bucket": self.bucket.map(bucket_word),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "totals": { "calls": calls, "records": records, "refusals": refusals },
            "passed_over": passed_over.collect::<Map<_, _>>(),
            "gaps": gaps.collect::<Vec<_>>(),
        })
    }

    /// For spreadsheets.
    pub(super) fn figures(&self) -> Figures {
        let (from, until) = self.period();
        let ReportFigures { calls, records, refusals } = self.totals();
        let hub = uuid(&self.summary.hub_id);
        let title = format!("Số liệu chia sẻ dữ liệu, từ {} đến {}, {hub}", local_time(from.0), local_time(until.0));
        let fact = |name: &str, held: Cell| (name.to_owned(), held);
        let mut facts = vec![
            fact("Trung tâm (hub)", Cell::Text(hub)),
            fact("Từ (from)", Cell::Moment(from)),
            fact("Đến trước (until)", Cell::Moment(until)),
            fact("Số lượt (calls)", Cell::Number(calls)),
            fact("Số bản ghi (records)", Cell::Number(records)),
            fact("Số lượt bị từ chối (refusals)", Cell::Number(refusals)),
        ];
        facts.extend(self.remarks().into_iter().map(|remark| fact("Ghi chú (remark)", Cell::Text(remark))));
        let bucket = self.bucket.map(|bucket| bucket_title(bucket).to_owned());
        let figures = ["Số lượt (calls)", "Số bản ghi (records)", "Số lượt bị từ chối (refusals)"];
        let columns = bucket.into_iter().chain(self.by.iter().map(|by| column(*by)));
        let columns = columns.chain(figures.map(ToOwned::to_owned)).collect();
        let row = |row: &ReportRow| {
            let day = || Date::parse(&row.bucket).map_or_else(|| Cell::Text(row.bucket.clone()), Cell::Day);
            let ReportFigures { calls, records, refusals } = figures_of(row);
            let values = row.values.iter().map(|value| Cell::Text(value.clone()));
            let numbers = [calls, records, refusals].map(Cell::Number);
            self.bucket.map(|_| day()).into_iter().chain(values).chain(numbers).collect()
        };
        Figures { title, facts, columns, rows: self.rows.iter().map(row).collect() }
    }

    /// What whoever reads the figures has to know of them.
    pub(super) fn remarks(&self) -> Vec<String> {
        let why = |why: &str| match why {
            "repeated" => "events stand twice and count once / sự kiện lặp, chỉ tính một lần",
            "newer_kind" => "events of a newer release are not counted / sự kiện của phiên bản mới hơn, không tính",
            "unreadable" => "entries cannot be read and are not counted / mục không đọc được, không tính",
            _ => "entries are not counted / mục không được tính",
        };
        let passed = self.summary.passed_over.iter().map(|passed| format!("{} {}", passed.entries, why(&passed.why)));
        passed.chain(self.summary.gaps.iter().map(gap)).collect()
    }
}

fn gap(gap: &ReportGap) -> String {
    let of = match gap.dataset.as_str() {
        "" => "events".to_owned(),
        dataset => format!("{dataset} {}", stage_from_wire(gap.stage).map_or("", ldop_types::Stage::as_str)),
    };
    match gap.oldest_time.as_ref().and_then(timestamp_from_wire) {
        Some(oldest) => {
            let oldest = local_time(oldest.0);
            format!("{of}: the log begins at {oldest}; what is older is not counted / nhật ký chỉ còn từ lúc đó")
        }
        None => format!("{of}: the log holds nothing of the period any more / nhật ký không còn gì của kỳ này"),
    }
}

/// The hub's id as `ldop status` shows it.
fn uuid(bytes: &[u8]) -> String {
    uuid::Uuid::from_slice(bytes).map_or_else(|_| hex(bytes), |id| id.to_string())
}
