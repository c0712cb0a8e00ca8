//! lambda(t), which changes the objective.

use super::ForwardProcess;
use crate::spec::LossWeighting;

/// The factor of the squared error of an image at `t`.
///
/// `uniform`: 1 at every timestep (Ho et al. 2020, arXiv 2006.11239, equation 14).
pub fn loss_weight(weighting: &LossWeighting, process: &ForwardProcess, t: u32) -> f64 {
    assert!((t as usize) < process.timesteps(), "timestep {t} is not below {}", process.timesteps());
    match weighting {
        LossWeighting::Uniform(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::NoiseSchedule;

    #[test]
    fn the_simple_loss_weighs_every_timestep_alike() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        assert!((0..1000).all(|t| loss_weight(&LossWeighting::default(), &process, t) == 1.0));
    }
}
