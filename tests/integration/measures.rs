//! Measures of feature sets against the code that papers use: see scripts/golden/measures.py.

use std::time::Instant;

use serde_json::Value;
use speedlab::evaluate::{
    DENSITY_NEIGHBOURS, FeatureRows, FrechetReference, GaussianFit, KidSubset, NeighbourDistances, Neighbourhoods,
    PRECISION_NEIGHBOURS, cmmd, fid_infinity, inception_score, kid, kid_subsets, mean_kernel, overlap,
};
use speedlab::random::{Draws, Stream};

use crate::evaluate::uniform;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/measures.json")).unwrap()
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// (stream, rows) of a set.
fn set(value: &Value) -> (u32, u32) {
    (count(&value[0]) as u32, count(&value[1]) as u32)
}

/// `[rows, dimension]`: neighbours correlate, scales differ by column, the mean depends on the stream.
fn features(dimension: u32, (stream, rows): (u32, u32)) -> Vec<f32> {
    let value = |row, column| {
        let value = uniform(stream, row, column) + uniform(stream, row, column + 1);
        (value * f64::from(column as i32 % 5 - 2).exp2() + f64::from(stream) / 8.0) as f32
    };
    (0..rows)
        .flat_map(|row| (0..dimension).map(move |column| (row, column)))
        .map(|(row, column)| value(row, column))
        .collect()
}

/// The generated set of a case around the mean of its reference, and the reference.
fn sets(case: &Value) -> [Vec<f32>; 2] {
    let dimension = count(&case["dimension"]) as u32;
    let (generated, reference) = (set(&case["generated"]), set(&case["reference"]));
    let shift = (f64::from(generated.0) - f64::from(reference.0)) / 8.0;
    let moved = features(dimension, generated).into_iter().map(|value| (f64::from(value) - shift) as f32);
    [moved.collect(), features(dimension, reference)]
}

#[track_caller]
fn assert_close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found / expected - 1.0).abs() < 1e-6, "{what}: {found}, expected {expected}");
}

/// What is checked for each case: its generated set, its reference, itself.
fn each_case(check: impl Fn(FeatureRows, FeatureRows, &Value)) {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let (dimension, [generated, reference]) = (count(&case["dimension"]), sets(case));
        check(FeatureRows::new(&generated, dimension).unwrap(), FeatureRows::new(&reference, dimension).unwrap(), case);
    }
}

#[test]
fn kernel_distances_are_those_of_torch_fidelity() {
    each_case(|generated, reference, case| {
        let rows = count(&case["subset_rows"]);
        let subset =
            |index: usize, count: usize| (0..rows).map(|row| ((7 * row + 11 * index) % count) as u32).collect();
        let subset = |index| KidSubset {
            generated: subset(index, generated.count()),
            reference: subset(index, reference.count()),
        };
        let subsets: Vec<KidSubset> = (0..5).map(subset).collect();
        let found = kid(generated, reference, &subsets).unwrap();
        assert_close(found.mean, &case["kid"], "kid");
        assert!(found.standard_error > 0.0);
    });
}

#[test]
fn overlaps_are_those_of_prdc() {
    each_case(|generated, reference, case| {
        let distances = [generated, reference].map(|rows| NeighbourDistances::of(rows, DENSITY_NEIGHBOURS).unwrap());
        let generated = Neighbourhoods { rows: generated, distances: &distances[0] };
        let reference = Neighbourhoods { rows: reference, distances: &distances[1] };
        let found = overlap(reference, generated, PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS).unwrap();
        assert_close(found.precision, &case["precision"], "precision");
        assert_close(found.recall, &case["recall"], "recall");
        assert_close(found.density, &case["density"], "density");
        assert_close(found.coverage, &case["coverage"], "coverage");
    });
}

#[test]
fn the_line_to_infinitely_many_images_is_scipys() {
    each_case(|generated, reference, case| {
        let mut fit = GaussianFit::new(reference.dimension());
        (0..reference.count()).for_each(|row| fit.push(reference.row(row)).unwrap());
        let reference = FrechetReference::new(fit.finish().unwrap()).unwrap();
        let golden = &case["infinity"];
        let counts = golden["counts"].as_array().unwrap().iter();
        let subsets: Vec<Vec<u32>> = counts.map(|images| (0..count(images) as u32).collect()).collect();
        let found = fid_infinity(generated, &reference, &subsets).unwrap();
        assert_close(found.distance, &golden["intercept"], "intercept");
        assert_close(found.standard_error, &golden["standard_error"], "standard error");
    });
}

