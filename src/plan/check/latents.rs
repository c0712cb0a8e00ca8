//! Latents, which are no pictures: what needs pictures needs their decoder.

use super::data::{LARGEST_SIDE, MOST_CLASSES};
use super::rules::{
    Bound::{Above, AtMost},
    Rules,
};
use crate::spec::{Features, LatentsData, Reference, RunSpec, Trainer};

/// More channels than any published autoencoder has.
const MOST_CHANNELS: u64 = 256;
const WITH_DECODER: &str = "name the autoencoder's weights: `data: { kind: latents, decoder: .. }`";

impl Rules {
    pub fn latents(&mut self, latents: &LatentsData, spec: &RunSpec) {
        if latents.path.is_empty() {
            let hint =
                "name the files of latents: `data: { kind: latents, path: .. }`; `speedlab data encode` makes them";
            self.breaks(&["data.path", "data"], "`data.path` is not given".to_owned(), Some(hint));
        }
        self.size("data.side", latents.side as u64, 1, LARGEST_SIDE);
        self.size("data.channels", latents.channels as u64, 1, MOST_CHANNELS);
        self.size("data.classes", latents.classes as u64, 0, MOST_CLASSES);
        self.size("data.held_out", latents.held_out as u64, 1, 1 << 32);
        self.fraction("data.scale", latents.scale, &[Above(0.0), AtMost(1e3)]);
        self.protocol_of_latents(latents, spec);
        if spec.trainer.as_ref().is_some_and(Trainer::is_torch) {
            let message = "`trainer: torch` reads no latents".to_owned();
            self.breaks(&["trainer", "data"], message, Some("leave `trainer` out: Speedlab trains on them"));
        }
        if latents.decoder.is_empty() && spec.evaluate.consistency.images > 0 {
            let message =
                "`evaluate.consistency` keeps pictures, and latents without `data.decoder` are none".to_owned();
            self.breaks(&["evaluate.consistency.images", "data"], message, Some(WITH_DECODER));
        }
    }

    /// How latents are generated and what they are compared with.
    pub fn protocol_of_latents(&mut self, latents: &LatentsData, spec: &RunSpec) {
        if spec.evaluate.fid.ode.clip() {
            let message =
                "`evaluate.fid.ode.clip` is true, and latents have no range to which they could be clipped".to_owned();
            let hint = "write `clip: false`, as in `ode: { kind: ddim, clip: false }`";
            self.breaks(&["evaluate.fid.ode.clip", "evaluate.fid.ode", "data"], message, Some(hint));
        }
        let pictures = match spec.evaluate.fid.reference {
            Reference::Folder => "folder",
            Reference::File => "file",
            Reference::Train | Reference::Test => return,
        };
        if latents.decoder.is_empty() {
            let message = format!(
                "`evaluate.fid.reference: {pictures}` is of pictures, and latents without `data.decoder` are none"
            );
            self.breaks(&["evaluate.fid.reference", "data"], message, Some(WITH_DECODER));
        }
    }

    /// Whether the features see what the run generates; only squares of means can be taken of latents themselves.
    pub fn features_of_latents(&mut self, features: Features) {
        if features != Features::Pixels8 {
            let name = features.name();
            let message = format!("features `{name}` are of pictures, and latents without `data.decoder` are none");
            let hint = format!("{WITH_DECODER}, or compare latents as they are: `evaluate.fid.features: pixels-8x8`");
            self.breaks(&["evaluate.fid.features", "data"], message, Some(&hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn latents_have_no_range_and_are_pictures_only_once_they_are_decoded() {
        let with = |data: Value, evaluate: Value| {
            let mut spec = json!({
                "data": {"kind": "latents", "path": "x", "side": 16},
                "model": {"kind": "dit"},
                "evaluate": {"fid": {"features": "pixels-8x8", "ode": {"kind": "ddim", "clip": false}}},
            });
            spec["data"].as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
            for (key, value) in evaluate.as_object().unwrap() {
                match value.as_object() {
                    Some(map) if key == "fid" => spec["evaluate"]["fid"].as_object_mut().unwrap().extend(map.clone()),
                    _ => spec["evaluate"][key] = value.clone(),
                }
            }
            spec
        };
        let (none, decoder) = (json!({}), json!({"decoder": "vae"}));
        assert_broken([
            (with(none.clone(), none.clone()), ""),
            (with(decoder.clone(), none.clone()), ""),
            (with(decoder.clone(), json!({"fid": {"features": "inception-v3"}})), ""),
            (
                with(none.clone(), json!({"fid": {"features": "inception-v3"}})),
                "features `inception-v3` are of pictures, and latents without `data.decoder` are none",
            ),
            (
                with(decoder.clone(), json!({"fid": {"features": "digits-cnn"}})),
                "features `digits-cnn` are of grey 8x8 images, those of `data` are colour 128x128",
            ),
            (
                with(none.clone(), json!({"fid": {"ode": {"kind": "ddim"}}})),
                "`evaluate.fid.ode.clip` is true, and latents have no range to which they could be clipped",
            ),
            (with(none.clone(), json!({"fid": {"ode": {"kind": "euler"}}})), ""),
            (
                with(none.clone(), json!({"fid": {"reference": "folder", "reference_folder": "pictures"}})),
                "`evaluate.fid.reference: folder` is of pictures, and latents without `data.decoder` are none",
            ),
            (with(decoder.clone(), json!({"fid": {"reference": "folder", "reference_folder": "pictures"}})), ""),
            (
                with(none.clone(), json!({"fid": {"reference": "file", "reference_file": "x.npz"}})),
                "`evaluate.fid.reference: file` is of pictures, and latents without `data.decoder` are none",
            ),
            (with(decoder.clone(), json!({"fid": {"reference": "file", "reference_file": "x.npz"}})), ""),
            (
                with(none.clone(), json!({"also": [{"features": "pixels-8x8", "ode": {"kind": "ddim", "steps": 5}}]})),
                "entry 1 of `evaluate.also`: `ode.clip` is true, and latents have no range to which they could be clipped",
            ),
            (
                with(
                    none.clone(),
                    json!({"also": [{"features": "pixels-8x8", "ode": {"kind": "euler"}, "reference": "folder", "reference_folder": "pictures"}]}),
                ),
                "entry 1 of `evaluate.also`: `reference: folder` is of pictures, and latents without `data.decoder` are none",
            ),
            (
                with(none.clone(), json!({"consistency": {"images": 8}})),
                "`evaluate.consistency` keeps pictures, and latents without `data.decoder` are none",
            ),
            (with(decoder, json!({"consistency": {"images": 8}})), ""),
            (with(json!({"path": ""}), none.clone()), "`data.path` is not given"),
            (with(json!({"scale": 0}), none.clone()), "`data.scale` must be above 0 and at most 1000, not 0"),
            (with(json!({"channels": 0}), none.clone()), "`data.channels` must be at least 1, not 0"),
            (with(json!({"held_out": 8}), none), "`evaluate.validation.images` must be at most 8, not 64"),
        ]);
    }
}
