//! What is right and could be better.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ldop_dictionary::Dictionary;
use ldop_schema_registry::schema::ELEMENT_KEYWORD;
use ldop_types::Text;
use serde_json::Value;

use super::{Level, LintFinding};
use crate::{Examined, diff::key_of, files::ENDING, json::locate, schemas::SchemaText};

/// Deeper than any schema the hub takes: what refers to itself ends by being seen twice.
const DEEPEST: usize = 64;

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $describe:literal;)*) => {
        /// A rule of advice. Words are public API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum AdviceRule { $($(#[$doc])* $variant,)* }

        impl AdviceRule {
            /// Every rule.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// The word in reports, UPPER_SNAKE_CASE.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word,)* } }

            /// What it advises and why.
            #[must_use]
            pub const fn describe(self) -> &'static str { match self { $(Self::$variant => $describe,)* } }
        }
    };
}

rules! {
    /// An object takes members that no one declared.
    OpenContent = "ADVICE_OPEN_CONTENT",
        "Objects say whether members nobody declared are taken: those of open objects are bound to no element.";
    /// A text may be no longer than fits the schema, where the element allows more.
    NarrowLength = "ADVICE_NARROW_LENGTH",
        "A length below that of the element refuses values the dictionary permits.";
    /// A definition no one refers to.
    UnusedDefinition = "ADVICE_UNUSED_DEFINITION",
        "A definition that nothing refers to has no effect.";
    /// No member has to be there.
    NothingRequired = "ADVICE_NOTHING_REQUIRED",
        "A record of which nothing is required may be empty.";
    /// No record shows what is accepted.
    NoExample = "ADVICE_NO_EXAMPLE",
        "An accepted example shows what a record looks like and keeps the schema from breaking unnoticed.";
}

/// Advice on every schema that is JSON.
pub(super) fn advice(examined: &Examined) -> Vec<LintFinding> {
    let folder = &examined.folder;
    let with_example: BTreeSet<&str> =
        examined.files.examples.iter().filter(|e| !e.is_rejected).map(|e| e.schema.as_str()).collect();
    let mut findings = Vec::new();
    let elsewhere = used_elsewhere(&folder.schemas);
    for schema in &folder.schemas {
        let Ok(tree) = serde_json::from_str::<Value>(schema.source.text()) else { continue };
        let mut adviser = Adviser {
            schema,
            root: &tree,
            dictionary: &examined.checked.dictionary,
            seen: HashSet::new(),
            elsewhere: elsewhere.get(schema.name.as_str()).map_or(&[], Vec::as_slice),
            findings: &mut findings,
        };
        adviser.visit(&tree, "", 0);
        adviser.definitions();
        adviser.required();
        if !with_example.contains(schema.name.as_str()) {
            let name = &schema.name;
            adviser.note(
                "",
                AdviceRule::NoExample,
                Text::new("không có bản ghi mẫu được chấp nhận", "there is no accepted example"),
                Text::new(
                    format!("thêm một bản ghi vào {name}.accepted/ bên cạnh lược đồ"),
                    format!("add a record to {name}.accepted/ beside the schema"),
                ),
            );
        }
    }
    findings
}

/// Where schemas are referred to by others, by name of the schema.
fn used_elsewhere(schemas: &[SchemaText]) -> BTreeMap<&str, Vec<String>> {
    let mut used: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for schema in schemas.iter().filter(|schema| !schema.references.is_empty()) {
        let Ok(tree) = serde_json::from_str::<Value>(schema.source.text()) else { continue };
        let mut uses = Uses::default();
        uses.gather(&tree, &mut String::new());
        for (file, to) in uses.files {
            if let Some(reference) = schema.references.iter().find(|reference| reference.name == file) {
                used.entry(reference.subject.as_str()).or_default().push(to);
            }
        }
    }
    used
}

struct Adviser<'a> {
    schema: &'a SchemaText,
    root: &'a Value,
    dictionary: &'a Dictionary,
    seen: HashSet<String>,
    /// Where `$ref`s of other files lead in this one.
    elsewhere: &'a [String],
    findings: &'a mut Vec<LintFinding>,
}

