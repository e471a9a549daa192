//! Several values in one cell, one on each line.
//!
//! Texts may hold line breaks of their own, and codes semicolons, so both can be escaped with a backslash: what is
//! written is always read back.

/// Joins texts into one cell.
pub(crate) fn join<'t>(texts: impl IntoIterator<Item = &'t str>, between_codes: bool) -> String {
    let mut cell = String::new();
    for (at, text) in texts.into_iter().enumerate() {
        if at > 0 {
            cell.push('\n');
        }
        for c in text.chars() {
            match c {
                '\\' => cell.push_str("\\\\"),
                '\n' => cell.push_str("\\n"),
                ';' if between_codes => cell.push_str("\\;"),
                c => cell.push(c),
            }
        }
    }
    cell
}

/// The texts of a cell. Empty lines count for nothing; codes and words may stand on one line with `;` between.
pub(crate) fn split(cell: &str, between_codes: bool) -> Vec<String> {
    let mut texts = Vec::new();
    let mut text = String::new();
    let mut chars = cell.chars();
    let mut end = |text: &mut String| {
        let trimmed = text.trim();
        if !trimmed.is_empty() {
            texts.push(trimmed.to_owned());
        }
        text.clear();
    };
    while let Some(c) = chars.next() {
        match c {
            '\n' => end(&mut text),
            ';' if between_codes => end(&mut text),
            '\\' => match chars.clone().next() {
                Some('n') => {
                    chars.next();
                    text.push('\n');
                }
                Some(escaped @ ('\\' | ';')) => {
                    chars.next();
                    text.push(escaped);
                }
                _ => text.push('\\'),
            },
            c => text.push(c),
        }
    }
    end(&mut text);
    texts
}

/// Marks a text that a spreadsheet would take for a formula when it opens a CSV file.
pub(crate) fn guard(text: String) -> String {
    if is_formula(&text) { format!("'{text}") } else { text }
}

/// Takes the mark off again.
pub(crate) fn unguard(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if is_formula(text) => rest,
        _ => text,
    }
}

/// Whether it begins like a formula, behind any number of marks.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_joined_is_split_again(
            texts in prop::collection::vec("[a-c\\\\;n'=é\n ]{0,6}[a-c\\\\;n]", 0..5),
            codes in any::<bool>(),
        ) {
            let texts: Vec<String> = texts.iter().map(|text| text.trim().to_owned()).collect();
            let cell = join(texts.iter().map(String::as_str), codes);
            prop_assert_eq!(split(&cell, codes), texts);
        }

        #[test]
        fn a_mark_is_taken_off_again(text in "['=+@a-]{0,6}") {
            let guarded = guard(text.clone());
            prop_assert!(!guarded.starts_with(['=', '+', '-', '@']));
            prop_assert_eq!(unguard(&guarded), text);
        }
    }

    #[test]
    fn codes_may_stand_on_one_line() {
        assert_eq!(split("21583; 21601 ;;\n 7", true), ["21583", "21601", "7"]);
        assert_eq!(split("a; b\r\n\r\nc", false), ["a; b", "c"]);
    }
}
