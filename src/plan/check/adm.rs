//! The UNet of ADM: the keys that the UNet of DDPM does not have.

use super::rules::{LARGEST_SIZE, Rules};
use crate::spec::{AdmModel, UnetModel};

impl Rules {
    pub fn adm(&mut self, adm: &AdmModel, side: usize) {
        let before = self.broken.len();
        let shared = UnetModel {
            channels: adm.channels,
            channel_multipliers: adm.channel_multipliers.clone(),
            blocks_per_level: adm.blocks_per_level,
            attention_resolutions: adm.attention_resolutions.clone(),
            attention_heads: 1,
            dropout: adm.dropout,
            norm_groups: adm.norm_groups,
            ..UnetModel::default()
        };
        self.unet(&shared, side);
        self.size("model.attention_heads", adm.attention_heads as u64, 1, LARGEST_SIZE);
        if let Some(size) = adm.head_channels {
            self.size("model.head_channels", size as u64, 1, LARGEST_SIZE);
            if adm.attention_heads > 1 {
                let message =
                    format!("`model.attention_heads`, {}, has no effect beside `head_channels`", adm.attention_heads);
                let hint = "`head_channels` gives each level its number of heads; remove one of the two";
                self.breaks(&["model.attention_heads", "model.head_channels"], message, Some(hint));
            }
        }
        // What follows divides by these numbers.
        if self.broken.len() == before {
            self.adm_heads(adm, side);
        }
    }

    fn adm_heads(&mut self, adm: &AdmModel, side: usize) {
        let lowest = adm.channel_multipliers.len() - 1;
        for (level, &multiplier) in adm.channel_multipliers.iter().enumerate() {
            let (channels, side) = (adm.channels * multiplier, side >> level);
            if level != lowest && !adm.attention_resolutions.contains(&side) {
                continue;
            }
            let (key, number) = match adm.head_channels {
                Some(size) => ("model.head_channels", size),
                None => ("model.attention_heads", adm.attention_heads),
            };
            if !channels.is_multiple_of(number) {
                let message = format!("`{key}`, {number}, must divide the {channels} channels at {side} pixels");
                self.breaks(&[key, "model.channels"], message, None);
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
        let adm = |key: &str, value: Json| json!({"model": {"kind": "adm", key: value}});
        assert_broken([
            (adm("channels", json!(36)), "`model.channels`, 36, must be a multiple of `norm_groups`, 32"),
            (adm("attention_heads", json!(0)), "`model.attention_heads` must be at least 1, not 0"),
            (adm("attention_heads", json!(3)), "`model.attention_heads`, 3, must divide the 64 channels at 4 pixels"),
            (adm("head_channels", json!(0)), "`model.head_channels` must be at least 1, not 0"),
            (adm("head_channels", json!(48)), "`model.head_channels`, 48, must divide the 64 channels at 4 pixels"),
            (
                json!({"model": {"kind": "adm", "head_channels": 32, "attention_heads": 2}}),
                "`model.attention_heads`, 2, has no effect beside `head_channels`",
            ),
            (
                adm("attention_resolutions", json!([16])),
                "`model.attention_resolutions` has 16, which is the side of no level",
            ),
            (adm("dropout", json!(1.0)), "`model.dropout` must be at least 0 and below 1, not 1"),
        ]);
    }
}
