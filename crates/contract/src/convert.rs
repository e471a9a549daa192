//! Conversions between the contract and [`ldop_types`].

use ldop_types::{Finding, Stage, Text, TimestampMs};

use crate::exchange::v1 as wire;

/// The stage, if the message names one.
#[must_use]
pub fn stage_from_wire(stage: i32) -> Option<Stage> {
    match wire::Stage::try_from(stage) {
        Ok(wire::Stage::Testing) => Some(Stage::Testing),
        Ok(wire::Stage::Live) => Some(Stage::Live),
        Ok(wire::Stage::Unspecified) | Err(_) => None,
    }
}

/// The stage on the wire.
#[must_use]
pub fn stage_to_wire(stage: Stage) -> wire::Stage {
    match stage {
        Stage::Testing => wire::Stage::Testing,
        Stage::Live => wire::Stage::Live,
    }
}

/// The moment, in milliseconds; parts of one are cut off. `None` outside the years 1 to 9999, which are
/// google.protobuf.Timestamp's range, or with nanoseconds outside 0 to 999,999,999.
#[must_use]
pub fn timestamp_from_wire(time: &prost_types::Timestamp) -> Option<TimestampMs> {
    const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    if !SECONDS.contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) {
        return None;
    }
    let millis = i64::from(time.nanos).div_euclid(1_000_000);
    time.seconds.checked_mul(1000)?.checked_add(millis).map(TimestampMs)
}

/// The moment on the wire.
#[must_use]
pub fn timestamp_to_wire(time: TimestampMs) -> prost_types::Timestamp {
    let nanos = time.0.rem_euclid(1000) * 1_000_000;
    prost_types::Timestamp { seconds: time.0.div_euclid(1000), nanos: i32::try_from(nanos).unwrap_or(0) }
}

/// The text on the wire.
#[must_use]
pub fn text_to_wire(text: &Text) -> wire::LocalizedText {
    wire::LocalizedText { vi: text.vi.to_string(), en: text.en.to_string() }
}

/// The finding on the wire.
#[must_use]
pub fn finding_to_wire(finding: &Finding) -> wire::FieldViolation {
    wire::FieldViolation {
        pointer: finding.pointer.clone(),
        element: finding.element.as_ref().map(ToString::to_string).unwrap_or_default(),
        rule: finding.rule.as_str().to_owned(),
        message: Some(text_to_wire(&finding.message)),
    }
}
