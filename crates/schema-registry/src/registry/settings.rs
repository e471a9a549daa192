//! Compatibility, mode and approval.

use crate::compatibility::{CompatibilityMode, CompatibilityPolicy};

/// Whether a subject takes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryMode {
    /// Takes changes.
    ReadWrite,
    /// Takes none.
    ReadOnly,
    /// Takes schemas with the ids and versions they have elsewhere, unchecked for compatibility.
    Import,
}

/// Whether a new version waits for approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// Approved at once.
    NotRequired,
    /// A draft until someone other than its author approves it.
    Required,
}

/// What is set; what is not is inherited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Times set, from 1; 0: never.
    pub version: u32,
    /// Which changes are taken.
    pub compatibility: Option<CompatibilityMode>,
    /// How open content is judged.
    pub policy: Option<CompatibilityPolicy>,
    /// Whether changes are taken.
    pub mode: Option<RegistryMode>,
    /// Whether new versions wait for approval.
    pub approval: Option<Approval>,
}

/// Settings with everything decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsInForce {
    /// Which changes are taken.
    pub compatibility: CompatibilityMode,
    /// How open content is judged.
    pub policy: CompatibilityPolicy,
    /// Whether changes are taken.
    pub mode: RegistryMode,
    /// Whether new versions wait for approval.
    pub approval: Approval,
}

impl Settings {
    /// These, and what they leave open from others.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        Self {
            version: self.version,
            compatibility: self.compatibility.or(others.compatibility),
            policy: self.policy.or(others.policy),
            mode: self.mode.or(others.mode),
            approval: self.approval.or(others.approval),
        }
    }

    /// These, and the defaults for what they leave open: BACKWARD, strict, read and write, no approval.
    #[must_use]
    pub fn in_force(&self) -> SettingsInForce {
        SettingsInForce {
            compatibility: self.compatibility.unwrap_or(CompatibilityMode::Backward),
            policy: self.policy.unwrap_or(CompatibilityPolicy::Strict),
            mode: self.mode.unwrap_or(RegistryMode::ReadWrite),
            approval: self.approval.unwrap_or(Approval::NotRequired),
        }
    }
}

impl From<SettingsInForce> for Settings {
    fn from(all: SettingsInForce) -> Self {
        Self {
            version: 0,
            compatibility: Some(all.compatibility),
            policy: Some(all.policy),
            mode: Some(all.mode),
            approval: Some(all.approval),
        }
    }
}
