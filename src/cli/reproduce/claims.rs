//! The paper's claims, and our sweeps that test them.

/// A claim of arXiv 2404.07946, with sweeps at the paper's scale and at that of a laptop.
pub struct Claim {
    pub claim: &'static str,
    /// Where the paper states it.
    pub source: &'static str,
    /// The speedup that is claimed, where it is a number.
    pub claimed: Option<f64>,
    pub asked: &'static [Asked],
}

/// A shipped sweep that tests the claim, and the part of it that answers.
pub struct Asked {
    pub sweep: &'static str,
    pub what: What,
}

/// The part of a sweep that answers a claim.
pub enum What {
    /// The speedup of an arm; `against` where that is not the sweep's baseline.
    Speedup { arm: &'static str, against: Option<&'static str> },
    /// How alike its runs are from the same noise.
    Likeness,
}

/// A sweep that comes with the program.
pub struct Shipped {
    /// `quickstart`, `paper/rivals`.
    pub path: &'static str,
    pub text: &'static str,
}

impl Shipped {
    /// `rivals`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().expect("a path has a last part")
    }
}

macro_rules! shipped {
    ($($path:literal)+) => {
        &[$(Shipped { path: $path, text: include_str!(concat!("../../../sweeps/", $path, ".yaml")) },)+]
    };
}

pub const SHIPPED: &[Shipped] = shipped! {
    "paper/cifar10-speedup"
    "paper/imagenet128-speedup"
    "paper/clts-center-width"
    "paper/mdlrc-decay"
    "paper/rivals"
    "paper/architectures"
    "paper/consistency-cifar10"
    "quickstart"
    "methods"
    "small/factorial"
    "small/learning-rate"
    "small/consistency"
    "small/sensitivity"
    "small/ema-length"
    "small/optimizers"
    "small/preconditioners"
    "small/flows"
    "small/networks"
    "small/tokens"
    "small/progressive"
    "small/alignment"
    "small/equal-arms"
    "small/known-truth"
    "gpu/cifar10-gpu"
    "gpu/rivals-gpu"
    "gpu/consistency-gpu"
    "gpu/imagenet256-latents"
    "gpu/imagenet256-repa"
    "small/mnist"
    "small/fashion"
    "small/cifar10"
};

const fn asked(sweep: &'static str, arm: &'static str) -> Asked {
    Asked { sweep, what: What::Speedup { arm, against: None } }
}

const fn asked_against(sweep: &'static str, arm: &'static str, against: &'static str) -> Asked {
    Asked { sweep, what: What::Speedup { arm, against: Some(against) } }
}

const fn likeness(sweep: &'static str) -> Asked {
    Asked { sweep, what: What::Likeness }
}

pub const CLAIMS: &[Claim] = &[
    Claim {
        claim: "CLTS and MDLRC together train on CIFAR-10 about twice as fast",
        source: "abstract",
        claimed: Some(2.0),
        asked: &[
            asked("paper/cifar10-speedup", "clts+mdlrc"),
            asked("gpu/cifar10-gpu", "clts+mdlrc"),
            asked("quickstart", "clts+mdlrc"),
        ],
    },
    Claim {
        claim: "They train on ImageNet-128 2.6 times as fast",
        source: "abstract",
        claimed: Some(2.6),
        asked: &[asked("paper/imagenet128-speedup", "clts+mdlrc")],
    },
    Claim {
        claim: "A curriculum of timesteps helps",
        source: "abstract",
        claimed: None,
        asked: &[
            asked("paper/cifar10-speedup", "clts"),
            asked("gpu/cifar10-gpu", "clts"),
            asked("small/cifar10", "clts"),
            asked("small/fashion", "clts"),
            asked("small/mnist", "clts"),
            asked("small/ema-length", "clts"),
            asked("quickstart", "clts"),
        ],
    },
    Claim {
        claim: "The curriculum helps, and not only its last distribution",
        source: "ours: the paper has no such control",
        claimed: None,
        asked: &[
            asked_against("paper/cifar10-speedup", "clts", "clts-control"),
            asked_against("gpu/cifar10-gpu", "clts", "clts-control"),
            asked_against("small/cifar10", "clts", "clts-control"),
            asked_against("small/fashion", "clts", "clts-control"),
            asked_against("small/mnist", "clts", "clts-control"),
            asked_against("methods", "clts", "clts-control"),
        ],
    },
    Claim {
        claim: "0.3 T is the best centre of the curriculum",
        source: "ablation, in public reviews",
        claimed: None,
        asked: &[asked("paper/clts-center-width", "clts"), asked("small/sensitivity", "clts")],
    },
    Claim {
        claim: "Momentum decay needs the compensation by the learning rate",
        source: "abstract or public reviews",
        claimed: None,
        asked: &[asked_against("paper/mdlrc-decay", "mdlrc", "decay"), asked_against("methods", "mdlrc", "demon")],
    },
    Claim {
        claim: "Momentum decay with compensation helps",
        source: "abstract",
        claimed: None,
        asked: &[
            asked("paper/cifar10-speedup", "mdlrc"),
            asked("gpu/cifar10-gpu", "mdlrc"),
            asked("small/cifar10", "mdlrc"),
            asked("small/fashion", "mdlrc"),
            asked("small/mnist", "mdlrc"),
            asked("small/ema-length", "mdlrc"),
            asked("quickstart", "mdlrc"),
        ],
    },
    Claim {
        claim: "Momentum decay helps, and not only its learning rates",
        source: "ours: the paper has no such control",
        claimed: None,
        asked: &[
            asked_against("paper/cifar10-speedup", "mdlrc", "same-lr"),
            asked_against("gpu/cifar10-gpu", "mdlrc", "same-lr"),
            asked_against("small/cifar10", "mdlrc", "same-lr"),
            asked_against("small/fashion", "mdlrc", "same-lr"),
            asked_against("small/mnist", "mdlrc", "same-lr"),
            asked_against("small/ema-length", "mdlrc", "same-lr"),
            asked_against("methods", "mdlrc", "same-lr"),
            asked_against("quickstart", "mdlrc", "same-lr"),
        ],
    },
    Claim {
        claim: "Another way to train sooner: Min-SNR claims 3.4x",
        source: "Hang et al. 2023",
        claimed: Some(3.4),
        asked: &[
            asked("paper/rivals", "min-snr"),
            asked("gpu/rivals-gpu", "min-snr"),
            asked("small/fashion", "min-snr"),
            asked("small/mnist", "min-snr"),
            asked("methods", "min-snr"),
        ],
    },
    Claim {
        claim: "What the curriculum does carries over to other networks",
        source: "ours",
        claimed: None,
        asked: &[asked("paper/architectures", "clts"), asked("small/networks", "clts")],
    },
    Claim {
        claim: "Networks generate similar images from the same noise, less so where they predict the image",
        source: "abstract",
        claimed: None,
        asked: &[likeness("paper/consistency-cifar10"), likeness("gpu/consistency-gpu"), likeness("small/consistency")],
    },
];
