//! Schemas: compiled once for each version, then asked for every record.

mod bind;
mod collect;
mod explain;
mod find;
mod finding;
mod plan;
mod quick;
mod row_condition;
mod rules;

use std::{collections::HashSet, fmt, sync::Arc};

use jsonschema::{Draft, PatternOptions, Validator, error::ValidationErrorKind};
use ldop_dictionary::{Binding, Dictionary, Element, ElementStatus, RelationKind, pattern::MAX_PROGRAM_BYTES};
use ldop_types::{Date, ElementId, Rule, Sensitivity, Text};

pub use find::Finder;
pub use finding::{SchemaFinding, SchemaRule};
pub use row_condition::RowCondition;

use crate::{
    document::{Document, Limits, Parser},
    json::RecordJson,
    outcome::Outcome,
};
use plan::Plan;

/// The keyword that binds a property to an element.
pub const ELEMENT_KEYWORD: &str = "x-ldop-element";
/// The keyword that says how personal a property is, where it is more so than its element.
pub const SENSITIVITY_KEYWORD: &str = "x-ldop-sensitivity";
/// The keyword that compares a personal id with other properties of the same object.
pub const CHECKS_KEYWORD: &str = "x-ldop-checks";
/// The keyword that says in CEL what the fields of one object must be to each other.
pub const RULES_KEYWORD: &str = "x-ldop-rules";

/// Most rules across fields of one object.
pub(crate) const MAX_RULES: usize = 32;
/// Most errors of the library that are turned into findings: finding the place of each takes a walk from the root, so a
/// record that is wrong everywhere must not make as many walks as it has values.
const MAX_EXPLAINED: usize = 1_000;
/// What a schema may hold at most.
pub const SCHEMA_LIMITS: Limits = Limits { bytes: 1 << 20, depth: 64, values: 50_000 };

/// A schema version bound to a snapshot of the dictionary. Cheap to clone.
#[derive(Clone)]
pub struct CompiledSchema(Arc<Inner>);

struct Inner {
    source: Arc<Source>,
    /// For records of today and of all days no other plan is for.
    plan: Plan,
    /// For records dated before the day, the earliest first: versions of elements that judged then. Nearly always none.
    earlier: Vec<(Date, Plan)>,
    top_level: Vec<TopLevelField>,
}

/// What does not depend on the dictionary.
struct Source {
    text: String,
    tree: serde_json::Value,
    draft: Draft,
    validator: Validator<RecordJson>,
}

/// A property of the record itself, as agreements grant them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopLevelField {
    /// The property's name.
    pub name: String,
    /// The element it is bound to; none for objects and arrays, which bind through their leaves.
    pub element: Option<ElementId>,
    /// How personal it is: of all it contains, the most.
    pub sensitivity: Sensitivity,
    /// Whether every record has it. It may be null all the same.
    pub is_required: bool,
    /// Whether the schema says that it may be null.
    pub names_null: bool,
}

impl TopLevelField {
    /// Why it cannot be a key, if so.
    fn unfit_as_key(&self) -> Option<SchemaFinding> {
        let name = &self.name;
        let mut pointer = "/properties".to_owned();
        crate::pointer::push_name(&mut pointer, name);
        let (message, remedy) = if self.element.is_none() {
            let message = Text::new(
                format!("trường khóa {name} không phải giá trị đơn"),
                format!("the key field {name} is not a single value"),
            );
            (message, Text::new("chọn trường khác làm khóa", "make another field the key"))
        } else if !self.is_required {
            "/required".clone_into(&mut pointer);
            let message = Text::new(
                format!("trường khóa {name} có thể vắng mặt"),
                format!("the key field {name} may be left out"),
            );
            (message, Text::new(format!("thêm {name} vào required"), format!("add {name} to required")))
        } else if self.names_null {
            let message =
                Text::new(format!("trường khóa {name} có thể là null"), format!("the key field {name} may be null"));
            (message, Text::new("bỏ null khỏi type", "take null out of its type"))
        } else {
            return None;
        };
        let element = self.element.as_ref().map(ToString::to_string);
        Some(SchemaFinding { pointer, element, rule: SchemaRule::Key, message, remedy })
    }
}

