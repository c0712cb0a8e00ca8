//! The bundled font and the widths of its letters.

use std::sync::LazyLock;

use plotters::style::{FontStyle, register_font};

/// Inter (SIL Open Font License 1.1, `src/report/font/OFL.txt`), reduced by `scripts/golden/font.py`.
pub const FONT: &[u8] = include_bytes!("../font/Inter.ttf");

/// The family's name.
pub const FAMILY: &str = "Inter";

/// plotters' size of a text whose em is one unit: the script made ascent + descent 1.24 em.
pub const PLOTTERS_SIZE_OF_EM: f64 = 1.24;

/// From the baseline up to the highest letters and to the top of capitals, in em.
pub const ASCENT: f64 = 0.97;
pub const CAP_HEIGHT: f64 = 0.727;

/// Makes the font known to plotters.
pub fn register() {
    static REGISTERED: LazyLock<()> = LazyLock::new(|| {
        let registered = register_font(FAMILY, FontStyle::Normal, FONT);
        assert!(registered.is_ok(), "the bundled font is a TrueType font");
    });
    LazyLock::force(&REGISTERED);
}

/// Width of `text` in units of its size.
pub fn width(text: &str) -> f64 {
    text.chars().map(|character| glyph(character).advance).sum()
}

/// `text`, with an ellipsis for what is wider than `room` in units of its size.
pub fn shortened(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut left = room - width("…");
    let fits = |character: &char| {
        left -= glyph(*character).advance;
        left >= 0.0
    };
    let kept: String = text.chars().take_while(fits).collect();
    format!("{}…", kept.trim_end())
}

/// Horizontal metrics in em.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Glyph {
    pub advance: f64,
    /// The distance from the pen's position to the leftmost ink.
    pub left_bearing: f64,
}

/// The metrics of a character, those of the missing-glyph box where the font lacks it.
pub fn glyph(character: char) -> Glyph {
    TABLES.glyph(character)
}

/// The place of a character's letter in the font; 0, the box, where the font lacks it.
pub fn letter(character: char) -> u16 {
    TABLES.index(character) as u16
}

/// Left, bottom, right and top of all letters together, in em.
pub fn bounding_box() -> [f64; 4] {
    TABLES.bounds.map(|bound| f64::from(bound) / TABLES.units_per_em)
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::of(FONT));

/// The parts of a TrueType file that say how wide letters are (OpenType 1.9: `head`, `hhea`, `hmtx`, `cmap` format 4).
struct Tables {
    units_per_em: f64,
    /// In its units.
    bounds: [i16; 4],
    hmtx: &'static [u8],
    advances: usize,
    /// Segments (first, last, delta, position of the range's glyph ids, 0 for none).
    segments: Vec<(u16, u16, u16, usize)>,
    cmap: &'static [u8],
}

impl Tables {
    fn of(font: &'static [u8]) -> Self {
        let table = |tag: &[u8; 4]| -> &'static [u8] {
            let count = usize::from(u16_at(font, 4));
            let record = (0..count).map(|index| 12 + 16 * index).find(|&record| &font[record..record + 4] == tag);
            let record = record.expect("the bundled font has every table that a TrueType font must have");
            &font[u32_at(font, record + 8)..][..u32_at(font, record + 12)]
        };
        let cmap_table = table(b"cmap");
        let subtables = (0..usize::from(u16_at(cmap_table, 2))).map(|index| u32_at(cmap_table, 4 + 8 * index + 4));
        let format_4 = subtables.map(|at| &cmap_table[at..]).find(|subtable| u16_at(subtable, 0) == 4);
        let cmap = format_4.expect("the bundled font maps its characters in format 4");
        let count = usize::from(u16_at(cmap, 6)) / 2;
        let segments = (0..count)
            .map(|index| {
                let column = |column: usize| 14 + 2 * (column * count + index) + if column > 0 { 2 } else { 0 };
                let range_offset = usize::from(u16_at(cmap, column(3)));
                let range = if range_offset == 0 { 0 } else { column(3) + range_offset };
                (u16_at(cmap, column(1)), u16_at(cmap, column(0)), u16_at(cmap, column(2)), range)
            })
            .collect();
        Self {
            units_per_em: f64::from(u16_at(table(b"head"), 18)),
            bounds: [36, 38, 40, 42].map(|at| u16_at(table(b"head"), at) as i16),
            hmtx: table(b"hmtx"),
            advances: usize::from(u16_at(table(b"hhea"), 34)),
            segments,
            cmap,
        }
    }

    fn glyph(&self, character: char) -> Glyph {
        let index = self.index(character);
        let (advance, bearing) = if index < self.advances {
            (u16_at(self.hmtx, 4 * index), u16_at(self.hmtx, 4 * index + 2))
        } else {
            // Glyphs after the last advance share it and list their bearings alone.
            let bearing = u16_at(self.hmtx, 4 * self.advances + 2 * (index - self.advances));
            (u16_at(self.hmtx, 4 * (self.advances - 1)), bearing)
        };
        Glyph {
            advance: f64::from(advance) / self.units_per_em,
            left_bearing: f64::from(bearing as i16) / self.units_per_em,
        }
    }

    fn index(&self, character: char) -> usize {
        let Ok(code) = u16::try_from(u32::from(character)) else { return 0 };
        let segment = self.segments.iter().find(|(first, last, ..)| (*first..=*last).contains(&code));
        let Some(&(first, _, delta, range)) = segment else { return 0 };
        let glyph = match range {
            0 => code.wrapping_add(delta),
            range => match u16_at(self.cmap, range + 2 * usize::from(code - first)) {
                0 => 0,
                glyph => glyph.wrapping_add(delta),
            },
        };
        usize::from(glyph)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16_at(bytes, at)) << 16 | usize::from(u16_at(bytes, at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_wide_ends_with_an_ellipsis_and_fits() {
        assert_eq!(shortened("clts", 10.0), "clts");
        let cut = shortened(&"W".repeat(80), 10.0);
        assert!(cut.ends_with("W…") && width(&cut) <= 10.0 && width(&cut) > 8.5, "{cut}");
        assert_eq!(shortened("WWW", 0.1), "…");
    }

    #[test]
    fn letters_have_the_metrics_that_fonttools_reads() {
        // `TTFont(path)["hmtx"]`, in units of 1/2816 em.
        for (character, advance, left_bearing) in METRICS {
            let expected = Glyph { advance: advance / 2816.0, left_bearing: left_bearing / 2816.0 };
            assert_eq!(glyph(character), expected, "{character}");
        }
    }

    const METRICS: [(char, f64, f64); 5] =
        [('i', 668.0, 168.0), ('W', 2672.0, 60.0), ('0', 1760.0, 168.0), ('×', 1856.0, 288.0), ('λ', 1648.0, 96.0)];

    #[test]
    fn a_character_that_the_font_lacks_is_as_wide_as_its_box() {
        assert_eq!(glyph('漢'), glyph('\u{1f600}'));
        assert!(glyph('漢').advance > 0.0);
    }
}
