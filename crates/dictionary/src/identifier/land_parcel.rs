//! The land parcel id (mã thửa đất): a GeoHash of 12 characters of a point inside the parcel, TT 19/2026/TT-BNNMT
//! Đ11.3 and Phụ lục I, in force since 30/3/2026.

/// Whether `text` is a GeoHash of 12 characters: digits and lower-case letters without a, i, l and o.
#[must_use]
pub fn is_land_parcel_id(text: &str) -> bool {
    text.len() == 12
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b.is_ascii_lowercase() && !matches!(b, b'a' | b'i' | b'l' | b'o')))
}

#[cfg(test)]
mod tests {
    use super::is_land_parcel_id;

    #[test]
    fn twelve_characters_of_the_geohash_alphabet() {
        for good in ["w6w1z9s0bdef", "0123456789bc", "ghjkmnpqrstu", "vwxyz0000000"] {
            assert!(is_land_parcel_id(good), "{good}");
        }
        for bad in [
            "",
            "w6w1z9s0bde",
            "w6w1z9s0bdefg",
            "a6w1z9s0bdef",
            "w6w1z9s0bdei",
            "l6w1z9s0bdef",
            "o6w1z9s0bdef",
            "W6W1Z9S0BDEF",
            "w6w1z9s0bd-f",
            "w6w1z9s0bđe",
        ] {
            assert!(!is_land_parcel_id(bad), "{bad}");
        }
    }
}
