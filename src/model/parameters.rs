use burn::tensor::{Device, Tensor, TensorData};

use super::architecture::{Architecture, Initial};
use crate::kernels::{Kernels, Part, Products, apart, joined};
use crate::random::{Draws, Stream};

/// Name and shape of one parameter; a network's parameters are concatenated in the order of its layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterLayout {
    pub name: String,
    pub shape: Vec<usize>,
}

impl ParameterLayout {
    /// Number of values.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// (outputs, inputs of each) of the weights of a hidden layer, where a convolution's are laid flat; none for vectors,
    /// embeddings, the network's first layer and its last. Muon is for these.
    pub fn hidden_matrix(&self) -> Option<(usize, usize)> {
        let is_hidden = HIDDEN.contains(&self.name.split('.').next()?);
        match self.shape.as_slice() {
            [outputs, inputs @ ..] if is_hidden && !inputs.is_empty() => Some((*outputs, inputs.iter().product())),
            _ => None,
        }
    }
}

/// The first parts of the names of what lies between a network's first layer and its last.
const HIDDEN: [&str; 6] = ["down", "middle", "up", "blocks", "first", "second"];

/// The parameters of a network: one flat vector, and a view of it for each parameter.
#[derive(Clone)]
pub struct Parameters {
    layout: Vec<ParameterLayout>,
    /// See [`Architecture::is_factor`].
    is_factor: Vec<bool>,
    /// What these are rounded as a factor of.
    factor_of: Products,
    /// All parameters, not tracked.
    flat: Tensor<1>,
    /// Each parameter, flat; a leaf of the autodiff graph where `tracked`.
    views: Vec<Tensor<1>>,
    tracked: bool,
}

impl Parameters {
    /// Initial values, drawn on the host as a function of (seed, index of the parameter) alone. They are tracked if
    /// `device` is an autodiff device.
    pub fn initial(architecture: Architecture, seed: u64, device: &Device) -> Self {
        let mut values = Vec::with_capacity(architecture.parameter_count());
        for (index, (parameter, initial)) in architecture.layout.iter().zip(&architecture.initial).enumerate() {
            let mut draws = Draws::new(seed, Stream::Weights, index as u64);
            let start = values.len();
            values.resize(start + parameter.size(), 0.0);
            let values = &mut values[start..];
            match *initial {
                Initial::Zeros => {}
                Initial::Ones => values.fill(1.0),
                Initial::Uniform { bound } => {
                    values.fill_with(|| (bound * (2.0 * draws.uniform() - 1.0)) as f32);
                }
                Initial::Normal { deviation } => {
                    draws.fill_normal(values);
                    values.iter_mut().for_each(|value| *value *= deviation as f32);
                }
            }
        }
        let count = values.len();
        let flat = Tensor::from_data(TensorData::new(values, [count]), &device.clone().without_autodiff());
        let tracked = device.is_autodiff();
        let Architecture { layout, is_factor, .. } = architecture;
        let mut parameters = Self { layout, is_factor, factor_of: Products::F32, flat, views: Vec::new(), tracked };
        parameters.make_views();
        parameters
    }

    /// A view of each parameter, of the values that there are now.
    fn make_views(&mut self) {
        let part = |(parameter, &is_factor): (&ParameterLayout, _)| Part {
            values: parameter.size(),
            factor_of: if is_factor { self.factor_of } else { Products::F32 },
        };
        let parts = self.layout.iter().zip(&self.is_factor).map(part).collect();
        let views = apart(self.flat.clone(), parts).into_iter();
        self.views = views.map(|view| if self.tracked { view.autodiff().require_grad() } else { view }).collect();
    }

    /// The same parameters for other operations.
    pub fn for_kernels(mut self, kernels: Kernels) -> Self {
        let factor_of = match kernels {
            Kernels::Gpu(products) => products,
            // These round what they multiply themselves.
            Kernels::Plain(_) | Kernels::Fused(_) => Products::F32,
        };
        let changes = std::mem::replace(&mut self.factor_of, factor_of) != factor_of;
        if changes && !self.views.is_empty() {
            self.make_views();
        }
        self
    }

    pub fn layout(&self) -> &[ParameterLayout] {
        &self.layout
    }

    /// Each parameter, flat, in layout order.
    pub fn views(&self) -> &[Tensor<1>] {
        &self.views
    }

    /// Whether gradients can be asked for.
    pub fn tracked(&self) -> bool {
        self.tracked
    }

    /// All parameters, not tracked.
    pub fn flat(&self) -> Tensor<1> {
        self.flat.clone()
    }

    /// Replaces all parameters.
    pub fn set_flat(&mut self, weights: Tensor<1>) {
        let count: usize = self.layout.iter().map(ParameterLayout::size).sum();
        assert_eq!(weights.dims(), [count], "as many weights as the network has parameters");
        self.flat = weights.inner();
        self.make_views();
    }

    /// Lets go of the values, until others are set.
    pub fn without_values(self) -> Self {
        Self { flat: Tensor::empty([0], &self.flat.device()), views: vec![], ..self }
    }

    /// The same parameters, not tracked.
    pub fn untracked(&self) -> Self {
        let mut parameters = Self { tracked: false, ..self.clone() };
        parameters.make_views();
        parameters
    }

    /// The gradient of `loss` with respect to all parameters, in layout order, not tracked. Zero where the loss does
    /// not depend on a parameter.
    pub fn gradients(&self, loss: &Tensor<1>) -> Tensor<1> {
        assert!(self.tracked, "gradients need a network built on an autodiff device");
        let mut gradients = loss.backward();
        let parts = self.views.iter().map(|view| {
            view.grad_remove(&mut gradients).unwrap_or_else(|| Tensor::zeros(view.dims(), &self.flat.device()))
        });
        joined(parts.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::spec::{AdmModel, DitModel, Model, UvitModel};

    /// Every kind of network: a new one names what is hidden as the others do, or adds to `HIDDEN`.
    #[test]
    fn the_hidden_matrices_are_most_of_every_network_and_the_outer_parts_are_known() {
        let models = [
            Model::default(),
            Model::Adm(AdmModel::default()),
            Model::Dit(DitModel::default()),
            Model::Uvit(UvitModel::default()),
        ];
        for model in models {
            let layout = crate::model::describe(&model, (3, 32).into(), None).layout;
            let all: usize = layout.iter().map(|parameter| parameter.size()).sum();
            let hidden: Vec<_> = layout.iter().filter(|parameter| parameter.hidden_matrix().is_some()).collect();
            let share = hidden.iter().map(|parameter| parameter.size()).sum::<usize>() as f64 / all as f64;
            assert!(share > 0.8, "{}: {share}", model.kind());
            for parameter in &hidden {
                let (rows, columns) = parameter.hidden_matrix().unwrap();
                assert_eq!((rows, rows * columns), (parameter.shape[0], parameter.size()));
                assert!(parameter.name.ends_with(".weight"), "{}", parameter.name);
            }
            let outer: BTreeSet<&str> = layout
                .iter()
                .filter(|parameter| parameter.shape.len() > 1 && parameter.hidden_matrix().is_none())
                .map(|parameter| parameter.name.split('.').next().unwrap())
                .collect();
            let known = BTreeSet::from(["input", "output", "time", "class", "patches", "positions", "smoothing"]);
            assert!(outer.is_subset(&known), "{}: {outer:?}", model.kind());
        }
    }
}
