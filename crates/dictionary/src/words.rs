//! The closed word lists of element definitions.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The words of all values, for messages.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The word in definitions, lower case.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word,)* } }

            /// Parses what [`as_str`](Self::as_str) writes.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> { Self::ALL.iter().copied().find(|value| value.as_str() == text) }
        }
    };
}

words! {
    /// JSON type of an element.
    ValueType {
        /// A text.
        String = "string",
        /// A whole number of at most 64 bits, signed or unsigned.
        Integer = "integer",
        /// A number.
        Number = "number",
        /// True or false.
        Boolean = "boolean",
        /// A group of fields.
        Object = "object",
        /// A list.
        Array = "array",
    }
}

words! {
    /// Format of a string element.
    ValueFormat {
        /// RFC 3339 full-date, `YYYY-MM-DD`.
        Date = "date",
        /// RFC 3339 date-time.
        DateTime = "date_time",
        /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
        PartialDate = "partial_date",
    }
}

words! {
    /// Rule of an identifier that a program can check; see [`identifier`](crate::identifier).
    IdentifierRule {
        /// 12-digit personal id.
        PersonalId = "personal_id",
        /// Tax code.
        TaxId = "tax_id",
        /// GeoHash land parcel id.
        LandParcel = "land_parcel",
    }
}

words! {
    /// A step of a normal form, which [`Element::check`](crate::Element::check) asks for and nobody makes.
    NormalisationStep {
        /// Unicode NFC.
        Nfc = "nfc",
        /// No blanks at either end.
        Trim = "trim",
        /// No blank but single spaces.
        CollapseSpaces = "collapse_spaces",
        /// No lower-case letter.
        UpperCase = "upper_case",
        /// No upper-case letter.
        LowerCase = "lower_case",
    }
}

words! {
    /// What happens to a value that is not in normal form.
    NormalisationCheck {
        /// The record is refused.
        Refuse = "refuse",
        /// The record is accepted with a warning.
        Warn = "warn",
    }
}

words! {
    /// Kind of a relation of an element to another.
    RelationKind {
        /// The element is a part of the other.
        PartOf = "part_of",
        /// The element's values are those of the other, in the role of a reference.
        RefersTo = "refers_to",
        /// The other is used in its place.
        ReplacedBy = "replaced_by",
        /// The element's values are computed from the other.
        ComputedFrom = "computed_from",
        /// Related in another way.
        RelatedTo = "related_to",
    }
}

words! {
    /// Where an element stands in its life cycle; see [`status`](crate::status).
    ElementStatus {
        /// Proposed by a unit.
        Proposed = "proposed",
        /// Being reviewed by the standing body.
        InReview = "in_review",
        /// Consulted upon with other agencies.
        Consulted = "consulted",
        /// Approved: schemas may bind it.
        Registered = "registered",
        /// To be replaced: schemas may bind it, with a warning.
        Deprecated = "deprecated",
        /// No new schema version may bind it.
        Retired = "retired",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_parse_what_they_write() {
        macro_rules! each {
            ($($name:ident)*) => { $(
                for value in $name::ALL {
                    assert_eq!($name::parse(value.as_str()), Some(*value));
                }
                assert_eq!($name::parse(""), None);
            )* };
        }
        each!(ValueType ValueFormat IdentifierRule NormalisationStep NormalisationCheck RelationKind ElementStatus);
    }
}
