//! The timesteps of a generation's steps.

use crate::diffusion::{ForwardProcess, NoiseLevel};
use crate::spec::{OdeSampler, Spacing};

/// EDM's exponent (Karras et al. 2022, arXiv 2206.00364, section 3: 7 in all experiments).
const RHO: f64 = 7.0;

/// The noise levels at which generation begins its steps, the noisiest first; the last step ends at the image itself.
///
/// With n steps and i = 0..n, the timesteps are
/// - `trailing`: round(T - i T / n) - 1 (Lin et al. 2024, arXiv 2305.08891, table 2). It starts at T - 1, the only
///   timestep at which pure noise is what the network was trained on. With a `shift` m other than 1 it is T u - 1 with
///   u = m (1 - i / n) / (1 + (m - 1) (1 - i / n)) (Esser et al. 2024, arXiv 2403.03206), which may lie between two timesteps;
/// - `leading`: (n - 1 - i) floor(T / n) (the same table, counted from 0);
/// - `linspace`: round((T - 1) (n - 1 - i) / (n - 1)), halves to even (the same table);
/// - `quadratic`: floor(c (n - 1 - i)^2) with c such that the first is T - 1, or n - 1 - i itself where neighbours would
///   coincide (Song et al. 2021, arXiv 2010.02502, appendix D.2, which leaves "close to T" open; its code stops at 0.8 T);
/// - `karras`: none. sigma_i = (sigma_max^(1/7) + i / (n - 1) (sigma_min^(1/7) - sigma_max^(1/7)))^7 (Karras et al. 2022,
///   equation 5) from sigma of T - 1 to sigma of 0, and the network is told the t between two timesteps at which ln(sigma)
///   lies on the line between theirs.
///
/// # Panics
/// If there are more steps than timesteps, none, or one where the first and the last differ; the plan's check refuses these.
pub fn generation_levels(ode: &OdeSampler, process: &ForwardProcess) -> Vec<NoiseLevel> {
    let (timesteps, steps) = (process.timesteps(), ode.steps());
    assert!(
        (1..=timesteps).contains(&steps),
        "{} takes 1 to {timesteps} steps, one per timestep, not {steps}",
        ode.kind()
    );
    let spacing = ode.spacing();
    let ends_at_zero = matches!(spacing, Spacing::Leading | Spacing::Linspace | Spacing::Quadratic);
    assert!(steps > 1 || !ends_at_zero, "{} steps go from the noisiest timestep to the least noisy", spacing.name());
    let last = steps - 1;
    let shift = ode.shift();
    assert!(
        shift == 1.0 || (shift > 1.0 && spacing == Spacing::Trailing),
        "trailing steps alone are shifted, by more than 1"
    );
    let of_timestep = |t: usize| process.level(t as u32);
    let level = |index: usize| match spacing {
        Spacing::Trailing if shift != 1.0 => {
            let share = 1.0 - index as f64 / steps as f64;
            NoiseLevel::at(process, timesteps as f64 * (shift * share / (1.0 + (shift - 1.0) * share)) - 1.0)
        }
        // Integer form of the rounding, half up.
        Spacing::Trailing => of_timestep((2 * timesteps * (steps - index) + steps) / (2 * steps) - 1),
        Spacing::Leading => of_timestep((last - index) * (timesteps / steps)),
        Spacing::Linspace => {
            let position = (timesteps - 1) as f64 * (last - index) as f64 / last as f64;
            of_timestep(position.round_ties_even() as usize)
        }
        Spacing::Quadratic => {
            let rest = last - index;
            of_timestep(((timesteps - 1) * rest * rest / (last * last)).max(rest))
        }
        Spacing::Karras => {
            let (largest, smallest) = (process.sigma(timesteps as u32 - 1), process.sigma(0));
            let (from, to) = (largest.powf(RHO.recip()), smallest.powf(RHO.recip()));
            // The ends are timesteps, whatever the rounding of a power and its root.
            match index {
                0 => of_timestep(timesteps - 1),
                index if index == last => of_timestep(0),
                index => NoiseLevel::of_sigma(process, (from + index as f64 / last as f64 * (to - from)).powf(RHO)),
            }
        }
    };
    (0..steps).map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{CosineNoise, Ddim, LinearNoise, NoiseSchedule};

    const ALL: [Spacing; 5] =
        [Spacing::Trailing, Spacing::Leading, Spacing::Linspace, Spacing::Quadratic, Spacing::Karras];

    fn process() -> ForwardProcess {
        ForwardProcess::new(&NoiseSchedule::default())
    }

    fn timesteps(spacing: Spacing, steps: usize) -> Vec<f64> {
        let ode = OdeSampler::Ddim(Ddim { steps, spacing, ..Ddim::default() });
        generation_levels(&ode, &process()).iter().map(|level| level.t).collect()
    }

    #[test]
    fn each_spacing_is_its_formula() {
        assert_eq!(timesteps(Spacing::Trailing, 4), [999.0, 749.0, 499.0, 249.0]);
        assert_eq!(timesteps(Spacing::Trailing, 1), [999.0]);
        assert_eq!(timesteps(Spacing::Trailing, 3), [999.0, 666.0, 332.0]);
        assert_eq!(timesteps(Spacing::Leading, 4), [750.0, 500.0, 250.0, 0.0]);
        assert_eq!(timesteps(Spacing::Leading, 3), [666.0, 333.0, 0.0]);
        assert_eq!(timesteps(Spacing::Linspace, 4), [999.0, 666.0, 333.0, 0.0]);
        // 499.5 goes to the even neighbour.
        assert_eq!(timesteps(Spacing::Linspace, 3), [999.0, 500.0, 0.0]);
        assert_eq!(timesteps(Spacing::Quadratic, 4), [999.0, 444.0, 111.0, 0.0]);
        // 999 / 99^2 is a tenth: up to 9 the square is below its root.
        let dense = [12.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0];
        assert_eq!(timesteps(Spacing::Quadratic, 100)[88..], dense);
        let karras = timesteps(Spacing::Karras, 3);
        let middle = ((157.407f64.powf(1.0 / 7.0) + 0.010_000_5f64.powf(1.0 / 7.0)) / 2.0).powi(7);
        assert_eq!((karras[0], karras[2]), (999.0, 0.0));
        let level = NoiseLevel::of_sigma(&process(), middle);
        assert!((karras[1] - level.t).abs() < 0.01, "{karras:?} has not {level:?}");
    }

    #[test]
    fn noise_only_falls_in_every_spacing_and_number_of_steps() {
        for noise_schedule in [
            NoiseSchedule::Linear(LinearNoise { timesteps: 100, ..LinearNoise::default() }),
            NoiseSchedule::Cosine(CosineNoise { timesteps: 64, ..CosineNoise::default() }),
        ] {
            let process = ForwardProcess::new(&noise_schedule);
            for spacing in ALL {
                for steps in 2..=process.timesteps() {
                    let ode = OdeSampler::Ddim(Ddim { steps, spacing, ..Ddim::default() });
                    let levels = generation_levels(&ode, &process);
                    assert_eq!(levels.len(), steps);
                    let falls =
                        |pair: &[NoiseLevel]| pair[0].t > pair[1].t && pair[0].alpha_bar() < pair[1].alpha_bar();
                    assert!(levels.windows(2).all(falls), "{spacing:?}, {steps} steps: {levels:?}");
                    assert!(levels[0].t <= (process.timesteps() - 1) as f64 && levels[steps - 1].t >= 0.0);
                }
            }
        }
    }

    #[test]
    fn as_many_steps_as_timesteps_are_all_timesteps() {
        let all: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        for spacing in [Spacing::Trailing, Spacing::Leading, Spacing::Linspace, Spacing::Quadratic] {
            assert_eq!(timesteps(spacing, 1000), all, "{spacing:?}");
        }
    }

    #[test]
    #[should_panic(expected = "ddim takes 1 to 1000 steps, one per timestep, not 1001")]
    fn more_steps_than_timesteps_are_refused() {
        timesteps(Spacing::Trailing, 1001);
    }

    #[test]
    #[should_panic(expected = "linspace steps go from the noisiest timestep to the least noisy")]
    fn one_step_cannot_be_at_both_ends() {
        timesteps(Spacing::Linspace, 1);
    }
}
