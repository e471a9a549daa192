//! One pass over the text, with a stack of its own.

use ldop_types::Finding;

use super::{
    Document, Kind, Slot,
    flaw::Flaw,
    pack,
    scan::{decode, fingerprint_of, skip_blanks, string_end},
};

/// Beyond so many members names are sorted and compared instead of each with each.
const SMALL_OBJECT: u32 = 64;
/// Room for values kept from record to record; what one large record needed beyond it is given back.
const KEPT_VALUES: usize = 16_384;
/// Room for decoded texts kept from record to record, bytes.
const KEPT_DECODED: usize = 1 << 18;

/// What a record may hold at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the record, at most 1 GiB.
    pub bytes: usize,
    /// Levels of nesting; a scalar alone has none.
    pub depth: usize,
    /// Values, containers included.
    pub values: usize,
}

impl Limits {
    /// 1 MiB, 64 levels, 65,536 values (2 MiB of lists).
    pub const DEFAULT: Self = Self { bytes: 1 << 20, depth: 64, values: 1 << 16 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Parses records one after the other into the same lists.
pub struct Parser {
    limits: Limits,
    slots: Vec<Slot>,
    decoded: String,
    open: Vec<Open>,
    /// Of each level.
    seen: Vec<Seen>,
    sorted: Vec<u32>,
}

/// A container whose end is not read yet; around the record itself, one that is none.
#[derive(Clone, Copy, Default)]
struct Open {
    slot: u32,
    children: u32,
    is_object: bool,
}

/// One bit for each fingerprint seen in an object, so that most names need no comparison: many more bits than an object
/// usually has names.
#[derive(Clone, Copy, Default)]
struct Seen([u64; 8]);

impl Seen {
    /// Notes a name; false if none before can have been the same.
    #[inline]
    fn may_have(&mut self, fingerprint: u32) -> bool {
        let (word, bit) = ((fingerprint / 64 % 8) as usize, 1u64 << (fingerprint % 64));
        let before = self.0[word];
        self.0[word] = before | bit;
        before & bit != 0
    }
}

/// The name of the member whose value comes next.
#[derive(Clone, Copy, Default)]
struct Name {
    start: u32,
    length: u32,
    fingerprint: u32,
    is_decoded: bool,
}

impl Parser {
    /// Makes a parser. The limit on bytes is brought down to 1 GiB.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { bytes: limits.bytes.min(1 << 30), ..limits };
        Self {
            limits,
            slots: Vec::new(),
            decoded: String::new(),
            open: Vec::new(),
            seen: Vec::new(),
            sorted: Vec::new(),
        }
    }

    /// Parses one record.
    ///
    /// # Errors
    ///
    /// One finding on the whole record, with the byte offset in its message: `SYNTAX`, `DUPLICATE_KEY`, `TOO_DEEP`, or
    /// `TOO_LONG` for too many bytes or values.
    pub fn parse<'d>(&'d mut self, bytes: &'d [u8]) -> Result<Document<'d>, Finding> {
        if bytes.len() > self.limits.bytes {
            return Err(Flaw::TooManyBytes.at(0, self.limits));
        }
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| {
            // Only the standard library says where; it is asked only then.
            let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            Flaw::NotUtf8.at(valid, self.limits)
        })?;
        self.clear();
        self.run(text).map_err(|(flaw, at)| flaw.at(at, self.limits))?;
        Ok(Document { text, slots: &self.slots, decoded: &self.decoded })
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.slots.shrink_to(KEPT_VALUES);
        self.decoded.clear();
        self.decoded.shrink_to(KEPT_DECODED);
        self.open.clear();
        self.sorted.clear();
    }

