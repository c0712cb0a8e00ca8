use burn::tensor::Tensor;

use crate::kernels::{Kernels, TokenChoice};
use crate::spec::{RunSpec, share_of};

/// The blocks that some tokens go around in training, both counted from 1 and with both ends, and the number of patches that do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detour {
    pub first_block: usize,
    pub last_block: usize,
    pub kept: usize,
    /// Whether tokens that go around do not come back: the network's mask token, at their positions, takes their place.
    pub masked: bool,
}

impl Detour {
    /// That of a run's training after `step` steps; none where all tokens go through all blocks.
    pub fn at(spec: &RunSpec, step: u64) -> Option<Self> {
        let patches = spec.model.patches(spec.side_at(step));
        let (routing, masking) = (&spec.token_routing, &spec.token_masking);
        if routing.is_on() {
            let kept = patches - share_of(patches, routing.share);
            let (first_block, last_block) = (routing.first_block, routing.last_block);
            return Some(Self { first_block, last_block, kept, masked: false });
        }
        (step < masking.steps(spec.train.steps)).then(|| {
            let last_block = spec.model.blocks().saturating_sub(masking.decoder_blocks);
            let kept = patches - share_of(patches, masking.share);
            Self { first_block: 1, last_block, kept, masked: true }
        })
    }

    /// The number of patches that go through a block of a network whose images have `patches`.
    pub fn patches_of(detour: Option<Self>, block: usize, patches: usize) -> usize {
        match detour {
            Some(Self { first_block, last_block, kept, .. }) if (first_block..=last_block).contains(&block) => kept,
            _ => patches,
        }
    }

    /// The same after that block.
    pub fn patches_after(detour: Option<Self>, block: usize, patches: usize) -> usize {
        match detour {
            Some(Self { last_block, .. }) if block == last_block => patches,
            _ => Self::patches_of(detour, block, patches),
        }
    }
}

/// The way of a batch's tokens through the blocks of a transformer: where they are looked at, and which of them go around blocks.
#[derive(Debug, Default)]
pub struct TokenRoute {
    /// Tokens are looked at after this block, 1 the first; nowhere if there is none.
    tapped_block: Option<usize>,
    /// Those of the patches are aligned after this one.
    aligned_block: Option<usize>,
    /// The patches of each image that do not go around the blocks of the detour.
    detour: Option<(Detour, TokenChoice)>,
    blocks_passed: usize,
    /// A row of what takes the places of tokens that do not come back.
    masks: Option<Tensor<4>>,
    /// A row of what goes around the detour, and the tokens that do not.
    around: Option<(Tensor<4>, TokenChoice)>,
    tapped: Option<Tensor<4>>,
    /// A row of patches, as kernels hold it.
    aligned: Option<Tensor<4>>,
}

impl TokenRoute {
    /// `detour` says which patches of each image are left in its blocks.
    ///
    /// # Panics
    /// If the choice is not as large as the detour says.
    pub fn new(tapped_block: Option<usize>, detour: Option<(Detour, TokenChoice)>) -> Self {
        assert!(detour.iter().all(|(detour, choice)| detour.kept == choice.count()), "as many tokens as are left");
        Self { tapped_block, detour, ..Self::default() }
    }

    /// The same, and the patches after `block` are kept to be aligned; those that are there, where others go around it.
    pub fn aligned_after(self, block: Option<usize>) -> Self {
        Self { aligned_block: block, ..self }
    }

    /// Whether tokens that go around blocks do not come back, so that [`Self::set_masks`] is to be called before the first block.
    pub fn masks(&self) -> bool {
        self.detour.as_ref().is_some_and(|(detour, _)| detour.masked)
    }

    /// What takes the places of masked tokens, of the shape of all tokens.
    pub fn set_masks(&mut self, kernels: Kernels, masks: Tensor<4>) {
        self.masks = Some(kernels.as_row(masks));
    }

