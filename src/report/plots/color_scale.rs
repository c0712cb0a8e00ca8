//! Values as colours, and the colour bar.

use super::chart::Scale;
use super::drawing::{Anchor, Color, Drawing, Sheet};
use super::style::*;
use super::ticks::{linear, logarithmic};

/// Colours that get darker evenly, also in grey print and to those who do not tell red from green.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorScale {
    pub scale: Scale,
    stops: &'static [Color],
}

/// ColorBrewer's sequential blues (Harrower and Brewer 2003, "ColorBrewer.org").
const BLUES: &[Color] = &[
    Color(0xf7, 0xfb, 0xff),
    Color(0xde, 0xeb, 0xf7),
    Color(0xc6, 0xdb, 0xef),
    Color(0x9e, 0xca, 0xe1),
    Color(0x6b, 0xae, 0xd6),
    Color(0x42, 0x92, 0xc6),
    Color(0x21, 0x71, 0xb5),
    Color(0x08, 0x51, 0x9c),
    Color(0x08, 0x30, 0x6b),
];

/// Matplotlib's viridis (Smith and van der Walt 2015), at every eighth of its length.
const VIRIDIS: &[Color] = &[
    Color(0xfd, 0xe7, 0x25),
    Color(0xad, 0xdc, 0x30),
    Color(0x5e, 0xc9, 0x62),
    Color(0x28, 0xae, 0x80),
    Color(0x21, 0x91, 0x8c),
    Color(0x2c, 0x72, 0x8e),
    Color(0x3b, 0x52, 0x8b),
    Color(0x47, 0x2d, 0x7b),
    Color(0x44, 0x01, 0x54),
];

/// Width of a bar, in pixels.
const BAR: f64 = 12.0;
/// Pieces that a bar is drawn in.
const PIECES: usize = 64;

impl ColorScale {
    /// Colours from nearly white to dark blue.
    pub fn blues(scale: Scale) -> Self {
        Self { scale, stops: BLUES }
    }

    /// Colours from yellow to dark violet.
    pub fn viridis(scale: Scale) -> Self {
        Self { scale, stops: VIRIDIS }
    }

    pub fn color(&self, value: f64) -> Color {
        let scale = Scale { from: 0.0, to: 1.0, ..self.scale };
        let share = if self.scale.high > self.scale.low { scale.at(value).clamp(0.0, 1.0) } else { 1.0 };
        self.at(share)
    }

    /// Black or white, whichever is read on the colour.
    pub fn ink(&self, value: f64) -> Color {
        let Color(red, green, blue) = self.color(value);
        let luminance = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
        if luminance < 140.0 { WHITE } else { INK }
    }

    fn at(&self, share: f64) -> Color {
        let place = share * (self.stops.len() - 1) as f64;
        let index = (place as usize).min(self.stops.len() - 2);
        self.stops[index].mixed(self.stops[index + 1], place - index as f64)
    }

    /// A standing bar with ticks at its right; the lowest value is at the bottom.
    pub fn bar(&self, drawing: &mut Drawing, left: f64, top: f64, bottom: f64) {
        let piece = (bottom - top) / PIECES as f64;
        for index in 0..PIECES {
            let color = self.at((index as f64 + 0.5) / PIECES as f64);
            let low = bottom - index as f64 * piece;
            // Pieces overlap, so that no seam shows.
            let high = if index + 1 < PIECES { low - piece - 0.6 } else { top };
            drawing.rectangle([left, high, left + BAR, low], color);
        }
        let outline = vec![(left, top), (left + BAR, top), (left + BAR, bottom), (left, bottom), (left, top)];
        drawing.line(outline, 0.6, AXIS, &[]);
        let wanted = (((bottom - top) / 28.0) as usize).clamp(3, 8);
        let scale = self.scale.onto(bottom, top);
        let ticks = if scale.is_log {
            logarithmic(scale.low, scale.high, wanted)
        } else {
            linear(scale.low, scale.high, wanted)
        };
        for tick in ticks {
            let at = scale.at(tick.value);
            drawing.line(vec![(left + BAR, at), (left + BAR + 4.0, at)], 1.0, AXIS, &[]);
            drawing.text((left + BAR + 8.0, at + 0.36 * TICK_SIZE), tick.text, TICK_SIZE, FAINT_INK, Anchor::Start);
        }
    }

    /// Pixels that a bar needs with its ticks.
    pub fn bar_room(sheet: Sheet) -> f64 {
        BAR + 8.0 + sheet.font.width("0.000") * TICK_SIZE + 4.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_from_the_first_stop_to_the_last_and_stop_there() {
        let scale = Scale { low: 0.01, high: 1.0, is_log: true, from: 0.0, to: 1.0 };
        let blues = ColorScale::blues(scale);
        assert_eq!((blues.color(0.01), blues.color(1.0)), (BLUES[0], BLUES[8]));
        assert_eq!((blues.color(0.001), blues.color(7.0)), (BLUES[0], BLUES[8]));
        assert_eq!(blues.color(0.1), BLUES[4]);
        assert_eq!((blues.ink(0.01), blues.ink(1.0)), (INK, WHITE));
        // One value alone has no extent.
        let single = ColorScale::viridis(Scale { low: 1.0, high: 1.0, is_log: false, from: 0.0, to: 1.0 });
        assert_eq!(single.color(1.0), VIRIDIS[8]);
    }
}
