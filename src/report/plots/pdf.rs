//! Drawings as PDF: lines and areas as vectors, texts as text in the letters of the font that they need. The same drawing gives the same
//! bytes: there is no date and no random identifier.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, LineJoinStyle, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};
use sha2::{Digest as _, Sha256};
use subsetter::{GlyphRemapper, subset};
use ttf_parser::{RawFace, Tag};

use super::RenderError;
use super::drawing::{Anchor, Color, Drawing, Element, Point};
use super::font::Font;
use super::render::pictures;

const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
const PAGE: Ref = Ref::new(3);
const CONTENT: Ref = Ref::new(4);
const INFO: Ref = Ref::new(5);
const FONT: Ref = Ref::new(6);
const CID_FONT: Ref = Ref::new(7);
const DESCRIPTOR: Ref = Ref::new(8);
const TO_UNICODE: Ref = Ref::new(9);
const FONT_FILE: Ref = Ref::new(10);
const LETTERS: Ref = Ref::new(11);
/// Pictures and opacities follow.
const FIRST_FREE: i32 = 12;

const FONT_NAME: Name = Name(b"F");

const SYSTEM: SystemInfo = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// The share of a radius at which a circle's quarter has its control points.
const KAPPA: f64 = 0.552_284_75;

/// The figure as a PDF of one page of its size; `title` names the document.
pub fn pdf(drawing: &Drawing, name: &str, title: &str, points_per_pixel: f64) -> Result<Vec<u8>, RenderError> {
    let (width, height) = (drawing.width * points_per_pixel, drawing.height * points_per_pixel);
    let letters = Letters::of(drawing);
    let opacities: BTreeSet<u16> = drawing.elements.iter().filter_map(opacity).collect();
    let rasters: Vec<_> = pictures(drawing).collect();
    let opacity_ref = |place: usize| Ref::new(FIRST_FREE + place as i32);
    let picture_ref = |place: usize| Ref::new(FIRST_FREE + (opacities.len() + place) as i32);

    let mut pdf = Pdf::new();
    pdf.catalog(CATALOG).pages(PAGES);
    pdf.document_info(INFO).title(TextStr(title)).producer(TextStr("Speedlab"));
    pdf.pages(PAGES).kids([PAGE]).count(1);
    let mut page = pdf.page(PAGE);
    page.parent(PAGES).media_box(Rect::new(0.0, 0.0, short(width), short(height))).contents(CONTENT);
    let mut resources = page.resources();
    if !letters.all.is_empty() {
        resources.fonts().pair(FONT_NAME, FONT);
    }
    if !rasters.is_empty() {
        let mut names = resources.x_objects();
        for place in 0..rasters.len() {
            names.pair(Name(picture_name(place).as_bytes()), picture_ref(place));
        }
    }
    if !opacities.is_empty() {
        let mut names = resources.ext_g_states();
        for (place, opacity) in opacities.iter().enumerate() {
            names.pair(Name(opacity_name(*opacity).as_bytes()), opacity_ref(place));
        }
    }
    resources.finish();
    page.finish();

    let content = compressed(&content(drawing, &letters, points_per_pixel, height));
    pdf.stream(CONTENT, &content).filter(Filter::FlateDecode);
    for (place, opacity) in opacities.iter().enumerate() {
        let share = f32::from(*opacity) / 1000.0;
        pdf.ext_graphics(opacity_ref(place)).non_stroking_alpha(share).stroking_alpha(share);
    }
    for (place, (_, _, raster)) in rasters.iter().enumerate() {
        let pixels = compressed(&raster.rgb);
        let mut image = pdf.image_xobject(picture_ref(place), &pixels);
        image.filter(Filter::FlateDecode);
        image.width(raster.width as i32).height(raster.height as i32);
        image.color_space().device_rgb();
        image.bits_per_component(8);
    }
    if !letters.all.is_empty() {
        letters.write(&mut pdf).map_err(|reason| RenderError { name: name.to_owned(), reason })?;
    }
    Ok(pdf.finish())
}

/// In thousandths, of an area that is not opaque.
fn opacity(element: &Element) -> Option<u16> {
    match element {
        Element::Area { opacity, .. } if *opacity < 1.0 => Some((opacity * 1000.0).round() as u16),
        _ => None,
    }
}

fn opacity_name(opacity: u16) -> String {
    format!("O{opacity}")
}

fn picture_name(place: usize) -> String {
    format!("P{place}")
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written to")
}

