//! Drafts schemas from elements of the dictionary: every property bound, content closed.
//!
//! What an element says - length, pattern, limits, codes - is not repeated: it holds through the binding, and where the
//! element changes, the schema need not. Types of numbers and booleans are written all the same, because tools that know no
//! dictionary, and CSV, need them to tell `12` from `"12"`.

use ldop_dictionary::{Dictionary, Element, ValueType};
use ldop_schema_registry::schema::ELEMENT_KEYWORD;
use ldop_types::{SchemaName, Text};

use crate::reading::suggestion;

/// Deepest nesting of a draft.
const DEEPEST: usize = 16;

/// What to draft.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Name of the schema.
    pub name: String,
    /// Title; the name where it is empty.
    pub title: String,
    /// Fields with their elements: `full_name`, `head_office.commune_code`, `owners[].full_name`, in the order wanted.
    pub fields: Vec<(String, String)>,
    /// Fields that must stand, by the same names.
    pub required: Vec<String>,
    /// Key fields: top-level, required, of texts or whole numbers.
    pub key: Vec<String>,
}

/// Writes the schema as indented JSON.
///
/// # Errors
///
/// Everything that is wrong with the request, each as a sentence.
pub fn draft(request: &Request, dictionary: &Dictionary) -> Result<String, Vec<Text>> {
    let mut errors = Vec::new();
    if SchemaName::parse(&request.name).is_err() {
        let (name, expected) = (&request.name, SchemaName::EXPECTED);
        errors.push(Text::new(
            format!("{name:?} không phải tên lược đồ"),
            format!("{name:?} is not a schema name; expected {expected}"),
        ));
    }
    if request.fields.is_empty() {
        errors.push(Text::new("chưa có trường nào", "there are no fields; name one as FIELD=ELEMENT"));
    }
    let mut root = Members::default();
    for (path, id) in &request.fields {
        match dictionary.element(id) {
            Some(element) => errors.extend(root.insert(path, Shape::Bound(element.clone())).err()),
            None => {
                let near = suggestion(id, dictionary.elements().map(|element| element.id().as_str()));
                let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                errors.push(Text::new(
                    format!("từ điển chưa có phần tử {id:?}"),
                    format!("the dictionary has no element {id:?}{near}"),
                ));
            }
        }
    }
    if errors.is_empty() {
        for path in request.required.iter().chain(&request.key) {
            if !root.require(path) {
                errors.push(Text::new(
                    format!("không có trường {path:?}"),
                    format!("{path:?} is required and is no field"),
                ));
            }
        }
        errors.extend(request.key.iter().filter_map(|key| root.unfit_key(key)));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let title = if request.title.is_empty() { &request.name } else { &request.title };
    Ok(render(title, &root))
}

/// What a place of a record holds.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// A value of an element.
    Bound(Element),
    /// A value no element was found for, with its type.
    Unbound(ValueType),
    /// An object.
    Object(Members),
    /// A list of the same.
    List(Box<Shape>),
}

/// Members of an object, in the order they were named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Members(Vec<(String, Shape, bool)>);

impl Members {
    /// Puts a shape where a path leads, with the objects and lists on the way.
    pub(crate) fn insert(&mut self, path: &str, shape: Shape) -> Result<(), Text> {
        if path.split('.').count() + path.matches("[]").count() > DEEPEST {
            return Err(Text::new(format!("{path:?}: lồng quá sâu"), format!("{path:?} is nested too deeply")));
        }
        let (step, rest) = match path.split_once('.') {
            Some((step, rest)) => (step, Some(rest)),
            None => (path, None),
        };
        let name = step.trim_end_matches("[]");
        let lists = (step.len() - name.len()) / 2;
        let taken = || {
            Text::new(
                format!("trường {path:?} đứng hai lần"),
                format!("the field {path:?} is named twice, or is both a value and an object"),
            )
        };
        if name.is_empty() {
            return Err(Text::new(format!("{path:?} không phải tên trường"), format!("{path:?} names no field")));
        }
        let at = match self.0.iter().position(|(known, ..)| known == name) {
            Some(_) if rest.is_none() => return Err(taken()),
            Some(at) => at,
            None => {
                let inner = if rest.is_some() { Shape::Object(Self::default()) } else { shape.clone() };
                let inner = (0..lists).fold(inner, |inner, _| Shape::List(Box::new(inner)));
                self.0.push((name.to_owned(), inner, false));
                self.0.len() - 1
            }
        };
        let Some(rest) = rest else { return Ok(()) };
        let mut inner = &mut self.0[at].1;
        for _ in 0..lists {
            match inner {
                Shape::List(item) => inner = item,
                _ => return Err(taken()),
            }
        }
        match inner {
            Shape::Object(members) => members.insert(rest, shape),
            _ => Err(taken()),
        }
    }

