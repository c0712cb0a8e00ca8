//! Drawings as SVG and PNG, by plotters: for screens, and at a paper's sizes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ImageEncoder, RgbImage};
use plotters::prelude::*;
use plotters::style::Color as _;

use super::drawing::{Anchor, Color, Drawing, Element, Point, Raster};
use super::font::Font;

/// Why a figure could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw figure `{name}`: {reason}")]
pub struct RenderError {
    pub name: String,
    pub reason: String,
}

/// plotters rounds to whole units: an SVG's unit is a tenth of a pixel.
const SVG_UNITS: f64 = 10.0;

/// plotters' size of an SVG's text whose em is one unit, whatever its font.
const SVG_SIZE_OF_EM: f64 = 1.24;

/// How fine a bitmap is.
#[derive(Clone, Copy)]
struct Resolution {
    /// Pixels for one of the drawing, along each direction.
    scale: u32,
    /// Each is the mean of so many drawn ones, along each direction.
    supersamples: u32,
}

const ON_SCREEN: Resolution = Resolution { scale: 2, supersamples: 3 };
const ON_PAPER: Resolution = Resolution { scale: 3, supersamples: 2 };

const INCHES_PER_METRE: f64 = 39.370_078_740_157_48;

/// The figure as an SVG that names its font with fallbacks and says `title` to a screen reader.
pub fn svg(drawing: &Drawing, name: &str, title: &str) -> Result<String, RenderError> {
    sized_svg(drawing, name, title, [drawing.width, drawing.height].map(|length| length.to_string()))
}

/// The same, with its size in inches.
pub fn paper_svg(drawing: &Drawing, name: &str, title: &str, inches_per_pixel: f64) -> Result<String, RenderError> {
    let inches = |pixels: f64| format!("{}in", (pixels * inches_per_pixel * 1e4).round() / 1e4);
    sized_svg(drawing, name, title, [drawing.width, drawing.height].map(inches))
}

fn sized_svg(drawing: &Drawing, name: &str, title: &str, size_words: [String; 2]) -> Result<String, RenderError> {
    let font = drawing.font;
    let size = |length: f64| (length * SVG_UNITS).round() as u32;
    let (width, height) = (size(drawing.width), size(drawing.height));
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        let canvas = Canvas { area: &area, font, scale: SVG_UNITS, joints: false };
        canvas.draw(drawing).and_then(|()| area.present().map_err(|error| error.to_string())).map_err(failed(name))?;
    }
    let plotters_header = format!("<svg width=\"{width}\" height=\"{height}\"");
    let header = format!("<svg role=\"img\" width=\"{}\" height=\"{}\"", size_words[0], size_words[1]);
    let body = text.replacen(&plotters_header, &header, 1);
    let (head, rest) = body.split_once(">\n").ok_or_else(|| failed(name)("plotters wrote no SVG header".to_owned()))?;
    // A family whose name is no word of CSS stands in quotes.
    let is_word = |name: &str| name.starts_with(|letter: char| letter.is_ascii_alphabetic()) && !name.contains(' ');
    let family = if is_word(&font.family) { font.family.clone() } else { format!("'{}'", font.family) };
    let rest = rest.replace(
        &format!("font-family=\"{}\"", font.key),
        &format!("font-family=\"{family}, Helvetica, Arial, sans-serif\""),
    );
    let (rest, end) = rest.rsplit_once("</svg>").ok_or_else(|| failed(name)("plotters wrote no end".to_owned()))?;
    let pictures = pictures(drawing).map(|(at, size, raster)| {
        let [x, y, width, height] = [at.0, at.1, size.0, size.1].map(|length| length * SVG_UNITS);
        let png = STANDARD.encode(raster_png(raster).map_err(|error| failed(name)(error.to_string()))?);
        Ok(format!(
            "<image x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{png}\"/>\n"
        ))
    });
    let pictures = pictures.collect::<Result<String, RenderError>>()?;
    let rest = format!("{rest}{pictures}</svg>{end}");
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(format!("{head}>\n<title>{title}</title>\n{rest}"))
}

/// The figure as a PNG on white.
pub fn png(drawing: &Drawing, name: &str) -> Result<Vec<u8>, RenderError> {
    sized_png(drawing, name, ON_SCREEN)
}

/// The same, finer, and with its size: programs that set papers read it from the file.
pub fn paper_png(drawing: &Drawing, name: &str, inches_per_pixel: f64) -> Result<Vec<u8>, RenderError> {
    let mut png = sized_png(drawing, name, ON_PAPER)?;
    let pixels_per_metre = (f64::from(ON_PAPER.scale) / inches_per_pixel * INCHES_PER_METRE).round() as u32;
    // The chunk pHYs (PNG 1.2, section 11.3.5.3), after the signature and the header.
    let mut chunk = b"pHYs".to_vec();
    chunk.extend([pixels_per_metre; 2].map(u32::to_be_bytes).concat());
    chunk.push(1); // metres
    let mut whole = 9u32.to_be_bytes().to_vec();
    whole.extend(&chunk);
    whole.extend(crc32fast::hash(&chunk).to_be_bytes());
    png.splice(PNG_HEADER..PNG_HEADER, whole);
    Ok(png)
}

