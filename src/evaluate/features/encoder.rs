//! Encoders of images whose weights the user names.

use std::path::Path;

use super::super::EvaluateError;
use super::tensors::WeightsError;
use crate::model::vit::{VitDesign, VitError, VitFamily, VitWeights};
use crate::spec::{AlignmentLoss, Dinov2Encoder, Encoder, Features, Fid};

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

/// The same of the encoder that tokens are aligned with, if that is one of the user's file; it sees images of how many pixels a side, beside
/// networks of so many tokens in a row.
pub fn aligned_design(alignment: &AlignmentLoss, tokens: usize) -> Option<(VitDesign, usize)> {
    let Encoder::Dinov2(settings) = alignment.encoder else { return None };
    let design = match encoder_weights(Features::Dinov2, Path::new(&alignment.weights)) {
        Ok(weights) => weights.design().clone(),
        Err(_) => {
            let dim = settings.channels.next_multiple_of(VitDesign::HEAD);
            let large = VitDesign::dinov2_large();
            VitDesign { dim, depth: if dim < large.dim { 12 } else { large.depth }, hidden: 4 * dim, ..large }
        }
    };
    let side = seen_side(settings, design.patch, tokens);
    Some((design, side))
}

/// Pixels of each side of the images that an encoder with such patches sees.
pub fn seen_side(settings: Dinov2Encoder, patch: usize, tokens: usize) -> usize {
    if settings.side > 0 { settings.side } else { patch * tokens }
}

/// The weights in the file of the encoder that tokens are aligned with.
///
/// # Errors
/// If the file holds another encoder, or one of another size.
pub fn aligned_weights(alignment: &AlignmentLoss, settings: Dinov2Encoder) -> Result<VitWeights, EvaluateError> {
    let path = Path::new(&alignment.weights);
    let weights = encoder_weights(Features::Dinov2, path)?;
    let design = weights.design();
    let refused = |problem: String, hint| Err(WeightsError::from(VitError { problem, hint }).into());
    if design.dim != settings.channels {
        let (found, asked) = (design.dim, settings.channels);
        let problem = format!(
            "{} holds {}, whose tokens have {found} numbers, and `auxiliary_losses.alignment.encoder.channels` is {asked}",
            path.display(),
            design.name()
        );
        return refused(problem, "set `channels` to the file's number, or name another file");
    }
    if !settings.side.is_multiple_of(design.patch) {
        let (side, patch) = (settings.side, design.patch);
        let problem = format!(
            "`auxiliary_losses.alignment.encoder.side`, {side}, is no multiple of the {patch} pixels of the patches in {}",
            path.display()
        );
        return refused(problem, "leave it out: then each token has a patch of the encoder's; or set a multiple");
    }
    Ok(weights)
}
