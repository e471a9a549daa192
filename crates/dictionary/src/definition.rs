//! What is wrong with a definition an operator sent.

use std::fmt;

use ldop_types::Text;

/// One bad field of a definition. Definitions are public, so the message may repeat what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    /// The field as the operator wrote it, such as `max_length` or `codes[3].valid_to`.
    pub field: String,
    /// What is wrong.
    pub message: Text,
    /// The expected form, in English.
    pub expected: String,
}

impl DefinitionError {
    /// Puts the three together.
    pub fn new(field: impl Into<String>, message: Text, expected: impl Into<String>) -> Self {
        Self { field: field.into(), message, expected: expected.into() }
    }
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (expected: {})", self.field, self.message.en, self.expected)
    }
}

impl std::error::Error for DefinitionError {}

/// Gathers the errors of one definition, so that all are reported at once.
#[derive(Default)]
pub(crate) struct Errors(pub(crate) Vec<DefinitionError>);

impl Errors {
    pub(crate) fn add(
        &mut self,
        field: impl Into<String>,
        vi: impl Into<String>,
        en: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.0.push(DefinitionError::new(field, Text::new(vi.into(), en.into()), expected));
    }

    /// A free text: no control characters but line breaks, at most `max` code points, and not blank if `required`.
    pub(crate) fn text(&mut self, field: &str, text: &str, max: usize, required: bool) {
        if required && text.trim().is_empty() {
            self.add(field, "không được để trống", "must not be empty", format!("1-{max} characters"));
        }
        if text.chars().count() > max {
            self.add(
                field,
                format!("dài quá {max} ký tự"),
                format!("longer than {max} characters"),
                format!("at most {max} characters"),
            );
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            self.add(field, "chứa ký tự điều khiển", "holds control characters", "text without control characters");
        }
    }
}
