//! Testing or live.

use std::fmt;

/// Stage of a dataset. Testing and live records never share a topic, an agreement or a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Trial data between two parties (kiểm thử).
    Testing,
    /// Real data (vận hành chính thức).
    Live,
}

impl Stage {
    /// Both stages.
    pub const ALL: [Self; 2] = [Self::Testing, Self::Live];

    /// `testing` or `live`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Testing => "testing",
            Self::Live => "live",
        }
    }

    /// Parses `testing` or `live`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
