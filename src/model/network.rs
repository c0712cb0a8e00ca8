use burn::tensor::{Device, Tensor};

use super::adm::{self, Adm};
use super::architecture::{Architecture, Pass};
use super::class_embedding::Classes;
use super::crops::whole_images;
use super::dit::Dit;
use super::parameters::Parameters;
use super::projection::Projection;
use super::token_route::{Detour, TokenRoute};
use super::unet::{self, Unet};
use super::uvit::Uvit;
use super::{Dropout, Masks, ParameterLayout};
use crate::kernels::Kernels;
use crate::spec::{self, DataShape, RunSpec};

/// A network that predicts from noisy images and their timesteps a tensor of the images' shape, or, with `learned_sigma`,
/// of twice as many channels.
#[derive(Clone)]
pub struct Network {
    body: Body,
    /// What aligns tokens in training.
    projection: Option<Projection>,
    parameters: Parameters,
    kernels: Kernels,
    class_rows: Option<usize>,
    no_class: Option<u32>,
    /// The channels of images, where the network is told coordinates beside them.
    coordinates_after: Option<usize>,
}

/// The layers of a network, which know where their parameters are.
#[derive(Clone, Debug)]
pub enum Body {
    Unet(Unet),
    Adm(Adm),
    Dit(Dit),
    Uvit(Uvit),
}

impl Body {
    /// The layers of `model` for such images; their parameters go into `architecture`, and their cost where some tokens take the detour.
    ///
    /// # Panics
    /// If [`super::check`] refuses the model.
    pub fn describe(
        model: &spec::Model,
        data_shape: DataShape,
        detour: Option<Detour>,
        architecture: &mut Architecture,
    ) -> Self {
        if let Err(error) = super::check(model, data_shape) {
            panic!("a model that was not checked: {error}");
        }
        let outputs = model.outputs(data_shape.channels);
        match model {
            spec::Model::Unet(unet) => Self::Unet(unet::describe(unet, data_shape, architecture)),
            spec::Model::Adm(adm) => Self::Adm(adm::describe(adm, data_shape, outputs, architecture)),
            spec::Model::Dit(dit) => Self::Dit(Dit::describe(dit, data_shape, outputs, detour, architecture)),
            spec::Model::Uvit(uvit) => Self::Uvit(Uvit::describe(uvit, data_shape, outputs, detour, architecture)),
        }
    }

    fn forward(
        &self,
        pass: Pass,
        noisy: Tensor<4>,
        timesteps: Tensor<1>,
        classes: &Classes,
        masks: Option<Masks>,
        route: &mut TokenRoute,
    ) -> Tensor<4> {
        match self {
            Self::Unet(unet) => unet.forward(pass, noisy, timesteps, classes, masks),
            Self::Adm(adm) => adm.forward(pass, noisy, timesteps, classes, masks),
            Self::Dit(dit) => dit.forward(pass, noisy, timesteps, classes, route),
            Self::Uvit(uvit) => uvit.forward(pass, noisy, timesteps, classes, route),
        }
    }
}

/// Builds `model` for such images, its initial weights drawn from `seed` and its operations those that suit `device`.
/// On an autodiff device the weights are tracked and [`Network::gradients`] works.
///
/// # Panics
/// If [`super::check`] refuses the model.
pub fn build(model: &spec::Model, data_shape: impl Into<DataShape>, seed: u64, device: &Device) -> Network {
    build_with(model, data_shape.into(), None, seed, device)
}

/// The network of a run: that of its model, and with `auxiliary_losses.alignment` the small network that training alone uses. Its
/// parameters are the last, so that all others start as they do without it.
///
/// # Panics
/// If [`super::check`] refuses the model.
pub fn build_for(spec: &RunSpec, device: &Device) -> Network {
    build_with(&spec.model, spec.data.shape(), Projection::widths(spec), spec.seed, device)
}

fn build_with(
    model: &spec::Model,
    data_shape: DataShape,
    projected: Option<[usize; 4]>,
    seed: u64,
    device: &Device,
) -> Network {
    let mut architecture = Architecture::default();
    let body = Body::describe(model, data_shape, None, &mut architecture);
    let patches = model.patches(data_shape.side);
    let projection = projected.map(|widths| Projection::describe(&mut architecture, widths, patches));
    let (class_rows, no_class) = (architecture.class_rows, architecture.no_class);
    let parameters = Parameters::initial(architecture, seed, device);
    let coordinates_after = model.coordinates().then_some(data_shape.channels);
    let kernels = Kernels::for_device(device);
    Network { body, projection, parameters, kernels, class_rows, no_class, coordinates_after }
}

/// What training sees of a network besides its prediction, where its [`TokenRoute`] looks.
#[derive(Clone, Debug)]
pub struct InTraining {
    /// The tokens of each image after the tapped block, `[batch, ..]`: all their values.
    pub tokens: Option<Tensor<4>>,
    /// What is made of each patch after the aligned block, to be compared with the features of a frozen network: `[batch, features, 1, patches]`. Of
    /// the patches that are there, in their order.
    pub projected: Option<Tensor<4>>,
}

/// Images of a larger batch that go through the fused operations together where nothing is kept for a backward pass:
/// few enough that one layer finds in the caches what the last one wrote. It does not change the result.
const SAMPLED_AT_ONCE: usize = 64;

