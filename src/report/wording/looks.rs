//! A study whose seeds are added until it is decided, in sentences.

use super::pair_name;
use crate::report::comparison::{Comparison, Look, Settled};
use crate::report::number::{percent, significant};
use crate::report::speedup::Verdict;
use crate::spec::UntilDecided;

/// The rule; `None` for a study of fixed seeds.
pub fn rule_words(comparison: &Comparison) -> Option<String> {
    let rule = comparison.study.plan.until_decided.as_ref()?;
    Some(format!(
        "Seeds were added until every comparison was decided: undecided arms were looked at after {} seeds. At every look a \
         difference counts below p = {}{}, so that all looks at all arms together err in at most 5 % of studies. Pairs of arms, and \
         the answers of a whole grid, have 5 % of their own. The intervals are of {} and hold over all looks. An arm is as fast as \
         another where its interval lies within the factor that matters. The rule and the band of qualities were fixed before the first look.",
        looks_words(&rule.looks),
        significant(rule.level(1), 2),
        smallest_level(rule),
        percent_of_interval(rule)
    ))
}

fn percent_of_interval(rule: &UntilDecided) -> String {
    format!("{} %", significant(100.0 * (1.0 - rule.level(1)), 4))
}

fn smallest_level(rule: &UntilDecided) -> String {
    match rule.levels.len() {
        1 => String::new(),
        count => format!(" ({} while {count} comparisons are undecided)", significant(rule.level(count), 2)),
    }
}

/// `3, 4, .. 20`, or all of them where they are few or leave some out.
fn looks_words(looks: &[usize]) -> String {
    let consecutive = looks.windows(2).all(|pair| pair[1] == pair[0] + 1);
    match looks {
        [first, second, .., last] if consecutive && looks.len() > 4 => format!("{first}, {second}, .. {last}"),
        _ => looks.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A sentence for each look that was taken.
pub fn look_words(comparison: &Comparison) -> Vec<String> {
    let Some(looks) = &comparison.looks else { return vec![] };
    let practical = comparison.practical() - 1.0;
    let most = comparison.study.plan.until_decided.as_ref().and_then(|rule| rule.looks.last().copied());
    looks.iter().map(|look| sentence(look, practical, most)).collect()
}

fn sentence(look: &Look, practical: f64, most: Option<usize>) -> String {
    let mut parts: Vec<String> = look.settled.iter().map(|settled| settled_words(settled, practical)).collect();
    parts.push(match look.open {
        0 => "nothing is open".to_owned(),
        1 => "1 comparison is open".to_owned(),
        open => format!("{open} comparisons are open"),
    });
    let end = if look.open > 0 && most == Some(look.seeds) { ", and the rule has no more seeds" } else { "" };
    format!("After {} seeds: {}{end}.", look.seeds, parts.join("; "))
}

fn settled_words(settled: &Settled, practical: f64) -> String {
    let Settled { point, arm, against, verdict } = settled;
    let name = against.as_ref().map_or_else(|| arm.clone(), |against| pair_name(arm, against));
    let at = if point.is_empty() { String::new() } else { format!(" at {point}") };
    let words = match verdict {
        Some(Verdict::Faster) => "faster".to_owned(),
        Some(Verdict::Slower) => "slower".to_owned(),
        Some(Verdict::Equivalent) => format!("equally fast within {}", percent(practical)),
        _ => "no number, which more seeds do not change".to_owned(),
    };
    format!("{name}{at}: {words}")
}
