//! What the hub itself writes into an element: the moves through its life cycle, each with who and when.

use ldop_contract::registry::v1::{Element, ElementStatus, StatusChange};
use ldop_types::{Text, TimestampMs};

use crate::convert;

/// Who sends a change set, and when it was taken up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasion<'a> {
    pub(crate) author: &'a str,
    pub(crate) time: TimestampMs,
}

/// The element as it would be stored: the history of the known one, and a move where the status is another. What the
/// caller wrote into the history counts for nothing.
///
/// # Errors
///
/// A move the life cycle does not have.
pub(crate) fn stored(given: &Element, known: Option<&Element>, occasion: Occasion<'_>) -> Result<Element, Text> {
    let mut next = given.clone();
    let status = convert::status(given.status());
    next.history = known.map(|known| known.history.clone()).unwrap_or_default();
    let before = known.map(|known| convert::status(known.status()));
    if let (Some(known), Some(before)) = (known, before) {
        if before == status {
            // Not said and said as it is are the same.
            next.status = known.status;
            return Ok(next);
        }
        if !before.may_become(status) {
            let permitted: Vec<_> = before.next().iter().map(|next| next.as_str()).collect();
            let permitted = if permitted.is_empty() { "–".to_owned() } else { permitted.join(", ") };
            let (from, to) = (before.as_str(), status.as_str());
            return Err(Text::new(
                format!("không thể chuyển từ {from} sang {to} (cần: {permitted})"),
                format!("cannot move from {from} to {to} (expected: {permitted})"),
            ));
        }
    }
    let wire = ElementStatus::from_str_name(&format!("ELEMENT_STATUS_{}", status.as_str().to_ascii_uppercase()));
    next.history.push(StatusChange {
        status: wire.unwrap_or_default().into(),
        author: occasion.author.to_owned(),
        time_ms: occasion.time.0,
        version: known.map_or(0, |known| known.version) + 1,
    });
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(status: ElementStatus) -> Element {
        Element { id: "a".into(), status: status.into(), ..Element::default() }
    }

    fn at(time: i64) -> Occasion<'static> {
        Occasion { author: "operator", time: TimestampMs(time) }
    }

    #[test]
    fn each_move_is_written_down_once_with_who_and_when() {
        let mut known = stored(&element(ElementStatus::Proposed), None, at(1)).expect("new");
        known.version = 1;
        let claimed = StatusChange { author: "someone else".into(), ..StatusChange::default() };
        let same = Element { version: 1, history: vec![claimed], ..element(ElementStatus::Proposed) };
        assert_eq!(stored(&same, Some(&known), at(2)).expect("stays"), known, "what is claimed counts for nothing");
        let moved = stored(&element(ElementStatus::InReview), Some(&known), at(3)).expect("a move");
        let told: Vec<_> = moved.history.iter().map(|m| (m.status(), m.time_ms, m.version)).collect();
        assert_eq!(told, [(ElementStatus::Proposed, 1, 1), (ElementStatus::InReview, 3, 2)]);
        assert!(stored(&element(ElementStatus::Registered), Some(&known), at(3)).is_err());
    }

    #[test]
    fn an_element_without_a_status_is_registered() {
        let old = Element { version: 7, ..element(ElementStatus::Unspecified) };
        let same = stored(&Element { version: 7, ..element(ElementStatus::Registered) }, Some(&old), at(1));
        assert_eq!(same.expect("stays"), old);
        let moved = stored(&element(ElementStatus::Deprecated), Some(&old), at(2)).expect("a move");
        assert_eq!(moved.history.len(), 1);
        assert!(stored(&element(ElementStatus::Proposed), Some(&old), at(2)).is_err());
    }
}
