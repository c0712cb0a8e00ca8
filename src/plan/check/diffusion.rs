//! Noise schedules, timestep samplers, loss weightings.

use super::rules::{
    Bound::{Above, AtLeast, AtMost, Below},
    LARGEST_SIZE, Rules, show,
};
use crate::spec::{LossWeighting, NoiseSchedule, Parameterization, RunSpec, TaskDifficultyTimesteps, TimestepSampler};

impl Rules {
    pub fn noise_schedule(&mut self, spec: &RunSpec) {
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
            NoiseSchedule::RectifiedFlow(_) => {}
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

    pub fn parameterization(&mut self, spec: &RunSpec) {
        if let Parameterization::Fdm(fdm) = spec.parameterization {
            self.fraction("parameterization.multiplier", fdm.multiplier, &[AtLeast(0.0), AtMost(10.0)]);
        }
        let Some(sigma_data) = spec.parameterization.sigma_data() else { return };
        self.fraction("parameterization.sigma_data", sigma_data, &[AtLeast(1e-3), AtMost(1e3)]);
        if let Some(weighting) = spec.loss_weighting.sigma_data()
            && weighting != sigma_data
        {
            let (one, other) = (show(sigma_data), show(weighting));
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

    pub fn timestep_sampler(&mut self, spec: &RunSpec) {
        match &spec.timestep_sampler {
            TimestepSampler::Uniform(_) => {}
            TimestepSampler::Curriculum(curriculum) => {
                self.fraction("timestep_sampler.center", curriculum.center, &[AtLeast(0.0), AtMost(1.0)]);
                self.fraction("timestep_sampler.width", curriculum.width, &[AtLeast(1e-3), AtMost(1e3)]);
                self.anneal(curriculum.anneal);
            }
            TimestepSampler::PacedCurriculum(paced) => {
                self.fraction("timestep_sampler.center", paced.center, &[AtLeast(0.0), AtMost(1.0)]);
                self.fraction("timestep_sampler.width", paced.width, &[AtLeast(1e-3), AtMost(1e3)]);
                self.anneal(paced.anneal);
            }
            TimestepSampler::LogSnrCurriculum(log_snr) => {
                self.fraction("timestep_sampler.center", log_snr.center, &[AtLeast(-50.0), AtMost(50.0)]);
                self.fraction("timestep_sampler.width", log_snr.width, &[AtLeast(1e-3), AtMost(1e3)]);
                self.anneal(log_snr.anneal);
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
            TimestepSampler::Shifted(shifted) => {
                self.fraction("timestep_sampler.shift", shifted.shift, &[AtLeast(1e-2), AtMost(1e2)]);
            }
            // Beyond, t would turn back as u grows (Esser et al. 2024, section 3.1).
            TimestepSampler::Mode(mode) => {
                self.fraction("timestep_sampler.scale", mode.scale, &[AtLeast(-1.0), AtMost(1.75)]);
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
            TimestepSampler::TaskDifficulty(tasks) => self.task_difficulty(tasks, spec),
            TimestepSampler::Speed(speed) => {
                self.fraction("timestep_sampler.k", speed.k, &[Above(0.0), AtMost(1e6)]);
                self.fraction("timestep_sampler.tau", speed.tau, &[Above(0.0), AtMost(1.0)]);
            }
        }
    }

    fn anneal(&mut self, anneal: f64) {
        let is_share = (0.0..=1.0).contains(&anneal);
        let is_steps = (2.0..=1e12).contains(&anneal) && anneal.fract() == 0.0;
        if !is_share && !is_steps {
            let message = format!(
                "`timestep_sampler.anneal` must be a share of the planned steps from 0 to 1 or a whole number of steps from 2 on, not {}",
                show(anneal)
            );
            self.breaks(&["timestep_sampler.anneal"], message, None);
        }
    }

    fn task_difficulty(&mut self, tasks: &TaskDifficultyTimesteps, spec: &RunSpec) {
        self.size("timestep_sampler.clusters", tasks.clusters as u64, 1, 1000);
        // Up to 2^24 an f32 of the checkpoint holds every whole number.
        self.size("timestep_sampler.patience", tasks.patience.into(), 1, 1 << 24);
        self.fraction("timestep_sampler.smoothing", tasks.smoothing, &[AtLeast(0.0), Below(1.0)]);
        let timesteps = spec.noise_schedule.timesteps();
        if tasks.clusters > timesteps {
            let clusters = tasks.clusters;
            let message = format!(
                "`timestep_sampler.clusters`, {clusters}, is more than `noise_schedule.timesteps`, {timesteps}"
            );
            self.breaks(&["timestep_sampler.clusters", "noise_schedule.timesteps"], message, None);
        }
        let (steps, clusters, patience) = (spec.train.steps, tasks.clusters, tasks.patience);
        if !(2..=1000).contains(&clusters) {
            return;
        }
        // A stage has a first loss, and ends at one more step than `patience` without a better one.
        let stages = clusters as u64 - 1;
        let least = stages * (u64::from(patience) + 2);
        if least >= steps {
            let message = format!(
                "`timestep_sampler` of kind `task_difficulty` cannot reach its last cluster: {clusters} clusters with a \
                 `patience` of {patience} take at least {least} steps, and `train.steps` is {steps}"
            );
            let hint = match (steps.saturating_sub(1) / stages).checked_sub(2) {
                Some(most @ 1..) => {
                    format!("a `patience` of at most {most} reaches all of them; fewer clusters allow more")
                }
                _ => "take fewer clusters".to_owned(),
            };
            self.breaks(&["timestep_sampler.patience", "timestep_sampler", "train.steps"], message, Some(&hint));
        }
    }

    pub fn loss_weighting(&mut self, spec: &RunSpec) {
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
            LossWeighting::Fdm(fdm) => {
                self.fraction("loss_weighting.sigma_data", fdm.sigma_data, &[AtLeast(1e-3), AtMost(1e3)]);
                self.fraction("loss_weighting.cap_start", fdm.cap_start, &[Above(0.0), AtMost(1e9)]);
                self.fraction("loss_weighting.cap_end", fdm.cap_end, &[Above(0.0), AtMost(1e9)]);
                let (start, end) = (fdm.cap_start, fdm.cap_end);
                if start > end {
                    let message = format!(
                        "`loss_weighting.cap_start`, {}, must not be above `cap_end`, {}",
                        show(start),
                        show(end)
                    );
                    self.breaks(&["loss_weighting.cap_start", "loss_weighting.cap_end"], message, None);
                }
                let (warm_up, steps) = (fdm.warm_up, spec.train.steps);
                if warm_up > steps {
                    let message = format!("`loss_weighting.warm_up`, {warm_up}, is more than `train.steps`, {steps}");
                    self.breaks(&["loss_weighting.warm_up", "loss_weighting", "train.steps"], message, None);
                }
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
            let hint = "`min_snr`, `edm` and `fdm` are defined for every parameterization";
            self.breaks(&["loss_weighting", "parameterization"], message, Some(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::{assert_broken, broken};

    #[test]
    fn every_number_has_its_range() {
        let curriculum = |key: &str, value: f64| json!({"timestep_sampler": {"kind": "curriculum", key: value}});
        let sampler = |kind: &str, key: &str, value: f64| json!({"timestep_sampler": {"kind": kind, key: value}});
        let tasks = |settings: Json| {
            let mut sampler = settings;
            sampler["kind"] = json!("task_difficulty");
            json!({"timestep_sampler": sampler})
        };
        let weighting = |kind: &str, key: &str, value: f64| json!({"loss_weighting": {"kind": kind, key: value}});
        let linear = |key: &str, value: f64| json!({"noise_schedule": {"kind": "linear", key: value}});
        let cosine = |key: &str, value: f64| json!({"noise_schedule": {"kind": "cosine", key: value}});
        let scaled_linear = |key: &str, value: f64| json!({"noise_schedule": {"kind": "scaled_linear", key: value}});
        let sigmoid = |key: &str, value: f64| json!({"noise_schedule": {"kind": "sigmoid", key: value}});
        assert_broken([
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
            (
                json!({"parameterization": {"kind": "fdm", "multiplier": -1}}),
                "`parameterization.multiplier` must be at least 0 and at most 10, not -1",
            ),
            (
                json!({"parameterization": {"kind": "fdm", "sigma_data": 0.4}, "loss_weighting": {"kind": "fdm"}}),
                "`parameterization.sigma_data`, 0.4, and `loss_weighting.sigma_data`, 0.5, are one thing",
            ),
            (
                weighting("fdm", "cap_start", 0.0),
                "`loss_weighting.cap_start` must be above 0 and at most 1000000000, not 0",
            ),
            (weighting("fdm", "cap_end", 4.0), "`loss_weighting.cap_start`, 5, must not be above `cap_end`, 4"),
            (
                json!({"loss_weighting": {"kind": "fdm"}, "train": {"steps": 150}}),
                "`loss_weighting.warm_up`, 200, is more than `train.steps`, 150",
            ),
            (curriculum("center", 1.1), "`timestep_sampler.center` must be at least 0 and at most 1, not 1.1"),
            (curriculum("width", 0.0), "`timestep_sampler.width` must be at least 0.001 and at most 1000, not 0"),
            (
                curriculum("anneal", -0.5),
                "`timestep_sampler.anneal` must be a share of the planned steps from 0 to 1 or a whole number of steps from 2 on, not -0.5",
            ),
            (curriculum("anneal", 5000.0), ""),
            (
                sampler("paced_curriculum", "anneal", 2.5),
                "`timestep_sampler.anneal` must be a share of the planned steps from 0 to 1 or a whole number of steps from 2 on, not 2.5",
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
            (sampler("shifted", "shift", 0.0), "`timestep_sampler.shift` must be at least 0.01 and at most 100, not 0"),
            (sampler("mode", "scale", 2.0), "`timestep_sampler.scale` must be at least -1 and at most 1.75, not 2"),
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
            (tasks(json!({"clusters": 0})), "`timestep_sampler.clusters` must be at least 1, not 0"),
            (tasks(json!({"clusters": 2, "patience": 0})), "`timestep_sampler.patience` must be at least 1, not 0"),
            (
                tasks(json!({"clusters": 2, "smoothing": 1})),
                "`timestep_sampler.smoothing` must be at least 0 and below 1, not 1",
            ),
            (
                tasks(json!({"clusters": 5, "patience": 500})),
                "`timestep_sampler` of kind `task_difficulty` cannot reach its last cluster: 5 clusters with a `patience` of 500 take at least 2008 steps, and `train.steps` is 2000",
            ),
            (tasks(json!({"clusters": 5, "patience": 497})), ""),
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
        ]);
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
            ("fdm", "fdm"),
            ("fdm", "epsilon"),
            ("edm", "fdm"),
            ("uniform", "x0"),
        ] {
            assert_eq!(broken(json!({"loss_weighting": {"kind": kind}, "parameterization": predicted})), "");
        }
    }
}
