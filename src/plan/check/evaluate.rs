//! How quality is measured.

use super::rules::{
    Bound::{AtLeast, AtMost},
    MOST_STEPS, Rules,
};
use crate::spec::{AncestralVariance, Features, FurtherMeasure, Model, OdeSampler, RunSpec, Spacing};

impl Rules {
    pub fn evaluate(&mut self, spec: &RunSpec) {
        let evaluate = &spec.evaluate;
        self.size("evaluate.every", evaluate.every, 1, MOST_STEPS);
        let held_out = spec.data.held_out_images() as u64;
        self.size("evaluate.validation.images", evaluate.validation.images as u64, 1, held_out);
        self.size("evaluate.grid_images", evaluate.grid_images as u64, 1, 4096);
        self.fid(spec);
        self.timesteps(spec, "evaluate.validation.bins", evaluate.validation.bins);
    }

    /// How images are generated, and what is measured of them.
    pub fn fid(&mut self, spec: &RunSpec) {
        let fid = &spec.evaluate.fid;
        // A covariance needs two.
        self.size("evaluate.fid.samples", fid.samples as u64, 2, 1 << 24);
        self.timesteps(spec, "evaluate.fid.ode.steps", fid.ode.steps());
        self.ode(&fid.ode);
        self.learned_variance(spec);
        self.measures(spec);
    }

    fn timesteps(&mut self, spec: &RunSpec, path: &'static str, value: usize) {
        let timesteps = spec.noise_schedule.timesteps();
        self.size(path, value as u64, 1, u64::MAX);
        if value > timesteps {
            let message = format!("`{path}`, {value}, is more than `noise_schedule.timesteps`, {timesteps}");
            self.breaks(&[path, "noise_schedule.timesteps"], message, None);
        }
    }

    fn measures(&mut self, spec: &RunSpec) {
        let evaluate = &spec.evaluate;
        let (samples, features) = (evaluate.fid.samples, evaluate.fid.features);
        let dimension = features.dimension(spec.data.picture_shape().0);
        for &measure in &evaluate.measures {
            // How many values a file's network gives is known when it is looked into.
            if measure == FurtherMeasure::FidInfinity && features.are_of_file() {
                continue;
            }
            let (name, least) = (measure.name(), measure.least_samples(dimension));
            // Fewer than two are refused anyway.
            if samples < least && samples >= 2 {
                let reason = match measure {
                    FurtherMeasure::FidInfinity => {
                        format!(": three for each of the {dimension} values of `{}`", features.name())
                    }
                    _ => String::new(),
                };
                let message = format!("`{name}` needs at least {least} generated images, not {samples}{reason}");
                let hint = format!("set `evaluate.fid.samples` to {least} or more");
                self.breaks(&["evaluate.measures", "evaluate.fid.samples"], message, Some(&hint));
            }
        }
        if evaluate.measures.contains(&FurtherMeasure::Sfid) && features.spatial_dimension().is_none() {
            let message = format!("`sfid` is made of features `inception-v3`, not of `{}`", features.name());
            let hint = "set `evaluate.fid.features: inception-v3`, or leave it out";
            self.breaks(&["evaluate.measures", "evaluate.fid.features"], message, Some(hint));
        }
        if evaluate.measures.contains(&FurtherMeasure::Cmmd) && features != Features::Clip {
            let message = format!("`cmmd` is made of features `clip`, not of `{}`", features.name());
            let hint = "set `evaluate.fid.features: clip`, or leave it out: `kid` is such a distance of any features";
            self.breaks(&["evaluate.measures", "evaluate.fid.features"], message, Some(hint));
        }
        if evaluate.measures.contains(&FurtherMeasure::InceptionScore) && !features.has_inception_score() {
            let message = format!("`inception_score` is made of features `inception-v3`, not of `{}`", features.name());
            let hint = "leave it out: `kid` and `precision_recall` are made of any features";
            self.breaks(&["evaluate.measures", "evaluate.fid.features"], message, Some(hint));
        }
    }

    fn learned_variance(&mut self, spec: &RunSpec) {
        let asks =
            matches!(&spec.evaluate.fid.ode, OdeSampler::Ddpm(ddpm) if ddpm.variance == AncestralVariance::Learned);
        if asks && !spec.model.learned_sigma() {
            let message = "`evaluate.fid.ode.variance: learned` needs a network that learns it".to_owned();
            let hint = match &spec.model {
                Model::Adm(_) | Model::Dit(_) => "set `model.learned_sigma: true`",
                _ => "`model: { kind: adm, learned_sigma: true }` does, and one of kind `dit`",
            };
            self.breaks(&["evaluate.fid.ode.variance", "model.learned_sigma"], message, Some(hint));
        }
    }

