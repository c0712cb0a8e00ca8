//! Figures at a paper's sizes: drawn again for the width of a column, so that their letters have 7 to 8 points in print.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rayon::prelude::*;

use super::comparison::Comparison;
use super::error::ReportError;
use super::labelled::labelled;
use super::plots::{Drawn, Font, Sheet, paper_png, paper_svg, pdf};
use super::publish::publish;
use super::write::{all_figures, parts};
use crate::record::StudyRecord;

const POINTS_PER_INCH: f64 = 72.0;
/// So wide is a pixel of a drawing on paper: letters of 12.5 pixels have 8 points, those of 11.5 have 7.4.
const POINTS_PER_PIXEL: f64 = 0.64;
const INCHES_PER_PIXEL: f64 = POINTS_PER_PIXEL / POINTS_PER_INCH;

/// The width of a figure in print.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaperWidth {
    inches: f64,
}

impl PaperWidth {
    /// A column of a page that has two.
    pub const ONE_COLUMN: Self = Self { inches: 3.35 };
    /// Both columns.
    pub const TWO_COLUMNS: Self = Self { inches: 6.9 };
    const LEAST: f64 = 2.5;
    const MOST: f64 = 20.0;

    fn pixels(self) -> f64 {
        self.inches / INCHES_PER_PIXEL
    }
}

impl FromStr for PaperWidth {
    type Err = String;

    /// `one-column`, `two-column`, or inches.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "one-column" => return Ok(Self::ONE_COLUMN),
            "two-column" => return Ok(Self::TWO_COLUMNS),
            _ => {}
        }
        let inches: f64 = text.parse().map_err(|_| "give one-column, two-column or a number of inches".to_owned())?;
        match (Self::LEAST..=Self::MOST).contains(&inches) {
            true => Ok(Self { inches }),
            false => Err(format!("between {} and {} inches are possible", Self::LEAST, Self::MOST)),
        }
    }
}

/// A format of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaperFormat {
    /// Vectors; texts are texts, their font is in the file.
    Pdf,
    /// Vectors; texts are texts in a font that is not in the file.
    Svg,
    /// 337 pixels to the inch, which the file says.
    Png,
}

impl PaperFormat {
    /// How its files' names end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Svg => "svg",
            Self::Png => "png",
        }
    }
}

/// How figures are drawn for a paper.
#[derive(Clone, Debug)]
pub struct PaperStyle {
    pub width: PaperWidth,
    pub formats: Vec<PaperFormat>,
    /// That of all letters: figures are laid out by its metrics.
    pub font: &'static Font,
}

/// The figures that were written.
#[derive(Clone, Debug)]
pub struct PaperFigures {
    pub files: Vec<PathBuf>,
    /// Characters that the font has no letter for: boxes stand for them in PDF and PNG files, letters of another font in SVG files.
    pub missing_letters: BTreeSet<char>,
}

/// Writes every figure of the report into `folder`, which is made if it is missing. The same records give the same bytes.
pub fn write_paper_figures(
    study: &StudyRecord,
    folder: &Path,
    drawn: Drawn,
    style: &PaperStyle,
) -> Result<PaperFigures, ReportError> {
    let study = &*labelled(study);
    let comparison = Comparison::of(study);
    let (consistency, difficulty) = parts(study, &comparison);
    let sheet = Sheet { width: style.width.pixels(), font: style.font };
    let mut figures = all_figures(&comparison, consistency.as_ref(), &difficulty, drawn, sheet);
    let written = figures.par_iter_mut().map(|figure| -> Result<Vec<PathBuf>, ReportError> {
        figure.drawing.keep_texts_inside();
        let (drawing, name, title) = (&figure.drawing, &figure.name, &figure.title);
        let one = |format: &PaperFormat| -> Result<PathBuf, ReportError> {
            let bytes = match format {
                PaperFormat::Pdf => pdf(drawing, name, title, POINTS_PER_PIXEL)?,
                PaperFormat::Svg => paper_svg(drawing, name, title, INCHES_PER_PIXEL)?.into_bytes(),
                PaperFormat::Png => paper_png(drawing, name, INCHES_PER_PIXEL)?,
            };
            publish(folder, &format!("{name}.{}", format.extension()), &bytes)
        };
        style.formats.iter().map(one).collect()
    });
    let files = written.collect::<Result<Vec<_>, _>>()?.concat();
    let missing_letters = figures.iter().flat_map(|figure| figure.drawing.lacks()).collect();
    Ok(PaperFigures { files, missing_letters })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_is_a_name_or_inches() {
        assert_eq!("one-column".parse(), Ok(PaperWidth::ONE_COLUMN));
        assert_eq!("two-column".parse(), Ok(PaperWidth::TWO_COLUMNS));
        assert_eq!("5.5".parse(), Ok(PaperWidth { inches: 5.5 }));
        for wrong in ["", "wide", "0", "-3", "NaN", "inf", "1e9", "3.35in"] {
            assert!(wrong.parse::<PaperWidth>().is_err(), "{wrong}");
        }
        assert!((PaperWidth::ONE_COLUMN.pixels() - 376.875).abs() < 1e-9);
    }
}
