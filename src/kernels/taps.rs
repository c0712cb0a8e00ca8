use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::{Convolution, Resample};

/// Which input pixels and which weights make each output pixel of a convolution.
///
/// A tap is a set of kernel positions that always meet the same input pixel, so that their weights can be added up
/// first: one position each, except after nearest-neighbour upsampling, where 2x2 sums replace the 3x3 kernel.
/// Pixels outside the image (the zero padding) have no entries.
pub struct Taps {
    pub output_height: usize,
    pub output_width: usize,
    /// The kernel positions (row * kernel + column) of each tap.
    pub positions: Vec<Vec<usize>>,
    /// For each output pixel, the input pixels it gathers.
    pub forward: Gather,
    /// For each input pixel, the output pixels that gathered it.
    pub backward: Gather,
    /// The output pixels, some at a time.
    pub segments: Vec<Segment>,
}

/// Consecutive output pixels, and the input pixels that they gather from.
pub struct Segment {
    pub outputs: Vec<u32>,
    pub inputs: Vec<u32>,
    /// For each tap, its (place in `outputs`, place in `inputs`).
    pairs: Vec<Vec<(u32, u32)>>,
}

/// For each target pixel, where it gathers from.
pub struct Gather {
    starts: Vec<u32>,
    sources: Vec<Source>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub pixel: u32,
    pub tap: u32,
}

impl Taps {
    /// [`Taps::new`], made once for each shape of a program.
    pub fn cached(shape: Convolution, height: usize, width: usize) -> Arc<Self> {
        type Key = (usize, Resample, usize, usize);
        static CACHE: LazyLock<Mutex<HashMap<Key, Arc<Taps>>>> = LazyLock::new(Mutex::default);
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (shape.kernel, shape.resample, height, width);
        cache.entry(key).or_insert_with(|| Arc::new(Self::new(shape, height, width))).clone()
    }

    /// For input planes of `height` x `width` pixels.
    pub fn new(shape: Convolution, height: usize, width: usize) -> Self {
        let (rows, columns) = (Axis::new(shape, height), Axis::new(shape, width));
        let mut positions = Vec::new();
        for row in &rows.positions {
            for column in &columns.positions {
                let product = row.iter().flat_map(|y| column.iter().map(move |x| y * shape.kernel + x));
                positions.push(product.collect());
            }
        }
        let (output_height, output_width) = (shape.output_side(height), shape.output_side(width));
        let mut forward = vec![Vec::new(); output_height * output_width];
        let mut backward = vec![Vec::new(); height * width];
        for (y, row_sources) in rows.sources.iter().enumerate() {
            for (x, column_sources) in columns.sources.iter().enumerate() {
                let output = y * output_width + x;
                for &(row_tap, input_y) in row_sources {
                    for &(column_tap, input_x) in column_sources {
                        let (input, tap) = (input_y * width + input_x, row_tap * columns.positions.len() + column_tap);
                        forward[output].push(Source { pixel: input as u32, tap: tap as u32 });
                        backward[input].push(Source { pixel: output as u32, tap: tap as u32 });
                    }
                }
            }
        }
        let (forward, backward) = (Gather::new(forward), Gather::new(backward));
        let pixels: Vec<_> = (0..forward.pixel_count() as u32).collect();
        let segments =
            pixels.chunks(SEGMENT_PIXELS).map(|outputs| Segment::new(outputs, &forward, positions.len())).collect();
        Self { output_height, output_width, positions, forward, backward, segments }
    }
}

/// The pixels of a segment: the values that four channels need of one chunk (some 130 pixels, 34 KiB) stay near the
/// first-level cache.
const SEGMENT_PIXELS: usize = 64;

impl Segment {
    fn new(outputs: &[u32], gather: &Gather, tap_count: usize) -> Self {
        let sources = || outputs.iter().flat_map(|&pixel| gather.sources(pixel as usize));
        let mut inputs: Vec<_> = sources().map(|source| source.pixel).collect();
        inputs.sort_unstable();
        inputs.dedup();
        let mut pairs = vec![Vec::new(); tap_count];
        for (place, &pixel) in outputs.iter().enumerate() {
            for source in gather.sources(pixel as usize) {
                let slot = inputs.binary_search(&source.pixel).expect("every source is among the inputs");
                pairs[source.tap as usize].push((place as u32, slot as u32));
            }
        }
        Self { outputs: outputs.to_vec(), inputs, pairs }
    }

