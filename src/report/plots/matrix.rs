//! The similarity of every two runs: from the same noise below the diagonal, from different noises above it.

use super::chart::Scale;
use super::color_scale::ColorScale;
use super::drawing::{Anchor, Drawing, Sheet};
use super::style::*;
use crate::report::consistency::Comparable;

/// More runs than these are not legible; those shown are the first.
pub const MOST_RUNS: usize = 40;
/// Cells at least so wide carry their numbers.
const NUMBERED: f64 = 25.0;
const TOP: f64 = 30.0;

/// `similarity` is an index into `Similarity::ALL`. `None` for fewer than two runs.
pub fn matrix(group: &Comparable, similarity: usize, sheet: Sheet) -> Option<Drawing> {
    let Sheet { width, font } = sheet;
    let count = group.runs.len().min(MOST_RUNS);
    let shown: Vec<_> = group.pairs.iter().filter(|pair| pair.second < count).collect();
    if shown.is_empty() {
        return None;
    }
    let likeness = || shown.iter().map(|pair| &pair.likeness[similarity]);
    let values = likeness().flat_map(|likeness| [likeness.same_mean(), likeness.shuffled_mean()]);
    let colors = ColorScale::blues(Scale::covering(values, false)?);

    let labels: Vec<String> = group.runs.iter().take(count).map(|run| run.label.clone()).collect();
    let room = labels.iter().map(|label| font.width(label) * LABEL_SIZE).fold(60.0, f64::max).min(width / 2.0) + 30.0;
    let cell = ((width - room - ColorScale::bar_room(sheet) - 24.0) / count as f64).clamp(6.0, 38.0);
    let side = cell * count as f64;
    let (left, top) = (room, TOP + 10.0);
    let mut drawing = sheet.drawing(top + side + 26.0);
    let gap = if cell > 12.0 { 0.7 } else { 0.0 };
    let text_size = if cell >= 32.0 { TICK_SIZE } else { TICK_SIZE - 1.8 };
    let mut put = |row: usize, column: usize, value: f64| {
        let (x, y) = (left + cell * column as f64, top + cell * row as f64);
        drawing.rectangle([x + gap, y + gap, x + cell - gap, y + cell - gap], colors.color(value));
        if cell >= NUMBERED {
            let at = (x + cell / 2.0, y + cell / 2.0 + 0.36 * text_size);
            drawing.text(at, short(value), text_size, colors.ink(value), Anchor::Middle);
        }
    };
    for pair in &shown {
        let likeness = &pair.likeness[similarity];
        put(pair.second, pair.first, likeness.same_mean());
        put(pair.first, pair.second, likeness.shuffled_mean());
    }
    for (index, label) in labels.iter().enumerate() {
        let middle = cell * (index as f64 + 0.5);
        let baseline = top + middle + 0.36 * LABEL_SIZE;
        let number = (index + 1).to_string();
        // Where cells are smaller than letters every other number, or every fifth, says enough.
        let every = (LABEL_SIZE / cell).ceil() as usize;
        if index.is_multiple_of(every) {
            drawing.text((left - 8.0, baseline), number.clone(), TICK_SIZE, FAINT_INK, Anchor::End);
            drawing.text(
                (left - 28.0, baseline),
                font.shortened(label, (room - 29.0) / LABEL_SIZE),
                LABEL_SIZE,
                INK,
                Anchor::End,
            );
            drawing.text((left + middle, top - 7.0), number, TICK_SIZE, FAINT_INK, Anchor::Middle);
        }
        let (start, end) = (cell * index as f64, cell * (index as f64 + 1.0));
        drawing.rectangle([left + start + gap, top + start + gap, left + end - gap, top + end - gap], GRID);
        // Runs of one trial stand together.
        if index > 0 && group.runs[index].record.planned.trial != group.runs[index - 1].record.planned.trial {
            drawing.line(vec![(left, top + start), (left + side, top + start)], 1.0, AXIS, &[]);
            drawing.line(vec![(left + start, top), (left + start, top + side)], 1.0, AXIS, &[]);
        }
    }
    drawing.text((left + side, top - 22.0), "different noises", LABEL_SIZE, INK, Anchor::End);
    drawing.text((left, top + side + 18.0), "the same noise", LABEL_SIZE, INK, Anchor::Start);
    let bar = (top + side).min(top + 240.0).max(top + 60.0);
    colors.bar(&mut drawing, left + side + 18.0, top, bar.min(top + side));
    Some(drawing)
}

/// `.92`, `−.05`, `1.0`.
fn short(value: f64) -> String {
    let text = format!("{value:.2}").replace('-', "−");
    match text.strip_prefix("0.") {
        Some(decimals) => format!(".{decimals}"),
        None if text == "1.00" => "1.0".to_owned(),
        None => text.replacen("−0.", "−.", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_cells_are_short() {
        assert_eq!([0.923, -0.051, 0.996, 1.0, 0.0].map(short), [".92", "−.05", "1.0", "1.0", ".00"]);
    }
}
