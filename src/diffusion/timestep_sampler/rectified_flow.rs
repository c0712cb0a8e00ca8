//! Densities that were proposed for rectified flows, over t / T of any noise schedule.

use std::f64::consts::FRAC_PI_2;

use super::fixed::Fixed;
use crate::spec::{ModeTimesteps, ShiftedTimesteps};

/// t = floor(T shift u / (1 + (shift - 1) u)), u uniform (Esser et al. 2024, arXiv 2403.03206).
pub fn shifted(shifted: &ShiftedTimesteps, timesteps: usize) -> Fixed {
    of_distribution(timesteps, |share| share / (shifted.shift - (shifted.shift - 1.0) * share))
}

/// t = floor(T f(u)), f(u) = 1 - u - scale (cos^2(pi u / 2) - 1 + u), u uniform (Esser et al. 2024, section 3.1).
pub fn mode(mode: &ModeTimesteps, timesteps: usize) -> Fixed {
    let t = |u: f64| 1.0 - u - mode.scale * ((FRAC_PI_2 * u).cos().powi(2) - 1.0 + u);
    // f falls from 1 to 0, so P(f(u) < share) is 1 - u where f(u) is the share.
    of_distribution(timesteps, |share| {
        let (mut above, mut below) = (0.0, 1.0);
        // Halved until no number lies between.
        loop {
            let middle = 0.5 * (above + below);
            if middle <= above || middle >= below {
                return 1.0 - middle;
            }
            *(if t(middle) > share { &mut above } else { &mut below }) = middle;
        }
    })
}

/// The timesteps of t / T whose distribution function is given on [0, 1].
fn of_distribution(timesteps: usize, distribution: impl Fn(f64) -> f64) -> Fixed {
    let border = |index: usize| distribution(index as f64 / timesteps as f64);
    let weights: Vec<f64> = (0..timesteps).map(|t| (border(t + 1) - border(t)).max(0.0)).collect();
    Fixed::proportional_to(&weights)
}

#[cfg(test)]
mod tests {
    use super::super::TimestepSampler as _;
    use super::*;

    /// By hand: a shift of 3 takes the middle to 3/4.
    #[test]
    fn a_shift_moves_the_median_towards_the_noise() {
        let probabilities = shifted(&ShiftedTimesteps { shift: 3.0 }, 1000).probabilities(0);
        assert!((probabilities[..750].iter().sum::<f64>() - 0.5).abs() < 1e-12);
        assert!(probabilities.windows(2).all(|pair| pair[0] < pair[1]));
        let uniform = shifted(&ShiftedTimesteps { shift: 1.0 }, 1000).probabilities(0);
        assert!(uniform.iter().all(|probability| (probability - 0.001).abs() < 1e-15));
        let down = shifted(&ShiftedTimesteps { shift: 1.0 / 3.0 }, 1000).probabilities(0);
        assert!(
            (0..1000).all(|t| (down[t] - probabilities[999 - t]).abs() < 1e-14),
            "a shift is undone by its inverse"
        );
    }

    #[test]
    fn the_mode_is_the_middle_and_the_tails_stay() {
        for scale in [-1.0, -0.5, 0.0, 1.29, 1.75] {
            let probabilities = mode(&ModeTimesteps { scale }, 1000).probabilities(0);
            // A timestep is below f(u) as often as a uniform is above u.
            for u in [0.05, 0.3, 0.5, 0.8f64] {
                let position = 1000.0 * (1.0 - u - scale * ((FRAC_PI_2 * u).cos().powi(2) - 1.0 + u));
                let whole = position as usize;
                let below: f64 = probabilities[..whole].iter().sum();
                let below = below + probabilities[whole] * position.fract();
                assert!((below - (1.0 - u)).abs() < 2e-4, "scale {scale}, u = {u}: {below}");
            }
            assert!((0..1000).all(|t| (probabilities[t] - probabilities[999 - t]).abs() < 1e-7), "it is symmetric");
            assert!(probabilities.iter().all(|&probability| probability > 0.0));
            assert_eq!(probabilities[500] > probabilities[0], scale > 0.0, "scale {scale}");
        }
    }
}