impl Network {
    /// `noisy` `[batch, channels, side, side]` and `timesteps` `[batch]` (0 is the least noisy); the prediction has
    /// the shape of `noisy`, with `learned_sigma` followed by as many channels again. Nothing is dropped where `dropout` is none.
    ///
    /// `classes` are those of the images; where there are `n` classes, `n` means "no class". A class-conditional model
    /// that is given none takes them all to be "no class".
    ///
    /// # Panics
    /// If a model that is not class-conditional is given classes, or one without "no class" is given none.
    pub fn forward(
        &self,
        noisy: Tensor<4>,
        timesteps: Tensor<1>,
        classes: Option<&[u32]>,
        dropout: Option<Dropout>,
    ) -> Tensor<4> {
        self.forward_told(noisy, timesteps, classes.into(), dropout)
    }

    /// [`Self::forward`] of classes wherever they are.
    pub(super) fn forward_told(
        &self,
        noisy: Tensor<4>,
        timesteps: Tensor<1>,
        classes: Classes<'_>,
        dropout: Option<Dropout>,
    ) -> Tensor<4> {
        let pass = self.pass(!matches!(classes, Classes::Untold));
        let noisy = self.with_coordinates(noisy);
        let batch = noisy.dims()[0];
        if self.parameters.tracked()
            || !matches!(self.kernels, Kernels::Fused(_))
            || dropout.is_some()
            || batch <= SAMPLED_AT_ONCE
        {
            return self.body.forward(
                pass,
                noisy,
                timesteps,
                &classes,
                dropout.map(Masks::from),
                &mut TokenRoute::default(),
            );
        }
        let parts = (0..batch).step_by(SAMPLED_AT_ONCE).map(|first| {
            let count = SAMPLED_AT_ONCE.min(batch - first);
            let (noisy, timesteps) = (noisy.clone().narrow(0, first, count), timesteps.clone().narrow(0, first, count));
            let classes = classes.narrow(first, count);
            self.body.forward(pass, noisy, timesteps, &classes, None, &mut TokenRoute::default())
        });
        Tensor::cat(parts.collect(), 0)
    }

    /// As [`Self::forward`] with what training does to the tokens of a transformer, and what `route` sees of them. A network that is told coordinates
    /// is given those of crops as two last channels of `noisy`; without them it takes images to be whole.
    ///
    /// # Panics
    /// As [`Self::forward`], or if `route` names a block that the network has not, is not of these images, or aligns tokens of a network that was
    /// built for a run without alignment.
    pub fn forward_in_training<'a>(
        &self,
        noisy: Tensor<4>,
        timesteps: Tensor<1>,
        classes: impl Into<Classes<'a>>,
        masks: impl Into<Masks<'a>>,
        mut route: TokenRoute,
    ) -> (Tensor<4>, InTraining) {
        let (classes, batch) = (classes.into(), noisy.dims()[0]);
        let pass = self.pass(!matches!(classes, Classes::Untold));
        let noisy = self.with_coordinates(noisy);
        let predicted = self.body.forward(pass, noisy, timesteps, &classes, Some(masks.into()), &mut route);
        let (tokens, patches) = route.end();
        let projected = patches.map(|patches| {
            let projection = self.projection.as_ref().expect("the network of a run with alignment");
            self.kernels.leave(projection.forward(pass, patches), batch)
        });
        (predicted, InTraining { tokens, projected })
    }

    /// With the coordinates of whole images, where the network is told coordinates and they are not there.
    fn with_coordinates(&self, noisy: Tensor<4>) -> Tensor<4> {
        let [batch, channels, side, _] = noisy.dims();
        if self.coordinates_after != Some(channels) {
            return noisy;
        }
        let coordinates = whole_images(batch, side, &noisy.device());
        Tensor::cat(vec![noisy, coordinates], 1)
    }

    /// Classes, and "no class" where there is one, that it is told.
    pub fn class_rows(&self) -> Option<usize> {
        self.class_rows
    }

    /// Which of these is "no class".
    pub fn no_class(&self) -> Option<u32> {
        self.no_class
    }

    /// What layers are given, for images whose classes are told or not.
    fn pass(&self, are_told: bool) -> Pass<'_> {
        assert!(self.class_rows.is_some() || !are_told, "this model is not told classes");
        Pass { kernels: self.kernels, parameters: self.parameters.views() }
    }

    pub fn layout(&self) -> &[ParameterLayout] {
        self.parameters.layout()
    }

    /// All parameters concatenated in layout order, not tracked.
    pub fn weights(&self) -> Tensor<1> {
        self.parameters.flat()
    }

    /// Replaces all parameters.
    pub fn set_weights(&mut self, weights: Tensor<1>) {
        self.parameters.set_flat(weights);
    }

    /// Lets go of all parameters: it can be asked nothing until others are set.
    pub fn without_weights(self) -> Self {
        Self { parameters: self.parameters.without_values(), ..self }
    }

    /// The gradient of `loss` (one number, computed from [`Network::forward`]) in layout order, not tracked.
    pub fn gradients(&self, loss: Tensor<1>) -> Tensor<1> {
        self.parameters.gradients(&loss)
    }

    /// The same network for evaluation: its weights are not tracked.
    pub fn untracked(&self) -> Self {
        Self { parameters: self.parameters.untracked(), ..self.clone() }
    }

    /// The same network with other operations: in another precision, or for comparing them.
    pub fn with_kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = kernels;
        self.parameters = self.parameters.for_kernels(kernels);
        self
    }
}