impl CompiledSchema {
    /// Compiles a schema: JSON Schema 2020-12, or 2019-09 or draft-07 where `$schema` says so, with every property that may hold a
    /// scalar bound to an element of the dictionary by `x-ldop-element`. Fetches nothing.
    ///
    /// # Errors
    ///
    /// Everything found at once; one finding alone where the text is no document at all.
    pub fn compile(text: &str, dictionary: &Dictionary) -> Result<Self, Vec<SchemaFinding>> {
        let mut parser = Parser::new(SCHEMA_LIMITS);
        let tree = match parser.parse(text.as_bytes()) {
            Ok(document) => document.root().to_tree(),
            Err(flaw) => {
                let remedy = Text::new("sửa cho đúng JSON", "mend the JSON");
                return Err(vec![schema_finding("", SchemaRule::Document, flaw.message, remedy)]);
            }
        };
        let draft = draft_of(&tree)?;
        let mut findings = Vec::new();
        let bound = bind_all(&tree, draft, dictionary, &mut findings);
        let validator = build(&tree, draft, &mut findings);
        match (validator, bound) {
            (Some(validator), Some((plan, earlier))) => {
                let source = Arc::new(Source { text: text.to_owned(), tree, draft, validator });
                Ok(Self::new(source, plan, earlier))
            }
            _ => Err(sorted(findings)),
        }
    }

    /// The same schema with another snapshot of the dictionary. Compiles no JSON Schema again.
    ///
    /// # Errors
    ///
    /// Bindings the new snapshot does not satisfy, all at once.
    pub fn with_dictionary(&self, dictionary: &Dictionary) -> Result<Self, Vec<SchemaFinding>> {
        let source = Arc::clone(&self.0.source);
        let mut findings = Vec::new();
        match bind_all(&source.tree, source.draft, dictionary, &mut findings) {
            Some((plan, earlier)) => Ok(Self::new(source, plan, earlier)),
            None => Err(sorted(findings)),
        }
    }

    fn new(source: Arc<Source>, plan: Plan, earlier: Vec<(Date, Plan)>) -> Self {
        let mut top_level = bind::top_level_fields(&plan);
        // Records of all days are granted alike: of all versions, the most personal.
        for (_, plan) in &earlier {
            for (field, then) in top_level.iter_mut().zip(bind::top_level_fields(plan)) {
                field.sensitivity = field.sensitivity.max(then.sensitivity);
            }
        }
        Self(Arc::new(Inner { source, plan, earlier, top_level }))
    }

    /// The elements the schema is bound to, each with the pointer to the keyword that names it.
    pub fn bindings(&self) -> impl Iterator<Item = (&str, &Element)> {
        self.0.plan.bindings.iter().map(|(pointer, element)| (pointer.as_str(), element))
    }

    /// The properties of the record itself that hold, at whatever depth, an element of which `is_meant` holds.
    pub fn fields_with(&self, is_meant: impl Fn(&Element) -> bool) -> Vec<&str> {
        let plan = &self.0.plan;
        let fields = plan.place(0).fields.iter();
        fields.filter(|(_, id)| bind::holds_within(plan, *id, &is_meant)).map(|(name, _)| name).collect()
    }

    /// What stands against this as a new schema version: bindings to elements that are not registered yet, or retired, and
    /// whatever it states that is looser than its elements. A version that is registered goes on with them.
    #[must_use]
    pub fn refused_bindings(&self) -> Vec<SchemaFinding> {
        let mut findings = self.bindings_of(Binding::Refused);
        findings.extend(self.0.plan.looser.iter().cloned());
        sorted(findings)
    }

    /// What whoever registers this should know: bindings to elements that are to be replaced.
    #[must_use]
    pub fn discouraged_bindings(&self) -> Vec<SchemaFinding> {
        self.bindings_of(Binding::Discouraged)
    }

    fn bindings_of(&self, binding: Binding) -> Vec<SchemaFinding> {
        let meant = self.bindings().filter(|(_, element)| element.status().binding() == binding);
        sorted(meant.map(|(pointer, element)| status_finding(pointer, element)).collect())
    }

    /// What stands against these properties as the key of a dataset. Those that the schema does not have are passed over.
    #[must_use]
    pub fn unfit_keys(&self, key_fields: &[String]) -> Vec<SchemaFinding> {
        let named = self.top_level_fields().iter().filter(|field| key_fields.contains(&field.name));
        named.filter_map(TopLevelField::unfit_as_key).collect()
    }

