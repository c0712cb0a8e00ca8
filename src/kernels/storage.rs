//! Planes of bf16 from planes of f32, and back.

use super::lanes::{Chunk, Job, LANES, Lanes};
use super::panel::{Pair, Word};
use super::parallel::for_each_part;
use super::planes::{Planes, Storage};

/// The numbers of planes of bf16.
pub fn to_f32(planes: &Planes) -> Vec<Chunk> {
    assert_eq!(planes.storage, Storage::Bf16, "planes of f32 are whole");
    let (chunks, mut numbers) = (planes.chunks, vec![[0.0; LANES]; planes.values().len() * Pair::NUMBERS]);
    for_each_part(&mut numbers, Pair::NUMBERS * chunks * WORDS, LANES * planes.values().len(), |index, numbers| {
        let words = &planes.values()[index * chunks * WORDS..][..numbers.len() / Pair::NUMBERS];
        Pair::run(ToF32 { chunks, words, numbers });
    });
    numbers
}

/// The words of planes of f32 with an even number of channels.
pub fn to_bf16(planes: &Planes) -> Vec<Chunk> {
    assert!(planes.storage == Storage::F32 && planes.channels.is_multiple_of(Pair::NUMBERS), "pairs of channels");
    let (chunks, mut words) = (planes.chunks, vec![[0.0; LANES]; planes.values().len() / Pair::NUMBERS]);
    for_each_part(&mut words, chunks * WORDS, LANES * planes.values().len(), |index, words| {
        let numbers = &planes.values()[Pair::NUMBERS * index * chunks * WORDS..][..words.len() * Pair::NUMBERS];
        Pair::run(ToBf16 { chunks, numbers, words });
    });
    words
}

/// Words that are computed together.
const WORDS: usize = 256;

struct ToF32<'a> {
    chunks: usize,
    words: &'a [Chunk],
    numbers: &'a mut [Chunk],
}

impl Job for ToF32<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let numbers = self.numbers.chunks_exact_mut(Pair::NUMBERS * self.chunks);
        for (words, numbers) in self.words.chunks_exact(self.chunks).zip(numbers) {
            for (chunk, word) in words.iter().enumerate() {
                let [lower, upper] = L::load(word).halves();
                lower.store(&mut numbers[chunk]);
                upper.store(&mut numbers[self.chunks + chunk]);
            }
        }
    }
}

struct ToBf16<'a> {
    chunks: usize,
    numbers: &'a [Chunk],
    words: &'a mut [Chunk],
}

impl Job for ToBf16<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let numbers = self.numbers.chunks_exact(Pair::NUMBERS * self.chunks);
        for (words, numbers) in self.words.chunks_exact_mut(self.chunks).zip(numbers) {
            for (chunk, word) in words.iter_mut().enumerate() {
                L::load(&numbers[chunk]).paired(L::load(&numbers[self.chunks + chunk])).store(word);
            }
        }
    }
}
