//! The runs of a study that may be compared image by image, and the result of the comparison.

use rayon::prelude::*;

use super::difference::{Difference, difference};
use super::likeness::{GroupLikeness, Likeness, over_pairs};
use super::partners::Partners;
use super::similarity::{Observed, Similarity};
use crate::record::{ConsistencyImages, RunRecord, StudyRecord};
use crate::spec::Parameterization;

/// Others that each image is set beside: at the last step, and on the way there.
const PARTNERS: usize = 4;
const PARTNERS_ON_THE_WAY: usize = 1;
/// Steps that the curves along training show at most, the last among them.
const STEPS: usize = 12;

/// The images that the runs of a study generated from shared noises.
pub struct Consistency<'a> {
    /// Runs that share a protocol; only these are compared.
    pub comparable: Vec<Comparable<'a>>,
    /// Runs that are to keep images and have not got to their last step, by label.
    pub unfinished: Vec<String>,
    pub unread: Vec<Unread>,
}

/// Images that should be there and could not be read.
pub struct Unread {
    pub run: String,
    pub reason: String,
}

/// Runs whose images are compared.
pub struct Comparable<'a> {
    pub protocol: String,
    /// Noises that all of them start from.
    pub noises: usize,
    /// Pixels of the window of the structural similarity index.
    pub window: usize,
    pub channels: usize,
    pub side: usize,
    /// In the plan's order of trials, then by seed.
    pub runs: Vec<ComparedRun<'a>>,
    /// Every pair, `first < second`, first by first.
    pub pairs: Vec<PairLikeness>,
    /// The similarity by step, with pairs in the order of `pairs`; empty where only the last step was kept.
    pub by_step: Vec<StepLikeness>,
}

pub struct ComparedRun<'a> {
    pub record: &'a RunRecord,
    /// Trial and seed.
    pub label: String,
    /// The images of its last step.
    pub last: ConsistencyImages,
}

/// Two runs at their last steps.
pub struct PairLikeness {
    pub first: usize,
    pub second: usize,
    pub difference: Difference,
    /// The prediction of both, or that of one and that of the other.
    pub parameterizations: String,
    /// In the order of [`Similarity::ALL`].
    pub likeness: [Likeness; 3],
}

/// Pairs that differ in the same.
pub struct Group {
    pub name: String,
    pub difference: Difference,
    /// Indices in [`Comparable::pairs`].
    pub pairs: Vec<usize>,
}

/// A pair at a step that both runs kept.
pub struct StepLikeness {
    pub step: u64,
    /// Index in [`Comparable::pairs`].
    pub pair: usize,
    /// Means in the order of [`Similarity::ALL`].
    pub same: [f64; 3],
    pub shuffled: [f64; 3],
}

impl<'a> Consistency<'a> {
    /// `None` where no run of the study is to keep images.
    pub fn of(study: &'a StudyRecord) -> Option<Self> {
        let keeps = |run: &&RunRecord| run.planned.spec.evaluate.consistency.images > 0;
        let mut records: Vec<&RunRecord> = study.runs.iter().filter(keeps).collect();
        if records.is_empty() {
            return None;
        }
        // The plan goes seed by seed; here runs of a trial stand together.
        let place = |trial: &str| study.runs.iter().position(|run| run.planned.trial == trial);
        records.sort_by_key(|run| (place(&run.planned.trial), run.planned.seed));
        let (mut unfinished, mut unread) = (vec![], vec![]);
        let mut groups: Vec<(String, Vec<ComparedRun>)> = vec![];
        for record in records {
            let label = format!("{}, seed {}", record.planned.trial, record.planned.seed);
            let steps = record.planned.spec.train.steps;
            let Some((_, path)) = record.consistency.iter().find(|(step, _)| *step == steps) else {
                unfinished.push(label);
                continue;
            };
            match ConsistencyImages::read(path) {
                Err(error) => unread.push(Unread { run: label, reason: error.to_string() }),
                Ok(last) => {
                    let run = ComparedRun { record, label, last };
                    match groups.iter_mut().find(|(protocol, _)| *protocol == run.last.protocol) {
                        Some((_, runs)) => runs.push(run),
                        None => groups.push((run.last.protocol.clone(), vec![run])),
                    }
                }
            }
        }
        let comparable = groups.into_iter().map(|(protocol, runs)| Comparable::of(protocol, runs, &mut unread));
        let comparable = comparable.collect();
        Some(Self { comparable, unfinished, unread })
    }
}

impl<'a> Comparable<'a> {
    fn of(protocol: String, runs: Vec<ComparedRun<'a>>, unread: &mut Vec<Unread>) -> Self {
        let noises = runs.iter().map(|run| run.last.images()).min().expect("a group has a run");
        let classes = runs[0].record.planned.spec.told_classes();
        let (channels, side) = (runs[0].last.channels, runs[0].last.side);
        let partners = Partners::new(noises, classes, PARTNERS);
        let observed: Vec<Observed> = runs.par_iter().map(|run| Observed::new(&run.last, noises)).collect();
        let indices: Vec<(usize, usize)> =
            (0..runs.len()).flat_map(|first| (first + 1..runs.len()).map(move |second| (first, second))).collect();
        let pair = |&(first, second): &(usize, usize)| {
            let [one, other] = [first, second].map(|index| &runs[index].record.planned.spec);
            PairLikeness {
                first,
                second,
                difference: difference(one, other),
                parameterizations: parameterizations(one.parameterization, other.parameterization),
                likeness: likeness(&observed[first], &observed[second], partners),
            }
        };
        let pairs: Vec<PairLikeness> = indices.par_iter().map(pair).collect();
        let window = super::Ssim::new(side).window();
        let mut group = Self { protocol, noises: partners.count, window, channels, side, runs, pairs, by_step: vec![] };
        group.by_step = group.along_training(noises, classes, unread);
        group
    }

