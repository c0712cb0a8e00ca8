//! What a grid says at once, of studies whose truth is known.

use std::path::Path;

use speedlab::record::{Row, StudyRecord};
use speedlab::report::{Comparison, Grid, Interaction, Interval, Of, Speedup, Verdict, write};
use speedlab::spec::{Axis, Point};

use super::synthetic::Synthetic;

fn study() -> StudyRecord {
    let synthetic = Synthetic { channels: vec![16, 32], seeds: 6, spread: 0.02, ..Synthetic::default() };
    synthetic.study(Path::new("results/synthetic"))
}

fn holds(speedup: &Speedup, truth: f64) -> bool {
    let interval = speedup.mean.and_then(|mean| mean.interval(0.01)).expect("it was measured");
    let Interval { low, high } = interval;
    low <= truth && truth <= high
}

#[test]
fn an_arm_over_all_grid_points_has_its_true_speedup() {
    let study = study();
    let comparison = Comparison::of(&study);
    let grid = Grid::of(&comparison);
    assert_eq!(grid.effects.len(), 4);
    for (arm, truth) in [("clts", 1.55), ("mdlrc", 1.06), ("same-lr", 1.0), ("clts+mdlrc", 1.9)] {
        let effect = grid.effects.iter().find(|effect| effect.arm == arm).expect("every arm has one");
        assert_eq!((effect.measured, effect.tried), (2, 2));
        assert!(holds(&effect.speedup, truth), "{arm}: {:?}", effect.speedup.estimate);
    }
    let words = grid.answers(&comparison);
    assert!(words[0].1.starts_with("clts is faster than baseline: 1.5"), "{}", words[0].1);
    // Without a grid there is nothing to sum up.
    let single = Synthetic::default().study(Path::new("results/synthetic"));
    assert!(Grid::of(&Comparison::of(&single)).effects.is_empty());
}

#[test]
fn arms_of_two_studies_are_not_parts_of_one_another() {
    let found = |names: [(&str, &str); 4]| {
        let mut study = study();
        let renamed = |name: &mut String| {
            if let Some((_, new)) = names.iter().find(|(old, _)| old == name) {
                *name = (*new).to_owned();
            }
        };
        study.plan.arms.iter_mut().for_each(renamed);
        study.plan.runs.iter_mut().for_each(|run| renamed(&mut run.arm));
        study.runs.iter_mut().for_each(|run| renamed(&mut run.planned.arm));
        study.plan.compare.iter_mut().for_each(|compare| renamed(&mut compare.baseline));
        let comparison = Comparison::of(&study);
        let grid = Grid::of(&comparison);
        grid.interactions.iter().filter(|interaction| matches!(interaction.of, Of::Arms { .. })).count()
    };
    let of = |clts: &'static str, mdlrc: &'static str, both: &'static str| {
        found([("baseline", "a/baseline"), ("clts", clts), ("mdlrc", mdlrc), ("clts+mdlrc", both)])
    };
    assert_eq!(of("a/clts", "a/mdlrc", "a/clts+mdlrc"), 1);
    assert_eq!(of("a/clts", "b/mdlrc", "a/clts+mdlrc"), 0);
    assert_eq!(of("a/clts", "a/mdlrc", "b/clts+mdlrc"), 0);
}

#[test]
fn arms_that_are_made_of_others_are_found_by_their_settings_and_their_interaction_is_true() {
    let study = study();
    let comparison = Comparison::of(&study);
    let grid = Grid::of(&comparison);
    let of_arms: Vec<&Interaction> =
        grid.interactions.iter().filter(|interaction| matches!(interaction.of, Of::Arms { .. })).collect();
    // Its name says nothing: `clts+mdlrc` changes what `clts` and `mdlrc` change and nothing else.
    let [found] = of_arms.as_slice() else { panic!("{:?}", grid.interactions) };
    assert_eq!(found.of, Of::Arms { first: "clts", second: "mdlrc", both: "clts+mdlrc" });
    assert!(holds(&found.ratio, 1.9 / (1.55 * 1.06)), "{:?}", found.ratio.estimate);
    assert_eq!(found.ratio.verdict, Verdict::Faster);
    // The width changes no arm's speed here.
    let of_axis = grid.interactions.iter().filter(|interaction| matches!(interaction.of, Of::Axis { .. }));
    let of_axis: Vec<&Interaction> = of_axis.collect();
    assert_eq!(of_axis.len(), 4);
    for interaction in of_axis {
        assert!(holds(&interaction.ratio, 1.0), "{:?}: {:?}", interaction.of, interaction.ratio.estimate);
    }
}

