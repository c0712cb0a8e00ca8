//! The loss around trained weights, drawn from numbers alone.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::ReportError;
use super::plots::{landscape_drawings, png, svg};
use super::publish::publish;

/// The losses measured around the weights of one run. Far away they may be infinite or NaN.
#[derive(Clone, Debug, Default)]
pub struct RunLandscape {
    pub name: String,
    /// (share of the way, loss) from the initial weights, at 0, to the trained ones, at 1.
    pub from_initial: Vec<(f64, f64)>,
    /// (distance in filter-normalised units, loss) along each random direction.
    pub slices: Vec<Vec<(f64, f64)>>,
    pub plane: Option<LossPlane>,
    /// The largest first.
    pub eigenvalues: Vec<f64>,
}

/// Losses over the plane of two random directions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LossPlane {
    /// Along both directions.
    pub at: Vec<f64>,
    /// The losses by the second direction, then by the first.
    pub losses: Vec<Vec<f64>>,
}

/// (share of the way, loss) from one run's weights, at 0, to another's, at 1.
#[derive(Clone, Debug)]
pub struct BetweenRuns {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Writes the figures that have something to show into `folder`, which is there, as SVG and PNG; returns their paths.
pub fn write_landscape(
    runs: &[RunLandscape],
    between: &[BetweenRuns],
    folder: &Path,
) -> Result<Vec<PathBuf>, ReportError> {
    let mut paths = Vec::new();
    for (name, title, drawing) in landscape_drawings(runs, between) {
        paths.push(publish(folder, &format!("{name}.svg"), svg(&drawing, name, title)?.as_bytes())?);
        paths.push(publish(folder, &format!("{name}.png"), &png(&drawing, name)?)?);
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_drawn_of_what_there_is_and_leave_out_what_is_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let parabola =
            |center: f64| (-5..=5).map(move |at| (f64::from(at) / 5.0, 0.1 + (f64::from(at) / 5.0 - center).powi(2)));
        let mut run = RunLandscape {
            name: "unet, seed 0".into(),
            from_initial: parabola(1.0).collect(),
            slices: vec![parabola(0.0).collect(), parabola(0.1).collect()],
            plane: Some(LossPlane { at: vec![-1.0, 0.0, 1.0], losses: vec![vec![2.0, 1.0, f64::INFINITY]; 3] }),
            eigenvalues: vec![12.0, 3.0, 1.0],
        };
        run.from_initial[0].1 = f64::NAN;
        let between = [BetweenRuns { name: "unet, seed 0 to seed 1".into(), points: parabola(0.5).collect() }];
        let paths = write_landscape(&[run], &between, folder.path()).unwrap();
        let names: Vec<&str> = paths.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
        let expected = ["from_initial", "between_runs", "random_lines", "random_plane", "eigenvalues"];
        assert_eq!(names, expected.iter().flat_map(|name| [*name, *name]).collect::<Vec<_>>());
        for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "svg")) {
            assert!(!std::fs::read_to_string(path).unwrap().contains("NaN"));
        }
        assert!(write_landscape(&[RunLandscape::default()], &[], folder.path()).unwrap().is_empty());
    }
}
