//! Images, and the images that they are compared with.

use super::rules::Rules;
use crate::spec::{Data, Features, Reference, Resize, RunSpec};

/// Larger images than this are slips.
pub(super) const LARGEST_SIDE: u64 = 4096;
/// Classes are counted in 16 bits.
pub(super) const MOST_CLASSES: u64 = 1 << 16;

impl Rules {
    pub fn data(&mut self, spec: &RunSpec) {
        match &spec.data {
            Data::Digits(digits) if digits.horizontal_flips => {
                let message =
                    "`data.horizontal_flips` must be false for `digits`: a mirrored digit is no digit".to_owned();
                self.breaks(&["data.horizontal_flips"], message, None);
            }
            Data::ImageFolder(folder) => {
                if folder.path.is_empty() {
                    let hint = "name the folder with the images: `data: { kind: image_folder, path: .. }`";
                    self.breaks(&["data.path", "data"], "`data.path` is not given".to_owned(), Some(hint));
                }
                self.size("data.side", folder.side as u64, 1, LARGEST_SIDE);
                if ![1, 3].contains(&folder.channels) {
                    let message =
                        format!("`data.channels` must be 3 for colour or 1 for grey, not {}", folder.channels);
                    self.breaks(&["data.channels"], message, None);
                }
                self.size("data.classes", folder.classes as u64, 0, MOST_CLASSES);
                self.size("data.held_out", folder.held_out as u64, 1, 1 << 32);
            }
            Data::Latents(latents) => self.latents(latents, spec),
            Data::Digits(_) | Data::Mnist(_) | Data::FashionMnist(_) | Data::Cifar10(_) => {}
        }
        self.reference(spec);
        self.features(spec);
    }

    pub fn reference(&mut self, spec: &RunSpec) {
        let fid = &spec.evaluate.fid;
        for (kind, word, key, path, given, hint) in [
            (
                Reference::Folder,
                "folder",
                "reference_folder",
                "evaluate.fid.reference_folder",
                &fid.reference_folder,
                "name the folder with the images to compare with",
            ),
            (
                Reference::File,
                "file",
                "reference_file",
                "evaluate.fid.reference_file",
                &fid.reference_file,
                "name the .npz with the statistics or the images to compare with",
            ),
        ] {
            if fid.reference == kind && given.is_empty() {
                let message = format!("`evaluate.fid.reference` is `{word}`, but `{key}` is not given");
                self.breaks(&["evaluate.fid.reference"], message, Some(hint));
            } else if fid.reference != kind && !given.is_empty() {
                let hint = format!("set `evaluate.fid.reference: {word}` too");
                self.breaks(&[path], format!("`{path}` is given, but not used"), Some(&hint));
            }
        }
    }

    /// A classifier sees images of the shape it was trained on, and some networks are of a file.
    pub fn features(&mut self, spec: &RunSpec) {
        let features = spec.evaluate.fid.features;
        self.feature_weights(features, &spec.evaluate.fid.weights);
        if spec.data.latents().is_some_and(|latents| latents.decoder.is_empty()) {
            self.features_of_latents(features);
            if features != Features::Pixels8 {
                return;
            }
        }
        let (channels, side) = spec.data.picture_shape();
        if !features.fits((channels, side)) {
            let found = match channels {
                1 => format!("grey {side}x{side}"),
                3 => format!("colour {side}x{side}"),
                other => format!("{side}x{side} with {other} channels"),
            };
            let (name, images) = (features.name(), features.images());
            let message = format!("features `{name}` are of {images}, those of `data` are {found}");
            let fitting = Features::ALL.into_iter().find(|known| known.fits((channels, side)));
            let hint = fitting.map(|known| format!("set `evaluate.fid.features: {}`", known.name()));
            self.breaks(&["evaluate.fid.features", "data"], message, hint.as_deref());
        }
        self.resize(spec.evaluate.fid.resize, features, side);
    }

