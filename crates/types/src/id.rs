//! Names and ids. Each has one way in, [`parse`](DatasetName::parse), and is cheap to clone.

use std::{fmt, sync::Arc};

/// What is wrong with an id. Carries the kind and the expected form; the text itself only where it is no longer than
/// an id could be, because callers may put anything into an id field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {expected}")]
pub struct IdError {
    /// Which id.
    pub kind: &'static str,
    /// Expected form, in words.
    pub expected: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $expected:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("The expected form: `", $expected, "`.")]
            pub const EXPECTED: &'static str = $expected;

            #[doc = concat!("Parses the id; it must be `", $expected, "`.\n\n# Errors\n\nAnything else.")]
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let fits: fn(&str) -> bool = $ok;
                if text.is_empty() || text.len() > $max || !fits(text) {
                    return Err(IdError { kind: $kind, expected: $expected });
                }
                Ok(Self(Arc::from(text)))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn all(text: &str, extra: &[u8]) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.iter().all(|b| edge(*b) || extra.contains(b))
        && bytes.first().copied().is_some_and(edge)
        && bytes.last().copied().is_some_and(edge)
}

id!(
    /// A dataset (bộ dữ liệu), such as `civil-status-births`.
    DatasetName, "dataset name", 100,
    "1-100 chars of a-z, 0-9 and inner '-'", |t| all(t, b"-")
);
id!(
    /// A schema, such as `land-parcel`.
    SchemaName, "schema name", 100,
    "1-100 chars of a-z, 0-9 and inner '-'", |t| all(t, b"-")
);
id!(
    /// A subject of the schema registry: what the versions of one schema are filed under. Every [`SchemaName`] is one;
    /// registry clients add theirs, such as `orders-value`.
    SubjectName, "subject", 255,
    "1-255 bytes of UTF-8 without control characters, and no space at either end",
    |t| !t.chars().any(char::is_control) && t.trim() == t
);
id!(
    /// A sharing agreement (thỏa thuận chia sẻ), such as `births-to-social-insurance`.
    AgreementId, "agreement id", 100,
    "1-100 chars of a-z, 0-9 and inner '-'", |t| all(t, b"-")
);
id!(
    /// A subscription of one system, such as `default`.
    SubscriptionName, "subscription name", 64,
    "1-64 chars of a-z, 0-9 and inner '-'", |t| all(t, b"-")
);
id!(
    /// A dictionary element (phần tử), such as `person.personal-id`.
    ElementId, "element id", 100,
    "1-100 chars of a-z, 0-9 and inner '.', '_', '-'", |t| all(t, b"._-")
);
id!(
    /// A code list (danh mục), such as `gialai-communes`.
    CodeListId, "code list id", 100,
    "1-100 chars of a-z, 0-9 and inner '.', '_', '-'", |t| all(t, b"._-")
);
id!(
    /// An agency (cơ quan), such as `so-tu-phap`.
    AgencyId, "agency id", 64,
    "1-64 chars of a-z, 0-9 and inner '.', '_', '-'", |t| all(t, b"._-")
);
id!(
    /// A department system: `<agency id>/<system name>`, such as `so-tu-phap/ho-tich`.
    SystemId, "system id", 129,
    "'<agency id>/<system name>', the name 1-64 chars of a-z, 0-9 and inner '-'",
    |t| t.split_once('/').is_some_and(|(agency, name)| {
        AgencyId::parse(agency).is_ok() && name.len() <= 64 && !name.is_empty() && all(name, b"-")
    })
);

impl SystemId {
    /// The agency the system belongs to.
    #[must_use]
    pub fn agency(&self) -> AgencyId {
        let agency = self.0.split_once('/').map_or(&*self.0, |(agency, _)| agency);
        AgencyId(Arc::from(agency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_holds_nothing_but_its_alphabet() {
        for good in ["a", "births", "civil-status-2", "0a"] {
            assert_eq!(DatasetName::parse(good).map(|d| d.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "-a", "a-", "A", "a b", "a/b", "á", &"a".repeat(101)] {
            assert!(DatasetName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_subject_is_any_line_of_text() {
        for good in ["a", "orders-value", ":.ctx:orders", "Hộ tịch/khai sinh", "a b"] {
            assert_eq!(SubjectName::parse(good).map(|s| s.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", " a", "a\u{a0}", "a\nb", "a\0", &"a".repeat(256)] {
            assert!(SubjectName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_system_names_its_agency() {
        let system = SystemId::parse("so-tu-phap/ho-tich").expect("good id");
        assert_eq!(system.agency().as_str(), "so-tu-phap");
        for bad in ["so-tu-phap", "/x", "a/", "a/b/c", "a/B"] {
            assert!(SystemId::parse(bad).is_err(), "{bad}");
        }
    }
}
