use burn::tensor::Tensor;

use crate::model::values;
use crate::optim::Norm;

/// What a step tells the host.
pub enum Told {
    /// The losses of the batch's parts, `[1]` each.
    Apart { losses: Vec<Tensor<1>>, norm: Norm },
    /// `[loss, norm of the gradient]`.
    Together(Box<Tensor<1>>),
}

impl Told {
    /// The loss and the norm, read together: a device is waited for once.
    pub fn read(self) -> (f64, f64) {
        let sum = |values: &[f32]| values.iter().copied().map(f64::from).sum::<f64>();
        let together = match self {
            Self::Apart { losses, norm: Norm::Known(norm) } => return (sum(&values(Tensor::cat(losses, 0))), norm),
            Self::Apart { losses, norm: Norm::OnDevice(norm) } => Tensor::cat([losses, vec![*norm]].concat(), 0),
            Self::Together(told) => *told,
        };
        let told = values(together);
        let (norm, losses) = told.split_last().expect("the norm is the last");
        (sum(losses), f64::from(*norm))
    }
}
