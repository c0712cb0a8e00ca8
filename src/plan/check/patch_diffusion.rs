//! Crops that a network is trained on.

use super::rules::{
    Bound::{AtLeast, AtMost},
    Rules, show,
};
use crate::spec::{Model, PatchDiffusion, RunSpec};

const SIZES: &str = "patch_diffusion.sizes";
const SHARES: &str = "patch_diffusion.shares";
const FULL: &str = "patch_diffusion.full_share";
/// More sizes than these are a slip.
const MOST_SIZES: usize = 16;

impl Rules {
    pub fn patch_diffusion(&mut self, spec: &RunSpec) {
        let PatchDiffusion { sizes, shares, full_share, .. } = &spec.patch_diffusion;
        self.fraction(FULL, *full_share, &[AtLeast(0.0), AtMost(1.0)]);
        if spec.model.coordinates() && spec.trainer.is_some() {
            let message = "`model.coordinates` is known to Speedlab's own trainer alone".to_owned();
            self.breaks(&["model.coordinates", "trainer"], message, Some("leave it out, or `trainer`"));
        }
        if sizes.is_empty() {
            if !spec.patch_diffusion.is_default() {
                let message = "`patch_diffusion` does nothing without `sizes`".to_owned();
                let paths = [SHARES, FULL, "patch_diffusion.schedule"];
                self.breaks(&paths, message, Some("the paper's are `sizes: [0.25, 0.5]`"));
            }
            return;
        }
        if sizes.len() > MOST_SIZES {
            let message = format!("`{SIZES}` must have at most {MOST_SIZES} entries, not {}", sizes.len());
            return self.breaks(&[SIZES], message, None);
        }
        // Stated so that NaN breaks it.
        if let Some(size) = sizes.iter().find(|size| !(**size > 0.0 && **size < 1.0)) {
            let message = format!("`{SIZES}` must hold shares above 0 and below 1, not {}", show(*size));
            return self.breaks(&[SIZES], message, Some("whole images have `full_share` of the steps"));
        }
        if !shares.is_empty() {
            let sum: f64 = shares.iter().sum();
            if shares.len() != sizes.len() {
                let message = format!("`{SHARES}` has {} entries, and `{SIZES}` has {}", shares.len(), sizes.len());
                self.breaks(&[SHARES, SIZES], message, Some("one share for each size, or none at all"));
            } else if !(shares.iter().all(|share| *share > 0.0) && (sum - 1.0).abs() < 1e-9) {
                let message = format!("`{SHARES}` must hold shares above 0 that add up to 1, not to {}", show(sum));
                self.breaks(&[SHARES], message, Some("they are shares of the steps that have crops"));
            }
        }
        let (levels, kind) = (spec.model.levels(), spec.model.kind());
        match &spec.model {
            Model::Unet(_) | Model::Adm(_) if spec.model.coordinates() => self.crops_of_pixels(levels, spec),
            Model::Unet(_) | Model::Adm(_) => {
                let message =
                    "`patch_diffusion` shows a network crops, and this one is not told where they lie".to_owned();
                self.breaks(&[SIZES, "model"], message, Some("`model: { coordinates: true }`"));
            }
            Model::Dit(_) | Model::Uvit(_) => {
                let message = format!(
                    "`patch_diffusion` crops images at any pixel, and the positions of a `{kind}` count its patches from the image's corner"
                );
                let hint = "`model: { kind: unet, coordinates: true }`; `token_routing` and `token_masking` save time of a transformer";
                self.breaks(&[SIZES, "model"], message, Some(hint));
            }
        }
    }

    /// Crops of a whole number of pixels, which the network's levels can halve, at every size that images are trained at.
    fn crops_of_pixels(&mut self, levels: usize, spec: &RunSpec) {
        let full = spec.data.image_shape().1;
        let smaller = spec.train.resolution_schedule.iter().map(|stage| stage.side);
        for side in std::iter::once(full).chain(smaller) {
            for size in &spec.patch_diffusion.sizes {
                let (pixels, divisor) = (size * side as f64, 1u64 << levels.saturating_sub(1).min(63));
                let is_whole = (pixels - pixels.round()).abs() < 1e-9;
                if is_whole && pixels >= 1.0 && (pixels.round() as u64).is_multiple_of(divisor) {
                    continue;
                }
                let message = format!(
                    "`{SIZES}` has {}, crops of {} pixels of images {side} pixels wide, and the {levels} levels of the network need a multiple of {divisor}",
                    show(*size),
                    show(pixels)
                );
                let fitting: Vec<String> = (divisor..side as u64)
                    .step_by(divisor as usize)
                    .map(|pixels| show(pixels as f64 / side as f64))
                    .collect();
                let hint = format!("sizes that fit are {}", fitting.join(", "));
                self.breaks(&[SIZES, "model.channel_multipliers"], message, (!fitting.is_empty()).then_some(&hint));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn crops_are_of_whole_pixels_and_need_a_network_that_is_told_where_they_lie() {
        let patches =
            |settings: Json| json!({"model": {"kind": "unet", "coordinates": true}, "patch_diffusion": settings});
        let with = |key: &str, value: Json| {
            let mut run = patches(json!({"sizes": [0.25, 0.5]}));
            run[key] = value;
            run
        };
        assert_broken([
            (patches(json!({"sizes": [0.25, 0.5], "shares": [0.4, 0.6]})), ""),
            (patches(json!({})), ""),
            (with("model", json!({"kind": "adm", "coordinates": true})), ""),
            (patches(json!({"full_share": 0.25})), "`patch_diffusion` does nothing without `sizes`"),
            (patches(json!({"sizes": [1.0]})), "`patch_diffusion.sizes` must hold shares above 0 and below 1, not 1"),
            (
                patches(json!({"sizes": [0.5], "full_share": 1.5})),
                "`patch_diffusion.full_share` must be at least 0 and at most 1, not 1.5",
            ),
            (
                patches(json!({"sizes": [0.25, 0.5], "shares": [1.0]})),
                "`patch_diffusion.shares` has 1 entries, and `patch_diffusion.sizes` has 2",
            ),
            (
                patches(json!({"sizes": [0.25, 0.5], "shares": [0.4, 0.4]})),
                "`patch_diffusion.shares` must hold shares above 0 that add up to 1, not to 0.8",
            ),
            (
                patches(json!({"sizes": [0.3]})),
                "`patch_diffusion.sizes` has 0.3, crops of 2.4 pixels of images 8 pixels wide, and the 2 levels of the network need a multiple of 2",
            ),
            (
                patches(json!({"sizes": [0.125]})),
                "`patch_diffusion.sizes` has 0.125, crops of 1 pixels of images 8 pixels wide, and the 2 levels of the network need a multiple of 2",
            ),
            (
                with("train", json!({"resolution_schedule": [{"until": 0.5, "side": 4}]})),
                "`patch_diffusion.sizes` has 0.25, crops of 1 pixels of images 4 pixels wide, and the 2 levels of the network need a multiple of 2",
            ),
            (
                with("model", json!({"kind": "unet"})),
                "`patch_diffusion` shows a network crops, and this one is not told where they lie",
            ),
            (
                with("model", json!({"kind": "dit"})),
                "`patch_diffusion` crops images at any pixel, and the positions of a `dit` count its patches from the image's corner",
            ),
            (with("trainer", json!("torch")), "`model.coordinates` is known to Speedlab's own trainer alone"),
        ]);
    }
}
