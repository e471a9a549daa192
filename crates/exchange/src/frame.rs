//! The Confluent wire format: a frame before a JSON text that names the schema by its id in the registry.
//!
//! ```text
//!  0 │ id, 4 bytes, big endian │ JSON      what serializers write, and what the hub writes
//!  1 │ GUID, 16 bytes          │ JSON      what they write where ids are GUIDs and stand in the value
//! ```
//!
//! **No JSON text begins with byte 0 or 1**, so whether a provider sent a frame is told by the first byte. Whether the
//! value of an entry of the log has one is not guessed from its bytes: the record's header says so
//! ([`RecordMeta::framed`](crate::header::RecordMeta)), because values need not be JSON for ever, and because what was
//! written stays as it was when a dataset changes its format.

use bytes::Bytes;
use ldop_control::ControlState;
use ldop_schema_registry::registry::{SchemaId, Use};
use ldop_types::{Finding, Rule, Stage, Text};

/// Length of the frame the hub writes.
pub const BYTES: usize = 1 + ID_BYTES;
const ID_BYTES: usize = 4;
const GUID_BYTES: usize = 16;
const BY_ID: u8 = 0;
const BY_GUID: u8 = 1;

/// What stands before the JSON text of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Nothing.
    None,
    /// The id of a schema.
    Id(SchemaId),
    /// The GUID of a schema.
    Guid([u8; GUID_BYTES]),
    /// The beginning of a frame.
    Cut,
}

/// Splits what a provider sent into frame and payload. A frame that is cut short is left where it is.
#[must_use]
pub fn split(mut value: Bytes) -> (Frame, Bytes) {
    let frame = match &value[..] {
        [BY_ID, rest @ ..] => rest.first_chunk().map(|id| (Frame::Id(SchemaId(u32::from_be_bytes(*id))), 1 + ID_BYTES)),
        [BY_GUID, rest @ ..] => rest.first_chunk().map(|guid| (Frame::Guid(*guid), 1 + GUID_BYTES)),
        _ => return (Frame::None, value),
    };
    match frame {
        Some((frame, length)) => (frame, value.split_off(length)),
        None => (Frame::Cut, value),
    }
}

/// The payload behind a frame of the hub; none where there is no such frame.
#[must_use]
pub fn behind(value: &[u8]) -> Option<&[u8]> {
    value.split_at_checked(BYTES).filter(|(frame, _)| frame[0] == BY_ID).map(|(_, payload)| payload)
}

/// How the records of a dataset are framed, and which frames are taken from its providers.
#[derive(Debug, Clone)]
pub struct Framing {
    prefix: [u8; BYTES],
    id: SchemaId,
    taken: Vec<(SchemaId, [u8; GUID_BYTES])>,
}

impl Framing {
    /// Frames that name the version `id`; frames that name one of `taken` are taken.
    #[must_use]
    pub fn new(id: SchemaId, taken: Vec<(SchemaId, [u8; GUID_BYTES])>) -> Self {
        let mut prefix = [BY_ID; BYTES];
        prefix[1..].copy_from_slice(&id.0.to_be_bytes());
        Self { prefix, id, taken }
    }

    /// Frames that name the version that judges, `id`; those of each version of the schema fit for the stage are taken.
    #[must_use]
    pub fn of(state: &ControlState, schema: &str, stage: Stage, id: SchemaId) -> Self {
        let purpose = match stage {
            Stage::Testing => Use::Testing,
            Stage::Live => Use::Live,
        };
        let versions = state.registry.subject(schema).into_iter().flat_map(|subject| subject.versions());
        let fit = versions.filter(|version| version.is_fit(purpose));
        Self::new(id, fit.map(|version| (version.id, version.hash.guid_bytes())).collect())
    }

    /// What is wrong with the frame a provider sent.
    #[must_use]
    pub fn finding(&self, frame: &Frame) -> Option<Finding> {
        let is_taken = match frame {
            Frame::None => true,
            Frame::Id(id) => self.taken.iter().any(|(known, _)| known == id),
            Frame::Guid(guid) => self.taken.iter().any(|(_, known)| known == guid),
            Frame::Cut => false,
        };
        (!is_taken).then(|| self.bad_frame(frame))
    }

