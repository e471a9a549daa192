//! A text in both languages of the hub.

use std::borrow::Cow;

/// A text in Vietnamese and English.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text {
    /// Vietnamese.
    pub vi: Cow<'static, str>,
    /// English.
    pub en: Cow<'static, str>,
}

impl Text {
    /// Puts the two together.
    pub fn new(vi: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self { vi: vi.into(), en: en.into() }
    }
}
