//! The paper's methods as this study used them: what the paper states, what it leaves open and what was chosen.

use maud::{Markup, html};

use crate::report::comparison::Comparison;
use crate::spec::{LrSchedule, MomentumSchedule, Pacing, RunSpec, TimestepSampler};

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
             arXiv 2404.07946. What runs here is a re-implementation from what is published where it could be read; settings and tables of \
             the paper's own experiments were not. The speedups it reports (2.6× on ImageNet-128, about 2× on CIFAR-10) are claims to test, \
             not results of this program, and a result here on other data or models neither confirms nor refutes them."
        }
        @if fields.is_empty() {
            p { "No arm of this sweep uses either method." }
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
        }
    }
}

fn fields(comparison: &Comparison) -> Vec<Field> {
    let plan = &comparison.study.plan;
    let mut fields: Vec<Field> = Vec::new();
    for arm in &plan.arms {
        let specs: Vec<&RunSpec> = plan.runs.iter().filter(|run| run.arm == *arm).map(|run| &run.spec).collect();
        let mut add = |field: &str, paper: &str, used: &dyn Fn(&RunSpec) -> Option<String>| {
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
        add("timestep_sampler.anneal (N)", "open; as a share of the planned steps", &|spec| {
            curriculum(spec).map(|curriculum| curriculum.anneal)
        });
        add("timestep_sampler.pacing", "open; reported: linear", &|spec| curriculum(spec)?.pacing);
        add("loss under the curriculum", "reported: not re-weighted by 1/p", &|spec| {
            curriculum(spec).map(|_| format!("{} weighting, not divided by p", spec.loss_weighting.kind()))
        });
        add(
            "timestep_sampler (middle first)",
            "Curriculum Sampling, 2603.12517: its density and moment are open",
            &|spec| match &spec.timestep_sampler {
                TimestepSampler::CurriculumSampling(sampling) => Some(format!(
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
                TimestepSampler::Laplace(laplace) => Some(format!("mean {}, scale {}", laplace.mean, laplace.scale)),
                TimestepSampler::Edm(edm) => Some(format!("ln σ: mean {}, deviation {}", edm.mean, edm.deviation)),
                _ => None,
            },
        );
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
    }
    fields
}
