//! What a network's width changes about its initial weights and their learning rates, by the maximal update parametrization.

use super::architecture::{Architecture, Initial};
use crate::spec::RunSpec;

/// The factors of one parameter's values, all of its numbers alike.
#[derive(Clone, Debug, PartialEq)]
pub struct WidthScale {
    /// As in the network's layout.
    pub name: String,
    /// Numbers in it.
    pub size: usize,
    /// Of its initial values.
    pub initial: f32,
    /// Of Adam's learning rate.
    pub learning_rate: f32,
}

/// The factors of every parameter of a run's network in the order of its layout, where its optimizer has `mup`.
pub fn width_scales(spec: &RunSpec) -> Option<Vec<WidthScale>> {
    let mup = spec.optimizer.mup()?;
    let base = RunSpec { model: spec.model.of_width(mup.base_width, mup.base_heads), ..spec.clone() };
    Some(scales(&super::describe_for(spec), &super::describe_for(&base)))
}

/// Table 3 of Yang and Hu et al. 2022 (Tensor Programs V, arXiv 2203.03466), relative to a network of another width as in section
/// B.1 there and in the authors' package `mup`: a side of a weight that differs from that of `base` is a width.
///
/// - Two widths, hidden weights: initial variance 1/fan_in, Adam's learning rate 1/fan_in.
/// - The last layer, whose inputs alone are a width, and the first of what aligns tokens: initial variance 1/fan_in^2, learning rate 1/fan_in. Where Adam's epsilon is small this is the package's
///   factor 1/fan_in of its output.
/// - One width otherwise (the first layer, embeddings, norms, biases) and none: both stay as they are in `base`.
///
/// # Panics
/// If the two networks have not the same layers.
fn scales(own: &Architecture, base: &Architecture) -> Vec<WidthScale> {
    assert_eq!(own.layout.len(), base.layout.len(), "networks that differ in width alone");
    (0..own.layout.len()).map(|index| scale(own, base, index)).collect()
}

fn scale(own: &Architecture, base: &Architecture, index: usize) -> WidthScale {
    let (parameter, of_base) = (&own.layout[index], &base.layout[index]);
    assert_eq!(parameter.name, of_base.name, "networks that differ in width alone");
    let table = table_factors(&parameter.name, &parameter.shape, &of_base.shape);
    let initial = match (own.initial[index], base.initial[index]) {
        (Initial::Uniform { bound: own }, Initial::Uniform { bound: base })
        | (Initial::Normal { deviation: own }, Initial::Normal { deviation: base }) => base * table.deviation / own,
        _ => 1.0,
    };
    WidthScale {
        name: parameter.name.clone(),
        size: parameter.size(),
        initial: initial as f32,
        learning_rate: table.learning_rate as f32,
    }
}

/// The factors of the table, relative to the base network.
#[derive(Clone, Copy, Debug, PartialEq)]
struct TableFactors {
    deviation: f64,
    learning_rate: f64,
}

