//! DPM-Solver++(2M).

use super::{Denoiser, Steps};
use crate::diffusion::NoiseLevel;

/// DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2): with a and s the factors of image and noise,
/// lambda = ln(a / s), h = lambda_s - lambda_t, r = h of the step before over h, and x_0 what the network took the image for now and a step
/// ago,
///
/// x_s = (s_s / s_t) x_t - a_s (e^-h - 1) ((1 + 1/(2 r)) x_0 - x_0 before / (2 r)).
///
/// The first step has no step before and is of first order, which is DDIM's. So is the last, where h is infinite: it gives
/// x_0 itself. (The authors' code ends at a small t and makes the last step of first order where there are fewer than 15.)
pub fn dpm_solver_pp<E>(
    steps: Steps<'_>,
    mut noisy: Vec<f64>,
    denoiser: &mut Denoiser<'_, '_, E>,
) -> Result<Vec<f64>, E> {
    /// The values that the previous step leaves.
    struct Before {
        clean: Vec<f64>,
        h: f64,
    }
    let mut before: Option<Before> = None;
    for (level, next) in steps {
        let clean = denoiser.clean(&noisy, &level)?;
        if next == NoiseLevel::CLEAN {
            return Ok(clean);
        }
        // e^-h is the ratio of the sigmas.
        let shrunk = next.sigma() / level.sigma();
        let h = -shrunk.ln();
        let (of_noisy, of_clean) = (next.noise_scale() / level.noise_scale(), next.signal_scale() * (1.0 - shrunk));
        let extrapolated = match &before {
            None => clean.clone(),
            Some(before) => {
                let share = h / (2.0 * before.h);
                clean.iter().zip(&before.clean).map(|(now, before)| (1.0 + share) * now - share * before).collect()
            }
        };
        noisy.iter_mut().zip(extrapolated).for_each(|(x_t, x_0)| *x_t = of_noisy * *x_t + of_clean * x_0);
        before = Some(Before { clean, h });
    }
    Ok(noisy)
}
