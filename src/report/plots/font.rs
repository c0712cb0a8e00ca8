//! The font of a figure: the bundled one, or that of a file.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use plotters::style::{FontStyle, register_font};
use ttf_parser::{Face, GlyphId, name_id};

use crate::checksum::sha256;

/// Inter (SIL Open Font License 1.1, `src/report/font/OFL.txt`), reduced by `scripts/golden/font.py`.
pub const FONT: &[u8] = include_bytes!("../font/Inter.ttf");

/// A font with what is known of it. There is one of each file in a process, and it stays.
pub struct Font {
    bytes: &'static [u8],
    face: Face<'static>,
    /// The family's name: letters, digits, spaces and hyphens alone.
    pub family: String,
    /// What plotters calls it.
    pub key: String,
    /// From the baseline up to the highest letters, in em.
    pub ascent: f64,
    /// plotters' size of a bitmap's text whose em is one unit: ascent and descent together.
    pub size_of_em: f64,
    /// From the baseline up to the top of capitals, in em.
    pub cap_height: f64,
}

/// Why a file is no font for figures.
#[derive(Debug, thiserror::Error)]
pub enum FontError {
    /// It cannot be read.
    #[error("cannot read the font {}: {source}\nhint: give the path of a TrueType or OpenType file (.ttf, .otf)", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// It is something else, or a font of a kind that cannot be drawn.
    #[error("{} is no font that figures can have: {reason}\nhint: give a TrueType or OpenType file (.ttf, .otf) with outlines", path.display())]
    NoFont { path: PathBuf, reason: String },
}

/// Horizontal metrics in em.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Glyph {
    pub advance: f64,
    /// The distance from the pen's position to the leftmost ink.
    pub left_bearing: f64,
}

static INTER: LazyLock<Font> = LazyLock::new(|| {
    let font = Font::of(FONT, "Inter").expect("the bundled font is a TrueType font");
    // As the script made it: the font's other pair of heights (OS/2) is up to 0.03 em apart from these, and kept figures stay as they are.
    Font { ascent: 0.97, size_of_em: 1.24, cap_height: 0.727, ..font }
});

impl Font {
    /// The bundled font.
    pub fn inter() -> &'static Self {
        &INTER
    }

    /// The font of a TrueType or OpenType file; of a collection its first.
    pub fn read(path: &Path) -> Result<&'static Self, FontError> {
        let bytes = std::fs::read(path).map_err(|source| FontError::Io { path: path.to_owned(), source })?;
        let refused = |reason: String| FontError::NoFont { path: path.to_owned(), reason };
        let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        // plotters asks for bytes that stay; who draws figures reads one font.
        let font = Self::of(Box::leak(bytes.into_boxed_slice()), &stem).map_err(refused)?;
        match font.lacks("0123456789").first() {
            // Such as one of symbols alone: no number could be read.
            Some(digit) => Err(refused(format!("it has no letter for the digit {digit}"))),
            None => Ok(Box::leak(Box::new(font))),
        }
    }

    /// `otherwise`: its family where it names none.
    fn of(bytes: &'static [u8], otherwise: &str) -> Result<Self, String> {
        let face = Face::parse(bytes, 0).map_err(|error| error.to_string())?;
        if face.tables().glyf.is_none() && face.tables().cff.is_none() {
            return Err("it has no outlines of TrueType or CFF".to_owned());
        }
        let named = [name_id::TYPOGRAPHIC_FAMILY, name_id::FAMILY].into_iter().find_map(|id| {
            let names = face.names().into_iter();
            names
                .filter(|name| name.name_id == id)
                .filter_map(|name| name.to_string())
                .map(plain)
                .find(|name| !name.is_empty())
        });
        let family = named.or_else(|| Some(plain(otherwise.to_owned())).filter(|name| !name.is_empty()));
        let units = f64::from(face.units_per_em());
        let em = |units_up: i16| f64::from(units_up) / units;
        let size_of_em = em(face.ascender()) - em(face.descender());
        if size_of_em <= 0.0 {
            return Err("its letters have no height".to_owned());
        }
        let key = format!("font {}", &sha256(bytes)[..12]);
        let registered = register_font(&key, FontStyle::Normal, bytes);
        registered.map_err(|_| "plotters cannot read it".to_owned())?;
        Ok(Self {
            bytes,
            family: family.unwrap_or_else(|| "sans-serif".to_owned()),
            key,
            ascent: em(face.ascender()),
            size_of_em,
            cap_height: face.capital_height().map_or(0.7, em),
            face,
        })
    }

    /// The file.
    pub fn bytes(&self) -> &'static [u8] {
        self.bytes
    }

    /// Whether its outlines are PostScript's, which a PDF holds in another way.
    pub fn is_cff(&self) -> bool {
        self.face.tables().cff.is_some()
    }

    /// Width of `text` in units of its size.
    pub fn width(&self, text: &str) -> f64 {
        text.chars().map(|character| self.glyph(character).advance).sum()
    }

    /// `text`, with an ellipsis for what is wider than `room` in units of its size.
    pub fn shortened(&self, text: &str, room: f64) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let mut left = room - self.width("…");
        let fits = |character: &char| {
            left -= self.glyph(*character).advance;
            left >= 0.0
        };
        let kept: String = text.chars().take_while(fits).collect();
        format!("{}…", kept.trim_end())
    }

    /// The metrics of a character, those of the missing-glyph box where the font lacks it.
    pub fn glyph(&self, character: char) -> Glyph {
        let letter = GlyphId(self.letter(character));
        let units = f64::from(self.face.units_per_em());
        Glyph {
            advance: f64::from(self.face.glyph_hor_advance(letter).unwrap_or(0)) / units,
            left_bearing: f64::from(self.face.glyph_hor_side_bearing(letter).unwrap_or(0)) / units,
        }
    }

    /// The place of a character's letter in the font; 0, the box, where the font lacks it.
    pub fn letter(&self, character: char) -> u16 {
        self.face.glyph_index(character).map_or(0, |glyph| glyph.0)
    }

    /// The characters of `text` that it has no letter for.
    pub fn lacks(&self, text: &str) -> BTreeSet<char> {
        text.chars().filter(|character| !character.is_whitespace() && self.letter(*character) == 0).collect()
    }

    /// Left, bottom, right and top of all letters together, in em.
    pub fn bounding_box(&self) -> [f64; 4] {
        let bounds = self.face.global_bounding_box();
        let units = f64::from(self.face.units_per_em());
        [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(|bound| f64::from(bound) / units)
    }
}

