//! Checks a scalar against an element, without allocation: the hub does this for every field of every record.

use ldop_types::{Date, Rule};

use crate::{
    code_list::{CodeList, CodeStatus},
    element::{Bound, Element},
    format, identifier,
    words::{IdentifierRule, NormalisationCheck, ValueFormat, ValueType},
};

/// A JSON scalar, borrowed from the record.
#[derive(Clone, Copy)]
pub enum Scalar<'a> {
    /// A string.
    Text(&'a str),
    /// A whole number held exactly.
    Integer(i128),
    /// Any other number; finite.
    Number(f64),
    /// True or false.
    Boolean(bool),
}

/// A set of rules, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleSet(u32);

impl RuleSet {
    /// No rule.
    pub const EMPTY: Self = Self(0);

    /// One rule.
    #[must_use]
    pub const fn of(rule: Rule) -> Self {
        Self(1 << rule as u32)
    }

    /// Whether no rule is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `rule` is in it.
    #[must_use]
    pub const fn contains(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u32) != 0
    }

    /// Adds a rule if `broken`.
    pub fn add_if(&mut self, broken: bool, rule: Rule) {
        self.0 |= u32::from(broken) << rule as u32;
    }

    /// The rules in it, in the order of [`Rule::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |rule| self.contains(*rule))
    }
}

impl Element {
    /// The rules `value` breaks on the day `on`. `codes` is the element's code list, if it has one.
    ///
    /// In steps, so that one mistake is not reported as three: with a wrong type nothing else is looked at; code list
    /// and identifier are looked at only when length, pattern, format and limits are right.
    #[must_use]
    pub fn check(&self, value: Scalar<'_>, on: Date, codes: Option<&CodeList>) -> RuleSet {
        let rules = self.rules();
        let mut broken = RuleSet::EMPTY;
        match (rules.value_type, value) {
            (ValueType::String, Scalar::Text(text)) => {
                self.check_form(text, &mut broken);
                if broken.is_empty() {
                    match codes.map(|codes| codes.status(text, on)) {
                        None | Some(CodeStatus::InForce) => {}
                        Some(CodeStatus::NotInForce) => broken.add_if(true, Rule::CodeNotInForce),
                        Some(CodeStatus::Unknown) => broken.add_if(true, Rule::CodeList),
                    }
                    check_identifier(rules.identifier, text, &mut broken);
                }
            }
            (ValueType::Integer | ValueType::Number, Scalar::Integer(number)) => {
                broken.add_if(rules.minimum.is_some_and(|bound| bound.above_whole(number)), Rule::Minimum);
                broken.add_if(rules.maximum.is_some_and(|bound| bound.below_whole(number)), Rule::Maximum);
            }
            (ValueType::Number, Scalar::Number(number)) => {
                broken.add_if(rules.minimum.is_some_and(|bound| number < bound.float), Rule::Minimum);
                broken.add_if(rules.maximum.is_some_and(|bound| number > bound.float), Rule::Maximum);
            }
            (ValueType::Boolean, Scalar::Boolean(_)) => {}
            _ => broken.add_if(true, Rule::Type),
        }
        broken
    }

    fn check_form(&self, text: &str, broken: &mut RuleSet) {
        let rules = self.rules();
        // Bytes bound code points from both sides, so that counting is rarely needed.
        let (most, least) = (text.len(), text.len().div_ceil(4));
        let (min, max) = (rules.min_length as usize, rules.max_length as usize);
        if least < min || most > max {
            let length = if text.is_ascii() { text.len() } else { text.chars().count() };
            broken.add_if(length < min, Rule::MinLength);
            broken.add_if(length > max, Rule::MaxLength);
        }
        // A text far over the limit is not worth matching: the time spent on a record stays in proportion.
        let too_long = broken.contains(Rule::MaxLength);
        broken
            .add_if(!too_long && rules.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)), Rule::Pattern);
        let has_format = match rules.format {
            None => true,
            Some(ValueFormat::Date) => format::is_date(text),
            Some(ValueFormat::DateTime) => format::is_date_time(text),
            Some(ValueFormat::PartialDate) => format::is_partial_date(text),
        };
        broken.add_if(!has_format, Rule::Format);
        // Neither is one worth looking through.
        if let Some(form) = rules.normal_form
            && form.check == NormalisationCheck::Refuse
        {
            broken.add_if(!too_long && !form.is_kept(text), Rule::Normalisation);
        }
    }

    /// Whether a text of an element that only warns of it is not in normal form.
    #[must_use]
    #[inline]
    pub fn doubts_form(&self, text: &str) -> bool {
        self.rules().normal_form.is_some_and(|form| form.check == NormalisationCheck::Warn && !form.is_kept(text))
    }
}