    fn feature_weights(&mut self, features: Features, weights: &str) {
        let (key, name) = ("evaluate.fid.weights", features.name());
        match (features.are_of_file(), weights.is_empty()) {
            (true, true) => {
                let message = format!("features `{name}` need the weights of their network, and `{key}` is not given");
                let hint = match features {
                    Features::Clip => "name a .safetensors or .pth file of openai/clip-vit-large-patch14-336",
                    _ => {
                        "name a .safetensors or .pth file of DINOv2, such as facebook/dinov2-large's model.safetensors"
                    }
                };
                self.breaks(&["evaluate.fid.features"], message, Some(hint));
            }
            (false, false) => {
                let message = format!("`{key}` is given, but features `{name}` have weights of their own");
                self.breaks(
                    &[key, "evaluate.fid.features"],
                    message,
                    Some("leave it out, or set `features: dinov2` or `clip`"),
                );
            }
            (true, false) | (false, true) => {}
        }
    }

    fn resize(&mut self, resize: Resize, features: Features, side: usize) {
        let keys = ["evaluate.fid.resize", "evaluate.fid.features"];
        match (resize, features.network_side()) {
            (Resize::Customary, _) | (Resize::None, None) => {}
            (Resize::None, Some(_)) if features.are_of_file() => {
                let message = format!(
                    "`evaluate.fid.resize: none`, but the file of weights says what `{}` sees",
                    features.name()
                );
                self.breaks(
                    &keys,
                    message,
                    Some("leave it out: images that have the size of its network are not resized"),
                );
            }
            (Resize::None, Some(network_side)) if network_side == side => {}
            (Resize::None, Some(network_side)) => {
                let message = format!(
                    "`evaluate.fid.resize: none`, but `{}` sees images of {network_side}x{network_side} and those of `data` \
                     are {side}x{side}",
                    features.name()
                );
                self.breaks(&keys, message, Some("leave it out, or set `pytorch-fid`, `clean` or `torch-fidelity`"));
            }
            (_, None) => {
                let message = format!("features `{}` see images as they are: nothing is resized", features.name());
                self.breaks(&keys, message, Some("leave `evaluate.fid.resize` out"));
            }
            (_, Some(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn images_and_their_references_are_checked() {
        let fid = |fid: Value| json!({"evaluate": {"fid": fid}});
        let folder = |key: &str, value: Value| {
            json!({
                "data": {"kind": "image_folder", "path": "x", "channels": 1, "side": 8, key: value},
                "model": {"kind": "unet", "channel_multipliers": [1]},
            })
        };
        assert_broken([
            (folder("path", json!("x")), ""),
            (folder("path", json!("")), "`data.path` is not given"),
            (
                folder("side", json!(5000)),
                "`data.side` must be at most 4096, not 5000\nfeatures `digits-cnn` are of grey 8x8 images, those of `data` are grey 5000x5000",
            ),
            (
                folder("channels", json!(2)),
                "`data.channels` must be 3 for colour or 1 for grey, not 2\nfeatures `digits-cnn` are of grey 8x8 images, those of `data` are 8x8 with 2 channels",
            ),
            (folder("classes", json!(100_000)), "`data.classes` must be at most 65536, not 100000"),
            (
                folder("held_out", json!(0)),
                "`data.held_out` must be at least 1, not 0\n`evaluate.validation.images` must be at most 0, not 64",
            ),
            (
                json!({"data": {"kind": "cifar10"}}),
                "features `digits-cnn` are of grey 8x8 images, those of `data` are colour 32x32",
            ),
            (
                fid(json!({"reference": "folder"})),
                "`evaluate.fid.reference` is `folder`, but `reference_folder` is not given",
            ),
            (fid(json!({"reference_folder": "x"})), "`evaluate.fid.reference_folder` is given, but not used"),
            (fid(json!({"reference": "folder", "reference_folder": "x"})), ""),
            (
                fid(json!({"reference": "file"})),
                "`evaluate.fid.reference` is `file`, but `reference_file` is not given",
            ),
            (fid(json!({"reference_file": "x.npz"})), "`evaluate.fid.reference_file` is given, but not used"),
            (fid(json!({"reference": "file", "reference_file": "x.npz"})), ""),
            (
                fid(json!({"features": "dinov2"})),
                "features `dinov2` need the weights of their network, and `evaluate.fid.weights` is not given",
            ),
            (fid(json!({"features": "dinov2", "weights": "x.pth", "resize": "clean"})), ""),
            (
                fid(json!({"weights": "x.pth"})),
                "`evaluate.fid.weights` is given, but features `digits-cnn` have weights of their own",
            ),
            (
                fid(json!({"features": "clip", "weights": "x.pth", "resize": "none"})),
                "`evaluate.fid.resize: none`, but the file of weights says what `clip` sees",
            ),
        ]);
    }
}
