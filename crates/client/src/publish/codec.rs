//! Puts encoded batches on the wire and takes results off it.

use bytes::{BufMut, Bytes};
use ldop_contract::exchange::v1::{PublishOpen, PublishStreamRequest, PublishStreamResponse, publish_stream_request};
use prost::{
    Message as _,
    encoding::{encode_varint, encoded_len_varint},
};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

// Protobuf tags, as in `batch`.
const BATCH: u8 = 2 << 3 | 2; // PublishStreamRequest.batch
const FIRST_SEQUENCE: u8 = 1 << 3; // RecordBatch.first_sequence

/// A message to the hub.
#[derive(Debug)]
pub(super) enum Frame {
    /// Opens the stream.
    Open(PublishOpen),
    /// A batch: the sequence of its first record, and its records encoded.
    Batch { first_sequence: u64, body: Bytes },
}

impl Frame {
    fn encode(self, buffer: &mut impl BufMut) -> Result<(), prost::EncodeError> {
        match self {
            Self::Open(open) => {
                let message = Some(publish_stream_request::Message::Open(open));
                PublishStreamRequest { message }.encode(buffer)
            }
            Self::Batch { first_sequence, body } => {
                let sequence_len = if first_sequence == 0 { 0 } else { 1 + encoded_len_varint(first_sequence) };
                buffer.put_u8(BATCH);
                encode_varint((sequence_len + body.len()) as u64, buffer);
                if first_sequence != 0 {
                    buffer.put_u8(FIRST_SEQUENCE);
                    encode_varint(first_sequence, buffer);
                }
                buffer.put_slice(&body);
                Ok(())
            }
        }
    }
}

/// The codec of the publish stream.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct PublishCodec;

impl Codec for PublishCodec {
    type Encode = Frame;
    type Decode = PublishStreamResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for PublishCodec {
    type Item = Frame;
    type Error = Status;

    fn encode(&mut self, frame: Frame, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        if let Frame::Batch { body, .. } = &frame {
            buffer.reserve(body.len() + 32);
        }
        frame.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }

    /// Batches are large already: each is handed on by itself, and the buffer is not grown step by step.
    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(8 << 10, 128 << 10)
    }
}

impl Decoder for PublishCodec {
    type Item = PublishStreamResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<PublishStreamResponse>, Status> {
        PublishStreamResponse::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(32 << 10, 128 << 10)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use ldop_contract::exchange::v1::{Record, RecordBatch};

    use super::*;

    #[test]
    fn a_frame_is_the_message_prost_would_write() {
        let record = Record {
            exchange_id: Bytes::from_static(&[7; 16]),
            payload: "{}".into(),
            event_time: None,
            deletion: false,
        };
        for first_sequence in [0, 1, 300, u64::MAX] {
            let batch = RecordBatch { first_sequence, records: vec![record.clone(); 3] };
            let body = RecordBatch { first_sequence: 0, records: vec![record.clone(); 3] }.encode_to_vec().into();
            let mut buffer = BytesMut::new();
            Frame::Batch { first_sequence, body }.encode(&mut buffer).expect("room");
            let message = Some(publish_stream_request::Message::Batch(batch));
            assert_eq!(buffer, PublishStreamRequest { message }.encode_to_vec());
        }
    }
}