fn check_identifier(rule: Option<IdentifierRule>, text: &str, broken: &mut RuleSet) {
    match rule {
        None => {}
        Some(IdentifierRule::PersonalId) => {
            broken.add_if(identifier::PersonalId::parse(text).is_none(), Rule::Identifier);
        }
        Some(IdentifierRule::TaxId) => match identifier::check_tax_id(text) {
            Ok(()) => {}
            Err(identifier::TaxIdError::Form) => broken.add_if(true, Rule::Identifier),
            Err(identifier::TaxIdError::CheckDigit) => broken.add_if(true, Rule::CheckDigit),
        },
        Some(IdentifierRule::LandParcel) => broken.add_if(!identifier::is_land_parcel_id(text), Rule::Identifier),
    }
}

impl Bound {
    fn above_whole(self, number: i128) -> bool {
        self.whole.map_or_else(|| (number as f64) < self.float, |whole| number < whole)
    }

    fn below_whole(self, number: i128) -> bool {
        self.whole.map_or_else(|| (number as f64) > self.float, |whole| number > whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CodeDefinition, CodeListDefinition, ElementDefinition};

    fn element(change: impl FnOnce(&mut ElementDefinition)) -> Element {
        let mut definition = ElementDefinition {
            id: "a.b".into(),
            name_vi: "Tên".into(),
            value_type: "string".into(),
            sensitivity: "none".into(),
            ..ElementDefinition::default()
        };
        change(&mut definition);
        Element::new(definition).expect("good definition")
    }

    fn broken(element: &Element, value: Scalar<'_>) -> Vec<Rule> {
        element.check(value, Date(20_000), None).iter().collect()
    }

    #[test]
    fn length_counts_code_points() {
        let element = element(|d| (d.min_length, d.max_length) = (Some(2), Some(3)));
        for (text, expected) in [
            ("", vec![Rule::MinLength]),
            ("đ", vec![Rule::MinLength]),
            ("𠀀", vec![Rule::MinLength]),
            ("đấ", vec![]),
            ("𠀀𠀀𠀀", vec![]),
            ("𠀀𠀀𠀀𠀀", vec![Rule::MaxLength]),
            ("abc", vec![]),
            ("abcd", vec![Rule::MaxLength]),
        ] {
            assert_eq!(broken(&element, Scalar::Text(text)), expected, "{text}");
        }
    }

    #[test]
    fn steps_keep_one_mistake_one_finding() {
        let element = element(|d| {
            d.min_length = Some(10);
            d.pattern = "[0-9-]*".into();
            d.identifier = "tax_id".into();
        });
        assert_eq!(broken(&element, Scalar::Integer(1)), [Rule::Type]);
        assert_eq!(broken(&element, Scalar::Text("x")), [Rule::MinLength, Rule::Pattern]);
        assert_eq!(broken(&element, Scalar::Text("0100233480")), [Rule::CheckDigit]);
        assert_eq!(broken(&element, Scalar::Text("0100233488-1")), [Rule::Identifier]);
        assert_eq!(broken(&element, Scalar::Text("0100233488")), []);
    }

    #[test]
    fn limits_of_numbers_are_exact_for_whole_numbers() {
        let integer = element(|d| {
            d.value_type = "integer".into();
            d.minimum = "-5".into();
            d.maximum = "9007199254740993".into();
        });
        assert_eq!(broken(&integer, Scalar::Integer(9_007_199_254_740_993)), []);
        assert_eq!(broken(&integer, Scalar::Integer(9_007_199_254_740_994)), [Rule::Maximum]);
        assert_eq!(broken(&integer, Scalar::Integer(-6)), [Rule::Minimum]);
        assert_eq!(broken(&integer, Scalar::Number(0.5)), [Rule::Type]);
        let number = element(|d| {
            d.value_type = "number".into();
            d.minimum = "0.5".into();
        });
        assert_eq!(broken(&number, Scalar::Number(0.4)), [Rule::Minimum]);
        assert_eq!(broken(&number, Scalar::Integer(0)), [Rule::Minimum]);
        assert_eq!(broken(&number, Scalar::Integer(1)), []);
        assert_eq!(broken(&number, Scalar::Boolean(true)), [Rule::Type]);
    }

    #[test]
    fn a_code_must_be_in_force_on_the_day() {
        let element = element(|d| d.code_list = "sex".into());
        let code = CodeDefinition {
            code: "1".into(),
            label_vi: "Nam".into(),
            valid_from: "2000-01-01".into(),
            ..CodeDefinition::default()
        };
        let codes = CodeList::new(CodeListDefinition {
            id: "sex".into(),
            name_vi: "Giới tính".into(),
            codes: vec![code],
            ..CodeListDefinition::default()
        })
        .expect("good list");
        let check = |text, on| element.check(Scalar::Text(text), Date(on), Some(&codes)).iter().collect::<Vec<_>>();
        assert_eq!(check("1", 20_000), []);
        assert_eq!(check("1", 0), [Rule::CodeNotInForce]);
        assert_eq!(check("3", 20_000), [Rule::CodeList]);
    }
}
