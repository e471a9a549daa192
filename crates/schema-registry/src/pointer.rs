//! JSON pointers, RFC 6901.

use std::fmt::Write as _;

/// Adds a member's name to a pointer.
pub(crate) fn push_name(pointer: &mut String, name: &str) {
    pointer.push('/');
    for character in name.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// Adds an item's index to a pointer.
pub(crate) fn push_index(pointer: &mut String, index: usize) {
    // Writing to a String cannot fail.
    let _ = write!(pointer, "/{index}");
}

/// The name a segment stands for.
pub(crate) fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_read_back() {
        let mut pointer = String::new();
        push_name(&mut pointer, "a/b~c~1");
        push_index(&mut pointer, 3);
        assert_eq!(pointer, "/a~1b~0c~01/3");
        assert_eq!(unescape("a~1b~0c~01"), "a/b~c~1");
    }
}
