//! What every figure shares: sizes, colours, dashes, markers.

use super::drawing::{Color, Dash, Marker};

/// A full-width figure, in pixels: at 96 to the inch, 6.9 inches wide.
pub const WIDTH: f64 = 660.0;
/// The height of a figure of curves so wide.
const HEIGHT: f64 = 360.0;
const LEAST_HEIGHT: f64 = 240.0;
/// In less width than this two panels beside each other leave nothing to read.
const NARROW: f64 = 500.0;

/// The height of a figure of curves that is `width` wide, in pixels.
pub fn height(width: f64) -> f64 {
    (width * HEIGHT / WIDTH).clamp(LEAST_HEIGHT, HEIGHT)
}

/// How many panels of at most `columns` stand beside each other.
pub fn beside_each_other(columns: usize, width: f64) -> usize {
    if width < NARROW { columns.min(1) } else { columns }
}

/// Sizes of letters, in pixels.
pub const LABEL_SIZE: f64 = 12.5;
pub const TICK_SIZE: f64 = 11.5;

pub const INK: Color = Color(0x22, 0x26, 0x2b);
pub const FAINT_INK: Color = Color(0x5f, 0x66, 0x6f);
pub const GRID: Color = Color(0xe7, 0xe9, 0xec);
pub const AXIS: Color = Color(0x8a, 0x91, 0x99);
pub const WHITE: Color = Color(0xff, 0xff, 0xff);

pub const LINE: f64 = 1.9;
pub const THIN: f64 = 0.9;
/// Bands of several arms lie over each other.
pub fn band_opacity(arms: usize) -> f64 {
    if arms > 3 { 0.11 } else { 0.17 }
}
pub const TARGET_DASH: Dash = &[5.0, 3.0];

/// How an arm looks in every figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmStyle {
    pub color: Color,
    pub dash: Dash,
    pub marker: Marker,
}

impl ArmStyle {
    /// Dark enough for letters.
    pub fn text_color(&self) -> Color {
        self.color.mixed(Color(0, 0, 0), 0.22)
    }
}

/// The baseline is nearly black; the others are the colours of Okabe and Ito (2008, "Color universal design") that are
/// legible on white.
const BASELINE: ArmStyle = ArmStyle { color: Color(0x3a, 0x3f, 0x45), dash: &[], marker: Marker::Circle };
const CANDIDATES: [ArmStyle; 6] = [
    ArmStyle { color: Color(0x00, 0x72, 0xb2), dash: &[9.0, 3.0], marker: Marker::Square },
    ArmStyle { color: Color(0xd5, 0x5e, 0x00), dash: &[4.0, 2.5], marker: Marker::TriangleUp },
    ArmStyle { color: Color(0x00, 0x9e, 0x73), dash: &[10.0, 3.0, 2.0, 3.0], marker: Marker::Diamond },
    ArmStyle { color: Color(0xb5, 0x4f, 0x8c), dash: &[2.0, 2.0], marker: Marker::TriangleDown },
    ArmStyle { color: Color(0xc9, 0x82, 0x00), dash: &[6.0, 2.0, 2.0, 2.0, 2.0, 2.0], marker: Marker::Circle },
    ArmStyle { color: Color(0x3d, 0x9b, 0xd1), dash: &[14.0, 4.0], marker: Marker::Square },
];

/// The colours of arms beside the baseline.
pub fn candidate_colors() -> impl Iterator<Item = Color> {
    CANDIDATES.into_iter().map(|style| style.color)
}

/// The look of the arm at `index` of the sweep's arms; `baseline` is the baseline's index (without one, the first is
/// a candidate like the others). Where there are more arms than colours, lines and markers tell those of one colour apart.
pub fn arm_style(index: usize, baseline: Option<usize>) -> ArmStyle {
    let place = match baseline {
        Some(baseline) if baseline == index => return BASELINE,
        Some(baseline) if baseline < index => index - 1,
        _ => index,
    };
    let (round, place) = (place / CANDIDATES.len(), place % CANDIDATES.len());
    let ArmStyle { dash, marker, .. } = CANDIDATES[(place + round) % CANDIDATES.len()];
    ArmStyle { dash, marker, ..CANDIDATES[place] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_of_many_arms_look_alike() {
        for baseline in [None, Some(0), Some(3)] {
            let looks: Vec<ArmStyle> = (0..30).map(|index| arm_style(index, baseline)).collect();
            for (index, one) in looks.iter().enumerate() {
                let is_alike = |other: &ArmStyle| other.color == one.color && other.dash == one.dash;
                assert_eq!(looks.iter().position(is_alike), Some(index), "{baseline:?}");
            }
        }
    }
}
