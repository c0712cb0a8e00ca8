//! How similar the images of different runs are from the same noise.

use maud::{Markup, html};

use super::Shown;
use crate::report::consistency::{Comparable, Consistency, GroupLikeness, Similarity};
use crate::report::interval::Interval;
use crate::report::number::grouped;
use crate::report::plots::Place;

pub fn consistency(consistency: &Consistency, shown: &Shown) -> Markup {
    let several = consistency.comparable.len() > 1;
    html! {
        p.note {
            "The paper of arXiv 2404.07946 says that diffusion models with different initial weights or even different architectures generate very \
             similar images from the same noise, more so the smaller the image, and not where the mean is predicted. Its formula for similarity is \
             not published where we could read it. The table has three measures of our own. Beside each stands the similarity of the same two runs \
             from different noises: so similar are their images without a shared noise. The share in brackets places the runs between that \
             similarity (0 %) and equal images (100 %)."
        }
        @for (index, group) in consistency.comparable.iter().enumerate() {
            @if several { h3 { "Protocol " (index + 1) } }
            (table(group))
            (control(group))
            p.note {
                "Intervals are 95 % by Student's t over " (grouped(group.noises as u64)) " noises, for these runs: they cover other noises, but \
                 not other runs. The range is that of the pairs' means. The SSIM is that of Wang et al. (2004) on levels 0 to 255 with a Gaussian \
                 window of " (group.window) " × " (group.window) " pixels"
                @if group.window < 11 { ", the largest odd one that fits into images of " (group.side) " × " (group.side) " (the paper's is 11 × 11), its deviation reduced in proportion" }
                ". Protocol: " code { (group.protocol) }
            }
        }
        @if consistency.comparable.iter().all(|group| group.runs.len() < 2) {
            p { "No two runs have got to their last step yet that share a protocol." }
        }
        (shown.at(Place::Consistency))
        @if several { p.note { "Runs of different protocols are not compared." } }
        @if !consistency.unfinished.is_empty() { p { "Not at their last step yet: " (consistency.unfinished.join("; ")) "." } }
        @for unread in &consistency.unread { p { (unread.run) ": " (unread.reason) } }
    }
}

fn table(group: &Comparable) -> Markup {
    let groups = group.groups();
    html! {
        @if !groups.is_empty() {
            div.wide {
                table {
                    thead {
                        tr {
                            th { "Runs differ in" } th.number { "Pairs" } th { "Similarity" } th.number { "Same noise" } th.number { "Interval" }
                            th.number { "Range of pairs" } th.number { "Different noises" } th.number { "Difference" } th.number { "Interval" }
                        }
                    }
                    tbody {
                        @for of in &groups {
                            @for (index, likeness) in group.likeness_of(&of.pairs).iter().enumerate() {
                                tr.first[index == 0] {
                                    @if index == 0 { td { (of.name) } td.number { (of.pairs.len()) } } @else { td {} td {} }
                                    (cells(likeness))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cells(likeness: &GroupLikeness) -> Markup {
    html! {
        td { (likeness.similarity.words()) }
        td.number { (value(likeness.same)) @if let Some(share) = likeness.share() { " (" (format!("{:.0} %", 100.0 * share).replace('-', "−")) ")" } }
        td.number { (interval(likeness.same_interval)) }
        td.number { (interval(Some(likeness.pairs))) }
        td.number { (value(likeness.shuffled)) }
        td.number { (value(likeness.gain)) }
        td.number { (interval(likeness.gain_interval)) }
    }
}

/// The control: runs that predict the image, for which the paper expects less.
fn control(group: &Comparable) -> Markup {
    let (control, others) = group.control();
    let both = (group.likeness_of(&control), group.likeness_of(&others));
    html! {
        @if !both.0.is_empty() && !both.1.is_empty() {
            p {
                "The control is runs that predict the image (x0), of which the paper expects less similarity. Among runs that differ in their seed alone, these are "
                @for (index, similarity) in Similarity::ALL.iter().enumerate() {
                    @if index > 0 { "; " }
                    (share(&both.0[index])) " by " (similarity.words()) ", the others " (share(&both.1[index]))
                }
                " of the way from different noises to equal images."
            }
        }
    }
}

fn share(likeness: &GroupLikeness) -> String {
    likeness.share().map_or("nowhere".to_owned(), |share| format!("{:.0} %", 100.0 * share).replace('-', "−"))
}

fn value(value: f64) -> String {
    format!("{value:.3}").replace('-', "−")
}

fn interval(interval: Option<Interval>) -> String {
    interval.map_or("–".to_owned(), |interval| format!("{} to {}", value(interval.low), value(interval.high)))
}
