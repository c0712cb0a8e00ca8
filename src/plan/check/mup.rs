//! Learning rates by the width of a network.

use super::rules::{LARGEST_SIZE, Rules};
use crate::spec::{Mup, Optimizer, RunSpec};

const BASE: &str = "optimizer.mup.base_width";
const HEADS: &str = "optimizer.mup.base_heads";

impl Rules {
    pub fn mup(&mut self, spec: &RunSpec) {
        let mup = match &spec.optimizer {
            Optimizer::Adam(adam) => adam.mup,
            Optimizer::Adamw(adamw) => adamw.mup,
            Optimizer::Muon(muon) if !muon.others.mup.is_default() => {
                let message = "`optimizer.others.mup` says nothing of the matrices that Muon updates".to_owned();
                return self.breaks(
                    &["optimizer.others.mup", "optimizer"],
                    message,
                    Some("`mup` is for `adam` and `adamw`"),
                );
            }
            Optimizer::Muon(_) | Optimizer::Soap(_) | Optimizer::ScheduleFreeAdamw(_) => return,
        };
        let Mup { base_width, base_heads } = mup;
        let before = self.broken.len();
        self.size(BASE, base_width as u64, 0, LARGEST_SIZE);
        self.size(HEADS, base_heads as u64, 1, LARGEST_SIZE);
        if base_width == 0 && !mup.is_default() {
            self.breaks(&[HEADS], "`optimizer.mup` does nothing without a `base_width`".to_owned(), None);
        }
        if base_width == 0 || self.broken.len() > before {
            return;
        }
        if spec.trainer.is_some() {
            let message = "`optimizer.mup` is known to Speedlab's own trainer alone".to_owned();
            self.breaks(&[BASE, "trainer"], message, Some("leave it out, or `trainer`"));
        }
        let (width, heads) = spec.model.width();
        // That is, sizes of heads that differ.
        if let Some(heads) = heads.filter(|heads| width * base_heads != base_width * heads) {
            let message = format!(
                "`optimizer.mup` needs heads of one size at every width: {heads} heads in a width of {width} are not as large as {base_heads} in {base_width}"
            );
            let scaled = base_heads * width;
            let hint = match scaled.is_multiple_of(base_width) {
                true => format!("a width of {width} needs {} heads", scaled / base_width),
                false => format!("give `{HEADS}` so that heads have the size that they have in a width of {width}"),
            };
            self.breaks(&[HEADS, BASE, "model"], message, Some(&hint));
        }
        // The rules of the network itself are broken elsewhere.
        let mut own = Self::default();
        own.model(spec);
        let mut base = Self::default();
        base.model(&RunSpec { model: spec.model.of_width(base_width, base_heads), ..spec.clone() });
        if own.broken.is_empty() {
            for broken in base.broken {
                let message = format!("there is no network of the width `{BASE}`, {base_width}: {}", broken.message);
                self.breaks(&[BASE, "model"], message, broken.hint.as_deref());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn a_base_is_a_network_whose_heads_have_the_same_size() {
        let mup = |settings: Json| json!({"optimizer": {"kind": "adam", "mup": settings}});
        let with = |model: Json, settings: Json| {
            let mut run = mup(settings);
            run["model"] = model;
            run
        };
        assert_broken([
            (mup(json!({})), ""),
            (mup(json!({"base_width": 32})), ""),
            (mup(json!({"base_heads": 2})), "`optimizer.mup` does nothing without a `base_width`"),
            (
                mup(json!({"base_width": 16})),
                "`optimizer.mup` needs heads of one size at every width: 1 heads in a width of 32 are not as large as 1 in 16",
            ),
            (with(json!({"kind": "unet", "attention_heads": 2}), json!({"base_width": 16})), ""),
            (with(json!({"kind": "adm", "channels": 64, "head_channels": 32}), json!({"base_width": 32})), ""),
            (with(json!({"kind": "dit"}), json!({"base_width": 64, "base_heads": 2})), ""),
            (with(json!({"kind": "uvit"}), json!({"base_width": 64, "base_heads": 2})), ""),
            (
                with(json!({"kind": "unet", "channels": 24, "attention_heads": 2}), json!({"base_width": 12})),
                "there is no network of the width `optimizer.mup.base_width`, 12: `model.channels`, 12, must be a multiple of `norm_groups`, 8",
            ),
            (
                json!({"optimizer": {"kind": "muon", "others": {"mup": {"base_width": 8}}}}),
                "`optimizer.others.mup` says nothing of the matrices that Muon updates",
            ),
            (
                json!({"optimizer": {"kind": "adam", "mup": {"base_width": 32}}, "trainer": "torch"}),
                "`optimizer.mup` is known to Speedlab's own trainer alone",
            ),
        ]);
    }
}
