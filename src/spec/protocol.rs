//! The protocol that is part of every Fréchet distance.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Features, OdeSampler, Reference, RunSpec};

/// How a Fréchet distance was measured. Two values are comparable only when their protocols are equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FidProtocol {
    pub features: Features,
    /// Generated images.
    pub samples: usize,
    pub reference: Reference,
    /// Real images in the reference.
    pub reference_images: usize,
    pub ode: OdeSampler,
    pub ema_decay: f64,
    /// Whether images were generated for a class each, as many of every class.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_classes: bool,
    /// The scale of classifier-free guidance; none where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
}

impl FidProtocol {
    pub fn of(spec: &RunSpec, reference_images: usize) -> Self {
        let fid = &spec.evaluate.fid;
        Self {
            features: fid.features,
            samples: fid.samples,
            reference: fid.reference,
            reference_images,
            ode: fid.ode.clone(),
            ema_decay: spec.train.ema_decay,
            of_classes: spec.told_classes().is_some(),
            guidance: Some(fid.guidance).filter(|&guidance| guidance != 1.0),
        }
    }
}

impl fmt::Display for FidProtocol {
    /// One line that names everything: it is the `protocol` column of the records.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features = match self.features {
            Features::DigitsCnn => "digits-cnn",
        };
        let reference = match self.reference {
            Reference::Train => "train",
            Reference::Test => "test",
        };
        write!(
            formatter,
            "{features} n={} ref={reference}:{} resize=none {} ema={}",
            self.samples,
            self.reference_images,
            self.ode.protocol(if self.guidance.is_some() { 2 } else { 1 }),
            self.ema_decay
        )?;
        if self.of_classes {
            write!(formatter, " classes=balanced")?;
        }
        match self.guidance {
            Some(guidance) => write!(formatter, " guidance={guidance}"),
            None => Ok(()),
        }
    }
}
