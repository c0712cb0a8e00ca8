//! Length, batch and averaging of a training run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BatchStage, Ema, PostHoc, ResolutionStage};

/// `train`: the training loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// The number of planned optimizer steps. Schedules over the whole run depend on it. Default 2000.
    pub steps: u64,
    /// Images per step. Default 64.
    pub batch_size: usize,
    /// Stages of a run that have other batches than `batch_size`, one after the other, each a map: `until`, the share of the run's steps
    /// after which it ends, and its `batch_size`. `[{ until: 0.3, batch_size: 32 }]` has 32 images in each of the first 30 % of the steps
    /// (Smith et al. 2018, arXiv 1711.00489, let batches grow in the place of a falling learning rate). Schedules of other things, such as the
    /// learning rate, go by steps, whatever these hold. Default [].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub batch_schedule: Vec<BatchStage>,
    /// Stages of a run that train on smaller images, one after the other, each a map: `until`, the share of the run's steps after which it
    /// ends, and `side`, in pixels. `[{ until: 0.25, side: 16 }]` trains the first quarter of the steps on images of 16x16, each pixel of which is
    /// the mean of a square of pixels; `side` divides that of the data. The last step has always the full side, and so has all that is
    /// measured. Noise is that of an image of the smaller side, and the noise schedule stays as it is. A `dit` gives each patch the
    /// fixed position of the first of the patches in its place at full size; a `uvit` has learned positions, and is refused. Latents are averaged as they are.
    /// Default [].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolution_schedule: Vec<ResolutionStage>,
    /// The number of first steps over which the learning rate rises linearly from 0 to its schedule. Default 0.
    pub warmup_steps: u64,
    /// The largest global L2 norm of the gradient. A larger gradient is scaled down to it; 0 turns clipping off. Default 1.
    pub clip_norm: f64,
    /// The decay per step of the averaged weights (EMA), which evaluation uses, where `train.ema` is `exponential`. They are an
    /// average of about the last 1 / (1 - decay) steps. Default 0.999.
    pub ema_decay: f64,
    /// How the averaged weights decay. Default `exponential`.
    #[serde(skip_serializing_if = "Ema::is_exponential")]
    pub ema: Ema,
    /// Averages that are kept so that others can be made of them after training, by `speedlab evaluate RUN --set
    /// train.ema.sigma_rel=0.05,0.1`. Off by default.
    #[serde(skip_serializing_if = "PostHoc::is_default")]
    pub post_hoc: PostHoc,
    /// Steps over which the recorded training loss is a mean. Default 10.
    pub log_every: u64,
    /// Seconds of training between checkpoints. The value cannot change a result, so it is not part of a run's id. Default 30.
    pub checkpoint_seconds: f64,
    /// The number format in which a training step multiplies. Default `f32`.
    #[serde(skip_serializing_if = "Precision::is_f32")]
    pub precision: Precision,
}

/// `train.precision`: the number format in which a training step multiplies. What is measured multiplies in that of
/// `evaluate.fid.precision`, and the loss on held-out images in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32. The default. On NVIDIA's GPUs of compute capability 8.0 and later, burn may let tensor cores round the factors of
    /// products to `tf32`. This cannot be switched off; the device's name in the record states it.
    #[default]
    F32,
    /// f32, except that the factors of matrix products and convolutions may be rounded to the 10 bits of TF32. The sums within
    /// a product are f32. `torch.backends.cuda.matmul.allow_tf32` and cuDNN's `allow_tf32` let torch do the same. For GPUs that
    /// have TF32.
    Tf32,
    /// Mixed precision with f32 master weights (Micikevicius et al. 2018, arXiv 1710.03740, section 3), in bf16. The range of
    /// bf16 is that of f32, so the loss needs no scaling. The inputs and weights of convolutions and linear maps, and the
    /// factors of attention's two products, are rounded to bf16. So are their results, forwards and backwards. The device
    /// decides how sums within a product are kept. Everything else is f32: norms, activations, softmax, loss, weights,
    /// optimizer and average. `torch.autocast` rounds the same operations, and leaves their results in bf16. It saves time rather
    /// than memory. For GPUs that have bf16, and processors with AVX512-BF16: these round the factors of linear maps, attention
    /// and 3x3 convolutions, and keep the results in f32. Within branches of transformers' blocks, and from queries to attention's
    /// output anywhere, results stay in bf16 there, which takes half the memory; what branches are added to is f32.
    /// Convolutions that halve or have fewer than 8 channels are f32 there.
    /// Those of 3x3 round what Winograd's transforms make of their factors: the error is 1.2 % of the result by norm, where
    /// rounding the factors themselves makes 0.23 %.
    Bf16,
}

impl Precision {
    /// As in the YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}

impl Default for Train {
    fn default() -> Self {
        Self {
            steps: 2000,
            batch_size: 64,
            batch_schedule: Vec::new(),
            resolution_schedule: Vec::new(),
            warmup_steps: 0,
            clip_norm: 1.0,
            ema_decay: 0.999,
            ema: Ema::default(),
            post_hoc: PostHoc::default(),
            log_every: 10,
            checkpoint_seconds: 30.0,
            precision: Precision::F32,
        }
    }
}
