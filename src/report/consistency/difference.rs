//! The settings in which two runs differ.

use crate::report::settings::flattened;
use crate::spec::RunSpec;

/// Settings of a network that change how wide it is and nothing else; one of the first two differs wherever the width does.
const WIDTHS: [&str; 6] =
    ["model.channels", "model.dim", "model.heads", "model.attention_heads", "model.head_channels", "model.norm_groups"];

/// The settings in which the runs of a pair differ. Settings of their measurement do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    pub seed: bool,
    /// The width of one architecture.
    pub width: bool,
    /// Another kind of network, or another depth or layout of the same.
    pub architecture: bool,
    pub parameterization: bool,
    /// Anything else: timesteps, loss weights, optimizer, length, data order.
    pub training: bool,
}

impl Difference {
    /// `seed`, `width`, `architecture + seed`, ...
    pub fn words(self) -> String {
        let parts = [
            (self.width, "width"),
            (self.architecture, "architecture"),
            (self.parameterization, "parameterization"),
            (self.training, "training"),
            (self.seed, "seed"),
        ];
        let parts: Vec<&str> = parts.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        if parts.is_empty() { "nothing but how they are measured".to_owned() } else { parts.join(" + ") }
    }

    /// How many things differ, the seed not counted.
    pub fn methods(self) -> usize {
        [self.width, self.architecture, self.parameterization, self.training].into_iter().filter(|is| *is).count()
    }
}

pub fn difference(first: &RunSpec, second: &RunSpec) -> Difference {
    let (first, second) = (flattened(first), flattened(second));
    let differs = |key: &&String| first.get(*key) != second.get(*key);
    let mut keys: Vec<&String> = first.keys().chain(second.keys()).filter(differs).collect();
    keys.sort_unstable();
    keys.dedup();
    let (model, others): (Vec<&String>, Vec<&String>) = keys.into_iter().partition(|key| key.starts_with("model."));
    let is_width = model.iter().any(|key| WIDTHS[..2].contains(&key.as_str()))
        && model.iter().all(|key| WIDTHS.contains(&key.as_str()));
    let is_parameterization =
        |key: &&&String| key.as_str() == "parameterization" || key.starts_with("parameterization.");
    let ignored = |key: &&&String| {
        key.as_str() == "seed" || key.starts_with("evaluate.") || key.as_str() == "train.checkpoint_seconds"
    };
    Difference {
        seed: others.iter().any(|key| key.as_str() == "seed"),
        width: is_width,
        architecture: !model.is_empty() && !is_width,
        parameterization: others.iter().any(|key| is_parameterization(&key)),
        training: others.iter().any(|key| !is_parameterization(&key) && !ignored(&key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{DitModel, LinearLr, LrSchedule, Model, Parameterization, UnetModel};

    #[test]
    fn runs_differ_in_what_their_settings_say() {
        let unet = |channels, blocks_per_level| RunSpec {
            model: Model::Unet(UnetModel { channels, blocks_per_level, ..UnetModel::default() }),
            ..RunSpec::default()
        };
        let dit = |dim| RunSpec { model: Model::Dit(DitModel { dim, ..DitModel::default() }), ..RunSpec::default() };
        let words = |first: &RunSpec, second: &RunSpec| difference(first, second).words();
        let base = unet(16, 1);
        assert_eq!(words(&base, &RunSpec { seed: 1, ..base.clone() }), "seed");
        assert_eq!(words(&base, &unet(32, 1)), "width");
        assert_eq!(words(&base, &RunSpec { seed: 1, ..unet(32, 1) }), "width + seed");
        assert_eq!(words(&base, &unet(16, 2)), "architecture");
        assert_eq!(words(&base, &unet(32, 2)), "architecture");
        assert_eq!(words(&base, &dit(64)), "architecture");
        assert_eq!(words(&dit(64), &dit(96)), "width");
        let x0 = RunSpec { parameterization: Parameterization::X0, ..base.clone() };
        assert_eq!(words(&base, &x0), "parameterization");
        let lr = RunSpec { lr_schedule: LrSchedule::Linear(LinearLr { end: 0.1 }), ..x0.clone() };
        assert_eq!(words(&base, &lr), "parameterization + training");
        assert_eq!(difference(&base, &lr).methods(), 2);
        let mut measured = base.clone();
        measured.evaluate.every = 7;
        assert_eq!(words(&base, &measured), "nothing but how they are measured");
    }
}
