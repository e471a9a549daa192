//! Turns what the `jsonschema` crate says into findings: our rules, our words, no values.

use jsonschema::{
    JsonType, ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use ldop_dictionary::message;
use ldop_types::{Finding, Rule, Text};

use super::plan::{Bound, Plan};
use crate::{
    document::{Node, Value},
    pointer,
};

/// Most values of an `enum` that a message lists.
const LISTED_VALUES: usize = 10;
/// Longest value of an `enum` that a message lists, characters.
const LISTED_CHARS: usize = 40;

/// The finding of one error. Names the schema does not have are left out of the pointer, with all that follows.
pub(super) fn explain(plan: &Plan, root: Node<'_>, error: &ValidationError<'_>) -> Finding {
    let mut place = Located::at_root(plan, root);
    for segment in error.instance_path().as_str().split('/').skip(1) {
        if !place.descend(plan, segment) {
            break;
        }
    }
    if let Kind::Required { property } = error.kind()
        && let Some(name) = property.as_str()
        && place.is_complete
    {
        place.descend_to_absent(plan, name);
    }
    let is_personal = place.bound.is_some_and(|bound| bound.element.sensitivity().is_personal());
    let (rule, message) = rule_and_message(error.kind(), is_personal);
    Finding { pointer: place.pointer, element: place.bound.map(|bound| bound.element.id().clone()), rule, message }
}

/// A place of the record, found by walking record and plan side by side.
struct Located<'p, 'd> {
    pointer: String,
    node: Option<Node<'d>>,
    place: Option<u32>,
    bound: Option<&'p Bound>,
    /// Whether every name on the way is one of the schema's.
    is_complete: bool,
}

impl<'p, 'd> Located<'p, 'd> {
    fn at_root(plan: &'p Plan, root: Node<'d>) -> Self {
        let bound = plan.place(0).element.as_ref();
        Self { pointer: String::new(), node: Some(root), place: Some(0), bound, is_complete: true }
    }

    /// Goes one step down; false where the name is not one of the schema's.
    fn descend(&mut self, plan: &'p Plan, segment: &str) -> bool {
        let place = self.place.map(|place| plan.place(place));
        let next = match self.node.map(|node| node.value()) {
            Some(Value::Object(members)) => {
                let name = pointer::unescape(segment);
                let Some(field) = place.and_then(|place| place.fields.get(&name)) else {
                    self.bound = None;
                    self.is_complete = false;
                    return false;
                };
                pointer::push_name(&mut self.pointer, &name);
                self.node = members.get(&name);
                Some(field)
            }
            Some(Value::Array(mut items)) => {
                let index = segment.parse().unwrap_or(usize::MAX);
                pointer::push_index(&mut self.pointer, index);
                self.node = items.nth(index);
                place.and_then(|place| place.item(index))
            }
            _ => return false,
        };
        self.place = next;
        self.bound = next.and_then(|place| plan.place(place).element.as_ref());
        true
    }

    /// Goes to a member that is missing; its name comes from the schema.
    fn descend_to_absent(&mut self, plan: &'p Plan, name: &str) {
        pointer::push_name(&mut self.pointer, name);
        let field = self.place.and_then(|place| plan.place(place).fields.get(name));
        self.bound = field.and_then(|field| plan.place(field).element.as_ref());
    }
}

/// No wildcard: a kind a new release adds must be given its rule here.
fn rule_and_message(kind: &Kind, is_personal: bool) -> (Rule, Text) {
    match kind {
        Kind::Type { kind } => (Rule::Type, types_message(kind)),
        Kind::Required { .. } => (Rule::Required, message::plain(Rule::Required)),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            (Rule::NotPermitted, not_permitted(unexpected.len()))
        }
        Kind::PropertyNames { .. } => (
            Rule::NotPermitted,
            Text::new("có trường mang tên không được phép", "a field has a name that is not permitted"),
        ),
        Kind::FalseSchema => (Rule::NotPermitted, message::plain(Rule::NotPermitted)),
        Kind::MinLength { limit } => (Rule::MinLength, message::at_least(*limit)),
        Kind::MaxLength { limit } => (Rule::MaxLength, message::at_most(*limit)),
        Kind::Pattern { pattern } => (Rule::Pattern, message::pattern_message(pattern)),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            (Rule::Pattern, message::plain(Rule::Pattern))
        }
        Kind::Format { format } => (Rule::Format, format_message(format)),
        Kind::ContentEncoding { content_encoding: name } | Kind::ContentMediaType { content_media_type: name } => {
            (Rule::Format, Text::new(format!("nội dung phải có dạng {name}"), format!("the content must be {name}")))
        }
        Kind::FromUtf8 { .. } => (Rule::Format, message::plain(Rule::Format)),
        Kind::MultipleOf { multiple_of } => (
            Rule::Format,
            Text::new(format!("phải là bội số của {multiple_of}"), format!("must be a multiple of {multiple_of}")),
        ),
        Kind::Minimum { limit } => (Rule::Minimum, message::minimum_message(&limit.to_string())),
        Kind::Maximum { limit } => (Rule::Maximum, message::maximum_message(&limit.to_string())),
        Kind::ExclusiveMinimum { limit } => {
            (Rule::Minimum, Text::new(format!("phải lớn hơn {limit}"), format!("must be greater than {limit}")))
        }
        Kind::ExclusiveMaximum { limit } => {
            (Rule::Maximum, Text::new(format!("phải nhỏ hơn {limit}"), format!("must be less than {limit}")))
        }
        Kind::Enum { options } => (Rule::Enum, enum_message(options, is_personal)),
        Kind::Constant { expected_value } => {
            let options = serde_json::Value::Array(vec![(**expected_value).clone()]);
            (Rule::Enum, enum_message(&options, is_personal))
        }
        Kind::MinItems { limit } => (
            Rule::Items,
            Text::new(format!("phải có ít nhất {limit} phần tử"), format!("must have at least {limit} items")),
        ),
        Kind::MaxItems { limit } => (
            Rule::Items,
            Text::new(format!("không được có quá {limit} phần tử"), format!("must have at most {limit} items")),
        ),
        Kind::AdditionalItems { limit } => (
            Rule::Items,
            Text::new(format!("không được có quá {limit} phần tử"), format!("must have at most {limit} items")),
        ),
        Kind::UnevaluatedItems { .. } => {
            (Rule::Items, Text::new("có phần tử không được phép", "holds items that are not permitted"))
        }
        Kind::UniqueItems => (Rule::Items, Text::new("các phần tử không được trùng nhau", "items must differ")),
        Kind::Contains => {
            (Rule::Items, Text::new("thiếu phần tử bắt buộc phải có", "an item that must be there is missing"))
        }
        Kind::MinProperties { limit } => (
            Rule::Structure,
            Text::new(format!("phải có ít nhất {limit} trường"), format!("must have at least {limit} fields")),
        ),
        Kind::MaxProperties { limit } => (
            Rule::Structure,
            Text::new(format!("không được có quá {limit} trường"), format!("must have at most {limit} fields")),
        ),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => (
            Rule::Structure,
            Text::new(
                format!("không khớp dạng nào trong {} dạng của lược đồ", context.len()),
                format!("fits none of the {} forms of the schema", context.len()),
            ),
        ),
        Kind::OneOfMultipleValid { .. } => (
            Rule::Structure,
            Text::new(
                "khớp nhiều dạng của lược đồ, chỉ được khớp một",
                "fits several forms of the schema, must fit one",
            ),
        ),
        Kind::Not { .. } => {
            (Rule::Structure, Text::new("có dạng mà lược đồ cấm", "has a form that the schema forbids"))
        }
        Kind::Custom { .. } | Kind::Referencing(_) => (Rule::Structure, message::plain(Rule::Structure)),
    }
}

