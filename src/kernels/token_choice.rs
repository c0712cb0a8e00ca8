use std::array::from_fn;
use std::sync::Arc;

use super::lanes::{Chunk, LANES};
use super::parallel::for_each_part;
use super::planes::Planes;

/// Some tokens of each image: as many of one image as of another, but each image's own. For [`super::Kernels::take_tokens`] and
/// [`super::Kernels::put_tokens`].
#[derive(Clone, Debug, PartialEq)]
pub struct TokenChoice {
    images: usize,
    tokens: usize,
    count: usize,
    /// `[images, count]`: their places among the tokens.
    places: Arc<[u32]>,
    /// `[images, tokens]`: the place of each token among those that are chosen, or [`LEFT`].
    slots: Arc<[u32]>,
}

/// Of a token that is not chosen.
const LEFT: u32 = u32::MAX;
/// About how many operations a chunk costs: each lane's number comes from another place in memory.
const OPERATIONS: usize = 16 * LANES;

impl TokenChoice {
    /// Of each image's `tokens` tokens the `count` whose places are given: `[images, count]`, those of an image in increasing order.
    ///
    /// # Panics
    /// If a place is no token's, the places of an image do not increase, or there are not `count` for every image.
    pub fn new(tokens: usize, count: usize, places: &[u32]) -> Self {
        assert!(
            count > 0 && !places.is_empty() && places.len().is_multiple_of(count),
            "{count} places for each image, not {} in all",
            places.len()
        );
        let images = places.len() / count;
        let mut slots = vec![LEFT; images * tokens];
        for (places, slots) in places.chunks_exact(count).zip(slots.chunks_exact_mut(tokens)) {
            assert!(places.is_sorted_by(|one, next| one < next), "places that do not increase: {places:?}");
            for (slot, &place) in places.iter().enumerate() {
                slots[place as usize] = slot as u32;
            }
        }
        Self { images, tokens, count, places: places.into(), slots: slots.into() }
    }

    /// The same tokens where `extra` others come before all of them, and these.
    pub fn behind(&self, extra: usize) -> Self {
        let extra = extra as u32;
        let of_image = |places: &[u32]| {
            let moved = places.iter().map(|place| place + extra);
            (0..extra).chain(moved).collect::<Vec<u32>>()
        };
        let places: Vec<u32> = self.places.chunks_exact(self.count).flat_map(of_image).collect();
        Self::new(self.tokens + extra as usize, self.count + extra as usize, &places)
    }

    pub fn images(&self) -> usize {
        self.images
    }

    /// How many tokens of each image are chosen.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Tokens of an image, chosen or not.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// `[images, count]`: where the chosen tokens are.
    pub fn places(&self) -> &[u32] {
        &self.places
    }

    /// `[images, tokens]`: where each token is in a row of all tokens and, after them, the chosen ones, which count there.
    pub fn sources(&self) -> Vec<u32> {
        let source = |(index, &slot): (usize, &u32)| match slot {
            LEFT => index % self.tokens,
            slot => self.tokens + slot as usize,
        };
        self.slots.iter().enumerate().map(|found| source(found) as u32).collect()
    }

    /// The chosen ones of the tokens of `input`.
    pub fn take(&self, input: &Planes) -> Vec<Chunk> {
        self.check(input, self.tokens);
        let (values, chunks, length) = (input.values(), input.chunks, input.channels * input.chunks);
        let mut output = vec![[0.0; LANES]; self.count * length];
        let operations = OPERATIONS * output.len();
        for_each_part(&mut output, length, operations, |slot, output| {
            for chunk in 0..chunks {
                let starts =
                    self.images_of(chunk).map(|image| length * self.places[image * self.count + slot] as usize);
                for at in (chunk..length).step_by(chunks) {
                    output[at] = from_fn(|lane| values[starts[lane] + at][lane]);
                }
            }
        });
        output
    }

    /// The tokens of `input` with those of `taken` in the places that are chosen.
    pub fn put(&self, input: &Planes, taken: &Planes) -> Vec<Chunk> {
        self.put_values(Some(input), Some(taken), input)
    }

    /// The gradient with respect to the input of [`Self::take`], given that of its output.
    pub fn put_in_zeros(&self, taken: &Planes) -> Vec<Chunk> {
        self.put_values(None, Some(taken), taken)
    }

    /// The gradient with respect to the input of [`Self::put`], given that of its output.
    pub fn put_zeros(&self, input: &Planes) -> Vec<Chunk> {
        self.put_values(Some(input), None, input)
    }

    /// None stands for zeros; images are as many as `like` has, of as many channels.
    fn put_values(&self, input: Option<&Planes>, taken: Option<&Planes>, like: &Planes) -> Vec<Chunk> {
        let (chunks, length) = (like.chunks, like.channels * like.chunks);
        for (planes, tokens) in [(input, self.tokens), (taken, self.count)] {
            let Some(planes) = planes else { continue };
            self.check(planes, tokens);
            assert_eq!(
                (planes.chunks, planes.channels),
                (chunks, like.channels),
                "tokens of the same width and images"
            );
        }
        let [input, taken] = [input, taken].map(|planes| planes.map(Planes::values));
        let mut output = vec![[0.0; LANES]; self.tokens * length];
        let operations = OPERATIONS * output.len();
        for_each_part(&mut output, length, operations, |token, output| {
            for chunk in 0..chunks {
                let slots = self.images_of(chunk).map(|image| self.slots[image * self.tokens + token]);
                for at in (chunk..length).step_by(chunks) {
                    output[at] = from_fn(|lane| match slots[lane] {
                        LEFT => input.map_or(0.0, |values| values[token * length + at][lane]),
                        slot => taken.map_or(0.0, |values| values[slot as usize * length + at][lane]),
                    });
                }
            }
        });
        output
    }

    /// The image in each lane of a chunk: the last one where there are no more, as what is there does not count.
    fn images_of(&self, chunk: usize) -> [usize; LANES] {
        from_fn(|lane| (chunk * LANES + lane).min(self.images - 1))
    }

    fn check(&self, planes: &Planes, tokens: usize) {
        assert_eq!(planes.pixels(), tokens, "the tokens that a choice is of");
        assert_eq!(planes.chunks, self.images.div_ceil(LANES), "a choice for each image");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_knows_where_every_token_is_to_be_found() {
        let choice = TokenChoice::new(4, 2, &[0, 3, 1, 2]);
        assert_eq!((choice.images(), choice.count()), (2, 2));
        assert_eq!(choice.sources(), [4, 1, 2, 5, 0, 4, 5, 3]);
        let behind = choice.behind(1);
        assert_eq!(behind.places(), [0, 1, 4, 0, 2, 3]);
        assert_eq!(behind, TokenChoice::new(5, 3, &[0, 1, 4, 0, 2, 3]));
    }

    #[test]
    #[should_panic(expected = "places that do not increase")]
    fn no_token_is_chosen_twice() {
        TokenChoice::new(4, 2, &[3, 3]);
    }
}