    fn run(&mut self, text: &str) -> Result<(), (Flaw, usize)> {
        let bytes = text.as_bytes();
        let mut at = skip_blanks(bytes, 0);
        if at == bytes.len() {
            return Err((Flaw::Empty, at));
        }
        if text.starts_with('\u{feff}') {
            return Err((Flaw::ByteOrderMark, 0));
        }
        // The innermost container that is open; `self.open` has those around it, the outermost first.
        let mut here = Open::default();
        loop {
            let name = if here.is_object {
                let name;
                (name, at) = self.name(text, at, here)?;
                name
            } else {
                Name::default()
            };
            here.children += 1;
            // A value begins at `at`.
            at = match bytes.get(at) {
                Some(b'"') => self.string(text, at, name)?,
                Some(bracket @ (b'{' | b'[')) => {
                    let is_object = *bracket == b'{';
                    if self.open.len() >= self.limits.depth {
                        return Err((Flaw::TooDeep, at));
                    }
                    let slot = self.slots.len() as u32;
                    self.push(name, if is_object { Kind::Object } else { Kind::Array }, at, at, 0)?;
                    match self.seen.get_mut(self.open.len()) {
                        Some(seen) => *seen = Seen::default(),
                        None => self.seen.push(Seen::default()),
                    }
                    self.open.push(here);
                    here = Open { slot, children: 0, is_object };
                    at = skip_blanks(bytes, at + 1);
                    // `]` is two after `[`, and `}` two after `{`.
                    if bytes.get(at) != Some(&(bracket + 2)) {
                        continue;
                    }
                    here = self.close(text, at, here)?;
                    at + 1
                }
                Some(b'-' | b'0'..=b'9') => self.number(text, at, name)?,
                Some(b't') => self.literal(bytes, at, name, b"true", Kind::True)?,
                Some(b'f') => self.literal(bytes, at, name, b"false", Kind::False)?,
                Some(b'n') => self.literal(bytes, at, name, b"null", Kind::Null)?,
                Some(_) => return Err((Flaw::Unexpected, at)),
                None => return Err((Flaw::Ends, at)),
            };
            // A value has ended at `at`.
            loop {
                at = skip_blanks(bytes, at);
                if self.open.is_empty() {
                    return if at == bytes.len() { Ok(()) } else { Err((Flaw::Trailing, at)) };
                }
                match bytes.get(at) {
                    Some(b',') => {
                        at = skip_blanks(bytes, at + 1);
                        break;
                    }
                    Some(b'}') if here.is_object => {}
                    Some(b']') if !here.is_object => {}
                    Some(_) => return Err((Flaw::Unexpected, at)),
                    None => return Err((Flaw::Ends, at)),
                }
                here = self.close(text, at, here)?;
                at += 1;
            }
        }
    }

    /// Adds a value.
    #[inline]
    fn push(&mut self, name: Name, kind: Kind, start: usize, end: usize, payload: u64) -> Result<(), (Flaw, usize)> {
        if self.slots.len() >= self.limits.values {
            return Err((Flaw::TooManyValues, start));
        }
        self.slots.push(Slot {
            start: start as u32,
            end: end as u32,
            name_start: name.start,
            name_length: name.length,
            fingerprint: name.fingerprint,
            kind,
            name_is_decoded: name.is_decoded,
            payload,
        });
        Ok(())
    }

    /// Closes the innermost container, whose bracket is at `at`; returns the one around it.
    fn close(&mut self, text: &str, at: usize, open: Open) -> Result<Open, (Flaw, usize)> {
        let next = self.slots.len();
        if open.is_object && open.children > SMALL_OBJECT {
            self.refuse_duplicates_by_sorting(text, open.slot, at)?;
        }
        let slot = &mut self.slots[open.slot as usize];
        slot.payload = pack(next, open.children as usize);
        slot.end = at as u32 + 1;
        Ok(self.open.pop().unwrap_or_default())
    }

    /// A member's name at `at`, its colon and the blanks around it; returns where the value begins.
    #[inline]
    fn name(&mut self, text: &str, at: usize, open: Open) -> Result<(Name, usize), (Flaw, usize)> {
        let bytes = text.as_bytes();
        match bytes.get(at) {
            Some(b'"') => {}
            Some(_) => return Err((Flaw::Unexpected, at)),
            None => return Err((Flaw::Ends, at)),
        }
        let start = at + 1;
        let end = string_end(bytes, start);
        let (name, end) = match bytes.get(end) {
            Some(b'"') => {
                let fingerprint = fingerprint_of(&bytes[start..end]);
                (Name { start: start as u32, length: (end - start) as u32, fingerprint, is_decoded: false }, end)
            }
            Some(b'\\') => self.decoded_name(text, start, end)?,
            Some(_) => return Err((Flaw::ControlCharacter, end)),
            None => return Err((Flaw::Ends, end)),
        };
        // Whatever is open has its level in both lists.
        let seen = self.seen.get_mut(self.open.len() - 1);
        if seen.is_none_or(|seen| seen.may_have(name.fingerprint)) && open.children <= SMALL_OBJECT {
            self.refuse_duplicate(text, name, at, open.slot)?;
        }
        let colon = if bytes.get(end + 1) == Some(&b':') { end + 1 } else { skip_blanks(bytes, end + 1) };
        match bytes.get(colon) {
            Some(b':') => Ok((name, skip_blanks(bytes, colon + 1))),
            Some(_) => Err((Flaw::Unexpected, colon)),
            None => Err((Flaw::Ends, colon)),
        }
    }

    /// A name with escapes; its first backslash is at `at`.
    #[cold]
    fn decoded_name(&mut self, text: &str, start: usize, at: usize) -> Result<(Name, usize), (Flaw, usize)> {
        let from = self.decoded.len();
        let end = decode(text, start, at, &mut self.decoded)?;
        let name = &self.decoded.as_bytes()[from..];
        let (length, fingerprint) = (name.len() as u32, fingerprint_of(name));
        Ok((Name { start: from as u32, length, fingerprint, is_decoded: true }, end))
    }

