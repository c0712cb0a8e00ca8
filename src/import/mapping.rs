//! The mapping of columns to arm, seed, step and metrics.

use super::ImportError;

/// What `--map` says: `arm=COLUMN`, `fid=COLUMN`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    pub arm: Option<String>,
    pub seed: Option<String>,
    pub step: Option<String>,
    pub images: Option<String>,
    pub seconds: Option<String>,
    /// (metric, column, or the tag of TensorBoard).
    pub metrics: Vec<(String, String)>,
    /// (column, what stands there in the rows that are read): all others are passed over.
    pub only: Vec<(String, String)>,
}

impl Mapping {
    /// Keeps to rows in which columns hold certain texts, written `COLUMN=TEXT`.
    pub fn only(self, written: &[String]) -> Result<Self, ImportError> {
        let pair = |text: &String| {
            let pair = text.split_once('=').filter(|(column, _)| !column.is_empty());
            let pair = pair.map(|(column, wanted)| (column.to_owned(), wanted.to_owned()));
            pair.ok_or_else(|| ImportError::Only { written: text.clone() })
        };
        Ok(Self { only: written.iter().map(pair).collect::<Result<_, _>>()?, ..self })
    }

    pub fn parse(written: &[String]) -> Result<Self, ImportError> {
        let mut mapping = Self::default();
        for text in written {
            let wrong = || ImportError::Mapping { written: text.clone() };
            let (key, column) = text.split_once('=').ok_or_else(wrong)?;
            let is_name = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-/.".contains(c));
            if !is_name || column.is_empty() {
                return Err(wrong());
            }
            let place = match key {
                "arm" => &mut mapping.arm,
                "seed" => &mut mapping.seed,
                "step" => &mut mapping.step,
                "images" => &mut mapping.images,
                "seconds" => &mut mapping.seconds,
                metric => {
                    mapping.metrics.push((metric.to_owned(), column.to_owned()));
                    continue;
                }
            };
            *place = Some(column.to_owned());
        }
        if mapping.metrics.is_empty() {
            let hint = "name the column of the quality, as in `--map fid=val/fid`".to_owned();
            return Err(ImportError::Missing { what: "a metric", hint });
        }
        Ok(mapping)
    }
}

/// How runs are called where a name holds arm and seed: text with `{arm}` and perhaps `{seed}` in it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamePattern {
    written: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Arm,
    Seed,
}

impl NamePattern {
    pub fn parse(written: &str) -> Result<Self, ImportError> {
        let (mut pieces, mut rest) = (Vec::new(), written);
        while let Some(open) = rest.find('{') {
            if open > 0 {
                pieces.push(Piece::Text(rest[..open].to_owned()));
            }
            let (piece, after) = match &rest[open..] {
                text if text.starts_with("{arm}") => (Piece::Arm, "{arm}".len()),
                text if text.starts_with("{seed}") => (Piece::Seed, "{seed}".len()),
                _ => return Err(ImportError::Pattern { written: written.to_owned() }),
            };
            // Two neighbours without a text between them cannot be told apart.
            if matches!(pieces.last(), Some(Piece::Arm | Piece::Seed)) {
                return Err(ImportError::Pattern { written: written.to_owned() });
            }
            pieces.push(piece);
            rest = &rest[open + after..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let count = |wanted: &Piece| pieces.iter().filter(|piece| *piece == wanted).count();
        if count(&Piece::Arm) != 1 || count(&Piece::Seed) > 1 {
            return Err(ImportError::Pattern { written: written.to_owned() });
        }
        Ok(Self { written: written.to_owned(), pieces })
    }

    /// (arm, seed) of a name; the seed is 0 where the pattern has none.
    pub fn read(&self, name: &str) -> Result<(String, u64), ImportError> {
        let misfit = || ImportError::Name { name: name.to_owned(), pattern: self.written.clone() };
        let (mut arm, mut seed, mut rest) = (String::new(), 0, name);
        for (index, piece) in self.pieces.iter().enumerate() {
            // An arm may hold the text behind it, so it goes as far as it can.
            let end = match self.pieces.get(index + 1) {
                Some(Piece::Text(text)) => rest.rfind(text.as_str()),
                _ => Some(rest.len()),
            };
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(text.as_str()).ok_or_else(misfit)?,
                Piece::Arm => {
                    let end = end.filter(|end| *end > 0).ok_or_else(misfit)?;
                    arm = rest[..end].to_owned();
                    rest = &rest[end..];
                }
                Piece::Seed => {
                    let end = end.ok_or_else(misfit)?;
                    seed = rest[..end].parse().map_err(|_| misfit())?;
                    rest = &rest[end..];
                }
            }
        }
        if rest.is_empty() { Ok((arm, seed)) } else { Err(misfit()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_by_their_pattern() {
        let read = |pattern: &str, name: &str| NamePattern::parse(pattern).unwrap().read(name).ok();
        assert_eq!(read("{arm}-seed{seed}", "min-snr-seed3"), Some(("min-snr".into(), 3)));
        assert_eq!(read("{arm}_s{seed}", "a_s_s12"), Some(("a_s".into(), 12)));
        assert_eq!(read("runs/{arm}/{seed}", "runs/base/0"), Some(("base".into(), 0)));
        assert_eq!(read("s{seed}.{arm}", "s7.clts"), Some(("clts".into(), 7)));
        assert_eq!(read("{arm}", "whole name"), Some(("whole name".into(), 0)));
        for (pattern, name) in
            [("{arm}-seed{seed}", "clts-seedx"), ("{arm}-seed{seed}", "clts"), ("{arm}-seed{seed}", "-seed1")]
        {
            assert_eq!(read(pattern, name), None, "{name}");
        }
        for pattern in ["{seed}", "{arm}{seed}", "{arm}{arm}", "{arms}", ""] {
            assert!(NamePattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_is_mapped_is_key_and_column() {
        let parse =
            |written: &[&str]| Mapping::parse(&written.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let mapping = parse(&["arm=method", "fid=val/FID = 50k"]).unwrap();
        assert_eq!((mapping.arm.as_deref(), mapping.metrics[0].1.as_str()), (Some("method"), "val/FID = 50k"));
        assert!(parse(&["arm"]).is_err() && parse(&["=x", "fid=y"]).is_err() && parse(&["fid="]).is_err());
        assert!(parse(&["arm=method"]).unwrap_err().to_string().starts_with("--map needs a metric"));
    }
}
