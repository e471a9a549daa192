//! `x-ldop-rules`: reads the keyword, and has each rule compiled once every place has its element.

use ldop_types::Text;
use serde_json::{Map, Value};

use super::Binder;
use crate::{
    pointer::{push_index, push_name, unescape},
    schema::{
        MAX_RULES, SchemaRule,
        plan::PlaceId,
        rules::{FieldRule, Head, Severity, Shape},
    },
};

/// Most rules of a schema, each counted for every place it stands in.
const MAX_OF_SCHEMA: usize = 1_000;
/// Longest id.
const MAX_ID: usize = 64;
/// Longest message, in characters.
const MAX_MESSAGE: usize = 300;

/// A list of rules that waits until all places have their elements.
pub(super) struct Waiting<'s> {
    pub(super) place: PlaceId,
    pub(super) pointer: String,
    /// Whether it holds for every record that has the object.
    pub(super) is_always: bool,
    pub(super) list: &'s Value,
}

/// Something wrong with one rule, and the keyword of the rule it is wrong with, if it is one.
type Problem = (&'static str, Text);

impl Binder<'_, '_> {
    /// Turns the rules written in the schema into those of the plan.
    pub(super) fn resolve_rules(&mut self) {
        let mut compiled = 0;
        for waiting in std::mem::take(&mut self.rules) {
            let Waiting { place, pointer, is_always, list } = waiting;
            if !is_always {
                self.refuse_rule(
                    &pointer,
                    Text::new(
                        "quy tắc nằm trong một nhánh chỉ đúng với một số bản ghi, hoặc bên cạnh $ref của draft-07",
                        "the rules stand in a branch that holds for some records only, or beside a $ref of draft-07",
                    ),
                );
                continue;
            }
            let Some(list) = list.as_array().filter(|list| list.len() <= MAX_RULES) else {
                let message = Text::new(
                    format!("phải là danh sách không quá {MAX_RULES} quy tắc"),
                    format!("must be a list of at most {MAX_RULES} rules"),
                );
                self.refuse_rule(&pointer, message);
                continue;
            };
            compiled += list.len();
            if compiled > MAX_OF_SCHEMA {
                let message = Text::new(
                    format!("lược đồ có quá {MAX_OF_SCHEMA} quy tắc"),
                    format!("the schema has more than {MAX_OF_SCHEMA} rules"),
                );
                self.refuse_rule(&pointer, message);
                return;
            }
            for (index, entry) in list.iter().enumerate() {
                let mut pointer = pointer.clone();
                push_index(&mut pointer, index);
                match self.rule(place, entry) {
                    Ok(rule) => self.places[place as usize].rules.push(rule),
                    Err(problems) => {
                        for (keyword, message) in problems {
                            let mut pointer = pointer.clone();
                            if !keyword.is_empty() {
                                push_name(&mut pointer, keyword);
                            }
                            self.refuse_rule(&pointer, message);
                        }
                    }
                }
            }
        }
    }

    fn rule(&self, place: PlaceId, entry: &Value) -> Result<FieldRule, Vec<Problem>> {
        let Some(entry) = entry.as_object() else {
            return Err(vec![("", Text::new("quy tắc phải là một đối tượng", "a rule must be an object"))]);
        };
        let mut problems = Vec::new();
        let known = ["id", "when", "rule", "severity", "at", "message"];
        if entry.keys().any(|key| !known.contains(&key.as_str())) {
            let known = known.join(", ");
            problems.push(("", Text::new(format!("chỉ có các khóa {known}"), format!("has the keys {known} only"))));
        }
        let mut problems_of = |problem: Problem| problems.push(problem);
        let message = message(entry).map_err(&mut problems_of).ok();
        let id = id(entry).map_err(&mut problems_of).ok();
        if id.is_some_and(|id| self.places[place as usize].rules.iter().any(|rule| *rule.head.id == *id)) {
            problems_of(("id", Text::new("trùng với một quy tắc khác", "another rule has the same id")));
        }
        let severity = severity(entry).map_err(&mut problems_of).ok();
        let at = self.at(place, entry).map_err(&mut problems_of).ok();
        let rule =
            text(entry, "rule").and_then(|rule| rule.ok_or_else(|| missing("rule"))).map_err(&mut problems_of).ok();
        let when = text(entry, "when").map_err(&mut problems_of).ok();
        match (id, severity, at, message, when, rule) {
            (Some(id), Some(severity), Some((at, at_place)), Some(message), Some(when), Some(rule))
                if problems.is_empty() =>
            {
                let head = Head { id: id.into(), severity, at, place: at_place, message };
                let shape = Shape { places: &self.places, permitted: &self.permitted, required: &self.members };
                FieldRule::compile(&shape, place, head, when, rule)
            }
            _ => Err(problems),
        }
    }

    /// The field a finding stands at: the object itself if nothing is said.
    fn at(&self, place: PlaceId, entry: &Map<String, Value>) -> Result<(String, PlaceId), Problem> {
        let Some(pointer) = text(entry, "at")? else { return Ok((String::new(), place)) };
        let refused = || {
            let message = Text::new(
                "phải là JSON pointer từ đối tượng tới một trường của lược đồ, ví dụ \"/end_date\"",
                "must be a JSON pointer from the object to a field of the schema, such as \"/end_date\"",
            );
            ("at", message)
        };
        let names = pointer.strip_prefix('/').ok_or_else(refused)?.split('/');
        let field = |place: PlaceId, name: &str| self.places.get(place as usize)?.fields.get(&unescape(name));
        let at = names.clone().try_fold(place, field).ok_or_else(refused)?;
        let mut pointer = String::new();
        names.for_each(|name| push_name(&mut pointer, &unescape(name)));
        Ok((pointer, at))
    }

    fn refuse_rule(&mut self, pointer: &str, message: Text) {
        self.add(
            pointer,
            SchemaRule::Rules,
            message,
            Text::new(
                "ghi {\"id\": \"end-not-before-start\", \"rule\": \"this.end_date >= this.start_date\", \"message\": {\"vi\": \"...\", \"en\": \"...\"}} bên cạnh properties; docs/rules.md",
                "write {\"id\": \"end-not-before-start\", \"rule\": \"this.end_date >= this.start_date\", \"message\": {\"vi\": \"...\", \"en\": \"...\"}} beside properties; docs/rules.md",
            ),
        );
    }
}

fn missing(keyword: &'static str) -> Problem {
    (keyword, Text::new(format!("thiếu \"{keyword}\""), format!("\"{keyword}\" is missing")))
}

fn text<'e>(entry: &'e Map<String, Value>, keyword: &'static str) -> Result<Option<&'e str>, Problem> {
    match entry.get(keyword) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err((keyword, Text::new("phải là chuỗi", "must be a string"))),
    }
}

