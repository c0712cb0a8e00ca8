//! Studies whose true speedups are known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use speedlab::event::{RunOutcome, Started};
use speedlab::random::{Draws, Stream};
use speedlab::record::{Row, Rows, RunRecord, RunState, StudyRecord, TimestepDensity};
use speedlab::spec::*;

/// An arm that gets down the same curve `speed` times as fast in images, each step taking `step_cost` times as long.
pub struct Arm {
    pub name: &'static str,
    pub speed: f64,
    pub step_cost: f64,
    pub patch: fn(&mut RunSpec),
}

/// A study to be made up.
pub struct Synthetic {
    pub arms: Vec<Arm>,
    pub seeds: u64,
    pub channels: Vec<usize>,
    pub steps: u64,
    pub every: u64,
    /// Standard deviation of the logarithm of a run's speed.
    pub spread: f64,
}

pub const PROTOCOL: &str = "digits-cnn n=1000 ref=train:1437 resize=none ddim nfe=20 ema=0.999";
pub const DEVICE: &str = "cpu: AMD EPYC 9R14, 1 thread";

pub fn arms() -> Vec<Arm> {
    let clts: fn(&mut RunSpec) = |spec| {
        spec.timestep_sampler =
            TimestepSampler::Curriculum(CurriculumTimesteps { center: 0.3, width: 0.3, anneal: 0.5 });
    };
    let mdlrc: fn(&mut RunSpec) = |spec| {
        spec.momentum = MomentumSchedule::Demon(DemonMomentum {});
        spec.lr_schedule = LrSchedule::MomentumCompensated(MomentumCompensatedLr {});
    };
    vec![
        Arm { name: "baseline", speed: 1.0, step_cost: 1.0, patch: |_| {} },
        Arm { name: "clts", speed: 1.55, step_cost: 1.03, patch: clts },
        Arm { name: "mdlrc", speed: 1.06, step_cost: 1.0, patch: mdlrc },
        Arm {
            name: "same-lr",
            speed: 1.0,
            step_cost: 1.0,
            patch: |spec| spec.lr_schedule = LrSchedule::Linear(LinearLr { end: 0.1 }),
        },
        Arm {
            name: "clts+mdlrc",
            speed: 1.9,
            step_cost: 1.03,
            patch: |spec| {
                spec.timestep_sampler =
                    TimestepSampler::Curriculum(CurriculumTimesteps { center: 0.3, width: 0.3, anneal: 0.5 });
                spec.momentum = MomentumSchedule::Demon(DemonMomentum {});
                spec.lr_schedule = LrSchedule::MomentumCompensated(MomentumCompensatedLr {});
            },
        },
    ]
}

impl Default for Synthetic {
    fn default() -> Self {
        Self { arms: arms(), seeds: 3, channels: vec![16], steps: 2000, every: 100, spread: 0.05 }
    }
}

impl Synthetic {
    /// The study with every run completed.
    pub fn study(&self, folder: &Path) -> StudyRecord {
        let planned = self.planned();
        let axes = match self.channels.len() {
            1 => vec![],
            _ => vec![Axis {
                path: "model.channels".into(),
                values: self.channels.iter().map(|&value| json!(value)).collect(),
            }],
        };
        let plan = Plan {
            version: PLAN_VERSION,
            name: "synthetic".into(),
            question: "Do a timestep curriculum and momentum decay reach the baseline's FID sooner?".into(),
            arms: self.arms.iter().map(|arm| arm.name.to_owned()).collect(),
            axes,
            seeds: (0..self.seeds).collect(),
            compare: Some(Compare {
                baseline: "baseline".into(),
                metric: Metric::Fid,
                band: BandShares::default(),
                target: Some(Target::Final { from: "baseline".into(), at: FinalAt::FinalMedian }),
                practical: PRACTICAL,
                tune: vec![],
                pairs: vec![Pair { arm: "mdlrc".into(), against: "same-lr".into() }],
            }),
            until_decided: None,
            exclusive: false,
            labels: Labels::default(),
            runs: planned.clone(),
        };
        let runs = planned.into_iter().map(|planned| self.run(planned)).collect();
        StudyRecord {
            folder: folder.to_owned(),
            place: None,
            plan,
            sweep_arguments: "sweeps/synthetic.yaml".into(),
            revisions: vec![],
            held: None,
            runs,
        }
    }

