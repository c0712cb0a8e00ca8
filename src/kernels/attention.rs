use super::lanes::{self, Chunk, Job, LANES, Lanes};
use super::parallel::for_each_part;
use super::planes::Planes;

/// softmax(q k^T / sqrt(head channels)) v between the pixels of each image (Vaswani et al. 2017, eq. 1). The input
/// has 3 * channels: queries, keys, values, and within each the heads one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    pub heads: usize,
}

/// `[chunk, head, pixel, pixel]`
pub type Probabilities = Vec<Chunk>;

impl Attention {
    /// The output `[pixels, channels, chunks]` and what [`Attention::backward`] needs besides the input.
    pub fn forward(self, input: &Planes) -> (Vec<Chunk>, Probabilities) {
        let sizes = self.sizes(input);
        let Sizes { pixels, channels, .. } = sizes;
        let mut images: Vec<_> = (0..input.chunks)
            .map(|_| Images {
                input: Vec::new(),
                probabilities: vec![[0.0; LANES]; self.heads * pixels * pixels],
                output: vec![[0.0; LANES]; pixels * channels],
            })
            .collect();
        for_each_part(&mut images, 1, sizes.operations(input.chunks), |chunk, images| {
            images[0].input = take_chunk(input, chunk);
            lanes::run(Forward { sizes, images: &mut images[0] });
        });
        let probabilities = images.iter().flat_map(|images| &images.probabilities).copied().collect();
        (interleave(images), probabilities)
    }

    /// The gradient with respect to the input.
    pub fn backward(self, input: &Planes, probabilities: &[Chunk], gradient: &Planes) -> Vec<Chunk> {
        let sizes = self.sizes(input);
        let mut images: Vec<_> = probabilities
            .chunks_exact(self.heads * sizes.pixels * sizes.pixels)
            .map(|probabilities| Images {
                input: Vec::new(),
                probabilities: probabilities.to_vec(),
                output: vec![[0.0; LANES]; sizes.pixels * input.channels],
            })
            .collect();
        for_each_part(&mut images, 1, 2 * sizes.operations(input.chunks), |chunk, images| {
            images[0].input = take_chunk(input, chunk);
            let gradient = take_chunk(gradient, chunk);
            let scores = vec![[0.0; LANES]; sizes.pixels * sizes.pixels];
            lanes::run(Backward { sizes, images: &mut images[0], gradient, scores });
        });
        interleave(images)
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

/// Sixteen images on their own.
struct Images {
    /// `[pixel, 3 * channels]`
    input: Vec<Chunk>,
    /// `[head, pixel, pixel]`
    probabilities: Vec<Chunk>,
    /// `[pixel, channels]`, or three times as many in the backward pass.
    output: Vec<Chunk>,
}

fn take_chunk(planes: &Planes, chunk: usize) -> Vec<Chunk> {
    planes.values()[chunk..].iter().step_by(planes.chunks).copied().collect()
}

/// The outputs, chunk innermost.
fn interleave(images: Vec<Images>) -> Vec<Chunk> {
    let length = images.first().map_or(0, |images| images.output.len());
    (0..length).flat_map(|index| images.iter().map(move |images| images.output[index])).collect()
}

struct Forward<'a> {
    sizes: Sizes,
    images: &'a mut Images,
}

impl Job for Forward<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Sizes { pixels, heads, depth, .. } = self.sizes;
        let Images { input, probabilities, output } = self.images;
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
    images: &'a mut Images,
    /// `[pixel, channels]`
    gradient: Vec<Chunk>,
    /// `[pixel, pixel]`: the gradient of the scores of a head.
    scores: Vec<Chunk>,
}

impl Job for Backward<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Sizes { pixels, heads, depth, .. } = self.sizes;
        let Images { input, probabilities, output } = self.images;
        let (gradient, mut scores) = (self.gradient, self.scores);
        let square = Grid { start: 0, row: pixels, column: 1 };
        for head in 0..heads {
            let [queries, keys, values] = [0, 1, 2].map(|part| self.sizes.part(part, head));
            let (grid, gradients) = (self.sizes.probabilities(head), self.sizes.output(head));
            let sizes = [pixels, depth, pixels];
            multiply::<L>(output, values, probabilities, grid.turned(), &gradient, gradients.turned(), sizes);
            multiply::<L>(&mut scores, square, &gradient, gradients, input, values, [pixels, pixels, depth]);
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