/// Bytes of a PNG's signature and its first chunk.
const PNG_HEADER: usize = 8 + 25;

fn sized_png(drawing: &Drawing, name: &str, resolution: Resolution) -> Result<Vec<u8>, RenderError> {
    let Resolution { scale, supersamples } = resolution;
    let size = |length: f64| (length * f64::from(scale)).round() as u32;
    let (width, height) = (size(drawing.width), size(drawing.height));
    let (drawn_width, drawn_height) = (width * supersamples, height * supersamples);
    let mut pixels = vec![255u8; 3 * drawn_width as usize * drawn_height as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (drawn_width, drawn_height)).into_drawing_area();
        let canvas = Canvas { area: &area, font: drawing.font, scale: f64::from(scale * supersamples), joints: true };
        canvas.draw(drawing).and_then(|()| area.present().map_err(|error| error.to_string())).map_err(failed(name))?;
    }
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new_with_quality(
        &mut bytes,
        image::codecs::png::CompressionType::Default,
        image::codecs::png::FilterType::Adaptive,
    );
    let mut image = averaged(&pixels, (width, height), supersamples);
    pictures(drawing).for_each(|(at, size, raster)| put_picture(&mut image, (at, size), raster, scale));
    let written = encoder.write_image(&image, width, height, image::ExtendedColorType::Rgb8);
    written.map_err(|error| failed(name)(error.to_string()))?;
    Ok(bytes)
}

/// Each pixel the mean of its `supersamples` x `supersamples` block.
fn averaged(pixels: &[u8], (width, height): (u32, u32), supersamples: u32) -> RgbImage {
    let (samples, stride) = (supersamples as usize, 3 * (width * supersamples) as usize);
    let mut image = RgbImage::new(width, height);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let mut sums = [0u32; 3];
        for row in 0..samples {
            let start = (y as usize * samples + row) * stride + 3 * samples * x as usize;
            for (index, &value) in pixels[start..start + 3 * samples].iter().enumerate() {
                sums[index % 3] += u32::from(value);
            }
        }
        let count = supersamples * supersamples;
        pixel.0 = sums.map(|sum| ((sum + count / 2) / count) as u8);
    }
    image
}

pub(super) fn pictures(drawing: &Drawing) -> impl Iterator<Item = (Point, Point, &Raster)> {
    drawing.elements.iter().filter_map(|element| match element {
        Element::Picture { at, size, raster } => Some((*at, *size, raster)),
        _ => None,
    })
}

fn raster_png(raster: &Raster) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.write_image(&raster.rgb, raster.width, raster.height, image::ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

/// Each pixel of the PNG is that of the picture it falls into.
fn put_picture(image: &mut RgbImage, (at, size): (Point, Point), raster: &Raster, scale: u32) {
    let pixel = |length: f64| (length * f64::from(scale)).round() as u32;
    let (left, top) = (pixel(at.0), pixel(at.1));
    let (width, height) = (pixel(at.0 + size.0) - left, pixel(at.1 + size.1) - top);
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let (from_x, from_y) = (x * raster.width / width, y * raster.height / height);
        let source = 3 * (from_y * raster.width + from_x) as usize;
        if let Some(target) = image.get_pixel_mut_checked(left + x, top + y) {
            target.0.copy_from_slice(&raster.rgb[source..source + 3]);
        }
    }
}

fn failed(name: &str) -> impl Fn(String) -> RenderError {
    move |reason| RenderError { name: name.to_owned(), reason }
}

struct Canvas<'a, Backend: DrawingBackend> {
    area: &'a DrawingArea<Backend, plotters::coord::Shift>,
    font: &'static Font,
    /// Backend units to a pixel of the drawing.
    scale: f64,
    /// Whether lines are drawn piece by piece with round joints and letters one by one: plotters' bitmaps fill a wide
    /// line that crosses itself with holes, and set letters without their left bearings.
    joints: bool,
}