    fn planned(&self) -> Vec<PlannedRun> {
        let mut planned = Vec::new();
        for seed in 0..self.seeds {
            for &channels in &self.channels {
                for arm in &self.arms {
                    let mut spec = RunSpec { seed, ..RunSpec::default() };
                    spec.model = Model::Unet(UnetModel { channels, ..UnetModel::default() });
                    spec.train.steps = self.steps;
                    spec.evaluate.every = self.every;
                    (arm.patch)(&mut spec);
                    let (mut point, mut trial) = (BTreeMap::new(), arm.name.to_owned());
                    if self.channels.len() > 1 {
                        point.insert("model.channels".to_owned(), json!(channels));
                        trial.push_str(&format!(" model.channels={channels}"));
                    }
                    planned.push(PlannedRun {
                        run_id: RunId::of(&spec),
                        arm: arm.name.to_owned(),
                        trial,
                        point,
                        seed,
                        spec,
                    });
                }
            }
        }
        planned
    }

    fn run(&self, planned: PlannedRun) -> RunRecord {
        let arm = self.arms.iter().find(|arm| arm.name == planned.arm).expect("runs are made of arms");
        let index = self.arms.iter().position(|arm| arm.name == planned.arm).expect("found above") as u64;
        let channels = planned.spec.model_channels() as u64;
        let mut draws = Draws::new(planned.seed, Stream::Noise, index * 1000 + channels);
        let mut normals = vec![0f32; 4000];
        draws.fill_normal(&mut normals);
        let mut normals = normals.into_iter().map(f64::from);
        let mut normal = || normals.next().expect("4000 are enough");
        let speed = arm.speed * (self.spread * normal()).exp();
        let batch_size = planned.spec.train.batch_size as u64;
        let mut rows = Rows::default();
        let mut put = |step: u64, metric: &str, protocol: &str, value: f64| {
            let train_seconds = step as f64 * 0.021 * arm.step_cost * (channels as f64 / 16.0);
            rows.push(Row {
                attempt: 1,
                step,
                images_seen: step * batch_size,
                train_seconds,
                wall_seconds: 1.2 * train_seconds + 0.5,
                metric,
                protocol,
                value,
            });
        };
        let mut densities = Vec::new();
        for step in (10..=self.steps).step_by(10) {
            let tau = step as f64 / self.steps as f64;
            let progress = speed * step as f64;
            put(step, "train_loss", "", 0.09 + 0.8 * (progress / 10.0).powf(-0.6) + 0.008 * normal());
            let beta1 = match &planned.spec.momentum {
                MomentumSchedule::Demon(_) => 0.9 * (1.0 - tau) / (0.1 + 0.9 * (1.0 - tau)),
                _ => 0.9,
            };
            put(step, "beta1", "", beta1);
            put(
                step,
                "learning_rate",
                "",
                match &planned.spec.lr_schedule {
                    LrSchedule::MomentumCompensated(_) => 1e-3 * 0.1 / (1.0 - beta1),
                    LrSchedule::Linear(linear) => 1e-3 * (1.0 + (linear.end - 1.0) * tau),
                    _ => 1e-3,
                },
            );
            if step % self.every == 0 {
                let fid = 9.0 + 260.0 * (1.0 + progress / 120.0).powf(-1.25);
                put(step, "fid", PROTOCOL, fid * (0.01 * normal()).exp());
                put(step, "validation_loss", "", 0.07 + 0.5 * (1.0 + progress / 40.0).powf(-0.9));
                for bin in 0..10 {
                    let level = 0.02 + 0.4 * (-0.5 * f64::from(bin)).exp() * (1.0 + progress / 400.0).powf(-0.2);
                    put(step, &format!("validation_loss/{bin}"), "", level * (0.02 * normal()).exp());
                }
            }
            if step == 10 || step % (self.steps / 20) == 0 {
                densities.push(TimestepDensity { step, density: density(&planned.spec, tau) });
            }
        }
        let started = Started {
            version: 1,
            run_id: planned.run_id.clone(),
            attempt: 1,
            from_checkpoint: 0,
            from_step: 0,
            shared_from: None,
            program: "speedlab 0.1.0".into(),
            device: DEVICE.into(),
            started_at: format!("2026-11-22T10:{:02}:00Z", planned.seed % 60),
            build: String::new(),
            micro_batches: 1,
            data_sha256: String::new(),
            decoder_sha256: String::new(),
        };
        RunRecord {
            state: RunState::Ended(RunOutcome::Completed),
            last_outcome: Some(RunOutcome::Completed),
            attempts: vec![started],
            rows,
            densities,
            ..RunRecord::new(planned)
        }
    }
}