#[test]
fn inception_scores_are_those_of_torch_fidelity() {
    let golden = golden();
    let scores = golden["inception_scores"].as_array().unwrap();
    assert_eq!(scores.len(), 2);
    for score in scores {
        let [stream, images, classes] = ["stream", "images", "classes"].map(|key| count(&score[key]) as u32);
        let logits: Vec<f32> =
            features(classes, (stream, images)).into_iter().map(|value| (6.0 * f64::from(value)) as f32).collect();
        let found = inception_score(&logits, classes as usize, 10).unwrap();
        assert_close(found.mean, &score["mean"], "mean");
        assert_close(found.standard_deviation, &score["standard_deviation"], "standard deviation");
    }
}

/// As many images as papers compare, all of one distribution, so that it is known what comes out. Memory stays near the 0.8 GB
/// of the features: `\time -v cargo test --release --locked --test integration -- --ignored --nocapture fifty_thousand`.
#[test]
#[ignore = "takes minutes"]
fn fifty_thousand_images_of_2048_values_are_compared_block_by_block() {
    const DIMENSION: usize = 2048;
    let sets = [1, 2].map(|seed| {
        let mut values = vec![0.0f32; 50_000 * DIMENSION];
        Draws::new(seed, Stream::Noise, 0).fill_normal(&mut values);
        // Few columns vary much: with thousands that do, a few images would be the nearest neighbours of most.
        for row in values.chunks_exact_mut(DIMENSION) {
            row.iter_mut().enumerate().for_each(|(column, value)| *value /= (column + 1) as f32);
        }
        values
    });
    let [generated, reference] = [&sets[0], &sets[1]].map(|values| FeatureRows::new(values, DIMENSION).unwrap());
    let started = Instant::now();
    let found = kid(generated, reference, &kid_subsets(generated.count(), reference.count())).unwrap();
    println!("kid {found:?} in {:.1} s", started.elapsed().as_secs_f64());
    assert!(found.mean.abs() < 4.0 * found.standard_error, "{found:?}");

    let started = Instant::now();
    let distances = [generated, reference].map(|rows| NeighbourDistances::of(rows, DENSITY_NEIGHBOURS).unwrap());
    println!("neighbours of both sets in {:.1} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let generated = Neighbourhoods { rows: generated, distances: &distances[0] };
    let reference = Neighbourhoods { rows: reference, distances: &distances[1] };
    let found = overlap(reference, generated, PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS).unwrap();
    println!("{found:?} in {:.1} s", started.elapsed().as_secs_f64());
    // Of one distribution and sets as large, a ball to the fifth neighbour stays empty where the five nearest of all other
    // images are of its own set: one in 2^5. A ball has as many images of the other set in it as of its own, on average.
    assert!((found.coverage - (1.0 - 1.0 / 32.0)).abs() < 0.01, "{found:?}");
    assert!((found.density - 1.0).abs() < 0.05, "{found:?}");
    assert!((0.0..=1.0).contains(&found.precision) && (0.0..=1.0).contains(&found.recall), "{found:?}");
}

#[test]
fn cmmd_is_what_its_authors_formula_gives() {
    let cases: Vec<Value> =
        include_str!("../golden/cmmd.json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let dimension = count(&case["dimension"]);
        let [generated, reference] = ["generated", "reference"].map(|name| {
            let values = features(dimension as u32, set(&case[name]));
            values.into_iter().map(|value| value - 0.5).collect::<Vec<f32>>()
        });
        let rows = |values| FeatureRows::new(values, dimension).unwrap();
        let of_reference = mean_kernel(rows(&reference), rows(&reference)).unwrap();
        let found = cmmd(rows(&generated), rows(&reference), of_reference).unwrap();
        assert_close(found, &case["cmmd"], case["name"].as_str().unwrap());
    }
}
