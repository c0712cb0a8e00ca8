//! Single values of runs, from a table or from event files.

use std::collections::BTreeMap;
use std::path::Path;

use super::table::{Cell, Table, cell_of};
use super::tensorboard::EventRun;
use super::{ImportError, Mapping, NamePattern, tensorboard, wide};

/// Arm and seed.
type RunKey = (String, u64);

/// The values of every run.
#[derive(Debug, Default, PartialEq)]
pub struct Points {
    pub runs: BTreeMap<RunKey, RunPoints>,
    /// Whether the source says how long training took, and how many images were seen.
    pub has_seconds: bool,
    pub has_images: bool,
    /// Cells that held no number (NaN), which many programs write where they measured nothing.
    pub not_numbers: usize,
}

/// A run's values by step.
pub type RunPoints = BTreeMap<u64, Point>;

/// What was known of a run at a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    pub images: Option<u64>,
    pub seconds: Option<f64>,
    /// By metric.
    pub values: BTreeMap<String, f64>,
}

/// Reads a table, or a folder of event files. `names` says how arm and seed stand in the names of runs.
pub fn read_points(path: &Path, mapping: &Mapping, names: Option<&NamePattern>) -> Result<Points, ImportError> {
    let points = if path.is_dir() { of_events(path, mapping, names)? } else { of_table(path, mapping, names)? };
    match points.runs.is_empty() {
        true => {
            let hint = match mapping.only.is_empty() {
                true => "the mapped columns are empty, or no tag has that name".to_owned(),
                false => "the mapped columns are empty in the rows that --only leaves".to_owned(),
            };
            Err(ImportError::Nothing { path: path.to_owned(), hint })
        }
        false => Ok(points),
    }
}

impl Points {
    fn point(&mut self, run: RunKey, step: u64) -> &mut Point {
        self.runs.entry(run).or_default().entry(step).or_default()
    }
}

/// Names of runs without a pattern of their own: the whole name is the arm.
fn whole_name() -> NamePattern {
    NamePattern::parse("{arm}").expect("it is a pattern")
}

fn of_events(path: &Path, mapping: &Mapping, names: Option<&NamePattern>) -> Result<Points, ImportError> {
    if !mapping.only.is_empty() {
        return Err(ImportError::OnlyOfEvents { path: path.to_owned() });
    }
    let whole = whole_name();
    let names = names.unwrap_or(&whole);
    let mut points = Points { has_seconds: true, ..Points::default() };
    for EventRun { name, scalars, began } in tensorboard::runs_below(path)? {
        let wanted = |tag: &str| mapping.metrics.iter().find(|(_, column)| column == tag).map(|(metric, _)| metric);
        if !scalars.iter().any(|scalar| wanted(&scalar.tag).is_some()) {
            continue;
        }
        let run = names.read(&name)?;
        for scalar in &scalars {
            if mapping.images.as_ref() == Some(&scalar.tag) {
                points.point(run.clone(), scalar.step).images = Some(scalar.value as u64);
                points.has_images = true;
            }
            let Some(metric) = wanted(&scalar.tag) else { continue };
            if scalar.value.is_nan() {
                points.not_numbers += 1;
                continue;
            }
            let point = points.point(run.clone(), scalar.step);
            // A run that went on from a checkpoint wrote some steps twice: the last counts.
            point.values.insert(metric.clone(), scalar.value);
            point.seconds = Some(scalar.wall_time - began);
        }
    }
    Ok(points)
}

