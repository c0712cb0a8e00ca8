//! The numbers for a terminal.

use super::numbers::{Eigenvalue, Landscape};
use crate::report::number::significant;

pub(super) fn words(landscape: &Landscape) -> String {
    let four = |value: f64| significant(value, 4);
    let mut lines = vec![format!("loss: {}", landscape.loss)];
    for run in &landscape.runs {
        lines.push(format!(
            "{}, seed {} ({}, step {}, {} parameters): loss {}, gradient {}",
            run.trial,
            run.run_seed,
            run.run_id,
            run.step,
            run.parameters,
            four(run.loss_at_the_weights),
            four(run.gradient_norm)
        ));
        let Some(hessian) = &run.hessian else { continue };
        // What Lanczos' method leaves open, and what the differences do.
        let change = hessian.change_with_half_the_step_at_the_first.unwrap_or(0.0);
        let open = |found: &Eigenvalue| significant(found.residual + change * found.value.abs(), 2);
        let values = hessian.eigenvalues.iter().map(|found| format!("{} ± {}", four(found.value), open(found)));
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            lines.push(format!("  largest eigenvalues of the Hessian: {}", values.join(", ")));
        }
        if let Some(smallest) = &hessian.smallest {
            lines.push(format!("  smallest that {} steps saw: {}", hessian.lanczos_steps, four(smallest.value)));
        }
        if let Some(trace) = &hessian.trace {
            let error = trace
                .standard_error
                .map_or(String::new(), |error| format!(" ± {} (standard error)", significant(error, 2)));
            lines.push(format!("  trace: {}{error}, {} samples", four(trace.value), trace.samples));
        }
        let changes = [hessian.change_with_half_the_step, hessian.change_with_half_the_step_at_the_first];
        let changes: Vec<String> = changes.iter().flatten().map(|change| significant(*change, 2)).collect();
        lines.push(format!(
            "  products by central differences over ±{}; with half of it they change by {} of their length (a random vector{})",
            significant(hessian.step, 2),
            changes.join(" and "),
            if changes.len() > 1 { ", the first eigenvector" } else { "" }
        ));
    }
    for pair in &landscape.between {
        let barrier = pair.barrier.map_or("not known".to_owned(), four);
        lines.push(format!("{} to {}: barrier {barrier}", pair.first, pair.second));
    }
    lines.join("\n")
}
