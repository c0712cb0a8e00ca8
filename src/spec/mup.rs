//! Learning rates by the width of a network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdmModel, DitModel, Model, Optimizer, UnetModel, UvitModel};

/// `optimizer.mup`: the maximal update parametrization (Yang and Hu et al. 2022, Tensor Programs V, arXiv 2203.03466, table 3, Adam's column), so that
/// one learning rate is the best for networks of every width. A network of the base width is trained as without it. In one that is r
/// times as wide, hidden weights begin with 1/sqrt(r) of their deviation and have 1/r of the learning rate, those of the last layer with 1/r and 1/r;
/// the first layer, embeddings, norms and biases stay as in the base, as the package `mup` does. Gradients are clipped, and Adam's epsilon is added, as
/// ever. Under `adamw` the decay of a weight in a step is the same at every width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mup {
    /// The width that is the base: `model.channels` of `unet` and `adm`, `model.dim` of `dit` and `uvit`. 0: the width changes nothing. Default 0.
    pub base_width: usize,
    /// Heads of each self-attention at that width. The heads of all widths have one size, since the table would otherwise have attention divide
    /// by the size and not by its root. Not used where `model.head_channels` gives the size. Default 1.
    pub base_heads: usize,
}

impl Default for Mup {
    fn default() -> Self {
        Self { base_width: 0, base_heads: 1 }
    }
}

impl Mup {
    /// Whether the settings are the defaults; runs that were recorded before this key existed have them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Optimizer {
    /// How learning rates depend on the network's width, where they do.
    pub fn mup(&self) -> Option<Mup> {
        let mup = match self {
            Self::Adam(adam) => adam.mup,
            Self::Adamw(adamw) => adamw.mup,
            Self::Muon(_) | Self::Soap(_) | Self::ScheduleFreeAdamw(_) => return None,
        };
        (mup.base_width > 0).then_some(mup)
    }
}

impl Model {
    /// (the width, heads of each self-attention at the width's own channels; none where heads have a size of their own).
    pub fn width(&self) -> (usize, Option<usize>) {
        match self {
            Self::Unet(unet) => (unet.channels, Some(unet.attention_heads)),
            Self::Adm(adm) => (adm.channels, adm.head_channels.is_none().then_some(adm.attention_heads)),
            Self::Dit(dit) => (dit.dim, Some(dit.heads)),
            Self::Uvit(uvit) => (uvit.dim, Some(uvit.heads)),
        }
    }

    /// The same network of another width. `new_heads` are not used where heads have a size of their own.
    pub fn of_width(&self, width: usize, new_heads: usize) -> Self {
        let mut model = self.clone();
        match &mut model {
            Self::Unet(UnetModel { channels, attention_heads, .. }) => {
                (*channels, *attention_heads) = (width, new_heads)
            }
            Self::Adm(AdmModel { channels, attention_heads, head_channels, .. }) => {
                *channels = width;
                if head_channels.is_none() {
                    *attention_heads = new_heads;
                }
            }
            Self::Dit(DitModel { dim, heads, .. }) | Self::Uvit(UvitModel { dim, heads, .. }) => {
                (*dim, *heads) = (width, new_heads);
            }
        }
        model
    }
}
