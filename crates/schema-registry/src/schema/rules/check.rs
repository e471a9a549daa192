//! Checks an expression against the schema it stands in.
//!
//! CEL would say at the first record that a field is unknown or that a text is compared with a number; here the author is
//! told. A field that may be absent must be asked for with `has()`, and one that may be null compared with null, before it
//! is read: absent, null and a value are three things, and which of them a rule lets pass is for its author to say.

use std::collections::BTreeSet;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators},
};
use ldop_types::Text;

use super::{
    cost::{Cost, MAX_LOOPS},
    functions::Function,
    kind::{Form, Kind, Shape},
    language::{Loop, THIS, path},
};
use crate::schema::plan::PlaceId;

/// What is known to be so where an expression is evaluated: paths that are there, and paths that are not null.
#[derive(Clone, Default)]
struct Guards {
    present: BTreeSet<String>,
    not_null: BTreeSet<String>,
}

/// Checks the expressions of one rule, one after another: what the first says holds for the next.
pub(super) struct Checker<'s, 'b> {
    shape: &'s Shape<'b>,
    place: PlaceId,
    /// Variables of loops, the innermost last.
    variables: Vec<(String, Kind, bool)>,
    guards: Guards,
    /// Names of the object's members that are read.
    pub(super) reads: BTreeSet<String>,
    pub(super) cost: Cost,
}

impl<'s, 'b> Checker<'s, 'b> {
    pub(super) fn new(shape: &'s Shape<'b>, place: PlaceId) -> Self {
        Self {
            shape,
            place,
            variables: Vec::new(),
            guards: Guards::default(),
            reads: BTreeSet::new(),
            cost: Cost::default(),
        }
    }

