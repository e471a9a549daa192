//! Answers to rules of the usual shapes, without the library: `has`, comparisons of fields, constants and functions of
//! fields, membership in a list that is written out, and `&&`, `||`, `!` of these.
//!
//! It answers "true", "false" or "not sure", and whatever it is not sure of is asked of the library: an absent field, a null
//! that is ordered, kinds that do not fit. Where one side settles `&&` or `||`, the other need not be sure, as CEL has it.

use std::cmp::Ordering;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr, LiteralValue, operators},
};
use ldop_dictionary::ValueType;
use ldop_types::Date;

use super::{
    functions::{Answer, Argument, Function},
    kind::Shape,
    language::{THIS, path},
};
use crate::{
    document::{Members, Node, Value},
    schema::plan::{FieldName, Noted, PlaceId},
};

/// A condition.
pub(super) enum Quick {
    Known(bool),
    Has(Path),
    Not(Box<Quick>),
    And(Box<[Quick; 2]>),
    Or(Box<[Quick; 2]>),
    Compare(Comparison, Operand, Operand),
    In(Operand, Vec<Operand>),
}

/// How two values are compared.
#[derive(Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Something that is compared.
pub(super) enum Operand {
    Field(Path),
    Text(Box<str>),
    Integer(i64),
    Number(f64),
    Null,
    Call(Function, Box<Operand>, Option<Box<Operand>>),
}

/// A field of the object, or one within.
pub(super) struct Path {
    first: FieldName,
    rest: Vec<FieldName>,
    /// Whether the field's numbers are whole.
    is_integer: bool,
}

/// A value that is compared.
enum Scalar<'d> {
    Text(&'d str),
    Day(Date),
    Integer(i64),
    Number(f64),
    Null,
}