fn of_table(path: &Path, mapping: &Mapping, names: Option<&NamePattern>) -> Result<Points, ImportError> {
    let table = Table::read(path)?;
    let column = |name: &str| match table.columns.iter().position(|column| column == name) {
        Some(place) => Ok(place),
        None => Err(no_column(path, &table, name)),
    };
    let optional = |name: &Option<String>| name.as_deref().map(column).transpose();
    let step = match &mapping.step {
        Some(step) => column(step)?,
        None => {
            let hint = format!(
                "name the column of steps, as in `--map step={}`",
                table.columns.first().map_or("step", String::as_str)
            );
            return Err(ImportError::Missing { what: "step", hint });
        }
    };
    let (arm, seed) = (optional(&mapping.arm)?, optional(&mapping.seed)?);
    let (images, seconds) = (optional(&mapping.images)?, optional(&mapping.seconds)?);
    let whole = whole_name();
    let mut columns: Vec<(&str, Option<RunKey>, usize)> = Vec::new();
    for (metric, written) in &mapping.metrics {
        if !wide::is_wide(written) {
            if arm.is_none() {
                let hint = "name the column of arms, as in `--map arm=method`".to_owned();
                return Err(ImportError::Missing { what: "arm", hint });
            }
            columns.push((metric, None, column(written)?));
            continue;
        }
        let found = wide::runs_of(&table, written);
        if found.is_empty() {
            return Err(no_column(path, &table, written));
        }
        for (name, place) in found {
            columns.push((metric, Some(names.unwrap_or(&whole).read(&name)?), place));
        }
    }
    let mut points = Points { has_images: images.is_some(), has_seconds: seconds.is_some(), ..Points::default() };
    let only = mapping.only.iter().map(|(name, wanted)| Ok((column(name)?, cell_of(wanted))));
    let only: Vec<(usize, Cell)> = only.collect::<Result<_, ImportError>>()?;
    let is_wanted = |(_, row): &(usize, &Vec<Cell>)| only.iter().all(|(place, wanted)| row[*place] == *wanted);
    for (index, row) in table.rows.iter().enumerate().filter(is_wanted) {
        let failed = |place: usize, reason: String| ImportError::Row {
            path: path.to_owned(),
            // The first line has the names.
            row: index + 2,
            column: table.columns[place].clone(),
            reason,
        };
        let number = |place: usize| match &row[place] {
            None => Ok(None),
            Some(text) => match text.parse::<f64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(failed(place, format!("`{text}` is no number"))),
            },
        };
        // Digits are read as they are: a float has but 53 bits of them.
        let digits = |place: usize| row[place].as_ref().and_then(|text| text.parse::<u64>().ok());
        let rounded = |place: usize| match number(place)? {
            None => Ok(None),
            Some(number) if number >= 0.0 && number.fract() == 0.0 && number < 9.0e15 => Ok(Some(number as u64)),
            Some(number) => Err(failed(place, format!("{number} is no whole number of at least 0"))),
        };
        let whole = |place: usize| digits(place).map_or_else(|| rounded(place), |whole| Ok(Some(whole)));
        for (metric, run, place) in &columns {
            let Some(value) = number(*place)? else { continue };
            if value.is_nan() {
                points.not_numbers += 1;
                continue;
            }
            let run = match (run, arm) {
                (Some(run), _) => run.clone(),
                (None, Some(arm)) => {
                    let name = row[arm].clone().ok_or_else(|| failed(arm, "it is empty".to_owned()))?;
                    let (arm, named_seed) = names.map_or_else(|| Ok((name.clone(), 0)), |names| names.read(&name))?;
                    let seed = seed.map(|place| whole(place)?.ok_or_else(|| failed(place, "it is empty".to_owned())));
                    (arm, seed.transpose()?.unwrap_or(named_seed))
                }
                (None, None) => unreachable!("a column without a run's name needs one of arms"),
            };
            let at = whole(step)?.ok_or_else(|| failed(step, "it is empty".to_owned()))?;
            let (images, seconds) =
                (images.map(&whole).transpose()?.flatten(), seconds.map(&number).transpose()?.flatten());
            let point = points.point(run, at);
            if let Some(earlier) = point.values.insert((*metric).to_owned(), value)
                && earlier.to_bits() != value.to_bits()
            {
                let chosen = match mapping.only.is_empty() {
                    true => "",
                    false => " Or does --only have to choose more, as by protocol?",
                };
                let reason =
                    format!("step {at} of this run has {earlier} already; is a column of seeds missing?{chosen}");
                return Err(failed(*place, reason));
            }
            point.images = images.or(point.images);
            point.seconds = seconds.or(point.seconds);
        }
    }
    Ok(points)
}

