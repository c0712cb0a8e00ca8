//! The methods as this study used them: what their papers state, what they leave open and what was chosen.

use maud::{Markup, html};

use crate::report::comparison::Comparison;
use crate::spec::{
    Clustering, LossWeighting, LrSchedule, MomentumSchedule, NoiseAssignment, Optimizer, Pacing, Parameterization,
    RunSpec, TimestepSampler,
};

/// A field of a method that the paper describes.
struct Field {
    arms: Vec<String>,
    field: String,
    used: String,
    paper: String,
}

/// CLTS in whichever form, in words.
struct Curriculum {
    center: String,
    width: String,
    anneal: String,
    /// `None` for `curriculum`, which is linear.
    pacing: Option<String>,
}

impl Curriculum {
    fn of(sampler: &TimestepSampler) -> Option<Self> {
        let words = |center: f64, width: f64, anneal: f64, pacing: Option<Pacing>, unit: &str| {
            let pacing = pacing.map(|pacing| format!("{pacing:?}").to_lowercase());
            Some(Self {
                center: format!("{center}{unit}"),
                width: format!("{width}{unit}"),
                anneal: anneal.to_string(),
                pacing,
            })
        };
        match sampler {
            TimestepSampler::Curriculum(clts) => words(clts.center, clts.width, clts.anneal, None, ""),
            TimestepSampler::PacedCurriculum(clts) => {
                words(clts.center, clts.width, clts.anneal, Some(clts.pacing), "")
            }
            TimestepSampler::LogSnrCurriculum(clts) => {
                words(clts.center, clts.width, clts.anneal, Some(clts.pacing), " in log-SNR")
            }
            _ => None,
        }
    }
}

pub fn open_fields(comparison: &Comparison) -> Markup {
    let fields = fields(comparison);
    html! {
        p {
            "CLTS (the curriculum learning timestep schedule) and MDLRC (momentum decay with learning-rate compensation) are methods of \
             arXiv 2404.07946. The runs here use a re-implementation from published text that could be read; settings and tables of \
             the paper's own experiments could not. The speedups that it reports (2.6× on ImageNet-128, about 2× on CIFAR-10) are claims to test, \
             not results of this program, and a result here on other data or models neither confirms nor refutes them. The table also has \
             methods of other papers, where these leave something open or were written for another setting."
        }
        @if fields.is_empty() {
            p { "No arm of this sweep uses a method whose paper leaves something open." }
        } @else {
            div.wide {
                table {
                    thead { tr { th { "Arms" } th { "Field" } th { "Used here" } th { "In the paper" } } }
                    tbody {
                        @for field in &fields {
                            tr.first { th { (field.arms.join(", ")) } td { code { (field.field) } } td { (field.used) } td { (field.paper) } }
                        }
                    }
                }
            }
            @if fields.iter().any(|field| field.field.starts_with("timestep_sampler") || field.field.starts_with("momentum")) {
                p.note {
                    "The effect of these fields was measured on 8×8 digits (" code { "sweeps/small/sensitivity.yaml" } ", "
                    code { "sweeps/small/ema-length.yaml" } "). The speedup of the curriculum was 1.13× without an anneal, 1.07× with one over half and 1.04× over all of the training; 1.09×, \
                     1.07×, 0.98× and 0.89× with its centre at 0.1, 0.3, 0.5 and 0.7 T; 1.31×, 1.22× and 1.04× with averages of about 10, 40 and \
                     160 steps. Every way to lose momentum was slower or equal."
                }
            }
        }
    }
}