impl Quick {
    /// The condition, if it is of a shape that is known. The expression has been checked.
    pub(super) fn of(shape: &Shape<'_>, place: PlaceId, expression: &IdedExpr) -> Option<Self> {
        let of = |expression| Self::of(shape, place, expression);
        match &expression.expr {
            Expr::Literal(LiteralValue::Boolean(boolean)) => Some(Self::Known(*boolean.inner())),
            Expr::Select(select) if select.test => {
                let mut names = path(&select.operand)?;
                names.push(&select.field);
                Path::of(shape, place, &names).map(Self::Has)
            }
            Expr::Call(call) => {
                let operand = |expression| Operand::of(shape, place, expression);
                match (call.func_name.as_str(), call.args.as_slice()) {
                    (operators::LOGICAL_AND, [a, b]) => Some(Self::And(Box::new([of(a)?, of(b)?]))),
                    (operators::LOGICAL_OR, [a, b]) => Some(Self::Or(Box::new([of(a)?, of(b)?]))),
                    (operators::LOGICAL_NOT, [a]) => Some(Self::Not(Box::new(of(a)?))),
                    (operators::IN, [a, list]) => match &list.expr {
                        Expr::List(list) => {
                            let items = list.elements.iter().map(operand).collect::<Option<_>>()?;
                            Some(Self::In(operand(a)?, items))
                        }
                        _ => None,
                    },
                    (name, [a, b]) => Some(Self::Compare(Comparison::of(name)?, operand(a)?, operand(b)?)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Whether it holds; none if that is not sure.
    pub(super) fn holds(&self, members: Members<'_>, noted: Option<&Noted>) -> Option<bool> {
        match self {
            Self::Known(known) => Some(*known),
            Self::Has(path) => path.is_there(members, noted),
            Self::Not(condition) => condition.holds(members, noted).map(|holds| !holds),
            Self::And(both) => both_hold(both, false, members, noted),
            Self::Or(both) => both_hold(both, true, members, noted),
            Self::Compare(comparison, a, b) => comparison.holds(&a.value(members, noted)?, &b.value(members, noted)?),
            Self::In(value, list) => {
                let value = value.value(members, noted)?;
                let mut is_in = false;
                for item in list {
                    is_in |= value.is_equal(&item.value(members, noted)?)?;
                }
                Some(is_in)
            }
        }
    }

    /// Visits the names of the object's own members that are asked for.
    pub(super) fn each_name(&mut self, visit: &mut dyn FnMut(&mut FieldName)) {
        match self {
            Self::Known(_) => {}
            Self::Has(path) => visit(&mut path.first),
            Self::Not(condition) => condition.each_name(visit),
            Self::And(both) | Self::Or(both) => both.iter_mut().for_each(|condition| condition.each_name(visit)),
            Self::Compare(_, a, b) => [a, b].into_iter().for_each(|operand| operand.each_name(visit)),
            Self::In(value, list) => {
                value.each_name(visit);
                list.iter_mut().for_each(|operand| operand.each_name(visit));
            }
        }
    }
}

/// `&&` if `settles` is false, `||` if it is true: one side that is so settles it, whatever the other is.
#[inline]
fn both_hold(both: &[Quick; 2], settles: bool, members: Members<'_>, noted: Option<&Noted>) -> Option<bool> {
    let first = both[0].holds(members, noted);
    if first == Some(settles) {
        return first;
    }
    let second = both[1].holds(members, noted);
    if second == Some(settles) { second } else { first.and(second) }
}

impl Comparison {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            operators::EQUALS => Self::Equal,
            operators::NOT_EQUALS => Self::NotEqual,
            operators::LESS => Self::Less,
            operators::LESS_EQUALS => Self::LessOrEqual,
            operators::GREATER => Self::Greater,
            operators::GREATER_EQUALS => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    #[inline]
    fn holds(self, a: &Scalar<'_>, b: &Scalar<'_>) -> Option<bool> {
        Some(match self {
            Self::Equal => a.is_equal(b)?,
            Self::NotEqual => !a.is_equal(b)?,
            Self::Less => a.order(b)? == Ordering::Less,
            Self::LessOrEqual => a.order(b)? != Ordering::Greater,
            Self::Greater => a.order(b)? == Ordering::Greater,
            Self::GreaterOrEqual => a.order(b)? != Ordering::Less,
        })
    }
}

impl Operand {
    fn of(shape: &Shape<'_>, place: PlaceId, expression: &IdedExpr) -> Option<Self> {
        match &expression.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(Self::Text(text.inner().into())),
            Expr::Literal(LiteralValue::Int(integer)) => Some(Self::Integer(*integer.inner())),
            Expr::Literal(LiteralValue::Double(number)) => Some(Self::Number(*number.inner())),
            Expr::Literal(LiteralValue::Null) => Some(Self::Null),
            Expr::Select(_) => Path::of(shape, place, &path(expression)?).map(Self::Field),
            Expr::Call(CallExpr { func_name, target: None, args }) => {
                let function = Function::named(func_name)?;
                let operand = |expression| Self::of(shape, place, expression).map(Box::new);
                let second = args.get(1).map(operand);
                match second {
                    Some(second) => Some(Self::Call(function, operand(args.first()?)?, Some(second?))),
                    None => Some(Self::Call(function, operand(args.first()?)?, None)),
                }
            }
            _ => None,
        }
    }

    #[inline]
    fn value<'d>(&'d self, members: Members<'d>, noted: Option<&Noted>) -> Option<Scalar<'d>> {
        match self {
            Self::Field(path) => path.value(members, noted),
            Self::Text(text) => Some(Scalar::Text(text)),
            Self::Integer(integer) => Some(Scalar::Integer(*integer)),
            Self::Number(number) => Some(Scalar::Number(*number)),
            Self::Null => Some(Scalar::Null),
            Self::Call(function, first, second) => {
                let first = first.argument(members, noted)?;
                let second = match second {
                    Some(second) => second.argument(members, noted)?,
                    None => Argument::Text(""),
                };
                function.answer(first, second).map(|answer| match answer {
                    Answer::Integer(integer) => Scalar::Integer(integer),
                    Answer::Day(day) => Scalar::Day(day),
                    Answer::Text(text) => Scalar::Text(text),
                })
            }
        }
    }

    #[inline]
    fn argument<'d>(&'d self, members: Members<'d>, noted: Option<&Noted>) -> Option<Argument<'d>> {
        match self.value(members, noted)? {
            Scalar::Text(text) => Some(Argument::Text(text)),
            Scalar::Day(day) => Some(Argument::Day(day)),
            Scalar::Integer(_) | Scalar::Number(_) | Scalar::Null => None,
        }
    }

    fn each_name(&mut self, visit: &mut dyn FnMut(&mut FieldName)) {
        match self {
            Self::Field(path) => visit(&mut path.first),
            Self::Text(_) | Self::Integer(_) | Self::Number(_) | Self::Null => {}
            Self::Call(_, first, second) => {
                first.each_name(visit);
                second.iter_mut().for_each(|second| second.each_name(visit));
            }
        }
    }
}

impl Path {
    fn of(shape: &Shape<'_>, place: PlaceId, names: &[&str]) -> Option<Self> {
        let (variable, names) = names.split_first()?;
        let (first, rest) = names.split_first()?;
        if *variable != THIS {
            return None;
        }
        let last = names.iter().try_fold(place, |place, name| shape.member(place, name).ok())?;
        let element = &shape.places.get(last as usize)?.element;
        Some(Self {
            first: FieldName::new(first),
            rest: rest.iter().map(|name| FieldName::new(name)).collect(),
            is_integer: element.as_ref().is_some_and(|bound| bound.element.value_type() == ValueType::Integer),
        })
    }

    #[inline]
    fn find<'d>(&self, members: Members<'d>, noted: Option<&Noted>) -> Option<Node<'d>> {
        let first = self.first.find(members, noted)?;
        self.rest.iter().try_fold(first, |node, name| name.find(node.as_object()?, None))
    }

    /// Whether the field is there; none if what it should stand in is not.
    #[inline]
    fn is_there(&self, members: Members<'_>, noted: Option<&Noted>) -> Option<bool> {
        let Some((last, between)) = self.rest.split_last() else {
            return Some(self.first.find(members, noted).is_some());
        };
        let first = self.first.find(members, noted)?;
        let parent = between.iter().try_fold(first, |node, name| name.find(node.as_object()?, None))?;
        Some(last.find(parent.as_object()?, None).is_some())
    }

    #[inline]
    fn value<'d>(&self, members: Members<'d>, noted: Option<&Noted>) -> Option<Scalar<'d>> {
        match self.find(members, noted)?.value() {
            Value::Text(text) => Some(Scalar::Text(text)),
            Value::Number(number) if self.is_integer => {
                let integer = number.as_integer().and_then(|integer| i64::try_from(integer).ok());
                integer.map(Scalar::Integer)
            }
            Value::Number(number) => Some(Scalar::Number(number.as_f64())),
            Value::Null => Some(Scalar::Null),
            Value::Boolean(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

impl Scalar<'_> {
    /// Whether two values are the same; not sure of those of different kinds, null aside.
    #[inline]
    fn is_equal(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Null, Self::Null) => Some(true),
            (Self::Null, _) | (_, Self::Null) => Some(false),
            _ => self.order(other).map(|order| order == Ordering::Equal),
        }
    }

    #[inline]
    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b),
            // As the library has it.
            (Self::Number(a), Self::Integer(b)) => a.partial_cmp(&(*b as f64)),
            (Self::Integer(a), Self::Number(b)) => (*a as f64).partial_cmp(b),
            (Self::Day(a), Self::Day(b)) => Some(a.cmp(b)),
            // Days that are written out have the order of their letters.
            (Self::Day(a), Self::Text(b)) => Some(a.cmp(&Date::parse(b)?)),
            (Self::Text(a), Self::Day(b)) => Some(Date::parse(a)?.cmp(b)),
            _ => None,
        }
    }
}
