//! Tokens that are masked.

use super::rules::{
    Bound::{Above, AtLeast, AtMost, Below},
    Rules,
};
use crate::spec::{Model, Parameterization, RunSpec, TokenMasking};

const SHARE: &str = "token_masking.share";
const DECODER: &str = "token_masking.decoder_blocks";
const RECONSTRUCTION: &str = "token_masking.reconstruction";
const UNTIL: &str = "token_masking.until";

impl Rules {
    pub fn token_masking(&mut self, spec: &RunSpec) {
        let TokenMasking { share, decoder_blocks, reconstruction, until } = spec.token_masking;
        let before = self.broken.len();
        self.fraction(SHARE, share, &[AtLeast(0.0), Below(1.0)]);
        self.size(DECODER, decoder_blocks as u64, 1, 1 << 16);
        self.fraction(RECONSTRUCTION, reconstruction, &[AtLeast(0.0), AtMost(1e3)]);
        self.fraction(UNTIL, until, &[Above(0.0), AtMost(1.0)]);
        if self.broken.len() > before {
            return;
        }
        if share == 0.0 {
            if !spec.token_masking.is_default() {
                let message = "`token_masking` does nothing without a `share`".to_owned();
                self.breaks(&[DECODER, RECONSTRUCTION, UNTIL], message, Some("the paper's is `share: 0.5`"));
            }
            return;
        }
        let Model::Dit(dit) = &spec.model else {
            let message = match &spec.model {
                Model::Uvit(_) => "`token_masking` masks tokens before the blocks of a `dit`; the long skip connections of a `uvit` would bring \
                                   them to its last blocks"
                    .to_owned(),
                other => format!("`token_masking` masks tokens, and a network of kind `{}` has none", other.kind()),
            };
            self.breaks(&[SHARE, "model"], message, Some("`model: { kind: dit, mask_token: true }`"));
            return;
        };
        if !dit.mask_token {
            let message =
                "`token_masking` puts a learned token in the place of masked patches, and the network has none"
                    .to_owned();
            self.breaks(&[SHARE, "model"], message, Some("`model: { mask_token: true }`"));
        }
        let depth = spec.model.blocks();
        if decoder_blocks >= depth {
            let message = format!(
                "`{DECODER}`, {decoder_blocks}, leaves none of the {depth} blocks of the network to save tokens in"
            );
            self.breaks(&[DECODER, "model.depth", SHARE], message, None);
        }
        self.some_patches(SHARE, share, spec);
        if spec.token_routing.is_on() {
            let message = "`token_masking` and `token_routing` leave blocks different tokens".to_owned();
            self.breaks(&[SHARE, "token_routing.share"], message, Some("set `share: 0` of one of them"));
        }
        let dispersive = &spec.auxiliary_losses.dispersive;
        let encoder_blocks = depth.saturating_sub(decoder_blocks);
        if dispersive.weight > 0.0 && dispersive.block < encoder_blocks {
            let message = format!(
                "`auxiliary_losses.dispersive` compares the same patches of two images after block {}, where each image has its own",
                dispersive.block
            );
            let hint = format!("compare after block {encoder_blocks} or later");
            self.breaks(&["auxiliary_losses.dispersive.block", SHARE], message, Some(&hint));
        }
        if matches!(spec.parameterization, Parameterization::Epsilon) && reconstruction > 0.0 {
            let message = "`token_masking.reconstruction` trains the prediction at masked patches, and nothing can tell the noise there".to_owned();
            let hint = "`parameterization: v` and others have the clean image in what they predict; `reconstruction: 0` leaves masked patches out";
            self.breaks(&[RECONSTRUCTION, "parameterization", SHARE], message, Some(hint));
        }
    }

    /// A share of the patches of an image that is neither none of them nor all, at every size that images are trained at.
    pub(super) fn some_patches(&mut self, path: &'static str, share: f64, spec: &RunSpec) {
        let full = spec.data.image_shape().1;
        let smaller = spec.train.resolution_schedule.iter().map(|stage| stage.side);
        for side in std::iter::once(full).chain(smaller) {
            let patches = spec.model.patches(side);
            let left_out = crate::spec::share_of(patches, share);
            if patches > 0 && (left_out == 0 || left_out == patches) {
                let words = if left_out == 0 { "none" } else { "all" };
                let wide = if side == full { String::new() } else { format!(" {side} pixels wide") };
                let message = format!("`{path}`, {share}, is {words} of the {patches} patches of an image{wide}");
                let hint = match patches {
                    1 => "a smaller `model.patch` makes more patches".to_owned(),
                    _ => format!("a patch of {patches} is a share of {}", 1.0 / patches as f64),
                };
                return self.breaks(&[path, "model.patch"], message, Some(&hint));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn masks_need_a_dit_with_a_token_for_them_and_blocks_that_do_not_see_it() {
        let masked = |settings: Json| json!({"model": {"kind": "dit", "mask_token": true}, "parameterization": "v", "token_masking": settings});
        let with = |key: &str, value: Json| {
            let mut run = masked(json!({"share": 0.5}));
            run[key] = value;
            run
        };
        assert_broken([
            (masked(json!({"share": 0.5})), ""),
            (masked(json!({})), ""),
            (masked(json!({"share": 1.0})), "`token_masking.share` must be at least 0 and below 1, not 1"),
            (masked(json!({"share": 0.5, "until": 0.0})), "`token_masking.until` must be above 0 and at most 1, not 0"),
            (masked(json!({"until": 0.5})), "`token_masking` does nothing without a `share`"),
            (masked(json!({"share": 0.01})), "`token_masking.share`, 0.01, is none of the 16 patches of an image"),
            (masked(json!({"share": 0.5, "decoder_blocks": 3})), ""),
            (
                masked(json!({"share": 0.5, "decoder_blocks": 4})),
                "`token_masking.decoder_blocks`, 4, leaves none of the 4 blocks of the network to save tokens in",
            ),
            (
                with("model", json!({"kind": "dit"})),
                "`token_masking` puts a learned token in the place of masked patches, and the network has none",
            ),
            (
                with("model", json!({"kind": "unet"})),
                "`token_masking` masks tokens, and a network of kind `unet` has none",
            ),
            (
                with("model", json!({"kind": "uvit"})),
                "`token_masking` masks tokens before the blocks of a `dit`; the long skip connections of a `uvit` would bring them to its last \
                 blocks",
            ),
            (
                with("parameterization", json!("epsilon")),
                "`token_masking.reconstruction` trains the prediction at masked patches, and nothing can tell the noise there",
            ),
            (
                with("token_routing", json!({"share": 0.5})),
                "`token_masking` and `token_routing` leave blocks different tokens",
            ),
            (with("auxiliary_losses", json!({"dispersive": {"weight": 0.5, "block": 3}})), ""),
            (
                with("auxiliary_losses", json!({"dispersive": {"weight": 0.5, "block": 2}})),
                "`auxiliary_losses.dispersive` compares the same patches of two images after block 2, where each image has its own",
            ),
        ]);
    }
}
