//! The settings of `--set KEY=A,B`, and their combinations.

use super::EvaluateCommandError as Error;

/// What decides a value's protocol, and may be another after training. Each stands for the keys below it too.
const KEYS: [&str; 5] =
    ["evaluate.fid", "evaluate.measures", "evaluate.validation", "evaluate.weights", AVERAGE_LENGTH];
/// The key whose values are lengths of averages, which are made of kept ones.
pub const AVERAGE_LENGTH: &str = "train.ema.sigma_rel";
/// More combinations than these are a slip.
const MOST_COMBINATIONS: usize = 1000;

/// Values of keys: one way to measure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Combination {
    /// (key, value as written), in the order given.
    pub values: Vec<(String, String)>,
}

impl Combination {
    /// `KEY=VALUE` of each, as for `speedlab run --set`.
    pub fn overrides(&self) -> Vec<String> {
        self.values.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// Whether it is measured of another average than the run's own.
    pub fn names_average(&self) -> bool {
        self.values.iter().any(|(key, _)| key == AVERAGE_LENGTH)
    }

    /// `fid.guidance 1.5, fid.ode.steps 50`.
    pub fn words(&self) -> String {
        let words = self.values.iter().map(|(key, value)| format!("{} {value}", short(key)));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// A key without the section that all of them are in.
pub fn short(key: &str) -> &str {
    key.strip_prefix("evaluate.").unwrap_or(key)
}

/// Every value of each key with every value of the others; the last key changes first.
pub fn combinations(sets: &[String]) -> Result<Vec<Combination>, Error> {
    let mut found = vec![Combination::default()];
    for set in sets {
        let Some((key, values)) = set.split_once('=') else {
            return Err(Error::Setting {
                set: set.clone(),
                problem: "it has no value".to_owned(),
                hint: "write `--set KEY=VALUE`",
            });
        };
        let is_below =
            |section: &str| key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if !KEYS.into_iter().any(is_below) {
            return Err(Error::OtherKey { key: key.to_owned() });
        }
        if found[0].values.iter().any(|(other, _)| other == key) {
            return Err(Error::Setting {
                set: set.clone(),
                problem: "its key was given before".to_owned(),
                hint: "write all values behind one key, as in `--set evaluate.fid.guidance=1,1.5,2`",
            });
        }
        let values = split(values);
        if found.len() * values.len() > MOST_COMBINATIONS {
            return Err(Error::Setting {
                set: set.clone(),
                problem: format!("these are more than {MOST_COMBINATIONS} combinations"),
                hint: "give fewer values at a time",
            });
        }
        let with = |combination: &Combination| {
            let mut more = Vec::new();
            for value in &values {
                let mut combination = combination.clone();
                combination.values.push((key.to_owned(), value.clone()));
                more.push(combination);
            }
            more
        };
        found = found.iter().flat_map(with).collect();
    }
    Ok(found)
}

/// The values between commas that are in no list, map or quotes.
fn split(text: &str) -> Vec<String> {
    let (mut values, mut depth, mut quote) = (vec![String::new()], 0usize, None);
    for letter in text.chars() {
        match (letter, quote) {
            (_, Some(mark)) => quote = quote.filter(|_| letter != mark),
            ('"' | '\'', None) => quote = Some(letter),
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 => {
                values.push(String::new());
                continue;
            }
            _ => {}
        }
        values.last_mut().expect("it begins with one").push(letter);
    }
    values.into_iter().map(|value| value.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sets: &[&str]) -> Result<Vec<Vec<String>>, String> {
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        let found = combinations(&sets).map_err(|error| error.to_string())?;
        Ok(found.iter().map(Combination::overrides).collect())
    }

    #[test]
    fn every_value_meets_every_other_and_lists_and_maps_are_one_value() {
        let found =
            of(&["evaluate.fid.guidance=1,1.5", "evaluate.fid.ode={ kind: heun, steps: 5 },{ kind: ddpm }"]).unwrap();
        let expected = [
            ["evaluate.fid.guidance=1", "evaluate.fid.ode={ kind: heun, steps: 5 }"],
            ["evaluate.fid.guidance=1", "evaluate.fid.ode={ kind: ddpm }"],
            ["evaluate.fid.guidance=1.5", "evaluate.fid.ode={ kind: heun, steps: 5 }"],
            ["evaluate.fid.guidance=1.5", "evaluate.fid.ode={ kind: ddpm }"],
        ];
        assert_eq!(found, expected);
        assert_eq!(
            of(&["evaluate.measures=[kid, sfid], []"]).unwrap(),
            [["evaluate.measures=[kid, sfid]"], ["evaluate.measures=[]"]]
        );
        assert_eq!(
            of(&["evaluate.fid.reference_file=\"a,b.npz\""]).unwrap(),
            [["evaluate.fid.reference_file=\"a,b.npz\""]]
        );
    }

    #[test]
    fn what_is_no_way_to_measure_is_refused() {
        for (sets, message) in [
            (&["evaluate.fid.guidance"][..], "--set evaluate.fid.guidance: it has no value"),
            (&["train.steps=5"], "`train.steps` cannot be another after training"),
            (&["evaluate.fidelity=5"], "`evaluate.fidelity` cannot be another after training"),
            (&["train.ema=power"], "`train.ema` cannot be another after training"),
            (&["evaluate.also=[]"], "`evaluate.also` cannot be another after training"),
            (&["evaluate.weights=raw", "evaluate.weights=own"], "--set evaluate.weights=own: its key was given before"),
        ] {
            let error = of(sets).unwrap_err();
            assert!(error.starts_with(message) && error.contains("\nhint: "), "{error}");
        }
        let many = format!("evaluate.fid.guidance={}", ["1"; 1001].join(","));
        assert!(of(&[&many]).unwrap_err().contains("these are more than 1000 combinations"));
    }
}
