//! What a run's numbers may be, and which of them do not go together.

use crate::spec::{
    LossWeighting, LrSchedule, Model, MomentumSchedule, NoiseSchedule, OdeSampler, Optimizer, Parameterization,
    RunSpec, Spacing, TimestepSampler, UnetModel,
};

/// A rule that a run breaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The keys involved; the place of the first one that is written is where the problem is shown.
    pub paths: Vec<&'static str>,
    pub message: String,
    pub hint: Option<String>,
}

/// Every rule that the run breaks.
pub fn check(spec: &RunSpec) -> Vec<Violation> {
    let mut rules = Rules { broken: Vec::new() };
    rules.data(spec);
    rules.noise_schedule(spec);
    rules.parameterization(spec);
    rules.model(spec);
    rules.timestep_sampler(spec);
    rules.loss_weighting(spec);
    rules.optimizer(spec);
    rules.momentum(spec);
    rules.lr_schedule(spec);
    rules.train(spec);
    rules.evaluate(spec);
    rules.broken
}

/// Sizes above these are slips; they also keep products of sizes inside 64 bits.
const LARGEST_SIZE: u64 = 1 << 20;
/// burn adds up more than 4 million values in an order that depends on threads; a batch of 8x8 images stays below.
const LARGEST_BATCH: u64 = 1 << 15;
const MOST_STEPS: u64 = 1 << 40;

/// A bound of a fraction.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    Above(f64),
    AtMost(f64),
    Below(f64),
}
use Bound::{Above, AtLeast, AtMost, Below};

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            AtLeast(bound) => value >= bound,
            Above(bound) => value > bound,
            AtMost(bound) => value <= bound,
            Below(bound) => value < bound,
        }
    }

    fn words(self) -> String {
        match self {
            AtLeast(bound) => format!("at least {bound}"),
            Above(bound) => format!("above {bound}"),
            AtMost(bound) => format!("at most {bound}"),
            Below(bound) => format!("below {bound}"),
        }
    }
}

/// As a reader would write it: 0.0001, but 1e-9.
fn show(value: f64) -> String {
    let is_long = value != 0.0 && !(1e-5..1e15).contains(&value.abs());
    if is_long { format!("{value:e}") } else { format!("{value}") }
}

struct Rules {
    broken: Vec<Violation>,
}

