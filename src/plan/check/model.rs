//! Images and the networks that fit them.

use super::rules::{
    Bound::{AtLeast, AtMost, Below},
    LARGEST_SIZE, Rules,
};
use crate::spec::{Model, Parameterization, RunSpec, UnetModel};

impl Rules {
    pub fn model(&mut self, spec: &RunSpec) {
        self.classes(spec);
        let side = spec.data.image_shape().1;
        match &spec.model {
            Model::Unet(unet) => self.unet(unet, side),
            Model::Adm(adm) => self.adm(adm, side),
            Model::Dit(dit) => self.dit(dit, side),
            Model::Uvit(uvit) => self.uvit(uvit, side),
        }
        if spec.model.learned_sigma() && spec.parameterization != Parameterization::Epsilon {
            let predicted = spec.parameterization.name();
            let message =
                format!("`model.learned_sigma` is defined for `parameterization: epsilon`, not for `{predicted}`");
            self.breaks(&["model.learned_sigma", "parameterization"], message, None);
        }
    }

    pub(super) fn unet(&mut self, unet: &UnetModel, side: usize) {
        let before = self.broken.len();
        self.size("model.channels", unet.channels as u64, 1, LARGEST_SIZE);
        self.size("model.blocks_per_level", unet.blocks_per_level as u64, 1, 64);
        self.size("model.attention_heads", unet.attention_heads as u64, 1, LARGEST_SIZE);
        self.size("model.norm_groups", unet.norm_groups as u64, 1, LARGEST_SIZE);
        self.fraction("model.dropout", unet.dropout, &[AtLeast(0.0), Below(1.0)]);
        if unet.channel_multipliers.is_empty() {
            self.breaks(
                &["model.channel_multipliers"],
                "`model.channel_multipliers` is empty".to_owned(),
                Some("one number for each level, as in `[1, 2]`"),
            );
        }
        for &multiplier in &unet.channel_multipliers {
            if !(1..=1024).contains(&multiplier) {
                let message = format!("`model.channel_multipliers` must hold numbers from 1 to 1024, not {multiplier}");
                self.breaks(&["model.channel_multipliers"], message, None);
            }
        }
        // What follows divides by these numbers.
        if self.broken.len() == before {
            self.unet_shapes(unet, side);
        }
    }

    fn classes(&mut self, spec: &RunSpec) {
        let (told, dropout) = (spec.model.class_conditional(), spec.model.class_dropout());
        self.fraction("model.class_dropout", dropout, &[AtLeast(0.0), Below(1.0)]);
        if told && spec.data.classes().is_none() {
            let message =
                format!("`model.class_conditional` is true, but the images of `{}` have no classes", spec.data.kind());
            let hint = "set `model.class_conditional: false`";
            self.breaks(&["model.class_conditional", "model", "data"], message, Some(hint));
        }
        if !told && dropout != Model::default().class_dropout() && dropout != 0.0 {
            let message = "`model.class_dropout` does nothing while `class_conditional` is false".to_owned();
            self.breaks(&["model.class_dropout"], message, Some("set `model.class_conditional: true`"));
        }
        self.guidance(spec);
    }

    pub fn guidance(&mut self, spec: &RunSpec) {
        let (told, dropout, guidance) =
            (spec.model.class_conditional(), spec.model.class_dropout(), spec.evaluate.fid.guidance);
        self.fraction("evaluate.fid.guidance", guidance, &[AtLeast(0.0), AtMost(1e3)]);
        if guidance != 1.0 && !told {
            let message = "`evaluate.fid.guidance` needs a model that is told classes".to_owned();
            let hint = "set `model.class_conditional: true`, or leave `guidance` at 1, which is none";
            self.breaks(&["evaluate.fid.guidance", "model.class_conditional", "model"], message, Some(hint));
        } else if guidance != 1.0 && dropout == 0.0 {
            let message = "`evaluate.fid.guidance` needs a model that was also trained without classes: `model.class_dropout` is 0";
            self.breaks(&["evaluate.fid.guidance", "model.class_dropout"], message.to_owned(), None);
        }
    }