/// A hundredth of a unit is finer than any printer.
fn short(value: f64) -> f32 {
    (value * 100.0).round() as f32 / 100.0
}

fn components(Color(red, green, blue): Color) -> [f32; 3] {
    [red, green, blue].map(|part| (f32::from(part) / 255.0 * 1000.0).round() / 1000.0)
}

/// What is drawn. The drawing's y goes down, a PDF's up.
fn content(drawing: &Drawing, letters: &Letters, points_per_pixel: f64, height: f64) -> Vec<u8> {
    let mut content = Content::new();
    content.transform([points_per_pixel as f32, 0.0, 0.0, -points_per_pixel as f32, 0.0, short(height)]);
    content.set_line_join(LineJoinStyle::RoundJoin);
    drawing.elements.iter().for_each(|element| draw(&mut content, element, letters));
    for (place, (at, size, _)) in pictures(drawing).enumerate() {
        content.save_state();
        content.transform([short(size.0), 0.0, 0.0, short(-size.1), short(at.0), short(at.1 + size.1)]);
        content.x_object(Name(picture_name(place).as_bytes()));
        content.restore_state();
    }
    content.finish().into_vec()
}

fn draw(content: &mut Content, element: &Element, letters: &Letters) {
    match element {
        Element::Line { points, width, color, dash } => {
            let [red, green, blue] = components(*color);
            content.set_stroke_rgb(red, green, blue).set_line_width(short(*width));
            content.set_dash_pattern(dash.iter().map(|&length| short(length)), 0.0);
            path(content, points);
            content.stroke();
        }
        Element::Area { points, color, .. } => {
            let opacity = opacity(element);
            if let Some(opacity) = opacity {
                content.save_state().set_parameters(Name(opacity_name(opacity).as_bytes()));
            }
            fill(content, *color);
            path(content, points);
            content.close_path().fill_nonzero();
            if opacity.is_some() {
                content.restore_state();
            }
        }
        Element::Circle { center: (x, y), radius, color } => {
            fill(content, *color);
            let to = |(dx, dy): (f64, f64)| [short(x + dx * radius), short(y + dy * radius)];
            let [start_x, start_y] = to((1.0, 0.0));
            content.move_to(start_x, start_y);
            for (from, end) in
                [((1., 0.), (0., 1.)), ((0., 1.), (-1., 0.)), ((-1., 0.), (0., -1.)), ((0., -1.), (1., 0.))]
            {
                let near = |a: (f64, f64), b: (f64, f64)| to((a.0 + KAPPA * b.0, a.1 + KAPPA * b.1));
                let ([x1, y1], [x2, y2], [x3, y3]) = (near(from, end), near(end, from), to(end));
                content.cubic_to(x1, y1, x2, y2, x3, y3);
            }
            content.close_path().fill_nonzero();
        }
        Element::Text { at: (x, y), text, size, color, anchor } => {
            let width = letters.font.width(text) * size;
            let left = match anchor {
                Anchor::Start => *x,
                Anchor::Middle => x - width / 2.0,
                Anchor::End => x - width,
            };
            fill(content, *color);
            content.begin_text().set_font(FONT_NAME, short(*size));
            content.set_text_matrix([1.0, 0.0, 0.0, -1.0, short(left), short(*y)]);
            content.show(Str(&letters.encoded(text))).end_text();
        }
        // Over everything else, and so after it.
        Element::Picture { .. } => {}
    }
}

fn fill(content: &mut Content, color: Color) {
    let [red, green, blue] = components(color);
    content.set_fill_rgb(red, green, blue);
}

fn path(content: &mut Content, points: &[Point]) {
    for (index, &(x, y)) in points.iter().enumerate() {
        match index {
            0 => content.move_to(short(x), short(y)),
            _ => content.line_to(short(x), short(y)),
        };
    }
}

/// The characters of a drawing's texts. In a TrueType font each has a number of its own, so that one that the font lacks is shown as the
/// box and still found by who searches for it. In a CFF font numbers are those of letters in the part of the font.
struct Letters {
    font: &'static Font,
    all: BTreeMap<char, u16>,
    /// The letters of the font that its part has.
    remapper: GlyphRemapper,
}

impl Letters {
    fn of(drawing: &Drawing) -> Self {
        let texts = drawing.elements.iter().filter_map(|element| match element {
            Element::Text { text, .. } => Some(text),
            _ => None,
        });
        let characters: BTreeSet<char> = texts.flat_map(|text| text.chars()).collect();
        let font = drawing.font;
        let mut remapper = GlyphRemapper::new();
        let numbered = characters.into_iter().zip(1..).map(|(character, number)| {
            let place = remapper.remap(font.letter(character));
            (character, if font.is_cff() { place } else { number })
        });
        Self { font, all: numbered.collect(), remapper }
    }