fn no_column(path: &Path, table: &Table, name: &str) -> ImportError {
    let names = table.columns.iter().map(String::as_str);
    let hint = match crate::spec::nearest(name, names.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the columns are {}", crate::spec::quoted_list(names)),
    };
    ImportError::NoColumn { path: path.to_owned(), column: name.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str, map: &[&str], names: Option<&str>) -> Result<Points, String> {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("table.csv");
        std::fs::write(&path, content).unwrap();
        let mapping = Mapping::parse(&map.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap();
        let names = names.map(|names| NamePattern::parse(names).unwrap());
        let found = read_points(&path, &mapping, names.as_ref());
        found.map_err(|error| error.to_string().replace(&path.display().to_string(), "table.csv"))
    }

    fn value(points: &Points, arm: &str, seed: u64, step: u64) -> Point {
        points.runs[&(arm.to_owned(), seed)][&step].clone()
    }

    #[test]
    fn a_long_table_has_a_row_for_each_value() {
        let content = "method,run,it,kimg,sec,fid50k,kid\nbase,0,10,640,1.5,30,\nbase,0,20,1280,3,20,0.1\nfast,1,10,640,1.5,25,\n";
        let map = ["arm=method", "seed=run", "step=it", "images=kimg", "seconds=sec", "fid=fid50k", "kid=kid"];
        let points = read(content, &map, None).unwrap();
        assert_eq!(points.runs.len(), 2);
        let point = value(&points, "base", 0, 20);
        assert_eq!((point.images, point.seconds), (Some(1280), Some(3.0)));
        assert_eq!(point.values, [("fid".to_owned(), 20.0), ("kid".to_owned(), 0.1)].into());
        assert_eq!(value(&points, "fast", 1, 10).values.len(), 1);
    }

    #[test]
    fn names_are_texts_and_whole_numbers_are_exact() {
        let content = "arm,seed,step,value\n007,9007199254740993,10,1\n7,9007199254740992,10,2\n1e5,0,1e1,3\n100000,0,10.0,4\n1e-3,0,10,5\n0.001,0,10,6\n";
        let points = read(content, &["arm=arm", "seed=seed", "step=step", "fid=value"], None).unwrap();
        let of = |arm: &str, seed: u64| value(&points, arm, seed, 10).values["fid"];
        assert_eq!((of("007", 9_007_199_254_740_993), of("7", 9_007_199_254_740_992)), (1.0, 2.0));
        assert_eq!((of("1e5", 0), of("100000", 0), of("1e-3", 0), of("0.001", 0)), (3.0, 4.0, 5.0, 6.0));
        assert_eq!(points.runs.len(), 6);
        let only = ["arm=arm", "step=step", "fid=value"].map(str::to_owned);
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("table.csv");
        std::fs::write(&path, content).unwrap();
        let only = Mapping::parse(&only).unwrap().only(&["arm=7".to_owned()]).unwrap();
        let chosen = read_points(&path, &only, None).unwrap();
        assert_eq!(chosen.runs.keys().collect::<Vec<_>>(), [&("7".to_owned(), 0)]);
    }

    #[test]
    fn rows_of_other_texts_are_passed_over() {
        let content = "arm,metric,protocol,step,value\na,fid,,10,30\na,kid,,10,0.5\na,fid,raw,10,40\nb,fid,,10,20\n";
        let mapping = ["arm=arm", "step=step", "fid=value"].map(str::to_owned);
        let read = |only: &[&str]| {
            let temporary = tempfile::tempdir().unwrap();
            let path = temporary.path().join("table.csv");
            std::fs::write(&path, content).unwrap();
            let only: Vec<String> = only.iter().map(|text| (*text).to_owned()).collect();
            read_points(&path, &Mapping::parse(&mapping).unwrap().only(&only)?, None)
        };
        let points = read(&["metric=fid", "protocol="]).unwrap();
        assert_eq!(value(&points, "a", 0, 10).values["fid"], 30.0);
        assert_eq!(points.runs.len(), 2);
        assert_eq!(value(&read(&["protocol=raw"]).unwrap(), "a", 0, 10).values["fid"], 40.0);
        let refused = |only| read(only).unwrap_err().to_string();
        assert!(
            refused(&["metric=inception"])
                .ends_with("hint: the mapped columns are empty in the rows that --only leaves")
        );
        assert!(refused(&["metrics=fid"]).ends_with("hint: did you mean `metric`?"));
        assert!(refused(&["fid"]).starts_with("`--only fid` is not of the form COLUMN=TEXT"));
    }

    #[test]
    fn a_wide_table_has_a_column_for_each_run() {
        let content = "Step,base-s0 - fid,base-s0 - fid__MIN,fast-s1 - fid\n10,30,29,25\n20,,,20\n";
        let points = read(content, &["step=Step", "fid=* - fid"], Some("{arm}-s{seed}")).unwrap();
        assert_eq!(value(&points, "base", 0, 10).values["fid"], 30.0);
        assert_eq!(value(&points, "fast", 1, 20).values["fid"], 20.0);
        assert_eq!(points.runs[&("base".to_owned(), 0)].len(), 1);
        assert!(!points.has_seconds && !points.has_images);
    }

    #[test]
    fn mistakes_name_row_and_column() {
        let refused = |content: &str, map: &[&str]| read(content, map, None).unwrap_err();
        let map = ["arm=a", "step=s", "fid=f"];
        assert_eq!(refused("a,s,f\nx,1,low\n", &map), "table.csv, row 2, column `f`: `low` is no number");
        assert_eq!(
            refused("a,s,f\nx,1.5,1\n", &map),
            "table.csv, row 2, column `s`: 1.5 is no whole number of at least 0"
        );
        assert_eq!(refused("a,s,f\nx,,1\n", &map), "table.csv, row 2, column `s`: it is empty");
        assert_eq!(
            refused("a,s,f\nx,1,1\nx,1,2\n", &map),
            "table.csv, row 3, column `f`: step 1 of this run has 1 already; is a column of seeds missing?"
        );
        assert!(refused("a,s,fidd\nx,1,1\n", &["arm=a", "step=s", "fid=fid"]).ends_with("hint: did you mean `fidd`?"));
        assert!(refused("a,s,f\nx,1,1\n", &["step=s", "fid=f"]).starts_with("--map needs arm"));
        assert!(refused("a,s,f\nx,1,1\n", &["arm=a", "fid=f"]).starts_with("--map needs step"));
        assert!(refused("a,s,f\nx,1,\n", &map).contains("holds no value"));
    }
}
