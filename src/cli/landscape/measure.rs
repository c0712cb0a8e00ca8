//! Losses along lines and planes, and what products with the Hessian tell.

use anyhow::Context as _;

use super::numbers::{Eigenvalue, Hessian, OfRun, Trace};
use super::{LandscapeArgs, Trained};
use crate::evaluate::landscape::{
    Lanczos, LossSurface, RitzValue, TraceEstimate, filter_normalized, hutchinson, lanczos, length, normal,
};
use crate::report::LossPlane;

/// Lines between two sets of weights go so far beyond both, in lengths of the way.
const BEYOND: f64 = 0.25;
/// Indices of random draws, apart for each use: directions of lines and of the plane come first.
const LANCZOS_DRAW: u64 = 1 << 20;
const CHECK_DRAW: u64 = LANCZOS_DRAW + 1;
const TRACE_DRAWS: u64 = 1 << 21;
const PLANE_DRAWS: u64 = 1 << 22;

pub(super) fn of_run(
    args: &LandscapeArgs,
    run: &Trained,
    surface: &mut LossSurface,
    initial: &[f32],
) -> anyhow::Result<OfRun> {
    let say = |what: String| eprintln!("{}: {what}", run.name);
    let weights = &run.weights;
    let mut found = OfRun {
        run_id: run.planned.run_id.to_string(),
        trial: run.planned.trial.clone(),
        run_seed: run.planned.seed,
        step: run.step,
        parameters: weights.len(),
        loss_at_the_weights: surface.loss(weights)?,
        gradient_norm: length(&surface.gradient(weights)),
        weight_norm: length(weights),
        from_initial: vec![],
        random_lines: vec![],
        plane: None,
        hessian: None,
    };
    let layout = surface.layout().to_vec();
    if args.points > 0 {
        say("the line from the initial weights".to_owned());
        found.from_initial = line(surface, initial, weights, args.points)?;
        let at = spaced(args.points, -args.extent, args.extent);
        for index in 0..args.directions {
            say(format!("random line {} of {}", index + 1, args.directions));
            let direction = filter_normalized(args.seed, index as u64, weights, &layout);
            let loss = |&at: &f64| Ok((at, surface.loss(&moved(weights, &[(at, &direction)]))?));
            found.random_lines.push(at.iter().map(loss).collect::<anyhow::Result<_>>()?);
        }
    }
    if args.plane > 0 {
        let direction = |index| filter_normalized(args.seed, PLANE_DRAWS + index, weights, &layout);
        let (across, up) = (direction(0), direction(1));
        let at = spaced(args.plane, -args.extent, args.extent);
        let mut losses = vec![];
        for (index, &y) in at.iter().enumerate() {
            say(format!("row {} of {} of the plane", index + 1, at.len()));
            let loss = |&x: &f64| Ok(surface.loss(&moved(weights, &[(x, &across), (y, &up)]))?);
            losses.push(at.iter().map(loss).collect::<anyhow::Result<_>>()?);
        }
        found.plane = Some(LossPlane { at, losses });
    }
    if args.eigenvalues > 0 || args.trace > 0 {
        found.hessian = Some(hessian(args, surface, weights, &say)?);
    }
    Ok(found)
}

fn hessian(
    args: &LandscapeArgs,
    surface: &mut LossSurface,
    weights: &[f32],
    say: &dyn Fn(String),
) -> anyhow::Result<Hessian> {
    let step = args.step * length(weights);
    let count = weights.len();
    let mut products = 0;
    let mut found: Option<Lanczos> = None;
    if args.eigenvalues > 0 {
        let mut product = |v: &[f32]| {
            products += 1;
            say(format!("Lanczos' method, step {products} of {}", args.lanczos));
            surface.hessian_product(weights, v, step)
        };
        found = Some(lanczos(normal(args.seed, LANCZOS_DRAW, count), args.lanczos, &mut product)?);
    }
    let values = found.as_ref().map_or(Ok(vec![]), |found| {
        found.values().context("the eigenvalues of Lanczos' small matrix did not converge")
    })?;
    let mut samples = 0;
    let mut product = |v: &[f32]| {
        samples += 1;
        say(format!("sample {samples} of {} of the trace", args.trace));
        surface.hessian_product(weights, v, step)
    };
    let trace = hutchinson(args.seed, TRACE_DRAWS, count, args.trace, &mut product)?;
    say("the error of the differences".to_owned());
    let mut change = |v: &[f32]| -> anyhow::Result<f64> {
        let (whole, half) =
            (surface.hessian_product(weights, v, step)?, surface.hessian_product(weights, v, step / 2.0)?);
        let difference: Vec<f32> = whole.iter().zip(&half).map(|(whole, half)| whole - half).collect();
        Ok(length(&difference) / length(&whole))
    };
    let mut random = normal(args.seed, CHECK_DRAW, count);
    let norm = length(&random);
    random.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    let change_with_half_the_step = Some(change(&random)?);
    let first = found.as_ref().and_then(Lanczos::first_vector);
    let eigenvalue = |found: &RitzValue| Eigenvalue { value: found.value, residual: found.residual };
    Ok(Hessian {
        step,
        lanczos_steps: found.as_ref().map_or(0, Lanczos::steps),
        eigenvalues: values.iter().take(args.eigenvalues).map(eigenvalue).collect(),
        smallest: values.last().map(eigenvalue),
        trace: trace.map(|TraceEstimate { trace: value, standard_error, samples }| Trace {
            value,
            standard_error,
            samples,
        }),
        change_with_half_the_step,
        change_with_half_the_step_at_the_first: first.map(|first| change(&first)).transpose()?,
    })
}