#[test]
fn every_arm_is_compared_at_its_own_best_value_of_a_tuned_axis() {
    let mut study = study();
    study.plan.compare.as_mut().unwrap().tune = vec!["model.channels".into()];
    // The wider network is better for the baseline and worse for clts: at one width the ratio of the two flatters clts.
    for run in &mut study.runs {
        let factor = match (run.planned.arm.as_str(), run.planned.trial.ends_with("=32")) {
            ("baseline", true) => 0.6,
            ("clts", true) => 1.5,
            _ => 1.0,
        };
        let factor = |row: &Row| if row.metric == "fid" { factor } else { 1.0 };
        run.rows = run.rows.iter().map(|row| Row { value: factor(&row) * row.value, ..row }).collect();
    }
    let channels = |count: u64| Point::from([("model.channels".to_owned(), count.into())]);
    let comparison = Comparison::of(&study);
    let grid = Grid::of(&comparison);
    let [tuned] = grid.tuned.as_slice() else { panic!("one group: nothing else is on the grid") };
    assert_eq!((tuned.settings, tuned.label.as_str()), (2, ""));
    assert_eq!(tuned.baseline.settings, [(channels(32), 6)]);
    let clts = tuned.arms.iter().find(|arm| arm.chosen.arm == "clts").unwrap();
    assert_eq!(clts.chosen.settings, [(channels(16), 6)]);
    let own_best = clts.speedup.as_ref().unwrap().mean.unwrap().mean.exp();
    let at_16 = comparison.points[0].arms.iter().find(|arm| arm.arm == "clts").unwrap();
    let at_16 = at_16.contrast.speedups[0].as_ref().unwrap().mean.unwrap().mean.exp();
    assert!(own_best < 0.8 * at_16, "{own_best} against a strong baseline, {at_16} against the weak one");
    let (arm, words) = &grid.answers(&comparison)[0];
    assert_eq!(*arm, "clts");
    assert!(words.contains("each at its own best of 2 values of model.channels"), "{words}");
    assert!(words.contains("clts at 16 against baseline at 32"), "{words}");
    // A run that is missing makes its setting no worse: its seed counts for no setting.
    study.runs.retain(|run| !(run.planned.seed == 4 && run.planned.trial == "baseline model.channels=32"));
    let comparison = Comparison::of(&study);
    let grid = Grid::of(&comparison);
    let baseline = &grid.tuned[0].baseline;
    assert_eq!(
        (baseline.settings.as_slice(), baseline.left_out.as_slice()),
        ([(channels(32), 5)].as_slice(), [4].as_slice())
    );
    let (_, words) = &grid.answers(&comparison)[0];
    assert!(words.contains("without seed 4, which not every setting has"), "{words}");
    // With one seed there is nothing to choose on.
    study.runs.retain(|run| run.planned.seed == 0);
    assert!(Grid::of(&Comparison::of(&study)).tuned.is_empty());
}

#[test]
fn two_axes_have_a_figure_each_and_a_map_of_both() {
    let synthetic = Synthetic { channels: vec![16, 24, 32, 48], spread: 0.02, ..Synthetic::default() };
    let mut study = synthetic.study(Path::new("results/synthetic"));
    let axis = |path: &str, values: [serde_json::Value; 2]| Axis { path: path.into(), values: values.into() };
    study.plan.axes = vec![
        axis("train.batch_size", [32.into(), 64.into()]),
        axis("parameterization", ["epsilon".into(), "v".into()]),
    ];
    let point = |channels: &serde_json::Value| {
        let index = [16, 24, 32, 48].iter().position(|value| channels == value).unwrap();
        let [first, second] = [&study.plan.axes[0], &study.plan.axes[1]];
        [(first.path.clone(), first.values[index / 2].clone()), (second.path.clone(), second.values[index % 2].clone())]
            .into()
    };
    let points: Vec<_> = study.runs.iter().map(|run| point(&run.planned.point["model.channels"])).collect();
    for (run, point) in study.runs.iter_mut().zip(points) {
        run.planned.point = point;
    }
    let comparison = Comparison::of(&study);
    assert_eq!(comparison.points.len(), 4);
    let folder = super::folder();
    let report = write(&study, folder.path()).unwrap();
    for name in ["axis1", "axis2", "axes"] {
        assert!(report.files.iter().any(|file| file.ends_with(format!("{name}.svg"))), "{name}");
    }
    let map = std::fs::read_to_string(folder.path().join("axes.svg")).unwrap();
    // A cell for each arm and grid point: those of clts all begin with 1.5.
    assert_eq!(map.matches('×').count(), 16, "{map}");
    assert!(map.matches("1.5").count() >= 4 && map.contains("parameterization") && map.contains("epsilon"));
    // Beyond 24 grid points none has figures of its own.
    let wide = Synthetic { channels: (1..=26).map(|width| 8 * width).collect(), ..Synthetic::default() };
    let wide = wide.study(Path::new("results/synthetic"));
    let folder = super::folder();
    let report = write(&wide, folder.path()).unwrap();
    assert!(report.files.len() < 30, "{}", report.files.len());
    let page = std::fs::read_to_string(report.page).unwrap();
    assert!(page.contains("With more than 24 grid points, none has figures of its own"));
    assert!(page.contains("<summary>Each of the 26 grid points</summary>"));
}
