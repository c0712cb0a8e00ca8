use super::lanes::{self, Chunk, Job, LANES, Lanes};
use super::parallel::for_each_part;
use super::planes::Planes;

/// softmax(q k^T / sqrt(head channels)) v between the pixels of each image (Vaswani et al. 2017, eq. 1). The input
/// has 3 * channels: queries, keys, values, and within each the heads one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    pub heads: usize,
}

/// Of each chunk, `[head, pixel, pixel]`.
pub type Probabilities = Vec<Vec<Chunk>>;

impl Attention {
    /// The output `[pixels, channels, chunks]` and what [`Attention::backward`] needs besides the input.
    pub fn forward(self, input: &Planes) -> (Vec<Chunk>, Probabilities) {
        let sizes = self.sizes(input);
        let Sizes { pixels, channels, .. } = sizes;
        let mut parts: Vec<_> = (0..input.chunks).map(|_| ForwardPart::default()).collect();
        for_each_part(&mut parts, 1, sizes.operations(input.chunks), |chunk, parts| {
            let part = &mut parts[0];
            part.probabilities = vec![[0.0; LANES]; self.heads * pixels * pixels];
            part.output = vec![[0.0; LANES]; pixels * channels];
            lanes::run(Forward { sizes, input: &take_chunk(input, chunk), part });
        });
        let (probabilities, outputs): (Vec<_>, Vec<_>) =
            parts.into_iter().map(|part| (part.probabilities, part.output)).unzip();
        (interleave(&outputs), probabilities)
    }

    /// The gradient with respect to the input.
    pub fn backward(self, input: &Planes, probabilities: &[Vec<Chunk>], gradient: &Planes) -> Vec<Chunk> {
        let sizes = self.sizes(input);
        let pixels = sizes.pixels;
        let mut outputs: Vec<_> = probabilities.iter().map(|_| Vec::new()).collect();
        for_each_part(&mut outputs, 1, 2 * sizes.operations(input.chunks), |chunk, outputs| {
            outputs[0] = vec![[0.0; LANES]; pixels * input.channels];
            lanes::run(Backward {
                sizes,
                input: &take_chunk(input, chunk),
                probabilities: &probabilities[chunk],
                gradient: &take_chunk(gradient, chunk),
                scores: vec![[0.0; LANES]; pixels * pixels],
                output: &mut outputs[0],
            });
        });
        interleave(&outputs)
    }

    fn sizes(self, input: &Planes) -> Sizes {
        let (heads, channels) = (self.heads, input.channels / 3);
        assert_eq!(input.channels, 3 * channels, "queries, keys and values");
        assert!(heads > 0 && channels.is_multiple_of(heads), "{heads} heads do not divide {channels} channels");
        Sizes { pixels: input.pixels(), channels, heads, depth: channels / heads }
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    pixels: usize,
    channels: usize,
    heads: usize,
    /// Channels of a head.
    depth: usize,
}

impl Sizes {
    fn operations(self, chunks: usize) -> usize {
        4 * self.pixels * self.pixels * self.channels * chunks * LANES
    }

    fn scale(self) -> f32 {
        1.0 / (self.depth as f32).sqrt()
    }

    /// Element (pixel, channel) of the queries (0), keys (1) or values (2) of a head.
    fn part(self, part: usize, head: usize) -> Grid {
        Grid { start: part * self.channels + head * self.depth, row: 3 * self.channels, column: 1 }
    }

    /// Element (pixel, channel) of the output of a head.
    fn output(self, head: usize) -> Grid {
        Grid { start: head * self.depth, row: self.channels, column: 1 }
    }

    /// Element (query, key) of the probabilities of a head.
    fn probabilities(self, head: usize) -> Grid {
        Grid { start: head * self.pixels * self.pixels, row: self.pixels, column: 1 }
    }
}

/// What is computed of sixteen images on their own.
#[derive(Default)]
struct ForwardPart {
    /// `[head, pixel, pixel]`
    probabilities: Vec<Chunk>,
    /// `[pixel, channels]`
    output: Vec<Chunk>,
}

/// `[pixel, channels]` of sixteen images.
fn take_chunk(planes: &Planes, chunk: usize) -> Vec<Chunk> {
    planes.values()[chunk..].iter().step_by(planes.chunks).copied().collect()
}

/// The outputs of all chunks, chunk innermost.
fn interleave(outputs: &[Vec<Chunk>]) -> Vec<Chunk> {
    let (chunks, length) = (outputs.len(), outputs.first().map_or(0, Vec::len));
    let mut output = Box::<[Chunk]>::new_uninit_slice(length * chunks);
    for_each_part(&mut output, ROWS * chunks, COPY_OPERATIONS * length * chunks, |part, output| {
        for (index, row) in output.chunks_exact_mut(chunks).enumerate() {
            for (place, values) in row.iter_mut().zip(outputs) {
                place.write(values[part * ROWS + index]);
            }
        }
    });
    // SAFETY: the parts are all rows, and each row is written whole.
    unsafe { output.assume_init() }.into_vec()
}

/// Rows of chunks that are brought together at a time.
const ROWS: usize = 1024;
/// About how many operations it costs to copy a chunk.
const COPY_OPERATIONS: usize = 4 * LANES;

struct Forward<'a> {
    sizes: Sizes,
    /// `[pixel, 3 * channels]`
    input: &'a [Chunk],
    part: &'a mut ForwardPart,
}

