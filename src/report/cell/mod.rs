//! Cells: the numbers of a report, each with a short id by which a paper can name it, and with everything that it is made of.
//!
//! An id says what a number is, not how large it is or where it stands: it stays when a report is written again, when seeds are added
//! and when arms get labels.

mod contrast;
mod detail;
mod enumerate;
mod formula;
mod id;
mod key;
mod number;
mod rerun;
mod run;

pub use detail::{CellDetail, SeedRatio, detail};
pub use enumerate::{Cell, Cells};
pub use formula::{Formula, Of, speedup_words};
pub use id::normal;
pub use key::{Key, Kind};
pub use number::CellNumber;
pub use rerun::{Rerun, RerunRun, compare_rerun, has_result};
pub use run::CellRun;