    #[cold]
    fn bad_frame(&self, frame: &Frame) -> Finding {
        let id = self.id;
        let message = match frame {
            Frame::Cut => Text::new(
                "khung bị cắt cụt; cần byte 0 và id của lược đồ (4 byte), hoặc byte 1 và GUID (16 byte), rồi đến JSON",
                "the frame is cut short; expected byte 0 and the id of the schema (4 bytes), or byte 1 and its GUID (16 \
                 bytes), and then JSON",
            ),
            Frame::None | Frame::Id(_) | Frame::Guid(_) => Text::new(
                format!(
                    "khung không nêu phiên bản lược đồ nào của bộ dữ liệu dùng được ở giai đoạn này; cần id của một \
                     phiên bản như vậy, ví dụ {id}, hoặc JSON không có khung"
                ),
                format!(
                    "the frame names no version of the dataset's schema that is in use in this stage; expected the id of \
                     such a version, as {id}, or JSON without a frame"
                ),
            ),
        };
        Finding { pointer: String::new(), element: None, rule: Rule::Frame, message }
    }

    /// The payload behind its frame: the one copy of it that is made.
    #[must_use]
    pub fn value(&self, payload: &[u8]) -> Bytes {
        let mut value = Vec::with_capacity(BYTES + payload.len());
        value.extend_from_slice(&self.prefix);
        value.extend_from_slice(payload);
        value.into()
    }
}

/// Tells of a text that does not parse, where a frame stands before it, that none is taken there.
#[cold]
pub(crate) fn told(finding: Finding, payload: &[u8]) -> Finding {
    if !matches!(payload, [BY_ID | BY_GUID, ..]) {
        return finding;
    }
    let message = Text::new(
        "bản ghi bắt đầu bằng khung của định dạng Confluent mà bộ dữ liệu này không dùng; gửi riêng JSON, hoặc đặt \
         wire_format = \"confluent\" cho bộ dữ liệu",
        "the record begins with a frame of the Confluent wire format, which this dataset does not use; send the JSON \
         alone, or set wire_format = \"confluent\" for the dataset",
    );
    Finding { message, ..finding }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUID: [u8; 16] = [0xab; 16];

    fn framing() -> Framing {
        Framing::new(SchemaId(258), vec![(SchemaId(7), [1; 16]), (SchemaId(258), GUID)])
    }

    #[test]
    fn a_frame_is_what_confluent_clients_read() {
        let value = framing().value(b"{}");
        assert_eq!(&value[..], b"\x00\x00\x00\x01\x02{}");
        assert_eq!(behind(&value), Some(&b"{}"[..]));
        assert_eq!(split(value), (Frame::Id(SchemaId(258)), Bytes::from_static(b"{}")));
    }

    #[test]
    fn what_providers_send_is_told_apart_by_its_first_byte() {
        let by_guid = [&[1], &GUID[..], b"{}"].concat();
        for (sent, frame, payload) in [
            (&b"{}"[..], Frame::None, &b"{}"[..]),
            (b"", Frame::None, b""),
            (b"\x02{}", Frame::None, b"\x02{}"),
            (b"\0\0\0\0\x07", Frame::Id(SchemaId(7)), b""),
            (b"\0\0\0\x07", Frame::Cut, b"\0\0\0\x07"),
            (&by_guid, Frame::Guid(GUID), b"{}"),
            (&by_guid[..16], Frame::Cut, &by_guid[..16]),
        ] {
            assert_eq!(split(Bytes::copy_from_slice(sent)), (frame, Bytes::copy_from_slice(payload)), "{sent:?}");
        }
        assert_eq!(behind(b"\0\0\0\0"), None);
        assert_eq!(behind(b"{\"a\":1}"), None);
    }

    #[test]
    fn only_frames_of_known_versions_are_taken() {
        let framing = framing();
        for frame in [Frame::None, Frame::Id(SchemaId(7)), Frame::Id(SchemaId(258)), Frame::Guid(GUID)] {
            assert_eq!(framing.finding(&frame), None, "{frame:?}");
        }
        for frame in [Frame::Id(SchemaId(0)), Frame::Id(SchemaId(8)), Frame::Guid([0; 16]), Frame::Cut] {
            assert_eq!(framing.finding(&frame).map(|finding| finding.rule), Some(Rule::Frame), "{frame:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_nothing_is_lost_of_it(sent in proptest::collection::vec(any::<u8>(), 0..32)) {
            let (frame, payload) = split(Bytes::from(sent.clone()));
            let length = match frame {
                Frame::None | Frame::Cut => 0,
                Frame::Id(_) => 1 + ID_BYTES,
                Frame::Guid(_) => 1 + GUID_BYTES,
            };
            prop_assert_eq!(&payload[..], &sent[length..]);
        }

        #[test]
        fn splitting_undoes_framing(id in any::<u32>(), payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let value = Framing::new(SchemaId(id), Vec::new()).value(&payload);
            prop_assert_eq!(behind(&value), Some(&payload[..]));
            prop_assert_eq!(split(value), (Frame::Id(SchemaId(id)), Bytes::from(payload)));
        }
    }
}