    /// The tokens after the next block, which is `block`: `others` of them, such as that of the time, come before the patches. Where tokens go
    /// around blocks they are a row from there on.
    pub fn pass(
        &mut self,
        kernels: Kernels,
        mut tokens: Tensor<4>,
        others: usize,
        batch: usize,
        block: impl FnOnce(Tensor<4>) -> Tensor<4>,
    ) -> Tensor<4> {
        self.blocks_passed += 1;
        if let Some((detour, choice)) = &self.detour
            && detour.first_block == self.blocks_passed
        {
            let choice = if others == 0 { choice.clone() } else { choice.behind(others) };
            let row = kernels.as_row(tokens);
            tokens = kernels.take_tokens(row.clone(), &choice);
            let around = if detour.masked { self.masks.take().expect("a network with a mask token") } else { row };
            self.around = Some((around, choice));
        }
        tokens = block(tokens);
        if self.detour.as_ref().is_some_and(|(detour, _)| detour.last_block == self.blocks_passed)
            && let Some((row, choice)) = self.around.take()
        {
            tokens = kernels.put_tokens(row, tokens, &choice);
        }
        if self.tapped_block == Some(self.blocks_passed) {
            self.tapped = Some(kernels.leave(tokens.clone(), batch));
        }
        if self.aligned_block == Some(self.blocks_passed) {
            let row = kernels.as_row(tokens.clone());
            let patches = kernels.row_length(&row) - others;
            self.aligned = Some(kernels.end_of_row(row, 1, patches));
        }
        tokens
    }

    /// The tokens of each image after the tapped block, `[batch, ..]`, and a row of the patches after the aligned one, as kernels hold it.
    ///
    /// # Panics
    /// If the network has not had these blocks, or none at which all tokens were back.
    pub fn end(self) -> (Option<Tensor<4>>, Option<Tensor<4>>) {
        for (block, seen) in [(self.tapped_block, &self.tapped), (self.aligned_block, &self.aligned)] {
            assert_eq!(seen.is_some(), block.is_some(), "a network without block {block:?}");
        }
        assert!(self.around.is_none(), "tokens that did not come back: {:?}", self.detour);
        (self.tapped, self.aligned)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::kernels::Products;

    /// Blocks that double what they see: the first sees all, the others the token of the time and two of four patches.
    #[test]
    fn tokens_come_back_to_their_places_as_they_were() {
        let device = Device::flex();
        for kernels in [Kernels::Plain(Products::F32), Kernels::Fused(Products::F32)] {
            let detour = Detour { first_block: 2, last_block: 3, kept: 2, masked: false };
            let choice = TokenChoice::new(4, 2, &[0, 3, 1, 2]);
            let mut route = TokenRoute::new(Some(3), Some((detour, choice)));
            let row: Vec<f32> = (1..=10).map(|number| number as f32).collect();
            let row = Tensor::<4>::from_data(TensorData::new(row, [2, 1, 1, 5]), &device);
            let (mut tokens, mut seen) = (kernels.enter(row), Vec::new());
            for _ in 0..4 {
                tokens = route.pass(kernels, tokens, 1, 2, |tokens| {
                    seen.push(kernels.leave(tokens.clone(), 2).dims()[3]);
                    tokens * 2.0
                });
            }
            assert_eq!(seen, [5, 3, 3, 5]);
            let numbers = |tensor: Tensor<4>| tensor.try_into_vec_as::<f32>().unwrap();
            // All were doubled once before, and those that stayed twice.
            let tapped = numbers(route.end().0.expect("block 3 was passed"));
            assert_eq!(tapped, [8.0, 16.0, 6.0, 8.0, 40.0, 48.0, 14.0, 64.0, 72.0, 20.0]);
            let end: Vec<f32> = tapped.iter().map(|value| 2.0 * value).collect();
            assert_eq!(numbers(kernels.leave(tokens, 2)), end);
        }
    }
}