fn fields(comparison: &Comparison) -> Vec<Field> {
    let plan = &comparison.study.plan;
    let mut fields: Vec<Field> = Vec::new();
    for arm in &plan.arms {
        let specs: Vec<&RunSpec> = plan.runs.iter().filter(|run| run.arm == *arm).map(|run| &run.spec).collect();
        let mut add = |field: &str, paper: &str, used: Used| {
            let mut values: Vec<String> = Vec::new();
            for value in specs.iter().filter_map(|spec| used(spec)) {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            if !values.is_empty() {
                let (field, paper) = (field.to_owned(), paper.to_owned());
                let used = values.join(", ");
                match fields.iter_mut().find(|other| other.field == field && other.used == used) {
                    Some(same) => same.arms.push(arm.clone()),
                    None => fields.push(Field { arms: vec![arm.clone()], field, used, paper }),
                }
            }
        };
        let curriculum = |spec: &RunSpec| Curriculum::of(&spec.timestep_sampler);
        add("timestep_sampler.center (μ)", "stated: 0.3 is best in the paper's ablation", &|spec| {
            curriculum(spec).map(|curriculum| curriculum.center)
        });
        add("timestep_sampler.width (s)", "open; 1 would be nearly uniform", &|spec| {
            curriculum(spec).map(|curriculum| curriculum.width)
        });
        add("timestep_sampler.anneal (N)", "open; up to 1 a share of the planned steps, above 1 steps", &|spec| {
            curriculum(spec).map(|curriculum| curriculum.anneal)
        });
        add("timestep_sampler.pacing", "open; reported: linear", &|spec| curriculum(spec)?.pacing);
        add("loss under the curriculum", "reported: not re-weighted by 1/p", &|spec| {
            curriculum(spec).map(|_| format!("{} weighting, not divided by p", spec.loss_weighting.kind()))
        });
        let decays = |spec: &RunSpec| !matches!(spec.momentum, MomentumSchedule::Constant(_));
        add("momentum (kind of decay)", "open; the best-supported form is demon", &|spec| {
            decays(spec).then(|| spec.momentum.kind().to_owned())
        });
        add("momentum: rate, floor or end", "open", &|spec| match &spec.momentum {
            MomentumSchedule::Exponential(decay) => {
                Some(format!("decay {} per step, floor {}", decay.decay, decay.floor))
            }
            MomentumSchedule::Linear(decay) => Some(format!("end {}", decay.end)),
            MomentumSchedule::Demon(_) => Some("none: β₁ falls to 0 at the planned end".to_owned()),
            _ => None,
        });
        add("lr_schedule (compensation)", "stated that there is one; its formula is open", &|spec| match &spec
            .lr_schedule
        {
            LrSchedule::MomentumCompensated(_) => Some("lr0 (1 − b0) / (1 − β₁)".to_owned()),
            other => decays(spec).then(|| format!("none: the schedule is {}", other.kind())),
        });
        other_methods(&mut add);
    }
    fields
}

/// The value that a run used in a field; `None` if it has no such field.
type Used<'u> = &'u dyn Fn(&RunSpec) -> Option<String>;

/// The methods of other papers, where those leave something open or were written for another setting.
fn other_methods(add: &mut dyn FnMut(&str, &str, Used)) {
    use crate::spec::TimestepSampler::{
        CurriculumSampling, Edm, Laplace, LogitNormal, LossSecondMoment, Speed, TaskDifficulty,
    };
    add(
        "timestep_sampler (middle first)",
        "Curriculum Sampling, 2603.12517: its density and moment are open",
        &|spec| match &spec.timestep_sampler {
            CurriculumSampling(sampling) => Some(format!(
                "normal around {} T, {} T wide, uniform after {} of the steps",
                sampling.center, sampling.width, sampling.switch
            )),
            _ => None,
        },
    );
    add(
        "timestep_sampler in log-SNR",
        "stated as a continuous density (2407.03297, 2206.00364); here on the discrete t",
        &|spec| match &spec.timestep_sampler {
            Laplace(laplace) => Some(format!("mean {}, scale {}", laplace.mean, laplace.scale)),
            Edm(edm) => Some(format!("ln σ: mean {}, deviation {}", edm.mean, edm.deviation)),
            _ => None,
        },
    );
    add(
        "timestep_sampler (logit-normal)",
        "stated for the continuous t of rectified flows (2403.03206); here on the discrete t of the noise schedule",
        &|spec| match &spec.timestep_sampler {
            LogitNormal(normal) => Some(format!("mean {}, deviation {}", normal.mean, normal.deviation)),
            _ => None,
        },
    );
    add(
        "timestep_sampler (SpeeD)",
        "2405.17403: k and τ stated; the authors' released code finds τ from the noise schedule and mirrors half of each batch",
        &|spec| match &spec.timestep_sampler {
            Speed(speed) => Some(format!("k {}, τ {} T, every timestep drawn by itself", speed.k, speed.tau)),
            _ => None,
        },
    );
    add(
        "timestep_sampler (task difficulty)",
        "2403.10348: the clusters are trained from the noisiest down, the next one when the loss stops improving; reported: 20 clusters, \
         patience 200. Open: how the loss is smoothed, and that each stage starts its best loss anew",
        &|spec| match &spec.timestep_sampler {
            TaskDifficulty(tasks) => Some(format!(
                "{} clusters, equally wide in {}, patience {} steps, smoothing {}",
                tasks.clusters,
                match tasks.clustering {
                    Clustering::Timestep => "t",
                    Clustering::LogSnr => "log-SNR",
                },
                tasks.patience,
                tasks.smoothing
            )),
            _ => None,
        },
    );
    add(
        "timestep_sampler (loss second moment)",
        "2102.09672: 10 losses stated; the share of the uniform density is from the authors' code",
        &|spec| match &spec.timestep_sampler {
            LossSecondMoment(second) => Some(format!("{} losses, {} uniform", second.history, second.uniform)),
            _ => None,
        },
    );
    add(
        "loss_weighting (SpeeD)",
        "2405.17403: λ and τ stated; how the change is scaled to 0..1 is open, and the authors' released code weighs by P2 instead",
        &|spec| match &spec.loss_weighting {
            LossWeighting::Speed(speed) => Some(format!("λ {}, τ {} T, scaled over all T", speed.lambda, speed.tau)),
            _ => None,
        },
    );
    add(
        "loss_weighting (EDM)",
        "2206.00364: part of EDM, whose preconditioning has its own parameterization",
        &|spec| match &spec.loss_weighting {
            LossWeighting::Edm(edm) => {
                Some(format!("σ_data {}, parameterization {}", edm.sigma_data, spec.parameterization.name()))
            }
            _ => None,
        },
    );
    add(
        "parameterization (FDM)",
        "2306.06991: the range of σ over which u goes from 0 to 1 is EDM's 0.002 to 80 in the paper's code, 200 steps of warm-up are its \
         command's for CIFAR-10",
        &|spec| {
            let parameterization = match spec.parameterization {
                Parameterization::Fdm(fdm) => Some(format!("multiplier {}, σ of the noise schedule", fdm.multiplier)),
                _ => None,
            };
            let weighting = match &spec.loss_weighting {
                LossWeighting::Fdm(fdm) => {
                    Some(format!("weights capped at {} to {} for {} steps", fdm.cap_start, fdm.cap_end, fdm.warm_up))
                }
                _ => None,
            };
            let both: Vec<String> = parameterization.into_iter().chain(weighting).collect();
            (!both.is_empty()).then(|| both.join(", "))
        },
    );
    add("loss_weighting (P2)", "2204.00227: k = 1 stated, γ 0.5 or 1 by data", &|spec| match &spec.loss_weighting {
        LossWeighting::P2(p2) => Some(format!("k {}, γ {}", p2.k, p2.gamma)),
        _ => None,
    });
    add(
        "noise (immiscible)",
        "2406.12303: least sum of distances in a batch; the authors compute them in f16, and over the batches of all devices together",
        &|spec| {
            let is_immiscible = matches!(spec.noise, NoiseAssignment::Immiscible(_));
            is_immiscible.then(|| format!("Euclidean distances to 2⁻²⁰, batches of {}", spec.train.batch_words()))
        },
    );
    add(
        "optimizer (schedule-free AdamW)",
        "2405.15682: the learning rate and b are tuned for each problem; learning rate 0.0025, b 0.9 and no decay are the package's defaults",
        &|spec| match &spec.optimizer {
            Optimizer::ScheduleFreeAdamw(adamw) => Some(format!(
                "learning rate {}, b {}, weight decay {}, {} steps of warm-up",
                adamw.learning_rate, adamw.beta1, adamw.weight_decay, spec.train.warmup_steps
            )),
            _ => None,
        },
    );
    add(
        "optimizer (SOAP)",
        "stated for transformers that model language, every matrix of them, the first and last one-sided",
        &|spec| match &spec.optimizer {
            Optimizer::Soap(soap) => Some(format!(
                "learning rate {}, bases of sides up to {}, refreshed every {} updates; Adam for vectors, embeddings, the first and last layer",
                soap.learning_rate, soap.largest_side, soap.refresh_every
            )),
            _ => None,
        },
    );
    add(
        "optimizer (Muon)",
        "stated for the matrices of hidden layers of transformers, and convolutions laid flat; for U-Nets nothing is published that we could read",
        &|spec| match &spec.optimizer {
            Optimizer::Muon(muon) => Some(format!(
                "learning rate {}, momentum {}, {} steps of Newton-Schulz in f32; AdamW at {} for vectors, embeddings, the first and last layer",
                muon.learning_rate, muon.beta1, muon.newton_schulz_steps, muon.others.learning_rate
            )),
            _ => None,
        },
    );
}