    /// The pairs of `tap`: (place in `outputs`, place in `inputs`).
    #[inline(always)]
    pub fn pairs(&self, tap: usize) -> &[(u32, u32)] {
        &self.pairs[tap]
    }

    /// The number of pairs of all taps.
    pub fn pair_count(&self) -> usize {
        self.pairs.iter().map(Vec::len).sum()
    }
}

impl Gather {
    fn new(lists: Vec<Vec<Source>>) -> Self {
        let mut starts = vec![0];
        let mut sources = Vec::new();
        for list in lists {
            sources.extend(list);
            starts.push(sources.len() as u32);
        }
        Self { starts, sources }
    }

    pub fn pixel_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The sources that `pixel` gathers from.
    #[inline(always)]
    pub fn sources(&self, pixel: usize) -> &[Source] {
        &self.sources[self.starts[pixel] as usize..self.starts[pixel + 1] as usize]
    }
}

/// One axis of a convolution; the taps of the plane are the pairs of taps of its axes.
struct Axis {
    /// Kernel positions of each tap.
    positions: Vec<Vec<usize>>,
    /// For each output coordinate, its (tap, input coordinate).
    sources: Vec<Vec<(usize, usize)>>,
}

impl Axis {
    fn new(shape: Convolution, length: usize) -> Self {
        assert!(shape.kernel == 1 || shape.kernel == 3, "a kernel of side {} is not 1 or 3", shape.kernel);
        let padding = shape.kernel / 2;
        let inside = |tap: usize, coordinate: usize, padding: usize| {
            let input = coordinate.checked_sub(padding)?;
            (input < length).then_some((tap, input))
        };
        let outputs = 0..shape.output_side(length);
        let single = || (0..shape.kernel).map(|position| vec![position]).collect();
        let (positions, sources): (Vec<_>, Vec<Vec<_>>) = match (shape.resample, shape.kernel) {
            (Resample::Double, 1) => (single(), outputs.map(|output| vec![(0, output / 2)]).collect()),
            (Resample::Double, _) => {
                // Output 2i meets input i - 1 at position 0 and input i at 1 and 2; output 2i + 1 meets i at 0 and 1,
                // and i + 1 at 2.
                let sources = |output: usize| {
                    let (first_tap, first) =
                        if output.is_multiple_of(2) { (0, output / 2) } else { (2, output / 2 + 1) };
                    [inside(first_tap, first, 1), inside(first_tap + 1, first + 1, 1)].into_iter().flatten().collect()
                };
                (vec![vec![0], vec![1, 2], vec![0, 1], vec![2]], outputs.map(sources).collect())
            }
            (resample, kernel) => {
                let stride = if resample == Resample::Halve { 2 } else { 1 };
                let sources =
                    |output: usize| (0..kernel).filter_map(|k| inside(k, output * stride + k, padding)).collect();
                (single(), outputs.map(sources).collect())
            }
        };
        Self { positions, sources }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_3x3_convolution_of_a_row_of_three_pixels_skips_the_padding() {
        let taps = Taps::new(Convolution::square(1, 1, Resample::Keep), 1, 3);
        let source = |pixel, tap| Source { pixel, tap };
        assert_eq!(taps.forward.sources(0), [source(0, 4), source(1, 5)]);
        assert_eq!(taps.forward.sources(1), [source(0, 3), source(1, 4), source(2, 5)]);
        assert_eq!(taps.backward.sources(0), [source(0, 4), source(1, 3)]);
        let [segment] = &taps.segments[..] else { panic!("{} segments", taps.segments.len()) };
        assert_eq!((&segment.outputs[..], &segment.inputs[..]), (&[0, 1, 2][..], &[0, 1, 2][..]));
        assert_eq!(segment.pairs(3), [(1, 0), (2, 1)]);
    }

    #[test]
    fn upsampling_gathers_four_sums_of_weights_instead_of_nine_weights() {
        let taps = Taps::new(Convolution::square(1, 1, Resample::Double), 2, 2);
        assert_eq!((taps.output_height, taps.positions.len()), (4, 16));
        let inner: Vec<_> = taps.forward.sources(5).iter().map(|source| &taps.positions[source.tap as usize]).collect();
        assert_eq!(inner, [&vec![0, 1, 3, 4], &vec![2, 5], &vec![6, 7], &vec![8]]);
    }
}
