//! How hard each bin of timesteps is to learn.

use maud::{Markup, html};

use super::Shown;
use crate::report::difficulty::{ArmDifficulty, PointDifficulty, SHARES};
use crate::report::number::grouped;
use crate::report::plots::{DIFFICULTY_POINTS, Place};

pub fn difficulty(points: &[PointDifficulty], shown: &Shown) -> Markup {
    html! {
        p.note {
            "The paper of arXiv 2404.07946 says that noise is easiest to predict where there is most of it, and builds its curriculum on that. How it \
             measures difficulty is not published where we could read it. The figures show the loss on held-out images by bin of t; the table shows when it had \
             fallen by " @for (index, share) in SHARES.iter().enumerate() { @if index > 0 { " and " } (format!("{:.0} %", 100.0 * share)) }
            " of its fall from the first evaluation to the last. Losses of different parameterizations are not comparable."
        }
        @for point in points.iter().take(DIFFICULTY_POINTS) {
            @if points.len() > 1 { h3 { (point.label) } }
            (table(point))
        }
        (shown.at(Place::Difficulty))
        @if points.len() > DIFFICULTY_POINTS { p.note { "The other grid points are in " code { "difficulty.json" } "." } }
    }
}

/// Images seen until a share of the fall, the bins in columns.
fn table(point: &PointDifficulty) -> Markup {
    let bins = point.arms.iter().map(|arm| arm.loss.bins).max().unwrap_or(0);
    let cell = |arm: &ArmDifficulty, share: usize, bin: usize| match arm.reached[share].get(bin) {
        Some(Some(reached)) => grouped(reached.images_seen.round() as u64),
        _ => "–".to_owned(),
    };
    html! {
        @if bins > 0 && bins <= 20 {
            div.wide {
                table {
                    thead {
                        tr {
                            th { "Images seen until" }
                            @for bin in 0..bins { th.number { (format!("{:.2}", (bin as f64 + 0.5) / bins as f64)) } }
                        }
                    }
                    tbody {
                        @for arm in &point.arms {
                            @for (index, share) in SHARES.iter().enumerate() {
                                tr.first[index == 0] {
                                    td { (arm.arm) ", " (format!("{:.0} %", 100.0 * share)) }
                                    @for bin in 0..bins { td.number { (cell(arm, index, bin)) } }
                                }
                            }
                        }
                    }
                }
            }
            p.note { "Columns are the middles of the bins of t / T; a dash where the loss did not fall, or no run has got to its last step." }
        }
    }
}