    /// The schema as it was registered.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.source.text
    }

    /// The properties of the record itself, by name.
    #[must_use]
    pub fn top_level_fields(&self) -> &[TopLevelField] {
        &self.0.top_level
    }

    /// Number of different properties, at any depth.
    #[must_use]
    pub fn property_count(&self) -> usize {
        self.0.plan.places.iter().map(|place| place.fields.len()).sum()
    }

    /// Checks a record against the schema and against the element of every bound property, codes as of the day `on`.
    /// Puts everything found into `outcome`, which is cleared first, and returns whether the record is accepted.
    ///
    /// A record that is right costs no allocation. Findings and warnings never hold a value of the record, nor a name
    /// the schema does not have.
    pub fn check(&self, document: &Document<'_>, on: Date, outcome: &mut Outcome) -> bool {
        outcome.clear();
        let (validator, root) = (&self.0.source.validator, document.root());
        let plan = self.plan_on(on);
        let verdict = plan.verdict(root, on);
        if verdict.is_broken || verdict.is_warned || !(verdict.is_valid || validator.is_valid(root)) {
            self.collect(plan, document, on, verdict.is_valid, outcome);
        }
        outcome.is_accepted()
    }

    /// The plan of the versions that judge a day.
    #[inline]
    fn plan_on(&self, on: Date) -> &Plan {
        if self.0.earlier.is_empty() { &self.0.plan } else { self.earlier_plan_on(on) }
    }

    #[cold]
    fn earlier_plan_on(&self, on: Date) -> &Plan {
        let before = self.0.earlier.iter().find(|(until, _)| on < *until);
        before.map_or(&self.0.plan, |(_, plan)| plan)
    }

    #[cold]
    fn collect(&self, plan: &Plan, document: &Document<'_>, on: Date, is_valid: bool, outcome: &mut Outcome) {
        let root = document.root();
        collect::collect(plan, root, on, outcome);
        if !is_valid {
            let mut errors = self.0.source.validator.iter_errors(root);
            outcome
                .findings
                .extend(errors.by_ref().take(MAX_EXPLAINED).map(|error| explain::explain(plan, root, &error)));
            outcome.omitted += errors.count();
        }
        drop_consequences(outcome);
        outcome.settle();
    }
}

impl fmt::Debug for CompiledSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompiledSchema({} properties)", self.property_count())
    }
}

/// A value of the wrong type is none of the permitted values either, nor can a rule be asked of it; that is said once.
fn drop_consequences(outcome: &mut Outcome) {
    let wrong_type: HashSet<String> =
        outcome.findings.iter().filter(|f| f.rule == Rule::Type).map(|f| f.pointer.clone()).collect();
    outcome.findings.retain(|f| f.rule != Rule::Enum || !wrong_type.contains(&f.pointer));
    // A rule that cannot be decided is a reason of its own only where nothing else is: a required field that is missing, or
    // a text that is no date, is told by itself.
    if outcome.findings.iter().any(|f| !matches!(f.rule, Rule::AcrossFields | Rule::AcrossFieldsUndecided)) {
        outcome.findings.retain(|f| f.rule != Rule::AcrossFieldsUndecided);
        outcome.warnings.retain(|f| f.rule != Rule::AcrossFieldsUndecided);
    }
}

/// Binds to the versions that judge from now on, and to those that judge earlier days, where they differ.
fn bind_all(
    tree: &serde_json::Value,
    draft: Draft,
    dictionary: &Dictionary,
    findings: &mut Vec<SchemaFinding>,
) -> Option<(Plan, Vec<(Date, Plan)>)> {
    let plan = bind::bind(tree, draft, dictionary, findings)?;
    let days = dictionary.effective_days(plan.bindings.iter().map(|(_, element)| element.id()));
    let mut earlier = Vec::with_capacity(days.len());
    for until in days {
        let mut found = Vec::new();
        let then = dictionary.as_of(Date(until.0.saturating_sub(1)));
        earlier.extend(bind::bind(tree, draft, &then, &mut found).map(|plan| (until, plan)));
        findings.extend(found.into_iter().map(|finding| SchemaFinding {
            message: Text::new(
                format!("{} (bản ghi trước ngày {until})", finding.message.vi),
                format!("{} (records dated before {until})", finding.message.en),
            ),
            ..finding
        }));
    }
    findings.is_empty().then_some((plan, earlier))
}