    /// Pairs at the steps that both runs have kept. Images are read step by step, so that one step's are in memory.
    fn along_training(&self, noises: usize, classes: Option<usize>, unread: &mut Vec<Unread>) -> Vec<StepLikeness> {
        let mut steps: Vec<u64> = self.runs.iter().flat_map(|run| &run.record.consistency).map(|kept| kept.0).collect();
        steps.sort_unstable();
        steps.dedup();
        if steps.len() < 2 {
            return vec![];
        }
        let mut shown = if steps.len() <= STEPS {
            steps
        } else {
            (0..STEPS).map(|index| steps[index * (steps.len() - 1) / (STEPS - 1)]).collect()
        };
        shown.dedup();
        let partners = Partners::new(noises, classes, PARTNERS_ON_THE_WAY);
        let mut found = vec![];
        for step in shown {
            let mut observed: Vec<Option<Observed>> = vec![];
            for run in &self.runs {
                let path = run.record.consistency.iter().find(|kept| kept.0 == step).map(|kept| &kept.1);
                observed.push(match path.map(|path| ConsistencyImages::read(path)) {
                    None => None,
                    Some(Ok(images)) => (images.protocol == self.protocol && images.images() >= noises)
                        .then(|| Observed::new(&images, noises)),
                    Some(Err(error)) => {
                        unread.push(Unread { run: run.label.clone(), reason: error.to_string() });
                        None
                    }
                });
            }
            let of_pair = |(index, pair): (usize, &PairLikeness)| {
                let (one, other) = (observed[pair.first].as_ref()?, observed[pair.second].as_ref()?);
                let likeness = likeness(one, other, partners);
                Some(StepLikeness {
                    step,
                    pair: index,
                    same: likeness.each_ref().map(Likeness::same_mean),
                    shuffled: likeness.each_ref().map(Likeness::shuffled_mean),
                })
            };
            found.extend(self.pairs.par_iter().enumerate().filter_map(of_pair).collect::<Vec<_>>());
        }
        found
    }

    /// Pairs by what differs between their runs and by what these predict, those that differ in least first.
    pub fn groups(&self) -> Vec<Group> {
        let key = |pair: &PairLikeness| (pair.difference.methods(), pair.difference, pair.parameterizations.clone());
        let mut keys: Vec<(usize, Difference, String)> = self.pairs.iter().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        let several = keys.iter().any(|one| one.2 != keys[0].2);
        let group = |(_, difference, parameterizations): &(usize, Difference, String)| {
            let is =
                |pair: &PairLikeness| pair.difference == *difference && pair.parameterizations == *parameterizations;
            let name = match several && !difference.parameterization {
                true => format!("{} ({parameterizations})", difference.words()),
                false => difference.words(),
            };
            let pairs = (0..self.pairs.len()).filter(|&index| is(&self.pairs[index])).collect();
            Group { name, difference: *difference, pairs }
        };
        keys.iter().map(group).collect()
    }

    /// The mean of some pairs, in the order of [`Similarity::ALL`].
    pub fn likeness_of(&self, pairs: &[usize]) -> Vec<GroupLikeness> {
        let of = |(index, similarity): (usize, Similarity)| {
            let likeness: Vec<&Likeness> = pairs.iter().map(|&pair| &self.pairs[pair].likeness[index]).collect();
            over_pairs(similarity, &likeness)
        };
        Similarity::ALL.into_iter().enumerate().filter_map(of).collect()
    }

    /// The control, for which the paper expects less: pairs that differ in their seeds alone and predict the image; and those that
    /// predict something else, of the same networks where there are such.
    pub fn control(&self) -> (Vec<usize>, Vec<usize>) {
        let only_seed = Difference { seed: true, ..Difference::default() };
        let spec = |index: usize| &self.runs[self.pairs[index].first].record.planned.spec;
        let seeds = (0..self.pairs.len()).filter(|&index| self.pairs[index].difference == only_seed);
        let (control, others): (Vec<usize>, Vec<usize>) =
            seeds.partition(|&index| spec(index).parameterization == Parameterization::X0);
        let is_same = |other: &&usize| control.iter().any(|&index| spec(index).model == spec(**other).model);
        let same: Vec<usize> = others.iter().filter(is_same).copied().collect();
        let others = if same.is_empty() { others } else { same };
        (control, others)
    }
}

fn likeness(one: &Observed, other: &Observed, partners: Partners) -> [Likeness; 3] {
    let mut likeness = [(); 3].map(|()| Likeness { same: vec![], shuffled: vec![] });
    for noise in 0..partners.count {
        let same = one.between(noise, other, noise);
        let mut shuffled = [0.0; 3];
        let mut count = 0.0;
        for partner in partners.of(noise) {
            let found = one.between(noise, other, partner);
            shuffled.iter_mut().zip(found).for_each(|(sum, value)| *sum += value);
            count += 1.0;
        }
        for (index, likeness) in likeness.iter_mut().enumerate() {
            likeness.same.push(same[index]);
            likeness.shuffled.push(shuffled[index] / count);
        }
    }
    likeness
}

fn parameterizations(first: Parameterization, second: Parameterization) -> String {
    let (first, second) = (first.name(), second.name());
    match first.cmp(second) {
        std::cmp::Ordering::Equal => first.to_owned(),
        std::cmp::Ordering::Less => format!("{first} and {second}"),
        std::cmp::Ordering::Greater => format!("{second} and {first}"),
    }
}
