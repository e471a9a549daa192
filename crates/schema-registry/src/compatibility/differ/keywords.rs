//! Keywords that hold no subschemas.

use std::{cmp::Ordering, fmt};

use super::{Differ, Pair};
use crate::compatibility::{
    DifferenceKind::{self, *},
    prove::Family,
    tree::{AcrossFields, Choice},
    types,
    value::{Value, shown},
};

/// Most values that a message names.
const MAX_SHOWN: usize = 6;

/// Kinds of a limit that was added, removed, raised, lowered.
type Kinds = [DifferenceKind; 4];

impl<'s> Differ<'_, 's> {
    pub(super) fn keywords(&mut self, pair: &Pair<'s>) {
        let (old, new) = (&pair.old.local, &pair.new.local);
        if old.types != new.types {
            let (gone, come) = (old.types & !new.types, new.types & !old.types);
            let kind = match (gone, come) {
                (_, 0) => TypeNarrowed,
                (0, _) => TypeWidened,
                _ => TypeChanged,
            };
            let detail = format!("{} → {}", types::shown(old.types), types::shown(new.types));
            self.note(pair, kind, &["type"], Family::Types, &detail);
        }
        self.choices(pair);
        self.limits(pair);
        self.words(pair);
        self.own(pair);
    }

    fn choices(&mut self, pair: &Pair<'s>) {
        let (old, new) = (&pair.old.local, &pair.new.local);
        match (&old.enumeration, &new.enumeration) {
            (None, None) => {}
            (None, Some(_)) => self.note(pair, EnumAdded, &["enum"], Family::Enumeration, ""),
            (Some(_), None) => self.note(pair, EnumRemoved, &["enum"], Family::Enumeration, ""),
            (Some(old), Some(new)) => self.values(pair, old, new),
        }
        self.constants(pair);
    }

    fn values(&mut self, pair: &Pair<'s>, old: &Choice, new: &Choice) {
        if !self.prover.budget.spend(old.compounds.saturating_mul(new.compounds)) {
            return self.note(pair, EnumChanged, &["enum"], Family::Enumeration, "");
        }
        let lacks = |of: &Choice, value: &&Value| of.contains(value) != Some(true);
        let come: Vec<&Value> = new.values.iter().filter(|value| lacks(old, value)).collect();
        let gone: Vec<&Value> = old.values.iter().filter(|value| lacks(new, value)).collect();
        let kind = match (come.is_empty(), gone.is_empty()) {
            (true, true) => return,
            (false, true) => EnumWidened,
            (true, false) => EnumNarrowed,
            (false, false) => EnumChanged,
        };
        let signed = gone.into_iter().map(|value| ('-', value)).chain(come.into_iter().map(|value| ('+', value)));
        let words: Vec<String> = signed.take(MAX_SHOWN).map(|(sign, value)| format!("{sign}{value}")).collect();
        self.note(pair, kind, &["enum"], Family::Enumeration, &words.join(", "));
    }

    fn constants(&mut self, pair: &Pair<'s>) {
        let value = |choice: &'s Option<Choice>| choice.as_ref().and_then(|choice| choice.values.first());
        let kind = match (value(&pair.old.local.constant), value(&pair.new.local.constant)) {
            (None, None) => return,
            (None, Some(_)) => ConstAdded,
            (Some(_), None) => ConstRemoved,
            (Some(a), Some(b)) if a.equals(b) == Some(true) => return,
            (Some(_), Some(_)) => ConstChanged,
        };
        let detail = change(value(&pair.old.local.constant), value(&pair.new.local.constant));
        self.note(pair, kind, &["const"], Family::Constant, &detail);
    }

    fn limits(&mut self, pair: &Pair<'s>) {
        let (old, new) = (&pair.old.local, &pair.new.local);
        let (a, b) = (&old.numbers, &new.numbers);
        let minimum = [MinimumAdded, MinimumRemoved, MinimumIncreased, MinimumDecreased];
        self.limit(pair, minimum, "minimum", Family::Minimum, [&a.minimum, &b.minimum]);
        let maximum = [MaximumAdded, MaximumRemoved, MaximumIncreased, MaximumDecreased];
        self.limit(pair, maximum, "maximum", Family::Maximum, [&a.maximum, &b.maximum]);
        let above =
            [ExclusiveMinimumAdded, ExclusiveMinimumRemoved, ExclusiveMinimumIncreased, ExclusiveMinimumDecreased];
        let limits = [&a.exclusive_minimum, &b.exclusive_minimum];
        self.limit(pair, above, "exclusiveMinimum", Family::ExclusiveMinimum, limits);
        let below =
            [ExclusiveMaximumAdded, ExclusiveMaximumRemoved, ExclusiveMaximumIncreased, ExclusiveMaximumDecreased];
        let limits = [&a.exclusive_maximum, &b.exclusive_maximum];
        self.limit(pair, below, "exclusiveMaximum", Family::ExclusiveMaximum, limits);
        let multiple = [MultipleOfAdded, MultipleOfRemoved, MultipleOfChanged, MultipleOfChanged];
        self.limit(pair, multiple, "multipleOf", Family::MultipleOf, [&a.multiple_of, &b.multiple_of]);
        let (a, b) = (old.length, new.length);
        let least = [MinLengthAdded, MinLengthRemoved, MinLengthIncreased, MinLengthDecreased];
        self.limit(pair, least, "minLength", Family::MinLength, [&a.least, &b.least]);
        let most = [MaxLengthAdded, MaxLengthRemoved, MaxLengthIncreased, MaxLengthDecreased];
        self.limit(pair, most, "maxLength", Family::MaxLength, [&a.most, &b.most]);
        let (a, b) = (old.properties, new.properties);
        let least = [MinPropertiesAdded, MinPropertiesRemoved, MinPropertiesIncreased, MinPropertiesDecreased];
        self.limit(pair, least, "minProperties", Family::MinProperties, [&a.least, &b.least]);
        let most = [MaxPropertiesAdded, MaxPropertiesRemoved, MaxPropertiesIncreased, MaxPropertiesDecreased];
        self.limit(pair, most, "maxProperties", Family::MaxProperties, [&a.most, &b.most]);
        let (a, b) = (old.items, new.items);
        let least = [MinItemsAdded, MinItemsRemoved, MinItemsIncreased, MinItemsDecreased];
        self.limit(pair, least, "minItems", Family::MinItems, [&a.least, &b.least]);
        let most = [MaxItemsAdded, MaxItemsRemoved, MaxItemsIncreased, MaxItemsDecreased];
        self.limit(pair, most, "maxItems", Family::MaxItems, [&a.most, &b.most]);
    }

    fn limit<T: PartialEq + PartialOrd + fmt::Display>(
        &mut self,
        pair: &Pair<'s>,
        kinds: Kinds,
        keyword: &str,
        family: Family,
        [old, new]: [&Option<T>; 2],
    ) {
        let kind = match (old, new) {
            (None, None) => return,
            (None, Some(_)) => kinds[0],
            (Some(_), None) => kinds[1],
            (Some(old), Some(new)) => match new.partial_cmp(old) {
                Some(Ordering::Equal) => return,
                Some(Ordering::Less) => kinds[3],
                _ => kinds[2],
            },
        };
        self.note(pair, kind, &[keyword], family, &change(old.as_ref(), new.as_ref()));
    }

    fn words(&mut self, pair: &Pair<'s>) {
        let (old, new) = (&pair.old.local, &pair.new.local);
        let patterns = [&old.pattern, &new.pattern].map(|pattern| pattern.as_ref().map(|pattern| &*pattern.text));
        self.word(pair, [PatternAdded, PatternRemoved, PatternChanged], "pattern", Family::Pattern, patterns);
        let formats = [old.format.as_deref(), new.format.as_deref()];
        self.word(pair, [FormatAdded, FormatRemoved, FormatChanged], "format", Family::Format, formats);
        for (which, keyword) in ["contentEncoding", "contentMediaType"].into_iter().enumerate() {
            let contents = [old.content[which].as_deref(), new.content[which].as_deref()];
            self.word(pair, [ContentAdded, ContentRemoved, ContentChanged], keyword, Family::Content, contents);
        }
        match (old.unique_items, new.unique_items) {
            (false, true) => self.note(pair, UniqueItemsAdded, &["uniqueItems"], Family::UniqueItems, ""),
            (true, false) => self.note(pair, UniqueItemsRemoved, &["uniqueItems"], Family::UniqueItems, ""),
            _ => {}
        }
    }

    fn word(
        &mut self,
        pair: &Pair<'s>,
        kinds: [DifferenceKind; 3],
        keyword: &str,
        family: Family,
        [old, new]: [Option<&str>; 2],
    ) {
        let kind = match (old, new) {
            (None, None) => return,
            (None, Some(_)) => kinds[0],
            (Some(_), None) => kinds[1],
            (Some(old), Some(new)) if old == new => return,
            (Some(_), Some(_)) => kinds[2],
        };
        self.note(pair, kind, &[keyword], family, &change(old, new));
    }

    /// Our own keywords, and those of others.
    fn own(&mut self, pair: &Pair<'s>) {
        let (old, new) = (&pair.old.local, &pair.new.local);
        if old.element != new.element {
            let detail = change(old.element.as_ref(), new.element.as_ref());
            self.note(pair, ElementChanged, &["x-ldop-element"], Family::Element, &detail);
        }
        if old.checks != new.checks {
            self.note(pair, ChecksChanged, &["x-ldop-checks"], Family::Checks, "");
        }
        self.rules(pair);
        let differs = |own: &&(Box<str>, Value), others: &[(Box<str>, Value)]| !others.contains(own);
        let changed = new.unknown.iter().filter(|own| differs(own, &old.unknown));
        let removed = old.unknown.iter().filter(|(name, _)| new.unknown.iter().all(|(other, _)| other != name));
        for (name, _) in changed.chain(removed) {
            let severity = self.severity(pair, UnknownKeywordChanged, |prover, facts, goal| {
                prover.follows(facts, goal, Family::Unknown) && prover.keeps_unknown(facts, goal)
            });
            self.note_as(pair, UnknownKeywordChanged, &[name], severity, "");
        }
        if pair.old.is_dynamic || pair.new.is_dynamic {
            self.note(pair, DynamicReferenceChanged, &[], Family::Dynamic, "");
        }
    }
}

impl<'s> Differ<'_, 's> {
    /// Rules across fields that refuse, told apart by their ids.
    fn rules(&mut self, pair: &Pair<'s>) {
        let (old, new) = (&pair.old.local.rules, &pair.new.local.rules);
        let find = |rules: &'s [AcrossFields], id: &str| rules.iter().find(|rule| *rule.id == *id);
        for rule in new {
            let kind = match find(old, &rule.id) {
                None => RuleAdded,
                Some(other) if other.asks == rule.asks => continue,
                Some(_) => RuleChanged,
            };
            self.note(pair, kind, &["x-ldop-rules"], Family::Rules, &rule.id);
        }
        for rule in old.iter().filter(|rule| find(new, &rule.id).is_none()) {
            self.note(pair, RuleRemoved, &["x-ldop-rules"], Family::Rules, &rule.id);
        }
    }
}

fn change(old: Option<impl fmt::Display>, new: Option<impl fmt::Display>) -> String {
    format!("{} → {}", shown(old), shown(new))
}
