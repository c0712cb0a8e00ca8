//! Tokens that are aligned with a frozen network.

use super::rules::{
    Bound::{Above, AtLeast, AtMost},
    LARGEST_SIZE, Rules,
};
use crate::spec::{AlignmentLoss, Data, Dinov2Encoder, EfficientnetEncoder, Encoder, RunSpec, Trainer};

const ALIGNMENT: &str = "auxiliary_losses.alignment";
const WEIGHT: &str = "auxiliary_losses.alignment.weight";
const ENCODER: &str = "auxiliary_losses.alignment.encoder";
const WEIGHTS: &str = "auxiliary_losses.alignment.weights";
const CHANNELS: &str = "auxiliary_losses.alignment.encoder.channels";
const SIDE: &str = "auxiliary_losses.alignment.encoder.side";
const STRIDE: &str = "auxiliary_losses.alignment.encoder.stride";
const PICTURES: &str = "auxiliary_losses.alignment.pictures";
const BLOCK: &str = "auxiliary_losses.alignment.block";
const HIDDEN: &str = "auxiliary_losses.alignment.hidden";
const RESOLUTIONS: &str = "train.resolution_schedule";
const UNTIL: &str = "auxiliary_losses.alignment.until";

/// Every stride divides it.
const LARGEST_STRIDE: usize = 32;
const LARGEST_SEEN: u64 = 1024;

impl Rules {
    pub fn alignment(&mut self, spec: &RunSpec) {
        let AlignmentLoss { weight, encoder, block, hidden, until, .. } = spec.auxiliary_losses.alignment;
        let before = self.broken.len();
        self.fraction(WEIGHT, weight, &[AtLeast(0.0), AtMost(1e3)]);
        self.size(BLOCK, block as u64, 1, 1 << 16);
        self.size(HIDDEN, hidden as u64, 1, LARGEST_SIZE);
        self.fraction(UNTIL, until, &[Above(0.0), AtMost(1.0)]);
        match encoder {
            Encoder::EfficientnetLite0(settings) => self.efficientnet(settings),
            Encoder::Dinov2(Dinov2Encoder { channels, side }) => {
                self.size(CHANNELS, channels as u64, 1, LARGEST_SIZE);
                self.size(SIDE, side as u64, 0, LARGEST_SEEN);
            }
            Encoder::DigitsCnn | Encoder::MnistCnn => {}
        }
        if self.broken.len() > before {
            return;
        }
        if weight == 0.0 {
            if !spec.auxiliary_losses.alignment.is_default() {
                let message = format!("`{ALIGNMENT}` does nothing without a `weight`");
                self.breaks(
                    &[BLOCK, ENCODER, WEIGHTS, PICTURES, HIDDEN, UNTIL, ALIGNMENT],
                    message,
                    Some("the paper's is `weight: 0.5`"),
                );
            }
            return;
        }
        self.encoder_weights(encoder, &spec.auxiliary_losses.alignment.weights);
        let blocks = spec.model.blocks();
        if blocks == 0 {
            let message =
                format!("`{ALIGNMENT}` aligns tokens, and a network of kind `{}` has none", spec.model.kind());
            self.breaks(&[WEIGHT, "model"], message, Some("`model: { kind: dit }` and `uvit` have tokens"));
        } else if block > blocks {
            let message = format!("`{BLOCK}`, {block}, is more than the {blocks} blocks of the network");
            self.breaks(&[BLOCK, WEIGHT, "model.depth"], message, None);
        }
        if !spec.train.resolution_schedule.is_empty() {
            let message = format!(
                "`{ALIGNMENT}` compares each token with the same patch of the image, and smaller images of `{RESOLUTIONS}` have fewer tokens than those patches"
            );
            self.breaks(
                &[RESOLUTIONS, WEIGHT],
                message,
                Some("leave one of the two out; `train.batch_schedule` makes the first steps cheaper too"),
            );
        }
        self.seen_images(spec);
        if spec.trainer.as_ref().is_some_and(Trainer::is_torch) && encoder != Encoder::DigitsCnn {
            let message = format!("`trainer: torch` aligns with `digits-cnn` alone, not with `{}`", encoder.name());
            self.breaks(
                &["trainer", ENCODER, WEIGHT],
                message,
                Some("leave `trainer` out: Speedlab aligns with every encoder"),
            );
        }
    }