fn status_finding(pointer: &str, element: &Element) -> SchemaFinding {
    let (id, status) = (element.id(), element.status());
    let other = element.definition().relations.iter().find(|(kind, _)| kind == RelationKind::ReplacedBy.as_str());
    let remedy = match (other, status) {
        (Some((_, other)), _) => Text::new(format!("dùng phần tử {other}"), format!("use the element {other}")),
        (None, ElementStatus::Deprecated | ElementStatus::Retired) => {
            Text::new("dùng một phần tử đang có hiệu lực", "use an element that is registered")
        }
        (None, _) => Text::new("đợi phần tử được phê duyệt", "wait until the element is registered"),
    };
    let status = status.as_str();
    SchemaFinding {
        pointer: pointer.to_owned(),
        element: Some(id.to_string()),
        rule: SchemaRule::ElementStatus,
        message: Text::new(
            format!("phần tử {id} đang ở trạng thái {status}"),
            format!("the element {id} has the status {status}"),
        ),
        remedy,
    }
}

fn schema_finding(pointer: &str, rule: SchemaRule, message: Text, remedy: Text) -> SchemaFinding {
    SchemaFinding { pointer: pointer.to_owned(), element: None, rule, message, remedy }
}

fn sorted(mut findings: Vec<SchemaFinding>) -> Vec<SchemaFinding> {
    findings.sort_by(|a, b| (&a.pointer, a.rule).cmp(&(&b.pointer, b.rule)));
    findings.dedup();
    findings
}

fn draft_of(tree: &serde_json::Value) -> Result<Draft, Vec<SchemaFinding>> {
    match tree.get("$schema") {
        None => Ok(Draft::Draft202012),
        Some(serde_json::Value::String(uri))
            if uri.trim_end_matches('#') == "https://json-schema.org/draft/2020-12/schema" =>
        {
            Ok(Draft::Draft202012)
        }
        Some(serde_json::Value::String(uri))
            if uri.trim_end_matches('#') == "https://json-schema.org/draft/2019-09/schema" =>
        {
            Ok(Draft::Draft201909)
        }
        Some(serde_json::Value::String(uri))
            if uri.trim_end_matches('#') == "http://json-schema.org/draft-07/schema" =>
        {
            Ok(Draft::Draft7)
        }
        Some(_) => Err(vec![schema_finding(
            "/$schema",
            SchemaRule::Draft,
            Text::new("phiên bản JSON Schema không được hỗ trợ", "this draft of JSON Schema is not supported"),
            Text::new(
                "bỏ $schema, hoặc ghi https://json-schema.org/draft/2020-12/schema, https://json-schema.org/draft/2019-09/schema hay http://json-schema.org/draft-07/schema#",
                "leave $schema out, or write https://json-schema.org/draft/2020-12/schema, https://json-schema.org/draft/2019-09/schema or http://json-schema.org/draft-07/schema#",
            ),
        )]),
    }
}

/// Compiles the schema, or adds everything the meta-schema says against it.
fn build(tree: &serde_json::Value, draft: Draft, findings: &mut Vec<SchemaFinding>) -> Option<Validator<RecordJson>> {
    let built = jsonschema::options_for::<RecordJson>()
        .with_draft(draft)
        .offline()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_pattern_options(PatternOptions::regex().size_limit(MAX_PROGRAM_BYTES))
        .build(tree);
    let error = match built {
        Ok(validator) => return Some(validator),
        Err(error) => error,
    };
    // The library stops at the first; the meta-schema alone is asked for all.
    let meta = match draft {
        Draft::Draft7 => jsonschema::draft7::meta::validator(),
        Draft::Draft201909 => jsonschema::draft201909::meta::validator(),
        _ => jsonschema::draft202012::meta::validator(),
    };
    let before = findings.len();
    findings.extend(meta.iter_errors(tree).map(|error| library_finding(error.instance_path().as_str(), &error)));
    // References have findings of their own by now.
    let is_reference = matches!(error.kind(), ValidationErrorKind::Referencing(_));
    if findings.len() == before && !(is_reference && before > 0) {
        findings.push(library_finding(error.schema_path().as_str(), &error));
    }
    None
}

fn library_finding(pointer: &str, error: &jsonschema::ValidationError<'_>) -> SchemaFinding {
    // The library's words are English only; they speak of the schema, which is public.
    let message =
        Text::new(format!("không đúng chuẩn JSON Schema: {error}"), format!("not a valid JSON Schema: {error}"));
    let remedy = Text::new(
        "sửa từ khóa này theo JSON Schema; mẫu (pattern) không dùng look-around hay tham chiếu ngược",
        "mend the keyword as JSON Schema has it; patterns without look-around and back references",
    );
    schema_finding(pointer, SchemaRule::MetaSchema, message, remedy)
}