    fn encoded(&self, text: &str) -> Vec<u8> {
        text.chars().flat_map(|character| self.all[&character].to_be_bytes()).collect()
    }

    /// The font with these letters alone, as one that numbers name.
    fn write(&self, pdf: &mut Pdf) -> Result<(), String> {
        let Self { font, all, remapper } = self;
        let place = |character: &char| remapper.get(font.letter(*character)).expect("every letter was put in");
        let mut file = subset(font.bytes(), 0, remapper).map_err(|error| error.to_string())?;
        if font.is_cff() {
            let face = RawFace::parse(&file, 0).map_err(|error| error.to_string())?;
            let outlines = face.table(Tag::from_bytes(b"CFF ")).ok_or("the part of the font has no outlines")?;
            file = outlines.to_vec();
        }
        // A part of a font has a name of its own: six letters before that of the whole.
        let digest = Sha256::digest(&file);
        let tag: String = digest.iter().take(6).map(|byte| char::from(b'A' + byte % 26)).collect();
        let name = format!("{tag}+{}", font.family.replace(' ', ""));

        pdf.type0_font(FONT)
            .base_font(Name(name.as_bytes()))
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(CID_FONT)
            .to_unicode(TO_UNICODE);
        let mut cid_font = pdf.cid_font(CID_FONT);
        let kind = if font.is_cff() { CidFontType::Type0 } else { CidFontType::Type2 };
        cid_font.subtype(kind).base_font(Name(name.as_bytes())).system_info(SYSTEM);
        cid_font.font_descriptor(DESCRIPTOR).default_width(0.0);
        if !font.is_cff() {
            cid_font.cid_to_gid_map_stream(LETTERS);
        }
        let thousandths = |em: f64| (em * 1000.0).round() as f32;
        // The numbers are consecutive; a letter that stands for several characters has one.
        let widths: BTreeMap<u16, f32> =
            all.iter().map(|(&character, &number)| (number, short(font.glyph(character).advance * 1000.0))).collect();
        let first = widths.keys().next().copied().unwrap_or(0);
        cid_font.widths().consecutive(first, widths.into_values());
        cid_font.finish();
        let [left, bottom, right, top] = font.bounding_box().map(thousandths);
        let mut descriptor = pdf.font_descriptor(DESCRIPTOR);
        descriptor
            .name(Name(name.as_bytes()))
            .flags(FontFlags::SYMBOLIC)
            .bbox(Rect::new(left, bottom, right, top))
            .italic_angle(0.0)
            .ascent(thousandths(font.ascent))
            .descent(thousandths(font.ascent - font.size_of_em))
            .cap_height(thousandths(font.cap_height))
            .stem_v(80.0);
        match font.is_cff() {
            true => descriptor.font_file3(FONT_FILE),
            false => descriptor.font_file2(FONT_FILE),
        };
        descriptor.finish();
        let mut to_unicode = UnicodeCmap::new(Name(b"Letters"), SYSTEM);
        let mut named = BTreeSet::new();
        let pairs = all.iter().filter(|(_, number)| named.insert(**number));
        pairs.for_each(|(&character, &number)| to_unicode.pair(number, character));
        let to_unicode = compressed(&to_unicode.finish().into_vec());
        pdf.cmap(TO_UNICODE, &to_unicode).filter(Filter::FlateDecode);
        let packed = compressed(&file);
        let mut stream = pdf.stream(FONT_FILE, &packed);
        stream.filter(Filter::FlateDecode);
        match font.is_cff() {
            true => stream.pair(Name(b"Subtype"), Name(b"CIDFontType0C")),
            false => stream.pair(Name(b"Length1"), file.len() as i32),
        };
        stream.finish();
        if !font.is_cff() {
            // Number 0 is nobody's.
            let map: Vec<u8> = [0].into_iter().chain(all.keys().map(place)).flat_map(u16::to_be_bytes).collect();
            pdf.stream(LETTERS, &map);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::ZlibDecoder;

    use super::super::drawing::Raster;
    use super::super::font::FONT as INTER;
    use super::*;

    const INK: Color = Color(34, 38, 43);

    fn drawing() -> Drawing {
        let mut drawing = Drawing::new(100.0, 50.0);
        drawing.line(vec![(0.0, 10.0), (100.0, 10.0)], 2.0, INK, &[4.0, 2.0]);
        drawing.area(vec![(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)], INK, 0.17);
        drawing.circle((50.0, 25.0), 4.0, INK);
        drawing.text((10.0, 20.0), "FID 漢 β₁", 10.0, INK, Anchor::Start);
        drawing.picture((60.0, 20.0), (20.0, 20.0), Raster { width: 2, height: 1, rgb: vec![1, 2, 3, 4, 5, 6] });
        drawing
    }

    fn find(bytes: &[u8], text: &[u8]) -> Vec<usize> {
        (0..bytes.len().saturating_sub(text.len())).filter(|&at| bytes[at..].starts_with(text)).collect()
    }

    fn number(bytes: &[u8]) -> usize {
        let digits: Vec<u8> = bytes.iter().copied().take_while(u8::is_ascii_digit).collect();
        String::from_utf8(digits).unwrap().parse().unwrap()
    }

    /// The object's stream, unpacked.
    fn stream(bytes: &[u8], object: i32) -> Vec<u8> {
        let at = find(bytes, format!("\n{object} 0 obj").as_bytes())[0];
        let from = at + find(&bytes[at..], b"stream\n")[0] + b"stream\n".len();
        let mut unpacked = Vec::new();
        ZlibDecoder::new(&bytes[from..]).read_to_end(&mut unpacked).unwrap();
        unpacked
    }

    #[test]
    fn every_object_is_where_the_table_says_and_two_writings_are_equal() {
        let bytes = pdf(&drawing(), "test", "x & <y>", 0.64).unwrap();
        assert_eq!(bytes, pdf(&drawing(), "test", "x & <y>", 0.64).unwrap());
        assert!(bytes.starts_with(b"%PDF-1."), "no header");
        assert!(bytes.ends_with(b"%%EOF") || bytes.ends_with(b"%%EOF\n"), "no end");
        let start = find(&bytes, b"startxref\n")[0] + b"startxref\n".len();
        let table = number(&bytes[start..]);
        assert!(bytes[table..].starts_with(b"xref\n0 "), "no table where the end says");
        let objects = number(&bytes[table + b"xref\n0 ".len()..]);
        assert_eq!(objects, 14, "11 of every figure, an opacity, a picture, and the free one");
        let entries = table + find(&bytes[table + 5..], b"\n")[0] + 6;
        for object in 1..objects {
            let entry = &bytes[entries + 20 * object..][..20];
            let at = number(entry);
            assert!(bytes[at..].starts_with(format!("{object} 0 obj").as_bytes()), "object {object} is not at {at}");
        }
        for dated in [&b"CreationDate"[..], b"ModDate", b"/ID"] {
            assert!(find(&bytes, dated).is_empty(), "it changes with time");
        }
        assert!(!find(&bytes, b"/MediaBox [0 0 64 32]").is_empty(), "100 x 50 pixels are 64 x 32 points");
    }

    #[test]
    fn texts_are_texts_in_a_part_of_the_font_and_lines_are_dashed() {
        let bytes = pdf(&drawing(), "test", "title", 0.64).unwrap();
        let content = String::from_utf8_lossy(&stream(&bytes, CONTENT.get())).into_owned();
        for part in ["[4 2] 0 d", "/O170 gs", " Tj", "/P0 Do", " c\n"] {
            assert!(content.contains(part), "no {part} in {content}");
        }
        let to_unicode = String::from_utf8(stream(&bytes, TO_UNICODE.get())).unwrap();
        for character in ['F', '漢', 'β', '₁'] {
            let code = format!("<{:04X}>", u32::from(character));
            assert!(to_unicode.to_uppercase().contains(&code), "{character} is not found by a search");
        }
        let font = stream(&bytes, FONT_FILE.get());
        assert!(font.len() < 12_000 && font.len() < INTER.len() / 4, "{} bytes of font", font.len());
        assert_ne!(Font::inter().letter('F'), 0);
        assert_eq!(Font::inter().letter('漢'), 0, "this test needs a character that the font lacks");
    }

    #[test]
    fn a_drawing_without_texts_needs_no_font() {
        let mut empty = Drawing::new(10.0, 10.0);
        empty.circle((5.0, 5.0), 2.0, INK);
        let bytes = pdf(&empty, "test", "title", 1.0).unwrap();
        assert!(find(&bytes, b"/Font").is_empty());
    }
}