/// (share of the way, loss) on the straight line and a little beyond both ends, which themselves are among the points.
pub(super) fn line(
    surface: &mut LossSurface,
    from: &[f32],
    to: &[f32],
    points: usize,
) -> anyhow::Result<Vec<(f64, f64)>> {
    let way: Vec<f32> = from.iter().zip(to).map(|(from, to)| to - from).collect();
    let shares = shares(points);
    let loss = |share: f64| {
        // Exactly the weights at either end.
        let at = if share == 1.0 { to.to_vec() } else { moved(from, &[(share, &way)]) };
        Ok((share, surface.loss(&at)?))
    };
    shares.into_iter().map(loss).collect()
}

/// Evenly from a little before 0 to a little after 1, which are both exactly among them.
fn shares(points: usize) -> Vec<f64> {
    let apart = |share: &f64| share.abs() > 1e-9 && (share - 1.0).abs() > 1e-9;
    let mut shares: Vec<f64> = spaced(points, -BEYOND, 1.0 + BEYOND).into_iter().filter(apart).collect();
    shares.extend([0.0, 1.0]);
    shares.sort_by(f64::total_cmp);
    shares
}

fn spaced(count: usize, from: f64, to: f64) -> Vec<f64> {
    // From both ends alike, so that the middle of an odd count is exactly the middle.
    let share = |index: usize| index as f64 / (count - 1) as f64;
    (0..count).map(|index| from * (1.0 - share(index)) + to * share(index)).collect()
}

fn moved(weights: &[f32], by: &[(f64, &[f32])]) -> Vec<f32> {
    let at = |index: usize| {
        let moved = by.iter().map(|(far, direction)| far * f64::from(direction[index])).sum::<f64>();
        (f64::from(weights[index]) + moved) as f32
    };
    (0..weights.len()).map(at).collect()
}

/// `None` where the loss at an end is not finite.
pub(super) fn barrier(points: &[(f64, f64)]) -> Option<f64> {
    let at =
        |share: f64| points.iter().find(|point| point.0 == share).map(|point| point.1).filter(|loss| loss.is_finite());
    let (start, end) = (at(0.0)?, at(1.0)?);
    let inside = points.iter().filter(|(share, _)| *share > 0.0 && *share < 1.0);
    inside.map(|(share, loss)| loss - (start + share * (end - start))).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_is_what_rises_over_the_straight_line_between_the_ends() {
        let points = [(-0.25, 9.0), (0.0, 1.0), (0.5, 3.0), (0.75, 2.0), (1.0, 2.0), (1.25, 9.0)];
        assert_eq!(barrier(&points), Some(1.5));
        assert_eq!(barrier(&[(0.0, f64::NAN), (0.5, 1.0), (1.0, 1.0)]), None);
        assert_eq!(barrier(&[(0.0, 1.0), (0.5, 0.25), (1.0, 1.0)]), Some(-0.75));
    }

    #[test]
    fn the_middle_of_a_line_is_the_weights_themselves() {
        assert_eq!(spaced(21, -1.0, 1.0)[10], 0.0);
        // Where the even points come near the ends, the ends themselves take their place.
        assert_eq!((shares(25).len(), shares(10).len()), (25, 12));
        assert!([25, 10].iter().all(|&points| shares(points).contains(&0.0) && shares(points).contains(&1.0)));
        assert_eq!(spaced(2, -0.5, 2.0), [-0.5, 2.0]);
        assert_eq!(moved(&[1.0, 2.0], &[(0.0, &[5.0, 7.0])]), [1.0, 2.0]);
        assert_eq!(moved(&[1.0, 2.0], &[(0.5, &[2.0, 4.0]), (1.0, &[1.0, 0.0])]), [3.0, 4.0]);
    }
}