    /// Checks an expression that must be true or false.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub(super) fn condition(&mut self, expression: &IdedExpr) -> Result<(), Text> {
        let guards = self.guards.clone();
        match self.kind(expression, &guards)? {
            Kind::Boolean => {}
            other => return Err(wrong_kind("biểu thức", "the expression", "boolean", &other)),
        }
        self.guards.learn(expression, true);
        Ok(())
    }

    /// The kind of a value that is used as one: it must not be null.
    fn kind(&mut self, expression: &IdedExpr, guards: &Guards) -> Result<Kind, Text> {
        let (kind, may_be_null) = self.any_kind(expression, guards)?;
        match may_be_null {
            false => Ok(kind),
            true => {
                let name = shown(expression);
                Err(Text::new(
                    format!("`{name}` có thể là null: thêm điều kiện `{name} != null`"),
                    format!("`{name}` may be null: ask `{name} != null` as well"),
                ))
            }
        }
    }

    /// The kind of a value, and whether it may be null.
    fn any_kind(&mut self, expression: &IdedExpr, guards: &Guards) -> Result<(Kind, bool), Text> {
        self.cost.part(self.variables.len());
        let kind = match &expression.expr {
            Expr::Literal(literal) => of_literal(literal)?,
            Expr::Ident(_) => return self.read(expression, guards),
            Expr::Select(select) if select.test => {
                self.test(&select.operand, &select.field, guards)?;
                Kind::Boolean
            }
            Expr::Select(_) => return self.read(expression, guards),
            Expr::List(list) => {
                if !list.optional_indices.is_empty() {
                    return Err(unknown("?"));
                }
                self.cost.list(list.elements.len());
                self.items(&list.elements, guards)?
            }
            Expr::Call(call) => self.call(call, guards)?,
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, guards)?,
            Expr::Map(_) | Expr::Struct(_) => return Err(unknown("{}")),
            Expr::Unspecified => return Err(unknown("")),
        };
        Ok((kind, false))
    }

    fn read(&mut self, expression: &IdedExpr, guards: &Guards) -> Result<(Kind, bool), Text> {
        let Some(names) = path(expression) else { return Err(unknown(".")) };
        let (kind, may_be_null) = self.path(&names, guards)?;
        if names.len() == 1 && names[0] == THIS {
            return Err(Text::new(
                "`this` chỉ dùng để đọc trường: `this.<tên>`",
                "`this` is for reading fields only: `this.<name>`",
            ));
        }
        Ok((kind, may_be_null && !guards.not_null.contains(&key(&names))))
    }

    /// Follows a chain of dots, every link of which must be there.
    fn path(&mut self, names: &[&str], guards: &Guards) -> Result<(Kind, bool), Text> {
        let (mut kind, mut may_be_null) = self.variable(names[0])?;
        for end in 1..names.len() {
            let (so_far, name) = (&names[..end], names[end]);
            let place = self.object(kind, may_be_null, so_far, guards)?;
            let member = self.shape.member(place, name)?;
            let whole = &names[..=end];
            if !self.shape.is_required(place, name) && !guards.present.contains(&key(whole)) {
                let path = whole.join(".");
                return Err(Text::new(
                    format!("`{path}` có thể vắng mặt: thêm điều kiện `has({path})`"),
                    format!("`{path}` may be absent: ask `has({path})` as well"),
                ));
            }
            self.note(so_far, name);
            (kind, may_be_null) = self.member_kind(member, whole)?;
        }
        Ok((kind, may_be_null))
    }

    fn test(&mut self, operand: &IdedExpr, name: &str, guards: &Guards) -> Result<(), Text> {
        let Some(names) = path(operand) else { return Err(unknown("has")) };
        let (kind, may_be_null) = self.path(&names, guards)?;
        let place = self.object(kind, may_be_null, &names, guards)?;
        self.shape.member(place, name)?;
        self.note(&names, name);
        Ok(())
    }

    fn object(&self, kind: Kind, may_be_null: bool, names: &[&str], guards: &Guards) -> Result<PlaceId, Text> {
        let path = names.join(".");
        match kind {
            Kind::Object(_) if may_be_null && !guards.not_null.contains(&key(names)) => Err(Text::new(
                format!("`{path}` có thể là null: thêm điều kiện `{path} != null`"),
                format!("`{path}` may be null: ask `{path} != null` as well"),
            )),
            Kind::Object(place) => Ok(place),
            other => Err(wrong_kind(&format!("`{path}`"), &format!("`{path}`"), "object", &other)),
        }
    }

    fn member_kind(&self, place: PlaceId, names: &[&str]) -> Result<(Kind, bool), Text> {
        self.shape.kind(place).ok_or_else(|| {
            let path = names.join(".");
            Text::new(
                format!("`{path}` không có một kiểu rõ ràng nên quy tắc không đọc được"),
                format!("`{path}` is not of one kind, so rules cannot read it"),
            )
        })
    }

    fn note(&mut self, so_far: &[&str], name: &str) {
        if so_far == [THIS] {
            self.reads.insert(name.to_owned());
        }
    }

    fn variable(&self, name: &str) -> Result<(Kind, bool), Text> {
        if name == THIS {
            return Ok((Kind::Object(self.place), false));
        }
        let known = self.variables.iter().rev().find(|(variable, ..)| variable == name);
        known.map(|(_, kind, may_be_null)| (kind.clone(), *may_be_null)).ok_or_else(|| {
            Text::new(
                format!("không có biến `{name}`; trường của đối tượng là `this.{name}`"),
                format!("there is no variable `{name}`; a field of the object is `this.{name}`"),
            )
        })
    }

    fn items(&mut self, items: &[IdedExpr], guards: &Guards) -> Result<Kind, Text> {
        let mut all: Option<Kind> = None;
        for item in items {
            let kind = self.kind(item, guards)?;
            match &all {
                Some(other) if !kind.is_comparable_with(other) => return Err(unlike("[]", other, &kind)),
                // A text that is no day among days: nothing is known of their form.
                Some(Kind::Text(form)) if Kind::Text(*form) != kind => all = Some(Kind::Text(Form::Any)),
                Some(_) => {}
                None => all = Some(kind),
            }
        }
        Ok(Kind::List(all.map(Box::new)))
    }

    fn call(&mut self, call: &CallExpr, guards: &Guards) -> Result<Kind, Text> {
        let name = call.func_name.as_str();
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (name, arguments.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [a, b]) => {
                // Either side is asked, and an error of one is forgiven if the other settles it.
                let settles = name == operators::LOGICAL_AND;
                self.boolean(a, &guards.and(b, settles))?;
                self.boolean(b, &guards.and(a, settles))?;
                Ok(Kind::Boolean)
            }
            (operators::LOGICAL_NOT, [a]) => self.boolean(a, guards),
            (operators::CONDITIONAL, [condition, a, b]) => {
                self.boolean(condition, guards)?;
                let first = self.kind(a, &guards.and(condition, true))?;
                let second = self.kind(b, &guards.and(condition, false))?;
                match (first, second) {
                    (a, b) if a == b => Ok(a),
                    (Kind::Text(_), Kind::Text(_)) => Ok(Kind::Text(Form::Any)),
                    (a, b) => Err(unlike("?:", &a, &b)),
                }
            }
            (operators::EQUALS | operators::NOT_EQUALS, [a, b]) => {
                let (a, b) = (self.any_kind(a, guards)?.0, self.any_kind(b, guards)?.0);
                if a.is_comparable_with(&b) { Ok(Kind::Boolean) } else { Err(unlike(sign(name), &a, &b)) }
            }
            (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, [a, b]) => {
                let (a, b) = (self.kind(a, guards)?, self.kind(b, guards)?);
                ordered(sign(name), &a, &b)
            }
            (
                operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
                [a, b],
            ) => {
                let (a, b) = (self.kind(a, guards)?, self.kind(b, guards)?);
                let fits = a == b && (a == Kind::Integer || (a == Kind::Number && name != operators::MODULO));
                if fits { Ok(a) } else { Err(unlike(sign(name), &a, &b)) }
            }
            (operators::NEGATE, [a]) => match self.kind(a, guards)? {
                kind if kind.is_number() => Ok(kind),
                other => Err(wrong_kind("`-`", "`-`", "number", &other)),
            },
            (operators::IN, [a, b]) => {
                let (a, list) = (self.kind(a, guards)?, self.kind(b, guards)?);
                self.cost.part(self.variables.len() + 1);
                match self.item_kind(&list)? {
                    Some((item, _)) if !a.is_comparable_with(&item) => Err(unlike("in", &a, &item)),
                    _ => Ok(Kind::Boolean),
                }
            }
            ("size", [a]) => match self.kind(a, guards)? {
                Kind::Text(_) | Kind::Array(_) | Kind::List(_) => Ok(Kind::Integer),
                other => Err(wrong_kind("`size`", "`size`", "string, array", &other)),
            },
            ("double", [a]) if call.target.is_none() => match self.kind(a, guards)? {
                kind if kind.is_number() => Ok(Kind::Number),
                other => Err(wrong_kind("`double`", "`double`", "number", &other)),
            },
            ("contains" | "startsWith" | "endsWith", [a, b]) if call.target.is_some() => {
                let (a, b) = (self.kind(a, guards)?, self.kind(b, guards)?);
                if a.is_text() && b.is_text() { Ok(Kind::Boolean) } else { Err(unlike(name, &a, &b)) }
            }
            (name, arguments) => match Function::named(name).filter(|_| call.target.is_none()) {
                Some(function) => self.function(function, arguments, guards),
                None => Err(unknown(sign(name))),
            },
        }
    }

    fn function(&mut self, function: Function, arguments: &[&IdedExpr], guards: &Guards) -> Result<Kind, Text> {
        let (name, parameters) = (function.name(), function.parameters());
        if arguments.len() != parameters.len() {
            let count = parameters.len();
            return Err(Text::new(
                format!("`{name}` cần {count} tham số"),
                format!("`{name}` takes {count} argument{}", if count == 1 { "" } else { "s" }),
            ));
        }
        for (argument, forms) in arguments.iter().zip(parameters) {
            match self.kind(argument, guards)? {
                Kind::Text(form) if forms.contains(&form) => {}
                other => {
                    let wanted: Vec<String> = forms.iter().filter(|form| **form != Form::Day).map(form_name).collect();
                    return Err(wrong_kind(&format!("`{name}`"), &format!("`{name}`"), &wanted.join(", "), &other));
                }
            }
        }
        Ok(function.kind())
    }

    fn comprehension(&mut self, comprehension: &ComprehensionExpr, guards: &Guards) -> Result<Kind, Text> {
        let Some(it) = Loop::of(comprehension) else { return Err(unknown("map")) };
        let range = self.kind(it.range, guards)?;
        if self.variables.len() >= MAX_LOOPS {
            return Err(Text::new(
                format!("quá {MAX_LOOPS} vòng lặp lồng nhau"),
                format!("more than {MAX_LOOPS} loops within each other"),
            ));
        }
        let name = it.variable;
        if name == THIS || self.variables.iter().any(|(variable, ..)| variable == name) {
            return Err(Text::new(format!("tên `{name}` đã dùng"), format!("the name `{name}` is taken")));
        }
        let item = self.item_kind(&range)?;
        self.cost.a_loop(self.variables.len());
        // Of an empty list nothing is known, and nothing is evaluated.
        let (kind, may_be_null) = item.unwrap_or((Kind::Null, true));
        self.variables.push((name.to_owned(), kind, may_be_null));
        let body = self.boolean(it.body, guards);
        self.variables.pop();
        body?;
        Ok(if it.is_filter { range } else { Kind::Boolean })
    }

    /// The kind of a list's items; none if it is empty.
    fn item_kind(&self, list: &Kind) -> Result<Option<(Kind, bool)>, Text> {
        match list {
            Kind::Array(items) => self.member_kind(*items, &["[]"]).map(Some),
            Kind::List(item) => Ok(item.as_ref().map(|item| ((**item).clone(), false))),
            other => Err(wrong_kind("danh sách", "the list", "array", other)),
        }
    }

    fn boolean(&mut self, expression: &IdedExpr, guards: &Guards) -> Result<Kind, Text> {
        match self.kind(expression, guards)? {
            Kind::Boolean => Ok(Kind::Boolean),
            other => Err(wrong_kind("điều kiện", "a condition", "boolean", &other)),
        }
    }
}

