use super::*;
use crate::kernels::{multiplies_bf16, without_bf16};
use crate::model::build;
use crate::spec::{Ddim, FidPrecision, FurtherMeasure, Model, OdeSampler, Optimizer, UnetModel};

pub fn spec() -> RunSpec {
    let mut spec = RunSpec::default();
    spec.evaluate.fid.samples = 300;
    spec.evaluate.fid.ode = OdeSampler::Ddim(Ddim { steps: 5, ..Ddim::default() });
    spec
}

/// Nothing that was fetched is needed.
pub fn no_folder() -> DataFolder {
    DataFolder::find(Some("nowhere".as_ref())).unwrap()
}

pub fn evaluator(spec: &RunSpec) -> Evaluator {
    Evaluator::new(spec, &crate::data::load_digits().unwrap(), &no_folder(), &mut || {}).unwrap()
}

#[test]
fn a_real_network_gives_the_same_measures_in_batches_of_any_size_tracked_or_not() {
    let mut spec = spec();
    spec.model = Model::Unet(UnetModel { channels: 8, ..UnetModel::default() });
    spec.evaluate.fid.samples = 70;
    let mut evaluator = evaluator(&spec);
    let build = |seed, device: &Device| build(&spec.model, (1, 8), seed, device);
    // The raw weights are not looked at.
    let raw = build(4, &Device::flex());
    let expected = evaluator.evaluate(&build(3, &Device::flex()), &raw, &mut |_| true).unwrap();
    let tracked = evaluator.evaluate(&build(3, &Device::flex().autodiff()), &raw, &mut |_| true).unwrap();
    assert_eq!(tracked, expected);
    evaluator.batch_images = 13;
    let in_small_batches = evaluator.evaluate(&build(3, &Device::flex()), &raw, &mut |_| true).unwrap();
    for (found, expected) in in_small_batches.measures.iter().zip(&expected.measures) {
        assert_eq!((&found.metric, &found.protocol), (&expected.metric, &expected.protocol));
        assert!((found.value / expected.value - 1.0).abs() < 1e-6, "{found:?}, {expected:?}");
    }
}

#[test]
fn averaged_and_raw_weights_are_measured_alike_and_never_by_one_protocol() {
    let mut spec = spec();
    spec.model = Model::Unet(UnetModel { channels: 8, ..UnetModel::default() });
    spec.evaluate.fid.samples = 40;
    spec.evaluate.fid.ode = OdeSampler::Ddim(Ddim { steps: 2, ..Ddim::default() });
    spec.evaluate.measures = [FurtherMeasure::Kid].into();
    let [averaged, raw] = [0.02, 0.05].map(|shift| {
        let mut network = build(&spec.model, (1, 8), 3, &Device::flex());
        network.set_weights(network.weights() + shift);
        network
    });
    let mut of = |weights| {
        spec.evaluate.weights = weights;
        let mut shares = vec![];
        let found = evaluator(&spec).evaluate(&averaged, &raw, &mut |share| {
            shares.push(share);
            true
        });
        assert!(shares.is_sorted() && shares.last() == Some(&1.0), "{shares:?}");
        found.unwrap()
    };
    let [both, first, second] =
        [EvaluatedWeights::Both, EvaluatedWeights::Averaged, EvaluatedWeights::Raw].map(&mut of);
    assert_eq!(both.measures, [first.measures.clone(), second.measures.clone()].concat());
    assert_eq!(both.grid_png, first.grid_png);
    let protocols = |evaluation: &Evaluation| {
        evaluation.measures[..4].iter().map(|measure| measure.protocol.clone()).collect::<Vec<_>>()
    };
    let fid = "digits-cnn n=40 ref=train:1442 resize=none ddim nfe=2 ema=0.999";
    let kid = format!("{fid} subsets=100x40");
    let expected = [fid, &kid, &kid, "mse ref=test n=64 bins=10 ema=0.999"];
    assert_eq!(protocols(&first), expected);
    assert_eq!(protocols(&second), expected.map(|protocol| protocol.replace("ema=0.999", "raw")));
    assert!(first.measures.iter().zip(&second.measures).all(|(one, other)| one.value != other.value));
    // A run's own weights are its average, or x where the optimizer makes an average itself; how is not named.
    let mut own = |optimizer: Optimizer| {
        spec.optimizer = optimizer;
        spec.evaluate.weights = EvaluatedWeights::Own;
        evaluator(&spec).evaluate(&averaged, &raw, &mut |_| true).unwrap()
    };
    let own = [Optimizer::default(), Optimizer::ScheduleFreeAdamw(Default::default())].map(&mut own);
    for (own, same) in own.iter().zip([&first, &second]) {
        assert_eq!(protocols(own), expected.map(|protocol| protocol.replace("ema=0.999", "average=own")));
        assert!(own.measures.iter().zip(&same.measures).all(|(own, same)| own.value == same.value));
        assert_eq!(own.grid_png, same.grid_png);
    }
}

