//! How personal a value is, by Luật 91/2025/QH15 and NĐ 356/2025.

/// Sensitivity of a dictionary element, from least to most.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sensitivity {
    /// Not personal.
    #[default]
    None,
    /// Basic personal data: names, dates, places, personal id, phone and the like.
    BasicPersonal,
    /// Sensitive personal data: ethnic origin, religion, health, biometrics and the like.
    SensitivePersonal,
}

impl Sensitivity {
    /// Every sensitivity.
    pub const ALL: [Self; 3] = [Self::None, Self::BasicPersonal, Self::SensitivePersonal];

    /// `none`, `basic_personal` or `sensitive_personal`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::BasicPersonal => "basic_personal",
            Self::SensitivePersonal => "sensitive_personal",
        }
    }

    /// Parses what [`as_str`](Self::as_str) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether the value may never be shown.
    #[must_use]
    pub const fn is_personal(self) -> bool {
        !matches!(self, Self::None)
    }
}