fn id(entry: &Map<String, Value>) -> Result<&str, Problem> {
    let id = text(entry, "id")?.ok_or_else(|| missing("id"))?;
    let is_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(is_good) {
        return Ok(id);
    }
    let message = Text::new(
        format!("gồm 1-{MAX_ID} ký tự a-z, 0-9 và gạch nối"),
        format!("is of 1-{MAX_ID} characters a-z, 0-9 and hyphen"),
    );
    Err(("id", message))
}

fn severity(entry: &Map<String, Value>) -> Result<Severity, Problem> {
    match text(entry, "severity")? {
        None | Some("refuse") => Ok(Severity::Refuse),
        Some("warn") => Ok(Severity::Warn),
        Some(_) => Err(("severity", Text::new("là \"refuse\" hoặc \"warn\"", "is \"refuse\" or \"warn\""))),
    }
}

fn message(entry: &Map<String, Value>) -> Result<Text, Problem> {
    let refused = || {
        let message = Text::new(
            format!("ghi {{\"vi\": \"...\", \"en\": \"...\"}}, mỗi câu không quá {MAX_MESSAGE} ký tự"),
            format!("write {{\"vi\": \"...\", \"en\": \"...\"}}, each of at most {MAX_MESSAGE} characters"),
        );
        ("message", message)
    };
    let texts = entry.get("message").ok_or_else(|| missing("message"))?.as_object().ok_or_else(refused)?;
    let is_good = |text: &&str| !text.trim().is_empty() && text.chars().count() <= MAX_MESSAGE;
    let text = |language: &str| texts.get(language).and_then(Value::as_str).filter(is_good).map(str::to_owned);
    match (text("vi"), text("en")) {
        (Some(vi), Some(en)) if texts.len() == 2 => Ok(Text::new(vi, en)),
        _ => Err(refused()),
    }
}
