//! Short ids from sums: base 32 without letters that look like digits.

use std::collections::BTreeMap;

use crate::checksum::sha256;

/// Crockford's digits: no i, l, o, u.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Digits that an id has at least: a billion ids.
const SHORTEST: usize = 6;
/// Digits of the whole sum that are kept.
const LONGEST: usize = 32;

/// The SHA-256 of what a number is, in base 32.
pub fn digits(text: &str) -> String {
    let sum = sha256(text.as_bytes());
    let bits: Vec<u8> = sum
        .bytes()
        .flat_map(|digit| {
            let value = (digit as char).to_digit(16).expect("a sum is of hexadecimal digits") as u8;
            (0..4).rev().map(move |bit| value >> bit & 1)
        })
        .collect();
    let digit = |five: &[u8]| DIGITS[five.iter().fold(0, |value, bit| value * 2 + usize::from(*bit))] as char;
    bits.chunks_exact(5).take(LONGEST).map(digit).collect()
}

/// Each sum's first digits: so many that no two of the study's are alike.
pub fn shortened(sums: &[String]) -> Vec<String> {
    let mut lengths = vec![SHORTEST; sums.len()];
    loop {
        let mut alike: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, sum) in sums.iter().enumerate() {
            alike.entry(&sum[..lengths[index]]).or_default().push(index);
        }
        let longer: Vec<usize> = alike.into_values().filter(|places| places.len() > 1).flatten().collect();
        if longer.iter().all(|&index| lengths[index] == LONGEST) {
            return sums.iter().zip(lengths).map(|(sum, length)| sum[..length].to_owned()).collect();
        }
        longer.into_iter().for_each(|index| lengths[index] = (lengths[index] + 1).min(LONGEST));
    }
}

/// An id as it may have been copied by hand: letters that no id has stand for the digits that they look like.
pub fn normal(id: &str) -> String {
    let digit = |letter: char| match letter.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    id.trim().chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_first_digits_of_a_sum() {
        // SHA-256("abc") begins with ba7816bf: 10111 01001 11100 00001 01101 01111.
        assert!(digits("abc").starts_with("q9w1df"), "{}", digits("abc"));
        assert_eq!(digits("abc").len(), LONGEST);
        assert!(digits("abc").bytes().all(|digit| DIGITS.contains(&digit)));
    }

    #[test]
    fn ids_that_begin_alike_are_as_long_as_they_must_be() {
        let sums = ["aaaaaabc", "aaaaaabd", "aaaaaacc", "bbbbbbbb"].map(|sum| format!("{sum}{}", "0".repeat(24)));
        assert_eq!(shortened(&sums), ["aaaaaabc", "aaaaaabd", "aaaaaac", "bbbbbb"]);
        assert_eq!(shortened(&[]), [""; 0]);
        assert_eq!(
            shortened(&[sums[0].clone(), sums[0].clone()])[0].len(),
            LONGEST,
            "what is the same is not told apart"
        );
    }

    #[test]
    fn an_id_may_be_copied_by_hand() {
        assert_eq!(normal(" K3FOIL "), "k3f011");
    }
}