    /// Whether the encoder is given images, of a shape that it takes.
    fn seen_images(&mut self, spec: &RunSpec) {
        let alignment = &spec.auxiliary_losses.alignment;
        let (encoder, are_latents) = (alignment.encoder, matches!(spec.data, Data::Latents(_)));
        if are_latents && alignment.pictures.is_empty() {
            let message =
                format!("`{ALIGNMENT}` needs the pictures that `{}` sees, and latents are none", encoder.name());
            let hint = "name the folder of pictures that they were encoded from: `alignment: { pictures: .. }`";
            return self.breaks(&[WEIGHT, "data"], message, Some(hint));
        }
        if !are_latents && !alignment.pictures.is_empty() {
            let message =
                format!("`{PICTURES}` is the folder of the pictures of latents, and `data` is `{}`", spec.data.kind());
            return self.breaks(
                &[PICTURES, "data"],
                message,
                Some("leave it out: the encoder sees the images of `data`"),
            );
        }
        let (channels, side) = alignment.image_shape(&spec.data);
        if !encoder.features().fits((channels, side)) {
            let seen = encoder.features().images();
            let message = format!("the encoder `{}` sees {seen}, not {channels} x {side} x {side}", encoder.name());
            let hint = "`encoder: efficientnet-lite0` takes images of any size";
            self.breaks(&[ENCODER, WEIGHT, "data"], message, Some(hint));
        }
    }

    fn encoder_weights(&mut self, encoder: Encoder, weights: &str) {
        let (name, is_of_file) = (encoder.name(), encoder.features().are_of_file());
        if is_of_file && weights.is_empty() {
            let message =
                format!("the encoder `{name}` needs the weights of its network, and `{WEIGHTS}` is not given");
            let hint = "name a .safetensors or .pth file of DINOv2, such as facebook/dinov2-base's model.safetensors (the authors' size)";
            self.breaks(&[ENCODER, WEIGHT], message, Some(hint));
        } else if !is_of_file && !weights.is_empty() {
            let message = format!("`{WEIGHTS}` is given, but the encoder `{name}` has weights of its own");
            self.breaks(&[WEIGHTS, ENCODER], message, Some("leave it out, or set `encoder: dinov2`"));
        }
    }