impl Guards {
    /// These, and what is so if an expression is true, or false.
    fn and(&self, expression: &IdedExpr, is: bool) -> Self {
        let mut guards = self.clone();
        guards.learn(expression, is);
        guards
    }

    fn learn(&mut self, expression: &IdedExpr, is: bool) {
        match &expression.expr {
            Expr::Select(select) if select.test && is => {
                if let Some(mut names) = path(&select.operand) {
                    names.push(&select.field);
                    self.present.insert(key(&names));
                }
            }
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::LOGICAL_AND, [a, b]) if is => {
                    self.learn(a, true);
                    self.learn(b, true);
                }
                (operators::LOGICAL_OR, [a, b]) if !is => {
                    self.learn(a, false);
                    self.learn(b, false);
                }
                (operators::LOGICAL_NOT, [a]) => self.learn(a, !is),
                (operators::NOT_EQUALS, [a, b]) if is => self.learn_not_null(a, b),
                (operators::EQUALS, [a, b]) if !is => self.learn_not_null(a, b),
                _ => {}
            },
            _ => {}
        }
    }

    fn learn_not_null(&mut self, a: &IdedExpr, b: &IdedExpr) {
        let is_null = |side: &IdedExpr| matches!(side.expr, Expr::Literal(LiteralValue::Null));
        for (side, other) in [(a, b), (b, a)] {
            if let Some(names) = path(side).filter(|_| is_null(other)) {
                self.not_null.insert(key(&names));
            }
        }
    }
}