/// Of a parameter `[outputs, inputs, ..]` or of a vector.
fn table_factors(name: &str, shape: &[usize], base_shape: &[usize]) -> TableFactors {
    let is_width = |side: usize| shape[side] != base_shape[side];
    let outputs_are_wide = is_width(0);
    let inputs_are_wide = (1..shape.len()).any(is_width);
    let numbers = |shape: &[usize]| shape[1..].iter().product::<usize>() as f64;
    let ratio = numbers(shape) / numbers(base_shape);
    match (outputs_are_wide, inputs_are_wide) {
        (true, true) => TableFactors { deviation: ratio.sqrt().recip(), learning_rate: ratio.recip() },
        // Tables of embeddings have the width in the same place, and are no last layer.
        (false, true) if name.starts_with("output") || name.starts_with("projection") => {
            TableFactors { deviation: ratio.recip(), learning_rate: ratio.recip() }
        }
        _ => TableFactors { deviation: 1.0, learning_rate: 1.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{AdmModel, DataShape, DitModel, Model, Mup, Optimizer, UnetModel, UvitModel};

    /// (the network, the same at half the width) of every kind.
    fn pairs() -> Vec<(Model, Model)> {
        let models = [
            Model::Unet(UnetModel {
                channels: 64,
                attention_heads: 2,
                class_conditional: true,
                ..UnetModel::default()
            }),
            Model::Adm(AdmModel { channels: 64, attention_heads: 2, class_conditional: true, ..AdmModel::default() }),
            Model::Dit(DitModel {
                dim: 64,
                heads: 4,
                class_conditional: true,
                mask_token: true,
                ..DitModel::default()
            }),
            Model::Uvit(UvitModel { dim: 64, heads: 4, class_conditional: true, ..UvitModel::default() }),
        ];
        let half = |model: Model| {
            let heads = if model.blocks() == 0 { 1 } else { 2 };
            let base = model.of_width(32, heads);
            (model, base)
        };
        models.into_iter().map(half).collect()
    }

    fn scales_of(model: &Model, base: &Model, shape: DataShape) -> Vec<WidthScale> {
        let [own, base] = [model, base].map(|model| super::super::describe(model, shape, None));
        scales(&own, &base)
    }

    /// Its first layer takes a width to a number that is none; the others have no width.
    #[test]
    fn what_aligns_tokens_begins_with_a_last_layer() {
        let mut spec = RunSpec { model: pairs().remove(2).0, ..RunSpec::default() };
        spec.auxiliary_losses.alignment.weight = 0.5;
        let Optimizer::Adam(adam) = &mut spec.optimizer else { panic!("the default is Adam") };
        adam.mup = Mup { base_width: 32, base_heads: 2 };
        let scales = width_scales(&spec).expect("the optimizer has `mup`");
        let sizes: usize = scales.iter().map(|scale| scale.size).sum();
        assert_eq!(sizes, super::super::parameter_count_for(&spec));
        let projection: Vec<f32> = scales
            .iter()
            .filter(|scale| scale.name.starts_with("projection"))
            .map(|scale| scale.learning_rate)
            .collect();
        assert_eq!(projection, [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]);
        // Of Glorot's bounds sqrt(6 / (64 + 256)), and sqrt(6 / (32 + 256)) at the base, over 2.
        let first = scales.iter().find(|scale| scale.name == "projection.linear1.weight").expect("there is one");
        assert!((f64::from(first.initial) - (320f64 / 288.0).sqrt() / 2.0).abs() < 1e-6, "{}", first.initial);
    }

    #[test]
    fn hidden_matrices_and_the_last_layer_take_smaller_steps_and_nothing_else_does() {
        let shape = DataShape { channels: 3, side: 32, classes: Some(10) };
        for (model, base) in pairs() {
            let layout = super::super::describe(&model, shape, None).layout;
            let scales = scales_of(&model, &base, shape);
            let mut slower = 0;
            for (parameter, scale) in layout.iter().zip(&scales) {
                let is_last =
                    ["output.conv.weight", "output.linear.weight", "output.weight"].contains(&parameter.name.as_str());
                // The first map of the time takes as many sinusoids as the network is wide; a transformer's 256, or none.
                let is_matrix = parameter.shape.len() > 1
                    && !["input.weight", "patches.weight", "class.weight", "positions", "smoothing.weight"]
                        .contains(&parameter.name.as_str())
                    && !(parameter.name == "time.linear1.weight" && model.blocks() > 0);
                let expected = if is_last || is_matrix { 0.5 } else { 1.0 };
                assert_eq!(scale.learning_rate, expected, "{} {}", model.kind(), parameter.name);
                slower += usize::from(expected < 1.0);
            }
            assert!(slower > 10, "{}: {slower}", model.kind());
        }
    }

    /// The deviation at every width, as the table has it from that at the base's.
    #[test]
    fn initial_values_follow_the_table_whatever_they_would_be_otherwise() {
        let shape = DataShape { channels: 3, side: 32, classes: Some(10) };
        for (model, base) in pairs() {
            let [own, of_base] = [&model, &base].map(|model| super::super::describe(model, shape, None));
            for (index, scale) in scales_of(&model, &base, shape).into_iter().enumerate() {
                let size = |initial: Initial| match initial {
                    Initial::Uniform { bound } => bound,
                    Initial::Normal { deviation } => deviation,
                    Initial::Zeros | Initial::Ones => 0.0,
                };
                let (found, at_base) =
                    (size(own.initial[index]) * f64::from(scale.initial), size(of_base.initial[index]));
                let expected = match (
                    scale.learning_rate,
                    scale.name.starts_with("output") && of_base.layout[index].shape[0] == own.layout[index].shape[0],
                ) {
                    (1.0, _) => at_base,
                    (_, false) => at_base / 2f64.sqrt(),
                    (_, true) => at_base / 2.0,
                };
                assert!(
                    (found - expected).abs() < 1e-6 * expected.max(1e-9),
                    "{} {}: {found} for {expected}",
                    model.kind(),
                    scale.name
                );
            }
        }
    }

    #[test]
    fn at_the_base_width_nothing_changes() {
        for (model, _) in pairs() {
            let same = scales_of(&model, &model, DataShape { channels: 3, side: 32, classes: Some(10) });
            assert!(same.iter().all(|scale| (scale.initial, scale.learning_rate) == (1.0, 1.0)));
        }
    }

    /// tests/golden/width.json: an MLP in the authors' package (scripts/golden/width.py).
    #[test]
    fn the_factors_are_those_of_the_authors_package() {
        let cases: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../tests/golden/width.json")).expect("JSON");
        assert!(cases.len() > 10);
        for case in cases {
            let sides = |key: &str| -> Vec<usize> {
                case[key]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(|side| side.as_u64().expect("a side") as usize)
                    .collect()
            };
            let found = table_factors(case["name"].as_str().expect("a name"), &sides("shape"), &sides("base_shape"));
            let number = |key: &str| case[key].as_f64().expect("a number");
            for (found, key) in [(found.deviation, "deviation"), (found.learning_rate, "learning_rate")] {
                assert!((found / number(key) - 1.0).abs() < 1e-6, "{case} {key}: {found}");
            }
        }
    }
}