    fn efficientnet(&mut self, EfficientnetEncoder { side, stride }: EfficientnetEncoder) {
        let before = self.broken.len();
        self.size(SIDE, side as u64, LARGEST_STRIDE as u64, LARGEST_SEEN);
        if self.broken.len() == before && !side.is_multiple_of(LARGEST_STRIDE) {
            let message = format!("`{SIDE}`, {side}, is no multiple of {LARGEST_STRIDE}");
            let hint = format!("the nearest is {}", (side + LARGEST_STRIDE / 2) / LARGEST_STRIDE * LARGEST_STRIDE);
            self.breaks(&[SIDE, ENCODER], message, Some(&hint));
        }
        self.size(STRIDE, stride as u64, 8, LARGEST_STRIDE as u64);
        if !EfficientnetEncoder::STRIDES.iter().any(|(known, ..)| *known == stride) && (8..=32).contains(&stride) {
            self.breaks(&[STRIDE, ENCODER], format!("`{STRIDE}` is 8, 16 or 32, not {stride}"), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    fn aligned(changes: Json, settings: Json) -> Json {
        let mut run = json!({"model": {"kind": "dit"}, "auxiliary_losses": {"alignment": {"weight": 0.5}}});
        let alignment = run["auxiliary_losses"]["alignment"].as_object_mut().unwrap();
        alignment.extend(settings.as_object().unwrap().clone());
        run.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        run
    }

    #[test]
    fn every_number_has_its_range() {
        let with = |settings: Json| aligned(json!({}), settings);
        let encoder = |settings: Json| {
            let mut encoder = json!({"kind": "efficientnet-lite0"});
            encoder.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
            with(json!({ "encoder": encoder }))
        };
        assert_broken([
            (with(json!({})), ""),
            (
                with(json!({"weight": -1.0})),
                "`auxiliary_losses.alignment.weight` must be at least 0 and at most 1000, not -1",
            ),
            (with(json!({"block": 0})), "`auxiliary_losses.alignment.block` must be at least 1, not 0"),
            (with(json!({"hidden": 0})), "`auxiliary_losses.alignment.hidden` must be at least 1, not 0"),
            (with(json!({"until": 0.0})), "`auxiliary_losses.alignment.until` must be above 0 and at most 1, not 0"),
            (
                with(json!({"weight": 0.0, "until": 0.5})),
                "`auxiliary_losses.alignment` does nothing without a `weight`",
            ),
            (encoder(json!({"side": 64, "stride": 8})), ""),
            (with(json!({"weights": "x.pth", "encoder": "dinov2"})), ""),
            (
                with(json!({"weights": "x.pth", "encoder": {"kind": "dinov2", "side": 2048, "channels": 0}})),
                "`auxiliary_losses.alignment.encoder.channels` must be at least 1, not 0\n\
                 `auxiliary_losses.alignment.encoder.side` must be at most 1024, not 2048",
            ),
            (
                with(json!({"encoder": "dinov2"})),
                "the encoder `dinov2` needs the weights of its network, and `auxiliary_losses.alignment.weights` is not given",
            ),
            (
                with(json!({"weights": "x.pth"})),
                "`auxiliary_losses.alignment.weights` is given, but the encoder `efficientnet-lite0` has weights of its own",
            ),
            (encoder(json!({"side": 100})), "`auxiliary_losses.alignment.encoder.side`, 100, is no multiple of 32"),
            (encoder(json!({"side": 16})), "`auxiliary_losses.alignment.encoder.side` must be at least 32, not 16"),
            (encoder(json!({"stride": 24})), "`auxiliary_losses.alignment.encoder.stride` is 8, 16 or 32, not 24"),
            (encoder(json!({"stride": 4})), "`auxiliary_losses.alignment.encoder.stride` must be at least 8, not 4"),
        ]);
    }

    #[test]
    fn an_alignment_needs_tokens_and_the_pictures_that_its_encoder_sees() {
        let latents = json!({
            "data": {"kind": "latents", "path": "x", "side": 16},
            "evaluate": {"fid": {"features": "pixels-8x8", "ode": {"kind": "ddim", "clip": false}}},
        });
        assert_broken([
            (aligned(json!({"model": {"kind": "uvit"}}), json!({"block": 5})), ""),
            (
                aligned(json!({}), json!({"block": 5})),
                "`auxiliary_losses.alignment.block`, 5, is more than the 4 blocks of the network",
            ),
            (
                aligned(json!({"model": {"kind": "unet"}}), json!({})),
                "`auxiliary_losses.alignment` aligns tokens, and a network of kind `unet` has none",
            ),
            (
                aligned(latents.clone(), json!({})),
                "`auxiliary_losses.alignment` needs the pictures that `efficientnet-lite0` sees, and latents are none",
            ),
            (aligned(latents.clone(), json!({"pictures": "y"})), ""),
            (aligned(latents.clone(), json!({"pictures": "y", "encoder": "dinov2", "weights": "x.pth"})), ""),
            (
                aligned(latents, json!({"pictures": "y", "encoder": "mnist-cnn"})),
                "the encoder `mnist-cnn` sees grey 28x28 images, not 3 x 128 x 128",
            ),
            (
                aligned(json!({}), json!({"pictures": "y"})),
                "`auxiliary_losses.alignment.pictures` is the folder of the pictures of latents, and `data` is `digits`",
            ),
            (
                aligned(json!({}), json!({"weight": 0.0, "pictures": "y"})),
                "`auxiliary_losses.alignment` does nothing without a `weight`",
            ),
            (aligned(json!({}), json!({"encoder": "digits-cnn"})), ""),
            (aligned(json!({"train": {"batch_schedule": [{"until": 0.5, "batch_size": 8}]}}), json!({})), ""),
            (
                aligned(json!({"train": {"resolution_schedule": [{"until": 0.5, "side": 4}]}}), json!({})),
                "`auxiliary_losses.alignment` compares each token with the same patch of the image, and smaller images of \
                 `train.resolution_schedule` have fewer tokens than those patches",
            ),
            (
                aligned(json!({}), json!({"encoder": "mnist-cnn"})),
                "the encoder `mnist-cnn` sees grey 28x28 images, not 1 x 8 x 8",
            ),
            (
                aligned(json!({"trainer": "torch"}), json!({})),
                "`trainer: torch` aligns with `digits-cnn` alone, not with `efficientnet-lite0`",
            ),
            (aligned(json!({"trainer": "torch"}), json!({"encoder": "digits-cnn"})), ""),
        ]);
    }
}
