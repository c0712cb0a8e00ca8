//! Tokens that go around blocks.

use super::rules::{
    Bound::{AtLeast, Below},
    Rules,
};
use crate::spec::{Model, RunSpec, TokenRouting};

const SHARE: &str = "token_routing.share";
const FIRST: &str = "token_routing.first_block";
const LAST: &str = "token_routing.last_block";

impl Rules {
    pub fn token_routing(&mut self, spec: &RunSpec) {
        let TokenRouting { share, first_block, last_block } = spec.token_routing;
        let before = self.broken.len();
        self.fraction(SHARE, share, &[AtLeast(0.0), Below(1.0)]);
        self.size(FIRST, first_block as u64, 1, 1 << 16);
        self.size(LAST, last_block as u64, 1, 1 << 16);
        if self.broken.len() > before {
            return;
        }
        if share == 0.0 {
            if !spec.token_routing.is_default() {
                let message = "`token_routing` does nothing without a `share`".to_owned();
                self.breaks(&[FIRST, LAST], message, Some("the paper's is `share: 0.5`"));
            }
            return;
        }
        let blocks = spec.model.blocks();
        if blocks == 0 {
            let message =
                format!("`token_routing` routes tokens, and a network of kind `{}` has none", spec.model.kind());
            self.breaks(&[SHARE, "model"], message, Some("`model: { kind: dit }` and `uvit` have tokens"));
            return;
        }
        if first_block > last_block {
            let message = format!("`{FIRST}`, {first_block}, comes after `{LAST}`, {last_block}");
            self.breaks(&[FIRST, LAST], message, None);
        }
        if last_block > blocks {
            let message = format!("`{LAST}`, {last_block}, is more than the {blocks} blocks of the network");
            self.breaks(&[LAST, SHARE, "model.depth"], message, None);
        } else if matches!(spec.model, Model::Uvit(_)) && first_block + last_block != blocks + 1 {
            let message = format!(
                "tokens go around blocks {first_block} to {last_block} of the {blocks} of a `uvit`, so that long skip connections begin where \
                 tokens are missing and end where they are not, or the other way round"
            );
            let hint = match first_block <= blocks / 2 + 1 {
                true => format!(
                    "the counterpart of block {first_block} is the last: `last_block: {}`",
                    blocks + 1 - first_block
                ),
                false => format!(
                    "the blocks between a block and its counterpart, such as `first_block: {}`",
                    blocks + 1 - last_block
                ),
            };
            self.breaks(&[LAST, FIRST, SHARE], message, Some(&hint));
        }
        self.some_patches(SHARE, share, spec);
        let dispersive = &spec.auxiliary_losses.dispersive;
        if dispersive.weight > 0.0 && (first_block..last_block).contains(&dispersive.block) {
            let message = format!(
                "`auxiliary_losses.dispersive` compares the same patches of two images after block {}, where each image has its own",
                dispersive.block
            );
            let hint = format!("compare before block {first_block}, or after block {last_block} or later");
            self.breaks(&["auxiliary_losses.dispersive.block", SHARE], message, Some(&hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn tokens_go_around_blocks_that_are_there_and_come_back_to_skips_that_fit() {
        let routed = |model: &str, settings: Json| json!({"model": {"kind": model}, "token_routing": settings});
        let around = |model: &str, first: usize, last: usize| {
            routed(model, json!({"share": 0.5, "first_block": first, "last_block": last}))
        };
        assert_broken([
            (routed("dit", json!({"share": 0.5})), ""),
            (routed("dit", json!({"share": 1.0})), "`token_routing.share` must be at least 0 and below 1, not 1"),
            (around("dit", 0, 3), "`token_routing.first_block` must be at least 1, not 0"),
            (routed("unet", json!({"first_block": 1})), "`token_routing` does nothing without a `share`"),
            (
                routed("unet", json!({"share": 0.5})),
                "`token_routing` routes tokens, and a network of kind `unet` has none",
            ),
            (around("dit", 1, 4), ""),
            (around("dit", 3, 3), ""),
            (around("dit", 3, 2), "`token_routing.first_block`, 3, comes after `token_routing.last_block`, 2"),
            (around("dit", 1, 5), "`token_routing.last_block`, 5, is more than the 4 blocks of the network"),
            (around("uvit", 1, 5), ""),
            (around("uvit", 2, 4), ""),
            (around("uvit", 3, 3), ""),
            (
                around("uvit", 2, 3),
                "tokens go around blocks 2 to 3 of the 5 of a `uvit`, so that long skip connections begin where tokens are missing and end where \
                 they are not, or the other way round",
            ),
            (
                routed("dit", json!({"share": 0.03})),
                "`token_routing.share`, 0.03, is none of the 16 patches of an image",
            ),
            (
                routed("dit", json!({"share": 0.97})),
                "`token_routing.share`, 0.97, is all of the 16 patches of an image",
            ),
        ]);
    }

    #[test]
    fn a_dispersion_compares_patches_that_all_images_have() {
        let tapped = |block: usize| {
            json!({
                "model": {"kind": "dit", "depth": 5}, "token_routing": {"share": 0.5, "first_block": 2, "last_block": 4},
                "auxiliary_losses": {"dispersive": {"weight": 0.5, "block": block}},
            })
        };
        let refused = |block: usize| {
            format!(
                "`auxiliary_losses.dispersive` compares the same patches of two images after block {block}, where each image has its own"
            )
        };
        assert_broken([
            (tapped(1), ""),
            (tapped(2), &refused(2)),
            (tapped(3), &refused(3)),
            (tapped(4), ""),
            (tapped(5), ""),
        ]);
    }
}
