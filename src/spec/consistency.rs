//! What runs generate from shared noise, kept so that runs can be compared with each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NoiseSchedule, OdeSampler, Resize, RunSpec, Weights};

/// `evaluate.consistency`: images that different runs generate from the same noise. They are kept to measure how similar the
/// runs' outputs are: the consistency phenomenon of arXiv 2404.07946. The paper leaves open how it measures similarity;
/// `report` states its own measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Consistency {
    /// The number of images kept of each run: the first of those that evaluations generate anyway. 0 keeps none. Default 0.
    pub images: usize,
    /// Steps between the evaluations whose images are kept, a multiple of `evaluate.every`. Images of the last step are always
    /// kept. 0 keeps those of the last step alone. Default 0.
    pub every: u64,
}

/// Digits of a decoder's hash.
const HASH_DIGITS: usize = 12;

impl Consistency {
    /// Whether the settings are the defaults; runs that were recorded before this key existed have them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether images are kept at `step` of a run of `steps` steps.
    pub fn is_kept_at(&self, step: u64, steps: u64) -> bool {
        self.images > 0 && (step == steps || (self.every > 0 && step.is_multiple_of(self.every)))
    }

    /// What two runs must share for their images to be compared: data, noise schedule, generation and features, and whether
    /// weights are averaged. Seed, network, training and the length of the average are not part of it.
    /// `decoder` is the SHA-256 of the decoder of latents.
    pub fn protocol(spec: &RunSpec, decoder: Option<&str>) -> String {
        let fid = &spec.evaluate.fid;
        let questions = if fid.guidance == 1.0 { 1 } else { 2 };
        let (channels, side) = spec.data.picture_shape();
        let data = serde_json::to_string(&spec.data).expect("data settings are plain data, which JSON can hold");
        let guidance = if questions == 1 { String::new() } else { format!(" guidance={}", fid.guidance) };
        let resize = match fid.resize.with(fid.features) {
            Resize::None => String::new(),
            resize => format!(" resize={}", resize.name()),
        };
        let weights = match spec.evaluate.weights.compared() {
            Weights::Averaged => "",
            Weights::Raw => " weights=raw",
            Weights::Own => " weights=own",
        };
        let precision = fid.precision.in_protocol();
        let classes = if spec.told_classes().is_some() { " classes=balanced" } else { "" };
        let network = match fid.weights_sha256.as_str() {
            "" => String::new(),
            sha256 => format!("@{sha256:.HASH_DIGITS$}"),
        };
        let decoder = decoder.map_or_else(String::new, |sha256| format!(" decoder=@{sha256:.HASH_DIGITS$}"));
        format!(
            "{channels}x{side}x{side} data={data} noise_schedule={} {} features={}{network}{resize}{precision}{decoder}{classes}{guidance}{weights}",
            noise_schedule(&spec.noise_schedule),
            fid.ode.protocol(questions),
            fid.features.name(),
        )
    }
}

fn noise_schedule(schedule: &NoiseSchedule) -> String {
    serde_json::to_string(schedule).expect("a noise schedule is plain data, which JSON can hold")
}

impl OdeSampler {
    /// Whether the image is a function of the noise that it starts from, with nothing random added by later steps.
    pub fn is_deterministic(&self) -> bool {
        match self {
            Self::Ddim(ddim) => ddim.eta == 0.0,
            Self::Ddpm(_) => false,
            Self::Euler(_) | Self::Heun(_) | Self::DpmSolverPp(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Ddim, Model, UvitModel};

    #[test]
    fn images_are_kept_at_the_last_step_and_where_asked_between() {
        let kept = |images, every| {
            let consistency = Consistency { images, every };
            (1..=10).filter(|&step| consistency.is_kept_at(step, 10)).collect::<Vec<u64>>()
        };
        assert_eq!(kept(0, 0), [0; 0]);
        assert_eq!(kept(5, 0), [10]);
        assert_eq!(kept(5, 4), [4, 8, 10]);
    }

    #[test]
    fn a_network_or_a_seed_does_not_change_the_protocol_and_a_sampler_does() {
        let spec = RunSpec::default();
        let expected = r#"1x8x8 data={"kind":"digits","horizontal_flips":false} noise_schedule={"kind":"linear","timesteps":1000,"beta_start":0.0001,"beta_end":0.02} ddim nfe=20 features=digits-cnn"#;
        assert_eq!(Consistency::protocol(&spec, None), expected);
        let decoded = Consistency::protocol(&spec, Some(&"0123456789abcdef".repeat(4)));
        assert_eq!(decoded, format!("{expected} decoder=@0123456789ab"));
        let other = RunSpec { seed: 3, model: Model::Uvit(UvitModel::default()), ..spec.clone() };
        assert_eq!(Consistency::protocol(&other, None), expected);
        let mut rounded = spec.clone();
        rounded.evaluate.fid.precision = crate::spec::FidPrecision::Bf16;
        assert_eq!(Consistency::protocol(&rounded, None), format!("{expected} precision=bf16"));
        let mut shorter = spec;
        shorter.evaluate.fid.ode = OdeSampler::Ddim(Ddim { steps: 10, ..Ddim::default() });
        assert_eq!(Consistency::protocol(&shorter, None), expected.replace("nfe=20", "nfe=10"));
    }
}