#[test]
fn in_bf16_a_real_network_measures_about_the_same_with_any_number_of_threads() {
    if !multiplies_bf16() {
        eprintln!("skipped: this processor does not multiply in bf16");
        return;
    }
    let mut spec = spec();
    spec.model = Model::Unet(UnetModel { channels: 16, ..UnetModel::default() });
    spec.evaluate.fid.samples = 70;
    let mut network = build(&spec.model, (1, 8), 3, &Device::flex());
    // The last layer starts at zero.
    network.set_weights(network.weights() + 0.02);
    let exact = evaluator(&spec).evaluate(&network, &network, &mut |_| true).unwrap();
    spec.evaluate.fid.precision = FidPrecision::Bf16;
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| evaluator(&spec).evaluate(&network, &network, &mut |_| true).unwrap())
    };
    let rounded = of(1);
    assert_eq!(of(2), rounded);
    let [exact_fid, rounded_fid] = [&exact, &rounded].map(|found| &found.measures[0]);
    assert_eq!(rounded_fid.protocol, exact_fid.protocol.replace("resize=none", "resize=none precision=bf16"));
    let ratio = rounded_fid.value / exact_fid.value;
    assert!(ratio != 1.0 && (ratio - 1.0).abs() < 0.02, "{exact_fid:?}, {rounded_fid:?}");
    // The loss is f32.
    assert_eq!(rounded.measures[1..], exact.measures[1..]);
    let pairs = rounded.first_images.iter().zip(&exact.first_images);
    let difference = pairs.map(|(one, other)| (one - other).abs()).sum::<f32>() / exact.first_images.len() as f32;
    assert!(difference > 0.0 && difference < 0.05, "{difference}");
}

#[test]
fn a_processor_without_bf16_does_not_measure_in_it() {
    let mut spec = spec();
    spec.evaluate.also = vec![Fid { precision: FidPrecision::Bf16, ..spec.evaluate.fid.clone() }];
    without_bf16(|| {
        let dataset = crate::data::load_digits().unwrap();
        let error = Evaluator::new(&spec, &dataset, &no_folder(), &mut || {}).err().expect("it cannot measure");
        assert!(error.is_usage());
        let text = error.to_string();
        assert!(text.starts_with("cannot measure with `evaluate.fid.precision: bf16`: this processor"), "{text}");
    });
}

#[test]
fn settings_that_cannot_be_measured_name_their_key() {
    let dataset = crate::data::load_digits().unwrap();
    let check = |change: &dyn Fn(&mut RunSpec), expected: &str| {
        let mut spec = spec();
        change(&mut spec);
        let error = Evaluator::new(&spec, &dataset, &no_folder(), &mut || {}).err().expect("cannot be measured");
        assert_eq!(error.to_string(), expected);
    };
    check(&|spec| spec.evaluate.fid.samples = 1, "`evaluate.fid.samples` is 1, but the least is 2");
    check(&|spec| spec.evaluate.grid_images = 0, "`evaluate.grid_images` is 0, but the least is 1");
    check(
        &|spec| spec.evaluate.fid.ode = OdeSampler::Ddim(Ddim { steps: 1001, ..Ddim::default() }),
        "`evaluate.fid.ode.steps` is 1001, but the noise schedule has 1000 timesteps",
    );
    check(
        &|spec| spec.evaluate.validation.images = 356,
        "`evaluate.validation.images` is 356, but there are 1 to 355 held-out images",
    );
    check(
        &|spec| spec.evaluate.validation.bins = 0,
        "`evaluate.validation.bins` is 0, but 1 to 1000 timesteps can be told apart",
    );
}
