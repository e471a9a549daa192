//! Pieces of HTML.

use std::fmt::Write;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Text that means nothing but itself, in an element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Characters that turn the text around them would let a name look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A text in both languages, of which the page shows one; the Vietnamese one where there is no other.
pub(super) fn both(vi: &str, en: &str) -> String {
    if en.is_empty() || en == vi {
        return escape(vi);
    }
    format!("<span class=\"vi\">{}</span><span class=\"en\" lang=\"en\">{}</span>", escape(vi), escape(en))
}

/// What a search looks into: the texts as they are, and without diacritics.
pub(super) fn searched<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let plain: Vec<String> = texts.into_iter().map(|text| text.nfc().collect::<String>().to_lowercase()).collect();
    let plain = plain.join(" ");
    let folded = fold(&plain);
    escape(&if folded == plain { plain } else { format!("{plain} {folded}") })
}

/// Lower case without diacritics: `đường` becomes `duong`.
fn fold(text: &str) -> String {
    text.nfd().filter(|c| !is_combining_mark(*c)).map(|c| if c == 'đ' { 'd' } else { c }).collect()
}

/// Writing to a text cannot fail.
pub(super) fn put(html: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = html.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_with_and_without_diacritics() {
        assert_eq!(searched(["Số định danh", "Đường"]), "số định danh đường so dinh danh duong");
        assert_eq!(searched(["Personal id"]), "personal id");
    }

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        assert_eq!(escape("\"'><script>&\u{202e}\0"), "&quot;&#39;&gt;&lt;script&gt;&amp;\u{fffd}\u{fffd}");
    }
}