    /// Requires the member a path leads to; whether there is one.
    pub(crate) fn require(&mut self, path: &str) -> bool {
        let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
        let name = step.trim_end_matches("[]");
        let Some((_, shape, is_required)) = self.0.iter_mut().find(|(known, ..)| known == name) else { return false };
        let Some(rest) = rest else {
            *is_required = true;
            return true;
        };
        let mut inner = shape;
        while let Shape::List(item) = inner {
            inner = item;
        }
        match inner {
            Shape::Object(members) => members.require(rest),
            _ => false,
        }
    }

    fn unfit_key(&self, key: &str) -> Option<Text> {
        let is_fit = self.0.iter().any(|(name, shape, _)| {
            name == key
                && matches!(shape, Shape::Bound(element)
                    if matches!(element.value_type(), ValueType::String | ValueType::Integer))
        });
        let sentence = || {
            Text::new(
                format!("trường khóa {key:?} phải ở mức trên cùng và là chuỗi hoặc số nguyên"),
                format!("the key field {key:?} has to be a top-level text or whole number"),
            )
        };
        (!is_fit).then(sentence)
    }
}

/// A schema of members, as indented JSON with its keywords in the order people read them.
pub(crate) fn render(title: &str, members: &Members) -> String {
    let mut out = Writer { text: String::new(), depth: 0 };
    out.open('{');
    out.key("$schema");
    out.string("https://json-schema.org/draft/2020-12/schema");
    out.text.push(',');
    out.key("title");
    out.string(title);
    out.text.push(',');
    out.object(members);
    out.close('}');
    out.text.push('\n');
    out.text
}

struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn shape(&mut self, shape: &Shape) {
        self.open('{');
        match shape {
            Shape::Bound(element) => {
                self.key("title");
                self.string(&element.definition().name_vi);
                self.text.push(',');
                if element.value_type() != ValueType::String {
                    self.key("type");
                    self.string(element.value_type().as_str());
                    self.text.push(',');
                }
                self.key(ELEMENT_KEYWORD);
                self.string(element.id().as_str());
            }
            Shape::Unbound(value_type) => {
                self.key("type");
                self.string(value_type.as_str());
            }
            Shape::Object(members) => self.object(members),
            Shape::List(item) => {
                self.key("type");
                self.string("array");
                self.text.push(',');
                self.key("items");
                self.shape(item);
            }
        }
        self.close('}');
    }

    fn object(&mut self, members: &Members) {
        self.key("type");
        self.string("object");
        self.text.push(',');
        self.key("properties");
        self.open('{');
        for (at, (name, shape, _)) in members.0.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            self.key(name);
            self.shape(shape);
        }
        self.close('}');
        self.text.push(',');
        let required: Vec<&str> = members.0.iter().filter(|(.., is)| *is).map(|(name, ..)| name.as_str()).collect();
        if !required.is_empty() {
            self.key("required");
            self.open('[');
            for (at, name) in required.iter().enumerate() {
                if at > 0 {
                    self.text.push(',');
                }
                self.line();
                self.string(name);
            }
            self.close(']');
            self.text.push(',');
        }
        self.key("additionalProperties");
        self.text.push_str("false");
    }

    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.depth += 1;
    }

    fn close(&mut self, bracket: char) {
        self.depth -= 1;
        self.line();
        self.text.push(bracket);
    }

    fn line(&mut self) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }

    fn key(&mut self, name: &str) {
        self.line();
        self.string(name);
        self.text.push_str(": ");
    }

    fn string(&mut self, text: &str) {
        self.text.push_str(&serde_json::Value::from(text).to_string());
    }
}