/// Names may hold anything but this.
fn key(names: &[&str]) -> String {
    names.join("\0")
}

fn of_literal(literal: &LiteralValue) -> Result<Kind, Text> {
    Ok(match literal {
        LiteralValue::Boolean(_) => Kind::Boolean,
        LiteralValue::Int(_) => Kind::Integer,
        LiteralValue::Double(_) => Kind::Number,
        LiteralValue::String(text) => Kind::Text(Form::of_literal(text.inner())),
        LiteralValue::Null => Kind::Null,
        LiteralValue::Bytes(_) => return Err(unknown("b\"\"")),
        LiteralValue::UInt(_) => return Err(unknown("u")),
    })
}

fn ordered(sign: &str, a: &Kind, b: &Kind) -> Result<Kind, Text> {
    match (a, b) {
        (a, b) if a.is_number() && b.is_number() => Ok(Kind::Boolean),
        (Kind::Text(a), Kind::Text(b)) if a.is_ordered_like(*b) => Ok(Kind::Boolean),
        (Kind::Text(Form::PartialDate), Kind::Text(_)) | (Kind::Text(_), Kind::Text(Form::PartialDate)) => {
            Err(Text::new(
                "ngày không đầy đủ được so sánh qua `earliest()`, `latest()` hoặc `year()`",
                "partial dates are compared by `earliest()`, `latest()` or `year()`",
            ))
        }
        (Kind::Text(Form::DateTime), Kind::Text(_)) | (Kind::Text(_), Kind::Text(Form::DateTime)) => Err(Text::new(
            "thời điểm có múi giờ khác nhau được so sánh qua `instant()`",
            "moments, which may tell different zones, are compared by `instant()`",
        )),
        (a, b) => Err(unlike(sign, a, b)),
    }
}

fn form_name(form: &Form) -> String {
    match form {
        Form::PersonalId => "personal id".to_owned(),
        form => Kind::Text(*form).to_string(),
    }
}

/// An operator as it is written.
fn sign(name: &str) -> &str {
    name.trim_matches(['_', '@'])
}

fn shown(expression: &IdedExpr) -> String {
    path(expression).map_or_else(|| "null".to_owned(), |names| names.join("."))
}

fn unknown(what: &str) -> Text {
    Text::new(
        format!("quy tắc không dùng được `{what}`; xem docs/rules.md"),
        format!("rules have no `{what}`; docs/rules.md tells what they have"),
    )
}

fn unlike(sign: &str, a: &Kind, b: &Kind) -> Text {
    Text::new(format!("`{sign}` không dùng được cho {a} và {b}"), format!("`{sign}` is not for {a} and {b}"))
}

fn wrong_kind(vi: &str, en: &str, wanted: &str, found: &Kind) -> Text {
    Text::new(format!("{vi} phải là {wanted}, không phải {found}"), format!("{en} must be {wanted}, not {found}"))
}
