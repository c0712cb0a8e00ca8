//! The images that every run generates from the same noises: a row for each run, a column for each noise.

use super::drawing::{Anchor, Drawing, Raster, Sheet};
use super::matrix::MOST_RUNS;
use super::style::*;
use crate::report::consistency::Comparable;

/// Noises shown, the first ones.
const COLUMNS: usize = 12;
const GAP: f64 = 3.0;

/// `None` without runs.
pub fn strip(group: &Comparable, sheet: Sheet) -> Option<Drawing> {
    let Sheet { width, font } = sheet;
    let runs = &group.runs[..group.runs.len().min(MOST_RUNS)];
    let columns = COLUMNS.min(group.noises);
    let room = runs.iter().map(|run| font.width(&run.label) * LABEL_SIZE).reduce(f64::max)?.min(width / 2.0) + 14.0;
    // Whole multiples of the image's pixels look even.
    let wanted = ((width - room) / columns as f64 - GAP).min(56.0);
    let cell = (wanted / group.side as f64).floor().max(1.0) * group.side as f64;
    let cell = if cell > wanted { wanted } else { cell };
    let top = 24.0;
    let mut drawing = sheet.drawing(top + (cell + GAP) * runs.len() as f64 + 4.0);
    for column in 0..columns {
        let x = room + (cell + GAP) * column as f64 + cell / 2.0;
        drawing.text((x, top - 8.0), (column + 1).to_string(), TICK_SIZE, FAINT_INK, Anchor::Middle);
    }
    drawing.text((room - 10.0, top - 8.0), "noise", TICK_SIZE, FAINT_INK, Anchor::End);
    for (row, run) in runs.iter().enumerate() {
        let y = top + (cell + GAP) * row as f64;
        let baseline = y + cell / 2.0 + 0.36 * LABEL_SIZE;
        drawing.text(
            (room - 10.0, baseline),
            font.shortened(&run.label, (room - 12.0) / LABEL_SIZE),
            LABEL_SIZE,
            INK,
            Anchor::End,
        );
        for column in 0..columns {
            let values = group.channels * group.side * group.side;
            let pixels = &run.last.pixels[column * values..][..values];
            let at = (room + (cell + GAP) * column as f64, y);
            drawing.picture(at, (cell, cell), raster(pixels, group.channels, group.side));
        }
    }
    Some(drawing)
}

/// Grey where there is one channel.
fn raster(pixels: &[u8], channels: usize, side: usize) -> Raster {
    let plane = side * side;
    let rgb = (0..plane)
        .flat_map(|place| (0..3).map(move |color| pixels[if channels == 3 { color * plane } else { 0 } + place]));
    Raster { width: side as u32, height: side as u32, rgb: rgb.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_colours() {
        let raster = raster(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 3, 2);
        assert_eq!(raster.rgb, [1, 5, 9, 2, 6, 10, 3, 7, 11, 4, 8, 12]);
        assert_eq!(super::raster(&[7, 8, 9, 10], 1, 2).rgb[..6], [7, 7, 7, 8, 8, 8]);
    }
}