impl PartialEq for Font {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Debug for Font {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Font").field(&self.family).finish()
    }
}

/// A name as it can stand in a file of any format.
fn plain(name: String) -> String {
    let kept: String = name.chars().filter(|letter| letter.is_ascii_alphanumeric() || " -".contains(*letter)).collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_wide_ends_with_an_ellipsis_and_fits() {
        let font = Font::inter();
        assert_eq!(font.shortened("clts", 10.0), "clts");
        let cut = font.shortened(&"W".repeat(80), 10.0);
        assert!(cut.ends_with("W…") && font.width(&cut) <= 10.0 && font.width(&cut) > 8.5, "{cut}");
        assert_eq!(font.shortened("WWW", 0.1), "…");
    }

    #[test]
    fn letters_have_the_metrics_that_fonttools_reads() {
        // `TTFont(path)["hmtx"]`, in units of 1/2816 em.
        for (character, advance, left_bearing) in METRICS {
            let expected = Glyph { advance: advance / 2816.0, left_bearing: left_bearing / 2816.0 };
            assert_eq!(Font::inter().glyph(character), expected, "{character}");
        }
        let Font { family, ascent, size_of_em, cap_height, .. } = Font::inter();
        assert_eq!(family, "Inter");
        let read = Font::of(FONT, "").unwrap();
        let near = |own: f64, read: f64| (own - read).abs() < 0.03;
        assert!(near(*ascent, read.ascent) && near(*size_of_em, read.size_of_em), "{ascent}, {size_of_em}");
        assert!(near(*cap_height, read.cap_height), "{cap_height}");
    }

    const METRICS: [(char, f64, f64); 5] =
        [('i', 668.0, 168.0), ('W', 2672.0, 60.0), ('0', 1760.0, 168.0), ('×', 1856.0, 288.0), ('λ', 1648.0, 96.0)];

    #[test]
    fn a_character_that_the_font_lacks_is_as_wide_as_its_box_and_is_told() {
        let font = Font::inter();
        assert_eq!(font.glyph('漢'), font.glyph('\u{1f600}'));
        assert!(font.glyph('漢').advance > 0.0);
        assert_eq!(font.lacks("FID 漢 β₁ 字"), ['字', '漢'].into());
    }

    #[test]
    fn a_file_that_is_no_font_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ttf");
        let read = || Font::read(&path).unwrap_err().to_string();
        assert!(read().starts_with(&format!("cannot read the font {}: ", path.display())), "{}", read());
        std::fs::write(&path, "no font at all").unwrap();
        assert!(read().contains("x.ttf is no font that figures can have: unknown magic"), "{}", read());
        std::fs::write(&path, &FONT[..2000]).unwrap();
        assert!(read().contains("hint: give a TrueType or OpenType file"), "{}", read());
        // Without the table of characters it has no letter for any.
        let mut symbols = FONT.to_vec();
        let table = symbols.windows(4).position(|tag| tag == b"cmap").unwrap();
        symbols[table..table + 4].copy_from_slice(b"none");
        std::fs::write(&path, symbols).unwrap();
        assert!(read().contains("it has no letter for the digit 0"), "{}", read());
        std::fs::write(&path, FONT).unwrap();
        let font = Font::read(&path).unwrap();
        assert_eq!((font.family.as_str(), font.width("W")), ("Inter", Font::inter().width("W")));
    }
}