impl<Backend: DrawingBackend> Canvas<'_, Backend> {
    fn draw(&self, drawing: &Drawing) -> Result<(), String> {
        drawing.elements.iter().try_for_each(|element| self.element(element))
    }

    fn element(&self, element: &Element) -> Result<(), String> {
        match element {
            Element::Line { points, width, color, dash } => {
                dashes(points, dash).iter().try_for_each(|piece| self.line(piece, *width, *color))
            }
            Element::Area { points, color, opacity } => {
                let points: Vec<(i32, i32)> = points.iter().map(|&point| self.units(point)).collect();
                self.put(&Polygon::new(points, rgb(*color).mix(*opacity).filled()))
            }
            Element::Circle { center, radius, color } => {
                self.put(&Circle::new(self.units(*center), (radius * self.scale).round() as i32, rgb(*color).filled()))
            }
            Element::Text { at, text, size, color, anchor } => self.text(*at, text, *size, *color, *anchor),
            // plotters would write a rectangle for each pixel.
            Element::Picture { .. } => Ok(()),
        }
    }

    fn line(&self, points: &[Point], width: f64, color: Color) -> Result<(), String> {
        let points: Vec<(i32, i32)> = points.iter().map(|&point| self.units(point)).collect();
        let stroke_width = (width * self.scale).round().max(1.0) as u32;
        let style = rgb(color).stroke_width(stroke_width);
        if !self.joints {
            return self.put(&PathElement::new(points, style));
        }
        for piece in points.windows(2) {
            if piece[0] != piece[1] {
                self.put(&PathElement::new(piece.to_vec(), style))?;
            }
        }
        let radius = stroke_width as i32 / 2;
        points[1..points.len() - 1]
            .iter()
            .try_for_each(|&joint| self.put(&Circle::new(joint, radius, rgb(color).filled())))
    }

    fn text(&self, (x, y): Point, text: &str, size: f64, color: Color, anchor: Anchor) -> Result<(), String> {
        let em = size * self.scale;
        let font = self.font;
        let size_of_em = if self.joints { font.size_of_em } else { SVG_SIZE_OF_EM };
        let style = (font.key.as_str(), em * size_of_em).into_font().color(&rgb(color));
        let width = font.width(text) * em;
        let left = x * self.scale
            - match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::End => width,
            };
        let baseline = y * self.scale;
        let put = |text: &str, x: f64, y: f64| {
            let position = (x.round() as i32, y.round() as i32);
            self.area.draw_text(text, &style, position).map_err(|error| error.to_string())
        };
        if !self.joints {
            // plotters puts a text's top at 0.76 em above its baseline.
            return put(text, left, baseline - 0.76 * em);
        }
        let mut pen = left;
        for character in text.chars() {
            let glyph = font.glyph(character);
            // plotters draws a letter's ink from its position on, with the baseline half a size below.
            let top = baseline - em * size_of_em / 2.0;
            put(character.encode_utf8(&mut [0; 4]), pen + glyph.left_bearing * em, top)?;
            pen += glyph.advance * em;
        }
        Ok(())
    }

    fn put<'e, Shape>(&self, shape: &'e Shape) -> Result<(), String>
    where
        Shape: plotters::element::Drawable<Backend>,
        &'e Shape: plotters::element::PointCollection<'e, (i32, i32)>,
    {
        self.area.draw(shape).map_err(|error| error.to_string())
    }

    fn units(&self, (x, y): Point) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }
}

fn rgb(Color(red, green, blue): Color) -> RGBColor {
    RGBColor(red, green, blue)
}

/// Cuts a line into the pieces that a dash pattern draws.
fn dashes(points: &[Point], dash: &[f64]) -> Vec<Vec<Point>> {
    if dash.is_empty() {
        return vec![points.to_vec()];
    }
    let (mut pieces, mut piece) = (vec![], vec![points[0]]);
    let (mut part, mut left) = (0, dash[0]);
    for ends in points.windows(2) {
        let (dx, dy) = (ends[1].0 - ends[0].0, ends[1].1 - ends[0].1);
        let length = dx.hypot(dy);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let cut = (ends[0].0 + dx * done / length, ends[0].1 + dy * done / length);
            if part % 2 == 0 {
                piece.push(cut);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![cut];
            }
            part = (part + 1) % dash.len();
            left = dash[part];
        }
        left -= length - done;
        if part % 2 == 0 {
            piece.push(ends[1]);
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_follow_the_line_round_a_corner() {
        let pieces = dashes(&[(0.0, 0.0), (3.0, 0.0), (3.0, 10.0)], &[4.0, 2.0]);
        assert_eq!(pieces[0], [(0.0, 0.0), (3.0, 0.0), (3.0, 1.0)]);
        assert_eq!(pieces[1], [(3.0, 3.0), (3.0, 7.0)]);
        assert_eq!(pieces[2], [(3.0, 9.0), (3.0, 10.0)]);
        assert_eq!(pieces.len(), 3);
    }

    #[test]
    fn a_text_says_where_it_may_fall_back_and_escapes_its_signs() {
        let mut drawing = Drawing::new(100.0, 50.0);
        drawing.text((10.0, 20.0), "a<b", 10.0, Color(0, 0, 0), Anchor::Start);
        let svg = svg(&drawing, "test", "x & y").unwrap();
        assert!(svg.starts_with("<svg role=\"img\" width=\"100\" height=\"50\" viewBox=\"0 0 1000 500\""), "{svg}");
        assert!(svg.contains("<title>x &amp; y</title>"), "{svg}");
        assert!(svg.contains("font-family=\"Inter, Helvetica, Arial, sans-serif\""), "{svg}");
        assert!(svg.contains("a&lt;b"), "{svg}");
    }
}
