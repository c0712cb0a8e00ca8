//! The similar word that an error message suggests.

/// The candidate that was probably meant by `word`, if any is close; the first of equally close ones.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = strsim::damerau_levenshtein(&word, &candidate.to_lowercase().replace('-', "_"))
                .min(strsim::damerau_levenshtein(&word, &candidate.to_lowercase()));
            let begins_it = word.chars().count() >= 3 && candidate.starts_with(word.as_str());
            (distance <= allowed || begins_it).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "`a`, `b`, `c`".
pub fn quoted_list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_what_was_meant_and_nonsense_finds_nothing() {
        let keys = ["steps", "batch_size", "warmup_steps", "learning_rate"];
        assert_eq!(nearest("step", keys), Some("steps"));
        assert_eq!(nearest("stpes", keys), Some("steps"));
        assert_eq!(nearest("batch", keys), Some("batch_size"));
        assert_eq!(nearest("batch-size", keys), Some("batch_size"));
        assert_eq!(nearest("LEARNING_RATE", keys), Some("learning_rate"));
        assert_eq!(nearest("colour", keys), None);
    }
}