    /// Compares a name with those before it in the object that began at `slot`.
    #[cold]
    fn refuse_duplicate(&self, text: &str, name: Name, at: usize, slot: u32) -> Result<(), (Flaw, usize)> {
        let document = Document { text, slots: &self.slots, decoded: &self.decoded };
        let source = if name.is_decoded { &self.decoded[..] } else { text };
        let wanted = &source[name.start as usize..(name.start + name.length) as usize];
        let mut index = slot + 1;
        while let Some(slot) = self.slots.get(index as usize) {
            if slot.fingerprint == name.fingerprint && document.name(slot) == wanted {
                return Err((Flaw::DuplicateKey, at));
            }
            index = slot.next(index);
        }
        Ok(())
    }

    /// For objects with many members: in proportion to n log n whatever the names are.
    #[cold]
    fn refuse_duplicates_by_sorting(&mut self, text: &str, object: u32, at: usize) -> Result<(), (Flaw, usize)> {
        let document = Document { text, slots: &self.slots, decoded: &self.decoded };
        self.sorted.clear();
        let mut index = object + 1;
        while let Some(slot) = self.slots.get(index as usize) {
            self.sorted.push(index);
            index = slot.next(index);
        }
        let name = |index: &u32| document.name(document.slot(*index));
        self.sorted.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        match self.sorted.windows(2).find(|pair| name(&pair[0]) == name(&pair[1])) {
            Some(_) => Err((Flaw::DuplicateKey, at)),
            None => Ok(()),
        }
    }

    #[inline]
    fn string(&mut self, text: &str, at: usize, name: Name) -> Result<usize, (Flaw, usize)> {
        let bytes = text.as_bytes();
        let end = string_end(bytes, at + 1);
        match bytes.get(end) {
            Some(b'"') => {
                self.push(name, Kind::Plain, at, end + 1, 0)?;
                Ok(end + 1)
            }
            Some(b'\\') => {
                let from = self.decoded.len();
                let end = decode(text, at + 1, end, &mut self.decoded)?;
                self.push(name, Kind::Escaped, at, end + 1, pack(from, self.decoded.len() - from))?;
                Ok(end + 1)
            }
            Some(_) => Err((Flaw::ControlCharacter, end)),
            None => Err((Flaw::Ends, end)),
        }
    }

    #[inline]
    fn literal(
        &mut self,
        bytes: &[u8],
        at: usize,
        name: Name,
        word: &[u8],
        kind: Kind,
    ) -> Result<usize, (Flaw, usize)> {
        let end = at + word.len();
        match bytes.get(at..end) {
            Some(found) if found == word => {
                self.push(name, kind, at, end, 0)?;
                Ok(end)
            }
            Some(_) => Err((Flaw::Unexpected, at)),
            None => Err((if word.starts_with(&bytes[at..]) { Flaw::Ends } else { Flaw::Unexpected }, at)),
        }
    }

    fn number(&mut self, text: &str, start: usize, name: Name) -> Result<usize, (Flaw, usize)> {
        let bytes = text.as_bytes();
        let is_negative = bytes[start] == b'-';
        let first = start + usize::from(is_negative);
        let mut at = first;
        let mut whole = 0u64;
        while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
            // Wraps only beyond 19 digits, and then the value is not used.
            whole = whole.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        let digits = at - first;
        if digits == 0 {
            return Err((if at == bytes.len() { Flaw::Ends } else { Flaw::Number }, at));
        }
        if digits > 1 && bytes[first] == b'0' {
            return Err((Flaw::Number, first));
        }
        let (kind, payload, end) = match bytes.get(at) {
            Some(b'.' | b'e' | b'E') => {
                let end = fraction_and_exponent(bytes, at)?;
                (Kind::Float, finite(&text[start..end], start)?.to_bits(), end)
            }
            _ if digits <= 19 && !is_negative => (Kind::Unsigned, whole, at),
            _ if digits <= 18 && whole != 0 => (Kind::Negative, (whole as i64).wrapping_neg() as u64, at),
            _ if whole == 0 && digits == 1 => (Kind::Unsigned, 0, at),
            _ => {
                let literal = &text[start..at];
                let (kind, payload) = if let Ok(value) = literal.parse::<u64>() {
                    (Kind::Unsigned, value)
                } else if let Ok(value) = literal.parse::<i64>() {
                    (Kind::Negative, value as u64)
                } else {
                    (Kind::Large, finite(literal, start)?.to_bits())
                };
                (kind, payload, at)
            }
        };
        self.push(name, kind, start, end, payload)?;
        Ok(end)
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new(Limits::DEFAULT)
    }
}

/// Index after the fraction and exponent that begin at `at`.
fn fraction_and_exponent(bytes: &[u8], mut at: usize) -> Result<usize, (Flaw, usize)> {
    let digits = |from: usize| -> Result<usize, (Flaw, usize)> {
        let count = bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        match (count, bytes.get(from)) {
            (0, None) => Err((Flaw::Ends, from)),
            (0, Some(_)) => Err((Flaw::Number, from)),
            _ => Ok(from + count),
        }
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    Ok(at)
}

fn finite(literal: &str, at: usize) -> Result<f64, (Flaw, usize)> {
    match literal.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err((Flaw::NumberTooLarge, at)),
        Err(_) => Err((Flaw::Number, at)),
    }
}
