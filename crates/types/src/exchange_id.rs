//! The id a caller gives each record it publishes.

use std::fmt;

use uuid::Uuid;

use crate::{IdError, TimestampMs};

/// A UUIDv7 (RFC 9562 5.7): it carries the time it was made, so an id can be too old to be told from a repeat.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId([u8; 16]);

impl ExchangeId {
    /// Makes a new one from the system clock.
    #[must_use]
    pub fn new() -> Self {
        Self(*Uuid::now_v7().as_bytes())
    }

    /// Makes one of given time and random part.
    #[must_use]
    pub fn from_parts(time: TimestampMs, random: [u8; 10]) -> Self {
        let millis = u64::try_from(time.0).unwrap_or(0);
        Self(*uuid::Builder::from_unix_timestamp_millis(millis, &random).as_uuid().as_bytes())
    }

    /// Parses the 16 bytes of a UUIDv7.
    ///
    /// # Errors
    ///
    /// Another length, version or variant.
    pub fn parse(bytes: &[u8]) -> Result<Self, IdError> {
        let error = IdError { kind: "exchange id", expected: "a UUIDv7 in 16 bytes" };
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| error.clone())?;
        if bytes[6] >> 4 != 7 || bytes[8] >> 6 != 0b10 {
            return Err(error);
        }
        Ok(Self(bytes))
    }

    /// Parses the text form, with or without hyphens.
    ///
    /// # Errors
    ///
    /// Anything but a UUIDv7.
    pub fn parse_text(text: &str) -> Result<Self, IdError> {
        let uuid = Uuid::parse_str(text).map_err(|_| IdError { kind: "exchange id", expected: "a UUIDv7" })?;
        Self::parse(uuid.as_bytes())
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Writes the hyphenated text form.
    pub fn write_text(&self, out: &mut [u8; 36]) {
        Uuid::from_bytes(self.0).hyphenated().encode_lower(out);
    }

    /// The time the id was made, from its first 48 bits.
    #[must_use]
    pub fn time(&self) -> TimestampMs {
        let mut millis = [0u8; 8];
        millis[2..].copy_from_slice(&self.0[..6]);
        TimestampMs(i64::from_be_bytes(millis))
    }
}

impl Default for ExchangeId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_id_tells_its_time_and_refuses_other_uuids() {
        let id = ExchangeId::from_parts(TimestampMs(1_760_000_000_123), [7; 10]);
        assert_eq!(id.time(), TimestampMs(1_760_000_000_123));
        assert_eq!(ExchangeId::parse(id.as_bytes()), Ok(id));
        assert_eq!(ExchangeId::parse_text(&id.to_string()), Ok(id));
        assert!(ExchangeId::parse(&[0; 16]).is_err());
        assert!(ExchangeId::parse(&[0; 15]).is_err());
    }
}