impl<'a> Adviser<'a> {
    /// Looks at a subschema that speaks of a value alone: the root, members, items. Branches of `allOf` and the like are
    /// not for closing.
    fn visit(&mut self, schema: &'a Value, pointer: &str, depth: usize) {
        if depth > DEEPEST || !self.seen.insert(pointer.to_owned()) {
            return;
        }
        if let Some(place) = schema.get("$ref").and_then(Value::as_str).and_then(|uri| uri.strip_prefix('#'))
            && let Some(target) = self.root.pointer(place)
        {
            self.visit(target, place, depth + 1);
        }
        self.open_content(schema, pointer);
        self.narrow_length(schema, pointer);
        for keyword in ["properties", "patternProperties"] {
            for (name, member) in schema.get(keyword).and_then(Value::as_object).into_iter().flatten() {
                let name = name.replace('~', "~0").replace('/', "~1");
                self.visit(member, &format!("{pointer}/{keyword}/{name}"), depth + 1);
            }
        }
        for keyword in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(keyword).filter(|inner| inner.is_object()) {
                self.visit(inner, &format!("{pointer}/{keyword}"), depth + 1);
            }
        }
        for keyword in ["prefixItems", "items"] {
            for (at, item) in schema.get(keyword).and_then(Value::as_array).into_iter().flatten().enumerate() {
                self.visit(item, &format!("{pointer}/{keyword}/{at}"), depth + 1);
            }
        }
    }

    fn open_content(&mut self, schema: &Value, pointer: &str) {
        let says = |keyword: &str| schema.get(keyword).is_some();
        if !says("properties") || says("additionalProperties") || says("unevaluatedProperties") {
            return;
        }
        let keyword = if ["$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"].into_iter().any(says) {
            "unevaluatedProperties"
        } else {
            "additionalProperties"
        };
        self.note(
            pointer,
            AdviceRule::OpenContent,
            Text::new(
                "đối tượng nhận cả trường chưa khai báo, không gắn với phần tử nào",
                "the object takes members nobody declared, bound to no element",
            ),
            Text::new(format!("ghi \"{keyword}\": false"), format!("write \"{keyword}\": false")),
        );
    }

    fn narrow_length(&mut self, schema: &Value, pointer: &str) {
        let element = schema.get(ELEMENT_KEYWORD).and_then(Value::as_str).and_then(|id| self.dictionary.element(id));
        let own = schema.get("maxLength").and_then(Value::as_u64);
        let most = element.and_then(|element| element.definition().max_length);
        let (Some(own), Some(element), Some(most)) = (own, element, most) else { return };
        if own < u64::from(most) {
            let id = element.id();
            self.note(
                &format!("{pointer}/maxLength"),
                AdviceRule::NarrowLength,
                Text::new(
                    format!("độ dài {own} nhỏ hơn {most} mà phần tử {id} cho phép"),
                    format!("the length {own} is below the {most} that the element {id} permits"),
                ),
                Text::new(
                    "bỏ maxLength: phần tử đã giới hạn độ dài",
                    "leave maxLength out: the element limits the length",
                ),
            );
        }
    }

    fn definitions(&mut self) {
        let mut uses = Uses::default();
        uses.gather(self.root, &mut String::new());
        if uses.is_dynamic {
            return;
        }
        for keyword in ["$defs", "definitions"] {
            for (name, definition) in self.root.get(keyword).and_then(Value::as_object).into_iter().flatten() {
                let name = name.replace('~', "~0").replace('/', "~1");
                let own = format!("/{keyword}/{name}");
                let is_within = |pointer: &str| {
                    pointer.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                let anchor = definition.get("$anchor").and_then(Value::as_str);
                if self.elsewhere.iter().any(|to| is_within(to)) {
                    continue;
                }
                let mut from_elsewhere = uses.references.iter().filter(|(at, _)| !is_within(at));
                if from_elsewhere.any(|(_, to)| is_within(to) || anchor == Some(to.as_str())) {
                    continue;
                }
                self.note(
                    &own,
                    AdviceRule::UnusedDefinition,
                    Text::new("không có $ref nào trỏ tới định nghĩa này", "no $ref leads to this definition"),
                    Text::new("bỏ định nghĩa, hoặc tham chiếu tới nó", "take it out, or refer to it"),
                );
            }
        }
    }

    fn required(&mut self) {
        // What composition requires is not looked for: silence is better than wrong advice.
        if ["$ref", "allOf", "anyOf", "oneOf", "if"].iter().any(|keyword| self.root.get(keyword).is_some()) {
            return;
        }
        let required: Vec<&str> = self
            .root
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if required.is_empty() && self.root.get("properties").is_some() {
            self.note(
                "",
                AdviceRule::NothingRequired,
                Text::new("không trường nào bắt buộc", "nothing is required"),
                Text::new(
                    "ghi vào required các trường khóa và các trường luôn có",
                    "name in required the key fields and what always stands",
                ),
            );
        }
    }

    fn note(&mut self, pointer: &str, rule: AdviceRule, message: Text, remedy: Text) {
        self.findings.push(LintFinding {
            place: self.schema.source.place(locate(self.schema.source.text(), pointer)),
            key: key_of(pointer),
            rule: rule.as_str(),
            level: Level::Warning,
            message,
            remedy: Some(remedy),
        });
    }
}

/// References of a schema: where each stands and where it leads, without `#`.
#[derive(Default)]
struct Uses {
    references: Vec<(String, String)>,
    /// Files, and where in them.
    files: Vec<(String, String)>,
    is_dynamic: bool,
}

impl Uses {
    fn gather(&mut self, value: &Value, pointer: &mut String) {
        let here = pointer.len();
        match value {
            Value::Object(map) => {
                for (name, inner) in map {
                    match (name.as_str(), inner) {
                        ("$ref", Value::String(uri)) => {
                            let (document, to) = uri.split_once('#').unwrap_or(("", uri.as_str()));
                            if document.ends_with(ENDING) {
                                self.files.push((document.to_owned(), to.to_owned()));
                            } else {
                                self.references.push((pointer.clone(), to.to_owned()));
                            }
                        }
                        ("$dynamicRef" | "$recursiveRef", _) => self.is_dynamic = true,
                        _ => {}
                    }
                    pointer.push('/');
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    self.gather(inner, pointer);
                    pointer.truncate(here);
                }
            }
            Value::Array(list) => {
                for inner in list {
                    self.gather(inner, pointer);
                }
            }
            _ => {}
        }
    }
}