impl Job for Forward<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Sizes { pixels, heads, depth, .. } = self.sizes;
        let input = self.input;
        let ForwardPart { probabilities, output } = self.part;
        for head in 0..heads {
            let [queries, keys, values] = [0, 1, 2].map(|part| self.sizes.part(part, head));
            let grid = self.sizes.probabilities(head);
            multiply::<L>(probabilities, grid, input, queries, input, keys, [pixels, pixels, depth]);
            let scale = L::splat(self.sizes.scale());
            for row in probabilities[grid.start..][..pixels * pixels].chunks_exact_mut(pixels) {
                softmax(row, scale);
            }
            let output_grid = self.sizes.output(head);
            multiply::<L>(output, output_grid, probabilities, grid, input, values.turned(), [pixels, depth, pixels]);
        }
    }
}

/// softmax(scale * row), in place.
#[inline(always)]
fn softmax<L: Lanes>(row: &mut [Chunk], scale: L) {
    let mut largest = L::load(&row[0]);
    for value in row.iter() {
        largest = largest.max(L::load(value));
    }
    let mut sum = L::splat(0.0);
    for value in row.iter_mut() {
        let exp = L::load(value).sub(largest).mul(scale).exp();
        sum = sum.add(exp);
        exp.store(value);
    }
    let factor = L::splat(1.0).div(sum);
    for value in row.iter_mut() {
        L::load(value).mul(factor).store(value);
    }
}

struct Backward<'a> {
    sizes: Sizes,
    /// `[pixel, 3 * channels]`
    input: &'a [Chunk],
    /// `[head, pixel, pixel]`
    probabilities: &'a [Chunk],
    /// `[pixel, channels]`
    gradient: &'a [Chunk],
    /// `[pixel, pixel]`: the gradient of the scores of a head.
    scores: Vec<Chunk>,
    /// `[pixel, 3 * channels]`
    output: &'a mut [Chunk],
}

impl Job for Backward<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Sizes { pixels, heads, depth, .. } = self.sizes;
        let Self { input, probabilities, gradient, mut scores, output, .. } = self;
        let square = Grid { start: 0, row: pixels, column: 1 };
        for head in 0..heads {
            let [queries, keys, values] = [0, 1, 2].map(|part| self.sizes.part(part, head));
            let (grid, gradients) = (self.sizes.probabilities(head), self.sizes.output(head));
            let sizes = [pixels, depth, pixels];
            multiply::<L>(output, values, probabilities, grid.turned(), gradient, gradients.turned(), sizes);
            multiply::<L>(&mut scores, square, gradient, gradients, input, values, [pixels, pixels, depth]);
            let probabilities = &probabilities[grid.start..][..pixels * pixels];
            let scale = L::splat(self.sizes.scale());
            for (row, probabilities) in scores.chunks_exact_mut(pixels).zip(probabilities.chunks_exact(pixels)) {
                softmax_gradient(row, probabilities, scale);
            }
            multiply::<L>(output, queries, &scores, square, input, keys.turned(), sizes);
            multiply::<L>(output, keys, &scores, square.turned(), input, queries.turned(), sizes);
        }
    }
}

/// Turns the gradient of the probabilities into that of the scores before scaling, in place.
#[inline(always)]
fn softmax_gradient<L: Lanes>(row: &mut [Chunk], probabilities: &[Chunk], scale: L) {
    let mut mean = L::splat(0.0);
    for (value, probability) in row.iter().zip(probabilities) {
        mean = L::load(value).mul_add(L::load(probability), mean);
    }
    for (value, probability) in row.iter_mut().zip(probabilities) {
        L::load(value).sub(mean).mul(L::load(probability)).mul(scale).store(value);
    }
}

/// Where element (r, c) of a matrix lies: start + r * row + c * column.
#[derive(Clone, Copy)]
struct Grid {
    start: usize,
    row: usize,
    column: usize,
}

impl Grid {
    /// The transposed matrix.
    #[inline(always)]
    fn turned(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    #[inline(always)]
    fn at(self, row: usize, column: usize) -> usize {
        self.start + row * self.row + column * self.column
    }
}

/// output(r, c) = sum over k of first(r, k) * second(c, k), for `sizes` of r, c and k.
#[inline(always)]
fn multiply<L: Lanes>(
    output: &mut [Chunk],
    output_grid: Grid,
    first: &[Chunk],
    first_grid: Grid,
    second: &[Chunk],
    second_grid: Grid,
    [rows, columns, depth]: [usize; 3],
) {
    let product = Product { first, first_grid, second, second_grid, depth };
    let mut row = 0;
    while row < rows {
        let wide = if L::MANY_REGISTERS && row + 4 <= rows { 4 } else { 1 };
        let mut column = 0;
        while column < columns {
            if column + 4 > columns {
                for row in row..row + wide {
                    product.block::<L, 1, 1>(output, output_grid, row, column);
                }
                column += 1;
            } else {
                if wide == 4 {
                    product.block::<L, 4, 4>(output, output_grid, row, column);
                } else {
                    product.block::<L, 1, 4>(output, output_grid, row, column);
                }
                column += 4;
            }
        }
        row += wide;
    }
}

struct Product<'a> {
    first: &'a [Chunk],
    first_grid: Grid,
    second: &'a [Chunk],
    second_grid: Grid,
    depth: usize,
}

impl Product<'_> {
    #[inline(always)]
    fn block<L: Lanes, const R: usize, const C: usize>(
        &self,
        output: &mut [Chunk],
        output_grid: Grid,
        row: usize,
        column: usize,
    ) {
        let mut sums = [[L::splat(0.0); C]; R];
        for k in 0..self.depth {
            let mut loaded = [L::splat(0.0); C];
            for c in 0..C {
                loaded[c] = L::load(&self.second[self.second_grid.at(column + c, k)]);
            }
            for r in 0..R {
                let first = L::load(&self.first[self.first_grid.at(row + r, k)]);
                for c in 0..C {
                    sums[r][c] = first.mul_add(loaded[c], sums[r][c]);
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                sums[r][c].store(&mut output[output_grid.at(row + r, column + c)]);
            }
        }
    }
}
