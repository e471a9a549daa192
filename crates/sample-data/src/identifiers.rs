//! Identifiers that keep their rules: personal id, tax code, land parcel id.

/// A short ASCII text on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ascii<const N: usize>([u8; N]);

impl<const N: usize> Ascii<N> {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

/// A personal id (NĐ 137/2015/NĐ-CP Đ13): province prefix, century and sex, year, then `tail` as six digits.
pub(crate) fn personal_id(prefix: &str, female: bool, birth_year: i32, tail: u32) -> Ascii<12> {
    let mut id = [b'0'; 12];
    id[..3].copy_from_slice(&prefix.as_bytes()[..3]);
    let century = ((birth_year - 1900) / 100) as u8;
    id[3] = b'0' + century * 2 + u8::from(female);
    put(&mut id[4..6], birth_year as u32 % 100);
    put(&mut id[6..], tail);
    Ascii(id)
}

/// A tax code (TT 105/2020/TT-BTC Đ5) for each number of 0 to 9,999,999: all of them differ.
///
/// The check digit is 10 - (sum mod 11), so some numbers have none. The two prefixes differ by 10 modulo 11 in the
/// sum, so one of them always has.
pub(crate) fn tax_id(number: u32) -> Ascii<10> {
    const PREFIXES: [&[u8; 2]; 2] = [b"41", b"59"];
    const WEIGHTS: [u32; 9] = [31, 29, 23, 19, 17, 13, 7, 5, 3];
    let mut id = [b'0'; 10];
    // Digits 3 to 9 must not all be zero.
    put(&mut id[2..9], 1 + number % 9_999_999);
    let first = usize::from(number.is_multiple_of(3));
    for prefix in [PREFIXES[first], PREFIXES[1 - first]] {
        id[..2].copy_from_slice(prefix);
        let sum: u32 = id.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        if !sum.is_multiple_of(11) {
            id[9] = b'0' + (10 - sum % 11) as u8;
            break;
        }
    }
    Ascii(id)
}

/// GeoHash of 12 characters of a point in degrees times 10^7 (TT 19/2026/TT-BNNMT Đ11.3).
pub(crate) fn geohash(latitude_e7: i32, longitude_e7: i32) -> Ascii<12> {
    const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let cell = |value: i64, range: i64| (((value as u64) << 30) / range as u64).min((1 << 30) - 1);
    let latitude = cell(i64::from(latitude_e7) + 900_000_000, 1_800_000_000);
    let longitude = cell(i64::from(longitude_e7) + 1_800_000_000, 3_600_000_000);
    let bits = spread(longitude) << 1 | spread(latitude);
    let mut id = [0u8; 12];
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = ALPHABET[(bits >> (55 - 5 * at)) as usize & 31];
    }
    Ascii(id)
}

/// Puts a zero bit before each of the lower 32 bits.
fn spread(mut bits: u64) -> u64 {
    bits = (bits | bits << 16) & 0x0000_FFFF_0000_FFFF;
    bits = (bits | bits << 8) & 0x00FF_00FF_00FF_00FF;
    bits = (bits | bits << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & 0x5555_5555_5555_5555
}

fn put(digits: &mut [u8], mut value: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_personal_id_tells_sex_and_year() {
        assert_eq!(personal_id("064", true, 1990, 123).as_str(), "064190000123");
        assert_eq!(personal_id("052", false, 2026, 999_999).as_str(), "052226999999");
    }

    #[test]
    fn tax_codes_have_a_check_digit_and_differ() {
        let mut seen = HashSet::new();
        for number in (0..50_000).chain(9_990_000..9_999_999) {
            let id = tax_id(number);
            let digits: Vec<u32> = id.as_str().bytes().map(|b| u32::from(b - b'0')).collect();
            let sum: u32 = digits.iter().zip([31, 29, 23, 19, 17, 13, 7, 5, 3]).map(|(d, w)| d * w).sum();
            assert_eq!(digits[9], 10 - sum % 11, "{}", id.as_str());
            assert_ne!(&id.as_str()[2..9], "0000000");
            assert!(seen.insert(id.as_str().to_owned()));
        }
    }

    #[test]
    fn geohashes_agree_with_known_ones() {
        // The example of the GeoHash article (57.64911, 10.40744 is u4pruydqqvj), and Quy Nhơn by hand.
        assert_eq!(&geohash(576_491_100, 104_074_400).as_str()[..11], "u4pruydqqvj");
        assert_eq!(geohash(-900_000_000, -1_800_000_000).as_str(), "000000000000");
        assert_eq!(geohash(900_000_000, 1_800_000_000).as_str(), "zzzzzzzzzzzz");
    }
}
