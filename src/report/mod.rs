//! Tables, figures and a page from records alone: a report redraws on any laptop, years later.
//!
//! [`Comparison`] holds every number (pure); `tables`, `plots` and `page` only show it.

mod band;
mod cell;
mod check;
mod comparison;
mod consistency;
mod cost;
mod curve;
mod difficulty;
mod error;
mod explore;
mod final_measures;
mod grid;
mod interval;
mod json_text;
mod labelled;
mod landscape;
pub mod number;
mod page;
mod paper;
mod plots;
mod preview;
mod publish;
mod settings;
mod speedup;
mod summary;
mod tables;
mod target;
mod time_to_target;
mod wording;
mod write;

pub use band::{
    Band, Crossing, FittedCurve, NoBand, NoFit, Profile, Run, WholeCurve, over_band, profile, to_last_quality,
};
pub use cell::{
    Cell, CellDetail, CellNumber, CellRun, Cells, Formula, Key, Kind, Rerun, RerunRun, SeedRatio, compare_rerun,
    detail, has_result, normal as normal_cell_id,
};
pub use check::{CheckError, Checked, Difference, check, read_kept};
pub use comparison::{
    ArmComparison, ArmRun, Comparison, Contrast, Look, NoSpeedup, PairComparison, PointComparison, Settled, Spread,
};
pub use consistency::{Comparable, Consistency, Similarity};
pub use cost::Cost;
pub use curve::Evaluation;
pub use error::ReportError;
pub use explore::{Explore, FlopsOfRun, TrainingFlops};
pub use final_measures::{FinalMeasures, FinalValue, MeasureColumn, final_measures};
pub use grid::{Grid, Interaction, Of};
pub use interval::Interval;
pub use labelled::labelled;
pub use landscape::{BetweenRuns, LossPlane, RunLandscape, write_landscape};
pub use page::notice_page;
pub use paper::{PaperFigures, PaperFormat, PaperStyle, PaperWidth, write_paper_figures};
pub use plots::{Drawn, Font, FontError};
pub use preview::{DensityPreview, TrialPreview, write_preview};
pub use speedup::{
    Estimate, Matched, Pairing, SeedTime, Speedup, Unknown, Verdict, detectable, level, speedup, until_decided,
};
pub use tables::CellLinks;
pub use target::{NoTarget, ResolvedTarget, TargetOrigin};
pub use time_to_target::{Bracket, TimeToTarget, time_to_target};
pub use wording::{answer_cell, likeness_cell, look_words, spent_words};
pub use write::{Report, ReportStyle, live_page, speedups_json, write, write_drawn};
