//! Names of fields and elements, made alike: `HoVaTen`, `ho_va_ten` and "Họ và tên" are the same words.

/// The words of a name: lower case, without diacritics.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if ('\u{300}'..='\u{36f}').contains(&c) {
            continue; // a mark of a decomposed letter
        }
        let begins = c.is_uppercase() && was_lower;
        was_lower = c.is_lowercase() || c.is_numeric();
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase().map(plain));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// How alike two names are, 0 to 1.
pub(super) fn likeness(one: &[String], other: &[String]) -> f64 {
    if one.is_empty() || other.is_empty() {
        return 0.0;
    }
    let (joined, other_joined) = (one.concat(), other.concat());
    if joined == other_joined {
        return 1.0;
    }
    let common = one.iter().filter(|word| other.contains(word)).count();
    let shared = 2.0 * common as f64 / (one.len() + other.len()) as f64;
    // Short names are alike by chance.
    let close = strsim::jaro_winkler(&joined, &other_joined);
    let close = if joined.len() >= 5 && close > 0.9 { close } else { 0.0 };
    0.9 * shared.max(close)
}

/// A letter without its Vietnamese marks.
fn plain(c: char) -> char {
    match c {
        'à'..='å' | 'ă' | 'ạ'..='ặ' => 'a',
        'è'..='ë' | 'ẹ'..='ệ' => 'e',
        'ì'..='ï' | 'ĩ' | 'ỉ' | 'ị' => 'i',
        'ò'..='ö' | 'ơ' | 'ọ'..='ợ' => 'o',
        'ù'..='ü' | 'ũ' | 'ư' | 'ụ'..='ự' => 'u',
        'ý' | 'ỳ'..='ỹ' => 'y',
        'đ' => 'd',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_fashion_become_the_same_words() {
        for name in ["HoVaTen", "ho_va_ten", "Họ và tên", "hovaten", "Ho\u{323} va\u{300} te\u{302}n", "HỌ-VÀ-TÊN"]
        {
            assert_eq!(words(name).concat(), "hovaten", "{name}");
        }
        assert_eq!(words("Đặng Thị Ửng quỹ ĩ"), ["dang", "thi", "ung", "quy", "i"]);
        assert_eq!(words("maSoThue2"), ["ma", "so", "thue2"]);
        assert!(words("--").is_empty());
    }

    #[test]
    fn likeness_is_of_words_and_of_letters() {
        let like = |one, other| likeness(&words(one), &words(other));
        assert_eq!(like("full_name", "Full name"), 1.0);
        assert!(like("full_nme", "Full name") > 0.8);
        assert!(like("ngay_sinh", "Ngày, tháng, năm sinh") > 0.5);
        assert!(like("phone", "Full name") < 0.3);
        assert_eq!(like("", "x"), 0.0);
    }
}
