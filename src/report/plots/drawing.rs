//! A figure as plain data: what is drawn and where, without a file format.

use std::collections::BTreeSet;

use super::font::Font;
use super::style::WIDTH;

/// What a figure is drawn on.
#[derive(Clone, Copy, Debug)]
pub struct Sheet {
    /// In pixels.
    pub width: f64,
    /// That of all letters.
    pub font: &'static Font,
}

impl Sheet {
    /// Of the report's page, in the bundled font.
    pub fn of_page() -> Self {
        Self { width: WIDTH, font: Font::inter() }
    }

    /// An empty figure of this height.
    pub fn drawing(self, height: f64) -> Drawing {
        Drawing { width: self.width, height, font: self.font, elements: vec![] }
    }
}

/// 24-bit colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

impl Color {
    /// This colour with `share` of it replaced by `other`.
    pub fn mixed(self, other: Self, share: f64) -> Self {
        let mix = |from: u8, to: u8| (f64::from(from) * (1.0 - share) + f64::from(to) * share).round() as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }
}

/// Lengths of line and gap in turn, in pixels; empty for a solid line.
pub type Dash = &'static [f64];

/// The horizontal place of a text's position within the text. Vertically it is the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// Coordinates in pixels at size 1, y downwards.
pub type Point = (f64, f64);

#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    Line {
        points: Vec<Point>,
        width: f64,
        color: Color,
        dash: Dash,
    },
    Area {
        points: Vec<Point>,
        color: Color,
        opacity: f64,
    },
    Circle {
        center: Point,
        radius: f64,
        color: Color,
    },
    Text {
        at: Point,
        text: String,
        size: f64,
        color: Color,
        anchor: Anchor,
    },
    /// Over everything else; pixels stay squares.
    Picture {
        at: Point,
        size: Point,
        raster: Raster,
    },
}

/// A picture made of pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Raster {
    pub width: u32,
    pub height: u32,
    /// Row by row, red, green and blue.
    pub rgb: Vec<u8>,
}

/// Texts become no smaller than this share of their size.
const LEAST_TEXT: f64 = 0.85;

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    pub font: &'static Font,
    pub elements: Vec<Element>,
}

impl Drawing {
    /// In the bundled font.
    pub fn new(width: f64, height: f64) -> Self {
        Sheet { width, ..Sheet::of_page() }.drawing(height)
    }

    /// The characters of its texts that its font has no letter for.
    pub fn lacks(&self) -> BTreeSet<char> {
        let texts = self.elements.iter().filter_map(|element| match element {
            Element::Text { text, .. } => Some(text),
            _ => None,
        });
        texts.flat_map(|text| self.font.lacks(text)).collect()
    }

    pub fn line(&mut self, points: Vec<Point>, width: f64, color: Color, dash: Dash) {
        if points.len() > 1 {
            self.elements.push(Element::Line { points, width, color, dash });
        }
    }

    pub fn area(&mut self, points: Vec<Point>, color: Color, opacity: f64) {
        if points.len() > 2 {
            self.elements.push(Element::Area { points, color, opacity });
        }
    }

    pub fn circle(&mut self, center: Point, radius: f64, color: Color) {
        self.elements.push(Element::Circle { center, radius, color });
    }

    pub fn text(&mut self, at: Point, text: impl Into<String>, size: f64, color: Color, anchor: Anchor) {
        self.elements.push(Element::Text { at, text: text.into(), size, color, anchor });
    }

    /// A rectangle from its left, top, right and bottom.
    pub fn rectangle(&mut self, [left, top, right, bottom]: [f64; 4], color: Color) {
        self.area(vec![(left, top), (right, top), (right, bottom), (left, bottom)], color, 1.0);
    }

    /// Moves texts that stick out at a side back in, and makes those smaller that are wider than the whole: to 0.85 of their size, then
    /// their end is cut.
    pub fn keep_texts_inside(&mut self) {
        let font = self.font;
        self.keep_inside(|text| font.width(text));
    }

    /// `width_of` gives the width of a text in units of its size.
    fn keep_inside(&mut self, width_of: impl Fn(&str) -> f64) {
        let room = self.width - 2.0;
        for element in &mut self.elements {
            let Element::Text { at, text, size, anchor, .. } = element else { continue };
            let wanted = width_of(text) * *size;
            if wanted > room {
                *size *= (room / wanted).max(LEAST_TEXT);
                let mut kept = text.clone();
                while width_of(text) * *size > room && kept.pop().is_some() {
                    *text = format!("{}…", kept.trim_end());
                }
            }
            let width = width_of(text) * *size;
            let before = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::End => width,
            };
            at.0 = at.0.clamp(1.0 + before, (self.width - 1.0 - width + before).max(1.0 + before));
        }
    }

    pub fn picture(&mut self, at: Point, size: Point, raster: Raster) {
        self.elements.push(Element::Picture { at, size, raster });
    }

    /// A marker of the given shape, filled with `color` and ringed in white so that it stands off its line.
    pub fn marker(&mut self, shape: Marker, (x, y): Point, radius: f64, color: Color) {
        for (radius, color) in [(radius + 1.0, Color(255, 255, 255)), (radius, color)] {
            match shape {
                Marker::Circle => self.circle((x, y), radius, color),
                _ => {
                    let corners = shape.corners().iter().map(|(dx, dy)| (x + radius * dx, y + radius * dy)).collect();
                    self.area(corners, color, 1.0);
                }
            }
        }
    }
}

/// Shapes that stay apart in grey print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    Circle,
    Square,
    TriangleUp,
    Diamond,
    TriangleDown,
}

impl Marker {
    /// For a radius of 1; areas are about equal.
    fn corners(self) -> &'static [Point] {
        match self {
            Self::Circle => &[],
            Self::Square => &[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
            Self::TriangleUp => &[(0.0, -1.25), (1.12, 0.75), (-1.12, 0.75)],
            Self::Diamond => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            Self::TriangleDown => &[(0.0, 1.25), (1.12, -0.75), (-1.12, -0.75)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_inside_and_a_long_one_is_made_smaller_then_cut() {
        let mut drawing = Drawing::new(102.0, 50.0);
        let color = Color(0, 0, 0);
        for (x, text, anchor) in
            [(80.0, "abcd", Anchor::Start), (5.0, "abcd", Anchor::End), (3.0, "abcd", Anchor::Middle)]
        {
            drawing.text((x, 10.0), text, 10.0, color, anchor);
        }
        drawing.text((50.0, 10.0), "abcdefghijk", 10.0, color, Anchor::Start);
        drawing.text((50.0, 10.0), "a".repeat(40), 10.0, color, Anchor::Start);
        drawing.keep_inside(|text| text.chars().count() as f64);
        let seen: Vec<(f64, String, f64)> = drawing
            .elements
            .iter()
            .map(|element| match element {
                Element::Text { at, text, size, .. } => (at.0, text.clone(), *size),
                other => panic!("no text: {other:?}"),
            })
            .collect();
        assert_eq!([seen[0].0, seen[1].0, seen[2].0], [61.0, 41.0, 21.0]);
        assert!(seen[3].1 == "abcdefghijk" && seen[3].2 < 9.1 && (seen[3].0 - 1.0).abs() < 1e-9, "{seen:?}");
        assert!(seen[4].1.ends_with("a…") && seen[4].1.chars().count() == 11 && seen[4].2 == 8.5, "{seen:?}");
    }
}
