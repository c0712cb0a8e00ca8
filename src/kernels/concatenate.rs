use super::lanes::Chunk;
use super::planes::Planes;

/// The channels of `first`, then those of `second`, of every pixel.
pub fn forward(first: &Planes, second: &Planes) -> Vec<Chunk> {
    let shape = |planes: &Planes| (planes.height, planes.width, planes.chunks);
    assert_eq!(shape(first), shape(second), "only planes of one shape are concatenated");
    let lengths = (first.channels * first.chunks, second.channels * second.chunks);
    let mut output = Vec::with_capacity(first.values().len() + second.values().len());
    for (first, second) in first.values().chunks_exact(lengths.0).zip(second.values().chunks_exact(lengths.1)) {
        output.extend_from_slice(first);
        output.extend_from_slice(second);
    }
    output
}

/// The gradients of the first `channels` and of the others.
pub fn backward(gradient: &Planes, channels: usize) -> (Vec<Chunk>, Vec<Chunk>) {
    let length = channels * gradient.chunks;
    let pixel_length = gradient.channels * gradient.chunks;
    let mut first = Vec::with_capacity(gradient.pixels() * length);
    let mut second = Vec::with_capacity(gradient.pixels() * (pixel_length - length));
    for pixel in gradient.values().chunks_exact(pixel_length) {
        first.extend_from_slice(&pixel[..length]);
        second.extend_from_slice(&pixel[length..]);
    }
    (first, second)
}