fn not_permitted(count: usize) -> Text {
    Text::new(
        format!("có {count} trường không được phép; chỉ gửi các trường mà lược đồ nêu"),
        match count {
            1 => "1 field is not permitted; send only fields the schema names".to_owned(),
            _ => format!("{count} fields are not permitted; send only fields the schema names"),
        },
    )
}

fn types_message(kind: &TypeKind) -> Text {
    let types: Vec<JsonType> = match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(set) => set.iter().collect(),
    };
    let words =
        |word: fn(JsonType) -> &'static str, or: &str| types.iter().map(|one| word(*one)).collect::<Vec<_>>().join(or);
    Text::new(format!("phải là {}", words(vietnamese, " hoặc ")), format!("must be {}", words(english, " or ")))
}

fn vietnamese(json_type: JsonType) -> &'static str {
    match json_type {
        JsonType::Null => "null",
        JsonType::Boolean => "true hoặc false",
        JsonType::Integer => "số nguyên",
        JsonType::Number => "số",
        JsonType::String => "chuỗi ký tự",
        JsonType::Array => "mảng [ ]",
        JsonType::Object => "đối tượng { }",
    }
}

fn english(json_type: JsonType) -> &'static str {
    match json_type {
        JsonType::Null => "null",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Array => "an array [ ]",
        JsonType::Object => "an object { }",
    }
}

fn format_message(format: &str) -> Text {
    match format {
        "date" => message::date_message(),
        "date-time" => message::date_time_message(),
        other => Text::new(format!("phải có định dạng {other}"), format!("must have the format {other}")),
    }
}

/// Lists the values only where they tell nothing of a person and are few and short.
fn enum_message(options: &serde_json::Value, is_personal: bool) -> Text {
    let options = options.as_array().map_or(&[][..], Vec::as_slice);
    let words: Option<Vec<String>> = options
        .iter()
        .map(|option| match option {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
            scalar => Some(scalar.to_string()),
        })
        .collect();
    match words {
        Some(words)
            if !is_personal
                && (1..=LISTED_VALUES).contains(&words.len())
                && words.iter().all(|word| word.chars().count() <= LISTED_CHARS) =>
        {
            let list = words.join(", ");
            match words.len() {
                1 => Text::new(format!("phải là {list}"), format!("must be {list}")),
                _ => Text::new(format!("phải là một trong: {list}"), format!("must be one of: {list}")),
            }
        }
        _ => message::plain(Rule::Enum),
    }
}