    fn ode(&mut self, ode: &OdeSampler) {
        if let OdeSampler::Ddim(ddim) = ode {
            self.fraction("evaluate.fid.ode.eta", ddim.eta, &[AtLeast(0.0), AtMost(1.0)]);
        }
        let spacing = ode.spacing();
        let shift = "evaluate.fid.ode.shift";
        self.fraction(shift, ode.shift(), &[AtLeast(1.0), AtMost(1e2)]);
        if ode.shift() > 1.0 && spacing != Spacing::Trailing {
            let message =
                format!("`{shift}` moves the steps of `spacing: trailing`, not those of `{}`", spacing.name());
            let hint = "set `spacing: trailing`, or leave `shift` out";
            self.breaks(&[shift, "evaluate.fid.ode.spacing", "evaluate.fid.ode"], message, Some(hint));
        }
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
    use serde_json::json;

    use crate::plan::check::assert_broken;

    #[test]
    fn every_number_has_its_range() {
        let ode = |ode: serde_json::Value| json!({"evaluate": {"fid": {"ode": ode}}});
        assert_broken([
            (json!({"evaluate": {"every": 0}}), "`evaluate.every` must be at least 1, not 0"),
            (json!({"evaluate": {"grid_images": 0}}), "`evaluate.grid_images` must be at least 1, not 0"),
            (json!({"evaluate": {"fid": {"samples": 1}}}), "`evaluate.fid.samples` must be at least 2, not 1"),
            (
                json!({"evaluate": {"fid": {"ode": {"kind": "ddim", "steps": 0}}}}),
                "`evaluate.fid.ode.steps` must be at least 1, not 0",
            ),
            (
                ode(json!({"kind": "euler", "shift": 0.5})),
                "`evaluate.fid.ode.shift` must be at least 1 and at most 100, not 0.5",
            ),
            (ode(json!({"kind": "heun", "shift": 3.0, "spacing": "trailing"})), ""),
            (
                ode(json!({"kind": "heun", "shift": 3.0})),
                "`evaluate.fid.ode.shift` moves the steps of `spacing: trailing`, not those of `karras`",
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
            (
                json!({"evaluate": {"measures": ["kid", "precision_recall", "fid_infinity"], "fid": {"samples": 5}}}),
                "`precision_recall` needs at least 6 generated images, not 5\n\
                 `fid_infinity` needs at least 192 generated images, not 5: three for each of the 64 values of `digits-cnn`",
            ),
            (json!({"evaluate": {"measures": ["density_coverage", "fid_infinity", "kid"]}}), ""),
            (json!({"evaluate": {"measures": ["fid_infinity"], "fid": {"samples": 192}}}), ""),
            (
                json!({"evaluate": {"measures": ["fid_infinity"], "fid": {"features": "inception-v3", "samples": 6143}}}),
                "`fid_infinity` needs at least 6144 generated images, not 6143: three for each of the 2048 values of `inception-v3`",
            ),
            (
                json!({"evaluate": {"measures": ["fid_infinity"], "fid": {"features": "inception-v3", "samples": 6144}}}),
                "",
            ),
            (
                json!({"evaluate": {"measures": ["inception_score"]}}),
                "`inception_score` is made of features `inception-v3`, not of `digits-cnn`",
            ),
            (json!({"evaluate": {"measures": ["inception_score"], "fid": {"features": "inception-v3"}}}), ""),
            (json!({"evaluate": {"measures": ["sfid"], "fid": {"features": "inception-v3"}}}), ""),
            (
                json!({"evaluate": {"measures": ["sfid"], "fid": {"features": "inception-v3-768"}}}),
                "`sfid` is made of features `inception-v3`, not of `inception-v3-768`",
            ),
            (
                json!({"evaluate": {"measures": ["cmmd"], "fid": {"features": "dinov2", "weights": "x.pth"}}}),
                "`cmmd` is made of features `clip`, not of `dinov2`",
            ),
            (json!({"evaluate": {"measures": ["cmmd", "kid"], "fid": {"features": "clip", "weights": "x.pth"}}}), ""),
            (
                json!({"evaluate": {"measures": ["fid_infinity"], "fid": {"features": "dinov2", "weights": "x.pth"}}}),
                "",
            ),
            (
                json!({"evaluate": {"measures": ["inception_score"], "fid": {"features": "inception-v3-768"}}}),
                "`inception_score` is made of features `inception-v3`, not of `inception-v3-768`",
            ),
            (json!({"evaluate": {"validation": {"bins": 0}}}), "`evaluate.validation.bins` must be at least 1, not 0"),
            (
                json!({"evaluate": {"validation": {"bins": 1001}}}),
                "`evaluate.validation.bins`, 1001, is more than `noise_schedule.timesteps`, 1000",
            ),
            (
                json!({"evaluate": {"validation": {"images": 0}}}),
                "`evaluate.validation.images` must be at least 1, not 0",
            ),
        ]);
    }
}
