//! Words of compatibility, mode and approval on the command line and on the wire.

use ldop_contract::registry::v1 as wire;
use ldop_definitions::diff::{CompatibilityMode, CompatibilityPolicy};

/// Reads a compatibility mode, in upper or lower case.
pub fn compatibility(word: &str) -> Result<CompatibilityMode, String> {
    let words = CompatibilityMode::ALL.map(CompatibilityMode::as_str);
    CompatibilityMode::parse(word).ok_or_else(|| format!("expected one of {}", words.join(", ")))
}

/// Reads a compatibility policy, in upper or lower case.
pub fn policy(word: &str) -> Result<CompatibilityPolicy, String> {
    let words = CompatibilityPolicy::ALL.map(CompatibilityPolicy::as_str);
    CompatibilityPolicy::parse(word).ok_or_else(|| format!("expected one of {}", words.join(", ")))
}

/// The mode on the wire; none: as set for the subject.
pub fn wire_mode(mode: Option<CompatibilityMode>) -> wire::CompatibilityMode {
    mode.and_then(|mode| wire::CompatibilityMode::from_str_name(&format!("COMPATIBILITY_MODE_{}", mode.as_str())))
        .unwrap_or_default()
}

/// The policy on the wire; none: as set for the subject.
pub fn wire_policy(policy: Option<CompatibilityPolicy>) -> wire::CompatibilityPolicy {
    policy
        .and_then(|policy| {
            wire::CompatibilityPolicy::from_str_name(&format!("COMPATIBILITY_POLICY_{}", policy.as_str()))
        })
        .unwrap_or_default()
}

/// The word of an enum of the contract, without what all its words begin with.
pub fn plain<'w>(name: &'w str, prefix: &str) -> &'w str {
    name.strip_prefix(prefix).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_value_on_the_wire() {
        for mode in CompatibilityMode::ALL {
            let word = wire_mode(Some(mode)).as_str_name();
            assert_eq!(plain(word, "COMPATIBILITY_MODE_"), mode.as_str());
            assert_eq!(compatibility(&mode.as_str().to_lowercase()), Ok(mode));
        }
        for each in CompatibilityPolicy::ALL {
            assert_eq!(plain(wire_policy(Some(each)).as_str_name(), "COMPATIBILITY_POLICY_"), each.as_str());
        }
        assert_eq!(wire_mode(None), wire::CompatibilityMode::Unspecified);
        assert!(compatibility("SIDEWAYS").is_err());
    }
}