/// Ends a run early: what it recorded after `step` is gone.
pub fn cut(run: &mut RunRecord, step: u64, state: RunState) {
    run.rows = run.rows.iter().filter(|row| row.step <= step).collect();
    run.densities.retain(|density| density.step <= step);
    run.last_outcome = if let RunState::Ended(outcome) = &state { Some(outcome.clone()) } else { None };
    run.state = state;
}

/// Draws a grid of noisy rings for every fourth evaluation of every run, as PNG files below `folder`.
pub fn draw_samples(study: &mut StudyRecord, folder: &Path) {
    for (index, run) in study.runs.iter_mut().enumerate() {
        let steps: Vec<u64> = run.rows.iter().filter(|row| row.metric == "fid").map(|row| row.step).collect();
        for step in steps.into_iter().skip(3).step_by(4) {
            let blur = 1.0 - step as f64 / run.planned.spec.train.steps as f64;
            let mut draws = Draws::new(index as u64 % 5, Stream::EvaluationNoise, 0);
            let image = image::GrayImage::from_fn(71, 71, |x, y| {
                let (x, y) = (f64::from(x % 9), f64::from(y % 9));
                let ring = (-((x - 3.5).hypot(y - 3.5) - 2.5).powi(2)).exp();
                let noise = draws.uniform();
                image::Luma([if x > 7.5 || y > 7.5 {
                    255
                } else {
                    (255.0 * (ring * (1.0 - blur) + noise * blur)) as u8
                }])
            });
            let path: PathBuf = folder.join(format!("{}-{step}.png", run.planned.run_id));
            image.save(&path).expect("a PNG can be written");
            run.samples.push((step, path));
        }
    }
}

fn density(spec: &RunSpec, tau: f64) -> Vec<f64> {
    let bins = 50;
    let TimestepSampler::Curriculum(curriculum) = &spec.timestep_sampler else { return vec![1.0 / bins as f64; bins] };
    let share = (tau / curriculum.anneal).min(1.0);
    let bell: Vec<f64> = (0..bins)
        .map(|bin| {
            let t = (bin as f64 + 0.5) / bins as f64;
            (-(t - curriculum.center).powi(2) / (2.0 * curriculum.width.powi(2))).exp()
        })
        .collect();
    let total: f64 = bell.iter().sum();
    bell.iter().map(|value| (1.0 - share) / bins as f64 + share * value / total).collect()
}

trait Channels {
    fn model_channels(&self) -> usize;
}

impl Channels for RunSpec {
    fn model_channels(&self) -> usize {
        match &self.model {
            Model::Unet(unet) => unet.channels,
            other => panic!("these runs are of UNets, not of `{}`", other.kind()),
        }
    }
}
