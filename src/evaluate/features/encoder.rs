//! Encoders of images whose weights the user names.

use std::path::Path;

use super::tensors::WeightsError;
use crate::model::vit::{VitDesign, VitError, VitFamily, VitWeights};
use crate::spec::{Features, Fid};

/// What a file of weights holds, which is an encoder of these features.
///
/// # Panics
/// If the features' weights are not in a file of the user's.
pub fn encoder_weights(features: Features, path: &Path) -> Result<VitWeights, WeightsError> {
    let weights = VitWeights::open(path)?;
    let (family, other) = match features {
        Features::Dinov2 => (VitFamily::Dinov2, Features::Clip),
        Features::Clip => (VitFamily::Clip, Features::Dinov2),
        _ => panic!("{features:?} have weights of their own"),
    };
    if weights.design().family != family {
        let (name, other) = (features.name(), other.name());
        let problem = format!("{} holds an encoder of features `{other}`, and `{name}` are asked for", path.display());
        return Err(VitError { problem, hint: "name another file, or other features" }.into());
    }
    Ok(weights)
}

/// The sizes of the encoder that a protocol names; those of the usual one where its file cannot be read.
pub fn encoder_design(fid: &Fid) -> VitDesign {
    match encoder_weights(fid.features, Path::new(&fid.weights)) {
        Ok(weights) => weights.design().clone(),
        Err(_) if fid.features == Features::Clip => VitDesign::clip_large_336(),
        Err(_) => VitDesign::dinov2_large(),
    }
}