impl Rules {
    fn breaks(&mut self, paths: &[&'static str], message: String, hint: Option<&str>) {
        self.broken.push(Violation { paths: paths.to_vec(), message, hint: hint.map(str::to_owned) });
    }

    fn size(&mut self, path: &'static str, value: u64, least: u64, most: u64) {
        if value < least {
            self.breaks(&[path], format!("`{path}` must be at least {least}, not {value}"), None);
        } else if value > most {
            self.breaks(&[path], format!("`{path}` must be at most {most}, not {value}"), None);
        }
    }

    fn fraction(&mut self, path: &'static str, value: f64, bounds: &[Bound]) {
        // Stated so that NaN breaks it.
        if !(value.is_finite() && bounds.iter().all(|bound| bound.holds(value))) {
            let words: Vec<String> = bounds.iter().map(|bound| bound.words()).collect();
            self.breaks(&[path], format!("`{path}` must be {}, not {}", words.join(" and "), show(value)), None);
        }
    }

    fn data(&mut self, spec: &RunSpec) {
        if spec.data.kind() == "digits" && spec.data.horizontal_flips() {
            let message = "`data.horizontal_flips` must be false for `digits`: a mirrored digit is no digit".to_owned();
            self.breaks(&["data.horizontal_flips"], message, None);
        }
    }

    fn noise_schedule(&mut self, spec: &RunSpec) {
        self.size("noise_schedule.timesteps", spec.noise_schedule.timesteps() as u64, 2, LARGEST_SIZE);
        match &spec.noise_schedule {
            NoiseSchedule::Linear(linear) => {
                self.betas(linear.beta_start, linear.beta_end);
            }
            NoiseSchedule::ScaledLinear(scaled_linear) => {
                self.betas(scaled_linear.beta_start, scaled_linear.beta_end);
            }
            NoiseSchedule::Sigmoid(sigmoid) => {
                self.fraction("noise_schedule.tau", sigmoid.tau, &[Above(0.0), AtMost(1e3)]);
                self.fraction("noise_schedule.beta_max", sigmoid.beta_max, &[Above(0.0), Below(1.0)]);
                let (start, end) = (sigmoid.start, sigmoid.end);
                if start >= end {
                    let message =
                        format!("`noise_schedule.start`, {}, must be below `end`, {}", show(start), show(end));
                    self.breaks(&["noise_schedule.start", "noise_schedule.end"], message, None);
                }
                // Further out a sigmoid is flat to the last digit.
                for (path, value) in [("noise_schedule.start", start), ("noise_schedule.end", end)] {
                    if sigmoid.tau > 0.0 && value.abs() / sigmoid.tau > 20.0 {
                        let message = format!(
                            "`{path}` / `tau` must be at least -20 and at most 20, not {}",
                            show(value / sigmoid.tau)
                        );
                        self.breaks(&[path, "noise_schedule.tau"], message, None);
                    }
                }
            }
            NoiseSchedule::Cosine(cosine) => {
                self.fraction("noise_schedule.offset", cosine.offset, &[AtLeast(0.0), AtMost(1.0)]);
                self.fraction("noise_schedule.beta_max", cosine.beta_max, &[Above(0.0), Below(1.0)]);
            }
        }
    }

    fn betas(&mut self, start: f64, end: f64) {
        self.fraction("noise_schedule.beta_start", start, &[Above(0.0), Below(1.0)]);
        self.fraction("noise_schedule.beta_end", end, &[Above(0.0), Below(1.0)]);
        if start >= end {
            let (start, end) = (show(start), show(end));
            let message = format!("`noise_schedule.beta_start`, {start}, must be below `beta_end`, {end}");
            self.breaks(&["noise_schedule.beta_start", "noise_schedule.beta_end"], message, None);
        }
    }

    fn parameterization(&mut self, spec: &RunSpec) {
        let Parameterization::Edm(edm) = spec.parameterization else { return };
        self.fraction("parameterization.sigma_data", edm.sigma_data, &[AtLeast(1e-3), AtMost(1e3)]);
        if let LossWeighting::Edm(weighting) = &spec.loss_weighting
            && weighting.sigma_data != edm.sigma_data
        {
            let (one, other) = (show(edm.sigma_data), show(weighting.sigma_data));
            let message = format!(
                "`parameterization.sigma_data`, {one}, and `loss_weighting.sigma_data`, {other}, are one thing"
            );
            let hint = "both are the standard deviation of the pixels";
            self.breaks(
                &["loss_weighting.sigma_data", "parameterization.sigma_data", "parameterization"],
                message,
                Some(hint),
            );
        }
    }

    fn model(&mut self, spec: &RunSpec) {
        let Model::Unet(unet) = &spec.model;
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
            self.unet_shapes(unet, spec.data.image_shape().1);
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

    fn timestep_sampler(&mut self, spec: &RunSpec) {
        match &spec.timestep_sampler {
            TimestepSampler::Uniform(_) => {}
            TimestepSampler::Curriculum(curriculum) => {
                self.fraction("timestep_sampler.center", curriculum.center, &[AtLeast(0.0), AtMost(1.0)]);
                self.fraction("timestep_sampler.width", curriculum.width, &[AtLeast(1e-3), AtMost(1e3)]);
                self.fraction("timestep_sampler.anneal", curriculum.anneal, &[AtLeast(0.0), AtMost(1.0)]);
            }
            TimestepSampler::PacedCurriculum(paced) => {
                self.fraction("timestep_sampler.center", paced.center, &[AtLeast(0.0), AtMost(1.0)]);
                self.fraction("timestep_sampler.width", paced.width, &[AtLeast(1e-3), AtMost(1e3)]);
                self.fraction("timestep_sampler.anneal", paced.anneal, &[AtLeast(0.0), AtMost(1.0)]);
            }
            TimestepSampler::LogSnrCurriculum(log_snr) => {
                self.fraction("timestep_sampler.center", log_snr.center, &[AtLeast(-50.0), AtMost(50.0)]);
                self.fraction("timestep_sampler.width", log_snr.width, &[AtLeast(1e-3), AtMost(1e3)]);
                self.fraction("timestep_sampler.anneal", log_snr.anneal, &[AtLeast(0.0), AtMost(1.0)]);
            }
            TimestepSampler::CurriculumSampling(sampling) => {
                self.fraction("timestep_sampler.center", sampling.center, &[AtLeast(0.0), AtMost(1.0)]);
                self.fraction("timestep_sampler.width", sampling.width, &[AtLeast(1e-3), AtMost(1e3)]);
                self.fraction("timestep_sampler.switch", sampling.switch, &[Above(0.0), AtMost(1.0)]);
            }
            TimestepSampler::LogitNormal(logit_normal) => {
                self.fraction("timestep_sampler.mean", logit_normal.mean, &[AtLeast(-10.0), AtMost(10.0)]);
                self.fraction("timestep_sampler.deviation", logit_normal.deviation, &[AtLeast(1e-3), AtMost(1e3)]);
            }
            TimestepSampler::Laplace(laplace) => {
                self.fraction("timestep_sampler.mean", laplace.mean, &[AtLeast(-50.0), AtMost(50.0)]);
                self.fraction("timestep_sampler.scale", laplace.scale, &[AtLeast(1e-3), AtMost(1e3)]);
            }
            TimestepSampler::Edm(edm) => {
                self.fraction("timestep_sampler.mean", edm.mean, &[AtLeast(-25.0), AtMost(25.0)]);
                self.fraction("timestep_sampler.deviation", edm.deviation, &[AtLeast(1e-3), AtMost(1e3)]);
            }
            TimestepSampler::LossSecondMoment(second_moment) => {
                self.size("timestep_sampler.history", second_moment.history as u64, 1, 1000);
                self.fraction("timestep_sampler.uniform", second_moment.uniform, &[Above(0.0), AtMost(1.0)]);
            }
            TimestepSampler::Speed(speed) => {
                self.fraction("timestep_sampler.k", speed.k, &[Above(0.0), AtMost(1e6)]);
                self.fraction("timestep_sampler.tau", speed.tau, &[Above(0.0), AtMost(1.0)]);
            }
        }
    }

    fn loss_weighting(&mut self, spec: &RunSpec) {
        match &spec.loss_weighting {
            LossWeighting::Uniform(_) => {}
            LossWeighting::MinSnr(min_snr) => {
                self.fraction("loss_weighting.gamma", min_snr.gamma, &[Above(0.0), AtMost(1e9)]);
            }
            LossWeighting::P2(p2) => {
                self.fraction("loss_weighting.k", p2.k, &[Above(0.0), AtMost(1e9)]);
                self.fraction("loss_weighting.gamma", p2.gamma, &[AtLeast(0.0), AtMost(10.0)]);
            }
            LossWeighting::Edm(edm) => {
                self.fraction("loss_weighting.sigma_data", edm.sigma_data, &[AtLeast(1e-3), AtMost(1e3)]);
            }
            LossWeighting::Speed(speed) => {
                self.fraction("loss_weighting.lambda", speed.lambda, &[AtLeast(0.5), AtMost(1.0)]);
                self.fraction("loss_weighting.tau", speed.tau, &[Above(0.0), AtMost(1.0)]);
            }
        }
        let is_of_epsilon = matches!(spec.loss_weighting, LossWeighting::P2(_) | LossWeighting::Speed(_));
        if is_of_epsilon && spec.parameterization != Parameterization::Epsilon {
            let (kind, predicted) = (spec.loss_weighting.kind(), spec.parameterization.name());
            let message = format!(
                "`loss_weighting` of kind `{kind}` is defined for `parameterization: epsilon`, not for `{predicted}`"
            );
            let hint = "`min_snr` and `edm` are defined for every parameterization";
            self.breaks(&["loss_weighting", "parameterization"], message, Some(hint));
        }
    }

    fn optimizer(&mut self, spec: &RunSpec) {
        let Optimizer::Adam(adam) = &spec.optimizer;
        self.fraction("optimizer.learning_rate", adam.learning_rate, &[Above(0.0), AtMost(1e12)]);
        self.fraction("optimizer.beta1", adam.beta1, &[AtLeast(0.0), Below(1.0)]);
        self.fraction("optimizer.beta2", adam.beta2, &[AtLeast(0.0), Below(1.0)]);
        self.fraction("optimizer.epsilon", adam.epsilon, &[Above(0.0), AtMost(1.0)]);
    }

    fn momentum(&mut self, spec: &RunSpec) {
        let Optimizer::Adam(adam) = &spec.optimizer;
        match &spec.momentum {
            MomentumSchedule::Constant(_) | MomentumSchedule::Demon(_) => {}
            MomentumSchedule::Linear(linear) => self.fraction("momentum.end", linear.end, &[AtLeast(0.0), Below(1.0)]),
            MomentumSchedule::Exponential(exponential) => {
                self.fraction("momentum.decay", exponential.decay, &[Above(0.0), AtMost(1.0)]);
                self.fraction("momentum.floor", exponential.floor, &[AtLeast(0.0), Below(1.0)]);
                if exponential.floor > adam.beta1 {
                    let (floor, beta1) = (show(exponential.floor), show(adam.beta1));
                    let message =
                        format!("`momentum.floor`, {floor}, is above `optimizer.beta1`, {beta1}, where it starts");
                    self.breaks(&["momentum.floor", "optimizer.beta1", "momentum"], message, None);
                }
            }
        }
        if adam.beta1 == 0.0 && matches!(spec.momentum, MomentumSchedule::Demon(_) | MomentumSchedule::Exponential(_)) {
            let message =
                format!("`momentum` of kind `{}` has nothing to decay: `optimizer.beta1` is 0", spec.momentum.kind());
            self.breaks(&["momentum", "optimizer.beta1"], message, Some("set `optimizer.beta1`, 0.9 for example"));
        }
    }

    fn lr_schedule(&mut self, spec: &RunSpec) {
        match &spec.lr_schedule {
            LrSchedule::Constant(_) => {}
            LrSchedule::Linear(linear) => self.fraction("lr_schedule.end", linear.end, &[AtLeast(0.0), AtMost(1e3)]),
            LrSchedule::Cosine(cosine) => self.fraction("lr_schedule.end", cosine.end, &[AtLeast(0.0), AtMost(1e3)]),
            LrSchedule::MomentumCompensated(_) => {
                if matches!(spec.momentum, MomentumSchedule::Constant(_)) {
                    let message =
                        "`lr_schedule` of kind `momentum_compensated` does nothing while `momentum` is constant"
                            .to_owned();
                    let hint = "set `momentum: { kind: demon }`, or take `lr_schedule: { kind: constant }`";
                    self.breaks(&["lr_schedule", "momentum"], message, Some(hint));
                }
            }
        }
    }

    fn train(&mut self, spec: &RunSpec) {
        let train = &spec.train;
        self.size("train.steps", train.steps, 1, MOST_STEPS);
        self.size("train.batch_size", train.batch_size as u64, 1, LARGEST_BATCH);
        if train.warmup_steps > train.steps {
            let message =
                format!("`train.warmup_steps`, {}, is more than `train.steps`, {}", train.warmup_steps, train.steps);
            self.breaks(&["train.warmup_steps", "train.steps"], message, None);
        }
        self.fraction("train.clip_norm", train.clip_norm, &[AtLeast(0.0)]);
        self.fraction("train.ema_decay", train.ema_decay, &[AtLeast(0.0), Below(1.0)]);
        self.size("train.log_every", train.log_every, 1, MOST_STEPS);
        self.fraction("train.checkpoint_seconds", train.checkpoint_seconds, &[Above(0.0)]);
    }

    fn evaluate(&mut self, spec: &RunSpec) {
        let evaluate = &spec.evaluate;
        self.size("evaluate.every", evaluate.every, 1, MOST_STEPS);
        // A covariance needs two.
        self.size("evaluate.fid.samples", evaluate.fid.samples as u64, 2, 1 << 24);
        let held_out = spec.data.held_out_images() as u64;
        self.size("evaluate.validation.images", evaluate.validation.images as u64, 1, held_out);
        self.size("evaluate.grid_images", evaluate.grid_images as u64, 1, 4096);
        let timesteps = spec.noise_schedule.timesteps();
        for (path, value) in [
            ("evaluate.fid.ode.steps", evaluate.fid.ode.steps()),
            ("evaluate.validation.bins", evaluate.validation.bins),
        ] {
            self.size(path, value as u64, 1, u64::MAX);
            if value > timesteps {
                let message = format!("`{path}`, {value}, is more than `noise_schedule.timesteps`, {timesteps}");
                self.breaks(&[path, "noise_schedule.timesteps"], message, None);
            }
        }
        self.ode(&evaluate.fid.ode);
    }

    fn ode(&mut self, ode: &OdeSampler) {
        if let OdeSampler::Ddim(ddim) = ode {
            self.fraction("evaluate.fid.ode.eta", ddim.eta, &[AtLeast(0.0), AtMost(1.0)]);
        }
        let spacing = ode.spacing();
        if ode.steps() == 1 && matches!(spacing, Spacing::Leading | Spacing::Linspace | Spacing::Quadratic) {
            let message = format!(
                "`evaluate.fid.ode.steps` must be at least 2 with `spacing: {}`, which ends at the least noisy timestep",
                spacing.name()
            );
            let hint = "`spacing: trailing` starts at the noisiest";
            self.breaks(&["evaluate.fid.ode.steps", "evaluate.fid.ode.spacing"], message, Some(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::spec::decode_json;

    /// Checks the default run with one part changed; the messages, a line each.
    fn broken(changes: Json) -> String {
        let spec: RunSpec = decode_json(&changes).unwrap();
        check(&spec).into_iter().map(|violation| violation.message).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_default_run_breaks_no_rule() {
        assert_eq!(broken(json!({})), "");
    }

    #[test]
    fn every_number_has_its_range() {
        let curriculum = |key: &str, value: f64| json!({"timestep_sampler": {"kind": "curriculum", key: value}});
        let sampler = |kind: &str, key: &str, value: f64| json!({"timestep_sampler": {"kind": kind, key: value}});
        let weighting = |kind: &str, key: &str, value: f64| json!({"loss_weighting": {"kind": kind, key: value}});
        let adam = |key: &str, value: f64| json!({"optimizer": {"kind": "adam", key: value}});
        let unet = |key: &str, value: Json| json!({"model": {"kind": "unet", key: value}});
        let train = |key: &str, value: Json| json!({"train": {key: value}});
        let linear = |key: &str, value: f64| json!({"noise_schedule": {"kind": "linear", key: value}});
        let cosine = |key: &str, value: f64| json!({"noise_schedule": {"kind": "cosine", key: value}});
        let scaled_linear = |key: &str, value: f64| json!({"noise_schedule": {"kind": "scaled_linear", key: value}});
        let sigmoid = |key: &str, value: f64| json!({"noise_schedule": {"kind": "sigmoid", key: value}});
        let ode = |ode: Json| json!({"evaluate": {"fid": {"ode": ode}}});
        let exponential = |key: &str, value: f64| json!({"momentum": {"kind": "exponential", key: value}});
        for (changes, message) in [
            (
                json!({"data": {"kind": "digits", "horizontal_flips": true}}),
                "`data.horizontal_flips` must be false for `digits`: a mirrored digit is no digit",
            ),
            (
                linear("timesteps", 1.0),
                "`noise_schedule.timesteps` must be at least 2, not 1\n`evaluate.fid.ode.steps`, 20, is more than `noise_schedule.timesteps`, 1\n`evaluate.validation.bins`, 10, is more than `noise_schedule.timesteps`, 1",
            ),
            (linear("timesteps", 1e9), "`noise_schedule.timesteps` must be at most 1048576, not 1000000000"),
            (linear("beta_start", 0.0), "`noise_schedule.beta_start` must be above 0 and below 1, not 0"),
            (linear("beta_start", 0.02), "`noise_schedule.beta_start`, 0.02, must be below `beta_end`, 0.02"),
            (linear("beta_end", 1.0), "`noise_schedule.beta_end` must be above 0 and below 1, not 1"),
            (cosine("offset", -0.1), "`noise_schedule.offset` must be at least 0 and at most 1, not -0.1"),
            (cosine("beta_max", 1.0), "`noise_schedule.beta_max` must be above 0 and below 1, not 1"),
            (scaled_linear("beta_start", 0.5), "`noise_schedule.beta_start`, 0.5, must be below `beta_end`, 0.012"),
            (scaled_linear("beta_end", 2.0), "`noise_schedule.beta_end` must be above 0 and below 1, not 2"),
            (sigmoid("tau", 0.0), "`noise_schedule.tau` must be above 0 and at most 1000, not 0"),
            (sigmoid("start", 3.0), "`noise_schedule.start`, 3, must be below `end`, 3"),
            (sigmoid("end", 21.0), "`noise_schedule.end` / `tau` must be at least -20 and at most 20, not 21"),
            (
                sigmoid("tau", 0.125),
                "`noise_schedule.start` / `tau` must be at least -20 and at most 20, not -24\n`noise_schedule.end` / `tau` must be at least -20 and at most 20, not 24",
            ),
            (sigmoid("beta_max", 1.0), "`noise_schedule.beta_max` must be above 0 and below 1, not 1"),
            (
                json!({"parameterization": {"kind": "edm", "sigma_data": 0}}),
                "`parameterization.sigma_data` must be at least 0.001 and at most 1000, not 0",
            ),
            (
                json!({"parameterization": "edm", "loss_weighting": {"kind": "edm", "sigma_data": 0.7}}),
                "`parameterization.sigma_data`, 0.5, and `loss_weighting.sigma_data`, 0.7, are one thing",
            ),
            (
                json!({"loss_weighting": {"kind": "p2"}, "parameterization": "edm"}),
                "`loss_weighting` of kind `p2` is defined for `parameterization: epsilon`, not for `edm`",
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
            (curriculum("center", 1.1), "`timestep_sampler.center` must be at least 0 and at most 1, not 1.1"),
            (curriculum("width", 0.0), "`timestep_sampler.width` must be at least 0.001 and at most 1000, not 0"),
            (curriculum("anneal", -0.5), "`timestep_sampler.anneal` must be at least 0 and at most 1, not -0.5"),
            (
                sampler("paced_curriculum", "anneal", 2.0),
                "`timestep_sampler.anneal` must be at least 0 and at most 1, not 2",
            ),
            (
                sampler("log_snr_curriculum", "center", 99.0),
                "`timestep_sampler.center` must be at least -50 and at most 50, not 99",
            ),
            (
                sampler("curriculum_sampling", "switch", 0.0),
                "`timestep_sampler.switch` must be above 0 and at most 1, not 0",
            ),
            (
                sampler("logit_normal", "deviation", 0.0),
                "`timestep_sampler.deviation` must be at least 0.001 and at most 1000, not 0",
            ),
            (
                sampler("laplace", "scale", 0.0),
                "`timestep_sampler.scale` must be at least 0.001 and at most 1000, not 0",
            ),
            (sampler("edm", "mean", 99.0), "`timestep_sampler.mean` must be at least -25 and at most 25, not 99"),
            (sampler("loss_second_moment", "history", 0.0), "`timestep_sampler.history` must be at least 1, not 0"),
            (
                sampler("loss_second_moment", "uniform", 0.0),
                "`timestep_sampler.uniform` must be above 0 and at most 1, not 0",
            ),
            (sampler("speed", "k", 0.0), "`timestep_sampler.k` must be above 0 and at most 1000000, not 0"),
            (sampler("speed", "tau", 1.5), "`timestep_sampler.tau` must be above 0 and at most 1, not 1.5"),
            (
                weighting("min_snr", "gamma", 0.0),
                "`loss_weighting.gamma` must be above 0 and at most 1000000000, not 0",
            ),
            (weighting("p2", "k", 0.0), "`loss_weighting.k` must be above 0 and at most 1000000000, not 0"),
            (weighting("p2", "gamma", -1.0), "`loss_weighting.gamma` must be at least 0 and at most 10, not -1"),
            (
                weighting("edm", "sigma_data", 0.0),
                "`loss_weighting.sigma_data` must be at least 0.001 and at most 1000, not 0",
            ),
            (weighting("speed", "lambda", 0.4), "`loss_weighting.lambda` must be at least 0.5 and at most 1, not 0.4"),
            (weighting("speed", "tau", 0.0), "`loss_weighting.tau` must be above 0 and at most 1, not 0"),
            (
                json!({"loss_weighting": {"kind": "p2"}, "parameterization": "v"}),
                "`loss_weighting` of kind `p2` is defined for `parameterization: epsilon`, not for `v`",
            ),
            (
                json!({"loss_weighting": {"kind": "speed"}, "parameterization": "x0"}),
                "`loss_weighting` of kind `speed` is defined for `parameterization: epsilon`, not for `x0`",
            ),
            (adam("learning_rate", 0.0), "`optimizer.learning_rate` must be above 0 and at most 1000000000000, not 0"),
            (adam("beta1", 1.0), "`optimizer.beta1` must be at least 0 and below 1, not 1"),
            (adam("beta2", -1e-9), "`optimizer.beta2` must be at least 0 and below 1, not -1e-9"),
            (adam("epsilon", 0.0), "`optimizer.epsilon` must be above 0 and at most 1, not 0"),
            (
                json!({"momentum": {"kind": "linear", "end": 1.0}}),
                "`momentum.end` must be at least 0 and below 1, not 1",
            ),
            (exponential("decay", 1.5), "`momentum.decay` must be above 0 and at most 1, not 1.5"),
            (exponential("floor", -0.5), "`momentum.floor` must be at least 0 and below 1, not -0.5"),
            (exponential("floor", 0.95), "`momentum.floor`, 0.95, is above `optimizer.beta1`, 0.9, where it starts"),
            (
                json!({"optimizer": {"kind": "adam", "beta1": 0}, "momentum": {"kind": "demon"}}),
                "`momentum` of kind `demon` has nothing to decay: `optimizer.beta1` is 0",
            ),
            (
                json!({"lr_schedule": {"kind": "linear", "end": -1}}),
                "`lr_schedule.end` must be at least 0 and at most 1000, not -1",
            ),
            (
                json!({"lr_schedule": {"kind": "cosine", "end": -1}}),
                "`lr_schedule.end` must be at least 0 and at most 1000, not -1",
            ),
            (
                json!({"lr_schedule": {"kind": "momentum_compensated"}}),
                "`lr_schedule` of kind `momentum_compensated` does nothing while `momentum` is constant",
            ),
            (train("steps", json!(0)), "`train.steps` must be at least 1, not 0"),
            (train("batch_size", json!(0)), "`train.batch_size` must be at least 1, not 0"),
            (train("warmup_steps", json!(2001)), "`train.warmup_steps`, 2001, is more than `train.steps`, 2000"),
            (train("clip_norm", json!(-1)), "`train.clip_norm` must be at least 0, not -1"),
            (train("ema_decay", json!(1)), "`train.ema_decay` must be at least 0 and below 1, not 1"),
            (train("log_every", json!(0)), "`train.log_every` must be at least 1, not 0"),
            (train("checkpoint_seconds", json!(0)), "`train.checkpoint_seconds` must be above 0, not 0"),
            (json!({"evaluate": {"every": 0}}), "`evaluate.every` must be at least 1, not 0"),
            (json!({"evaluate": {"grid_images": 0}}), "`evaluate.grid_images` must be at least 1, not 0"),
            (json!({"evaluate": {"fid": {"samples": 1}}}), "`evaluate.fid.samples` must be at least 2, not 1"),
            (
                json!({"evaluate": {"fid": {"ode": {"kind": "ddim", "steps": 0}}}}),
                "`evaluate.fid.ode.steps` must be at least 1, not 0",
            ),
            (
                json!({"evaluate": {"fid": {"ode": {"kind": "ddim", "steps": 1001}}}}),
                "`evaluate.fid.ode.steps`, 1001, is more than `noise_schedule.timesteps`, 1000",
            ),
            (
                ode(json!({"kind": "ddim", "eta": 1.5})),
                "`evaluate.fid.ode.eta` must be at least 0 and at most 1, not 1.5",
            ),
            (ode(json!({"kind": "heun", "steps": 0})), "`evaluate.fid.ode.steps` must be at least 1, not 0"),
            (
                ode(json!({"kind": "dpm_solver_pp", "steps": 1001})),
                "`evaluate.fid.ode.steps`, 1001, is more than `noise_schedule.timesteps`, 1000",
            ),
            (
                ode(json!({"kind": "ddpm", "steps": 1, "spacing": "leading"})),
                "`evaluate.fid.ode.steps` must be at least 2 with `spacing: leading`, which ends at the least noisy timestep",
            ),
            // Twice as many evaluations as there are timesteps are fine: between timesteps there are others.
            (ode(json!({"kind": "heun", "steps": 1000})), ""),
            (json!({"evaluate": {"validation": {"bins": 0}}}), "`evaluate.validation.bins` must be at least 1, not 0"),
            (
                json!({"evaluate": {"validation": {"bins": 1001}}}),
                "`evaluate.validation.bins`, 1001, is more than `noise_schedule.timesteps`, 1000",
            ),
            (
                json!({"evaluate": {"validation": {"images": 0}}}),
                "`evaluate.validation.images` must be at least 1, not 0",
            ),
        ] {
            assert_eq!(broken(changes.clone()), message, "{changes}");
        }
    }

    #[test]
    fn a_weighting_goes_with_every_parameterization_it_is_defined_for() {
        for (kind, predicted) in [
            ("min_snr", "v"),
            ("min_snr", "x0"),
            ("edm", "v"),
            ("edm", "epsilon"),
            ("edm", "edm"),
            ("min_snr", "edm"),
            ("uniform", "x0"),
        ] {
            assert_eq!(broken(json!({"loss_weighting": {"kind": kind}, "parameterization": predicted})), "");
        }
    }

    #[test]
    fn all_broken_rules_are_found_at_once() {
        let changes = json!({"train": {"steps": 0, "batch_size": 0, "ema_decay": 2}, "evaluate": {"every": 0}});
        assert_eq!(broken(changes).lines().count(), 4);
    }

    #[test]
    fn numbers_that_are_not_finite_break_their_range() {
        for value in [f64::NAN, f64::INFINITY] {
            let mut spec = RunSpec::default();
            spec.train.clip_norm = value;
            assert_eq!(check(&spec).len(), 1);
        }
    }
}
