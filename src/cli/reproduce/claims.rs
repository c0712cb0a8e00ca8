//! What the paper says, and which of our sweeps asks it.

/// A claim of arXiv 2404.07946, by the paper's scale and by one that a laptop has.
pub struct Claim {
    pub claim: &'static str,
    /// Where it is said.
    pub source: &'static str,
    /// The speedup that is claimed, where it is a number.
    pub claimed: Option<f64>,
    pub asked: &'static [Asked],
}

/// A shipped sweep that asks it, and the comparison that answers.
pub struct Asked {
    pub sweep: &'static str,
    pub arm: &'static str,
    /// Where it is not the sweep's baseline.
    pub against: Option<&'static str>,
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
    "small/mnist"
    "small/fashion"
    "small/cifar10"
};

const fn asked(sweep: &'static str, arm: &'static str) -> Asked {
    Asked { sweep, arm, against: None }
}

const fn asked_against(sweep: &'static str, arm: &'static str, against: &'static str) -> Asked {
    Asked { sweep, arm, against: Some(against) }
}

pub const CLAIMS: &[Claim] = &[
    Claim {
        claim: "CLTS and MDLRC together train on CIFAR-10 about twice as fast",
        source: "abstract",
        claimed: Some(2.0),
        asked: &[
            asked("paper/cifar10-speedup", "clts+mdlrc"),
            asked("small/cifar10", "clts"),
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
        claim: "A curriculum of timesteps helps, and not only what it ends with",
        source: "ours: the paper has no such control",
        claimed: None,
        asked: &[
            asked_against("paper/cifar10-speedup", "clts", "clts-control"),
            asked_against("methods", "clts", "clts-control"),
        ],
    },
    Claim {
        claim: "0.3 T is the best centre of the curriculum",
        source: "ablation, in public reviews",
        claimed: None,
        asked: &[asked("paper/clts-center-width", "center-0.3")],
    },
    Claim {
        claim: "Momentum decay needs the compensation by the learning rate",
        source: "abstract or public reviews",
        claimed: None,
        asked: &[asked_against("paper/mdlrc-decay", "mdlrc", "demon"), asked_against("methods", "mdlrc", "demon")],
    },
    Claim {
        claim: "Momentum decay helps, and not only its learning rates",
        source: "ours: the paper has no such control",
        claimed: None,
        asked: &[
            asked_against("paper/cifar10-speedup", "mdlrc", "same-lr"),
            asked_against("methods", "mdlrc", "same-lr"),
            asked_against("quickstart", "mdlrc", "same-lr"),
        ],
    },
    Claim {
        claim: "It stands beside other ways to train sooner: Min-SNR, which claims 3.4x",
        source: "Hang et al. 2023",
        claimed: Some(3.4),
        asked: &[asked("paper/rivals", "min-snr"), asked("methods", "min-snr")],
    },
];
