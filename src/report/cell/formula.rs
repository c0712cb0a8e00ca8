//! How a number is made of its runs, in words and in symbols.

use serde::Serialize;

use super::Kind;
use crate::report::cost::Cost;
use crate::report::number::significant;
use crate::report::speedup::{Pairing, Speedup};

/// What a speedup is of.
pub struct Of<'n> {
    /// As arms are called in the report.
    pub arm: &'n str,
    pub against: &'n str,
    pub cost: Cost,
    /// The mean over grid points, not that of one.
    pub over_grid: bool,
    /// Qualities of the band.
    pub targets: usize,
}

/// How a number is made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Formula {
    pub words: String,
    /// S: the number. C(arm, s, q): what the arm's run of seed s had spent at quality q. s: seeds. p: grid points.
    pub symbols: String,
}

impl Formula {
    /// Of a speedup of this kind; `words` are those of the headline. `paired`: whether seeds are. `interaction`: the speedup of which
    /// others are taken.
    pub fn of(kind: Kind, words: String, of: &Of, paired: bool, interaction: Option<(&str, &[&str])>) -> Self {
        let Of { arm, against, cost, targets, .. } = of;
        let spent = spent(*cost);
        let interval = "interval: exp(mean r ± t · se(r)), Student's t";
        let of_seeds = |r: &str| match paired {
            true => format!("S = exp(mean_s r_s); r_s = {}; {interval}", ln_ratio(against, arm, r)),
            false => format!(
                "S = exp(mean_i ln C({against}, i{r}) - mean_j ln C({arm}, j{r})) over runs i of {against} and j of {arm}; interval: Welch's t"
            ),
        };
        let (words, symbols) = match kind {
            Kind::Band if paired => (
                words,
                format!(
                    "S = exp(mean_s r_s); r_s = mean_k {}, k = 1..{targets}; {interval}",
                    ln_ratio(against, arm, ", q_k")
                ),
            ),
            Kind::Band => (words, of_seeds(", q_k").replace("ln C", "mean_k ln C")),
            Kind::Last => (
                format!(
                    "{} what {against} had spent over what {arm} had spent in {spent}, each where its fitted curve first comes down to \
                     the last quality that both reach: the worse of the two last fitted values. Speedup: exp of the mean of their logarithms.",
                    if paired {
                        "Of each pair of runs with one seed:"
                    } else {
                        "The arms share no seeds; the mean of ln(spent) of each is compared (Welch):"
                    }
                ),
                of_seeds(", q_s"),
            ),
            Kind::WholeCurve => (
                format!(
                    "Of each pair of runs with one seed: the one factor f by which {arm} has at x images what {against} has at f · x images, \
                     so that the evaluations of each lie closest to the other's fitted curve in squares of ln(metric). Speedup: exp of the \
                     mean of ln f over seeds."
                ),
                format!(
                    "S = exp(mean_s ln f_s); f_s = argmin_f mean_x (ln y({arm}, s, x) - ln y({against}, s, f · x))²; {interval}"
                ),
            ),
            Kind::Target => (
                format!(
                    "What {against} had spent over what {arm} had spent in {spent}, each at its first single evaluation at or below the \
                     target. Noise makes that too early. Speedup: exp of the mean over seeds of the logarithm."
                ),
                of_seeds(""),
            ),
            Kind::Grid => (
                words,
                format!(
                    "S = exp(mean_s r_s); r_s = mean_p r_(s,p), where r_(s,p) is the ln speedup of {arm} over {against} of seed s at grid \
                     point p; {interval}"
                ),
            ),
            Kind::Tuned => (
                format!(
                    "For each seed the setting of an arm is that with the best last values on all other seeds. With these runs, {arm} is \
                     compared with {against} over the band of {against}'s own, as at a single grid point. The error is the jackknife's: without \
                     each seed in turn, every arm chooses again; it is never less than what seeds scatter."
                ),
                format!(
                    "S = exp(mean_s r_s); r_s = mean_k ln(C({against}, s, v_b(s), q_k) / C({arm}, s, v_a(s), q_k)); \
                     v(s) = argmin_v sum_(s' ≠ s) y(s', v); interval: exp(mean r ± t · max(se(r), se_J)), Student's t; \
                     se_J² = (n - 1)/n sum_s (ln S(without s) - their mean)²"
                ),
            ),
            Kind::Interaction => {
                let (plus, minus) = interaction.unwrap_or_default();
                let minus_words: Vec<String> = minus.iter().map(|minus| format!("that of {minus}")).collect();
                let minus_signs: String = minus.iter().map(|minus| format!(" - r_s({minus})")).collect();
                (
                    format!(
                        "Of each seed: ln speedup over {against} of {plus}, less {}; averaged over what else the grid has. 1 where the \
                         two changes multiply.",
                        minus_words.join(" and ")
                    ),
                    format!("R = exp(mean_s d_s); d_s = mean_p (r_s({plus}){minus_signs}); {interval}"),
                )
            }
            Kind::Final | Kind::Measure => Self::of_last_values(arm).into_parts(),
        };
        Self { words, symbols }
    }

    /// Of an arm's last values.
    pub fn of_last_values(arm: &str) -> Self {
        Self {
            words: format!(
                "The median over the completed runs of {arm} of each one's last value; what follows is the range of the seeds."
            ),
            symbols: "Y = median_s y_s, y_s the last evaluation of seed s".to_owned(),
        }
    }

    fn into_parts(self) -> (String, String) {
        (self.words, self.symbols)
    }
}

fn ln_ratio(against: &str, arm: &str, at: &str) -> String {
    format!("ln(C({against}, s{at}) / C({arm}, s{at}))")
}

fn spent(cost: Cost) -> &'static str {
    match cost {
        Cost::ImagesSeen => "training images",
        Cost::TrainSeconds => "training seconds",
    }
}

/// How a speedup over the band is made, in words; `level` is that of its interval.
pub fn speedup_words(of: &Of, speedup: &Speedup, level: &str) -> String {
    let Of { arm, against, cost, over_grid, targets } = of;
    let spent = spent(*cost);
    let Some(mean) = speedup.mean else {
        return format!(
            "No number, at most a bound: at fewer than half of the {targets} qualities of the band is it known of every run when it was \
             that good."
        );
    };
    let one = match (over_grid, speedup.pairing) {
        (true, _) => format!(
            "ln speedup of a seed: the mean over grid points of its ln({spent} of {against} / {spent} of {arm}) there."
        ),
        (false, Pairing::Paired { .. }) => format!(
            "ln speedup of a seed: the mean over {} qualities of ln({spent} of {against} / {spent} of {arm}), each where the run's fitted \
             curve comes down to the quality.",
            speedup.reached.unwrap_or(*targets)
        ),
        (false, Pairing::Unpaired { .. }) => format!(
            "The arms share no seeds. Of each run: the mean over {} qualities of ln({spent}) where its fitted curve comes down to the \
             quality; the ln speedup is the mean of {against} minus that of {arm} (Welch).",
            speedup.reached.unwrap_or(*targets)
        ),
    };
    let interval = match mean.error {
        Some((error, freedom)) => format!(
            " Interval: exp({} ± t × {}), Student's t of {level} with {} degrees of freedom.",
            log_words(mean.mean),
            log_words(error),
            significant(freedom, 3).trim_end_matches('0').trim_end_matches('.')
        ),
        None => " A single value has no interval.".to_owned(),
    };
    format!("{one} Speedup: exp of their mean, exp({}).{interval}", log_words(mean.mean))
}

fn log_words(log: f64) -> String {
    significant(log, 3).replace('-', "−")
}
