//! What makes two texts the same schema.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Metadata, Reference};
use crate::document::{Document, Node, Value};

/// Id of a content, from 1; 0 before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SchemaId(pub u32);

impl SchemaId {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// SHA-256 of the canonical text, the references and the metadata.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Hash of a schema. Texts that differ in nothing but the order of names and the space between are the same;
    /// numbers are compared as written. References count in any order.
    #[must_use]
    pub fn of(document: &Document<'_>, references: &[Reference], metadata: &Metadata) -> Self {
        let mut canonical = String::with_capacity(document.text().len());
        write_canonical(document.root(), &mut canonical);
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(canonical.as_bytes());
        let mut sorted: Vec<&Reference> = references.iter().collect();
        sorted.sort_unstable();
        for reference in sorted {
            part(reference.name.as_bytes());
            part(reference.subject.as_str().as_bytes());
            part(&reference.version.to_be_bytes());
        }
        if !metadata.is_empty() {
            part(b"metadata");
            for (key, value) in &metadata.properties {
                part(key.as_bytes());
                part(value.as_bytes());
            }
            for (path, tags) in &metadata.tags {
                part(path.as_bytes());
                tags.iter().for_each(|tag| part(tag.as_bytes()));
            }
            metadata.sensitive.iter().for_each(|key| part(key.as_bytes()));
        }
        Self(hash.finalize().into())
    }

    /// A UUID of the content (RFC 9562, version 8).
    #[must_use]
    pub fn guid_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        bytes
    }

    /// The same as text.
    #[must_use]
    pub fn guid(&self) -> String {
        let hex: String = self.guid_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.guid())
    }
}

/// Names sorted, nothing between; strings with the fewest escapes, numbers as written.
pub(crate) fn write_canonical(node: Node<'_>, out: &mut String) {
    // Recurses at most as deep as the parser's limit allows.
    match node.value() {
        Value::Null => out.push_str("null"),
        Value::Boolean(boolean) => out.push_str(if boolean { "true" } else { "false" }),
        Value::Number(number) => out.push_str(number.literal()),
        Value::Text(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