    fn unet_shapes(&mut self, unet: &UnetModel, side: usize) {
        let levels = unet.channel_multipliers.len();
        if levels > 1 && (levels > 32 || !side.is_multiple_of(1 << (levels - 1))) {
            let most = side.trailing_zeros() + 1;
            let message = format!(
                "`model.channel_multipliers` asks for {levels} levels, but images {side} pixels wide can be halved {} times",
                most - 1
            );
            return self.breaks(&["model.channel_multipliers"], message, Some(&format!("give at most {most} numbers")));
        }
        let UnetModel { channels, norm_groups, attention_heads, .. } = *unet;
        // The input of each level's first GroupNorm has the channels of the level before, the very first `channels`;
        // a divisor of `channels` divides all its multiples.
        if channels % norm_groups != 0 {
            let message = format!("`model.channels`, {channels}, must be a multiple of `norm_groups`, {norm_groups}");
            self.breaks(&["model.norm_groups", "model.channels"], message, None);
        }
        let sides: Vec<usize> = (0..levels).map(|level| side >> level).collect();
        for (index, &resolution) in unet.attention_resolutions.iter().enumerate() {
            if !sides.contains(&resolution) {
                let message = format!("`model.attention_resolutions` has {resolution}, which is the side of no level");
                let sides: Vec<String> = sides.iter().map(usize::to_string).collect();
                let hint = format!("the levels' sides are {}", sides.join(", "));
                self.breaks(&["model.attention_resolutions"], message, Some(&hint));
            } else if unet.attention_resolutions[..index].contains(&resolution) {
                let message = format!("`model.attention_resolutions` has {resolution} twice");
                self.breaks(&["model.attention_resolutions"], message, None);
            }
        }
        for (level, &multiplier) in unet.channel_multipliers.iter().enumerate() {
            let channels = channels * multiplier;
            let has_attention = level == levels - 1 || unet.attention_resolutions.contains(&sides[level]);
            if has_attention && channels % attention_heads != 0 {
                let message = format!(
                    "`model.attention_heads`, {attention_heads}, must divide the {channels} channels at {} pixels",
                    sides[level]
                );
                self.breaks(&["model.attention_heads", "model.channels"], message, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn every_number_has_its_range() {
        let unet = |key: &str, value: Json| json!({"model": {"kind": "unet", key: value}});
        assert_broken([
            (
                json!({"data": {"kind": "digits", "horizontal_flips": true}}),
                "`data.horizontal_flips` must be false for `digits`: a mirrored digit is no digit",
            ),
            (
                json!({"model": {"kind": "adm", "learned_sigma": true}, "parameterization": "v"}),
                "`model.learned_sigma` is defined for `parameterization: epsilon`, not for `v`",
            ),
            (
                json!({"model": {"kind": "dit", "learned_sigma": true}, "parameterization": "edm"}),
                "`model.learned_sigma` is defined for `parameterization: epsilon`, not for `edm`",
            ),
            (unet("channels", json!(0)), "`model.channels` must be at least 1, not 0"),
            (unet("channels", json!(36)), "`model.channels`, 36, must be a multiple of `norm_groups`, 8"),
            (unet("norm_groups", json!(0)), "`model.norm_groups` must be at least 1, not 0"),
            (unet("blocks_per_level", json!(0)), "`model.blocks_per_level` must be at least 1, not 0"),
            (unet("attention_heads", json!(0)), "`model.attention_heads` must be at least 1, not 0"),
            (unet("attention_heads", json!(3)), "`model.attention_heads`, 3, must divide the 64 channels at 4 pixels"),
            (
                unet("attention_resolutions", json!([16])),
                "`model.attention_resolutions` has 16, which is the side of no level",
            ),
            (unet("attention_resolutions", json!([4, 4])), "`model.attention_resolutions` has 4 twice"),
            (unet("channel_multipliers", json!([])), "`model.channel_multipliers` is empty"),
            (
                unet("channel_multipliers", json!([1, 0])),
                "`model.channel_multipliers` must hold numbers from 1 to 1024, not 0",
            ),
            (
                unet("channel_multipliers", json!([1, 1, 1, 1, 1])),
                "`model.channel_multipliers` asks for 5 levels, but images 8 pixels wide can be halved 3 times",
            ),
            (
                unet("channel_multipliers", json!(vec![1; 80])),
                "`model.channel_multipliers` asks for 80 levels, but images 8 pixels wide can be halved 3 times",
            ),
            (unet("dropout", json!(1.0)), "`model.dropout` must be at least 0 and below 1, not 1"),
            (
                json!({"model": {"kind": "unet", "class_conditional": true, "class_dropout": 1}}),
                "`model.class_dropout` must be at least 0 and below 1, not 1",
            ),
            (
                unet("class_dropout", json!(0.2)),
                "`model.class_dropout` does nothing while `class_conditional` is false",
            ),
            (
                json!({"evaluate": {"fid": {"guidance": 1.5}}}),
                "`evaluate.fid.guidance` needs a model that is told classes",
            ),
            (
                json!({
                    "model": {"kind": "unet", "class_conditional": true, "class_dropout": 0},
                    "evaluate": {"fid": {"guidance": 1.5}},
                }),
                "`evaluate.fid.guidance` needs a model that was also trained without classes: `model.class_dropout` is 0",
            ),
            (
                json!({
                    "model": {"kind": "unet", "class_conditional": true},
                    "evaluate": {"fid": {"guidance": -1}},
                }),
                "`evaluate.fid.guidance` must be at least 0 and at most 1000, not -1",
            ),
        ]);
    }
}
