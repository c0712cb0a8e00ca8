//! The protocol that is part of every Fréchet distance.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Data, Features, OdeSampler, Reference, Resize, RunSpec, Weights};

/// Of the reference's hash that the protocol names.
const HASH_DIGITS: usize = 12;

/// How a Fréchet distance was measured. Two values are comparable only when their protocols are equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FidProtocol {
    pub features: Features,
    /// What it comes to with the features.
    #[serde(default, skip_serializing_if = "Resize::is_customary")]
    pub resize: Resize,
    /// Generated images.
    pub samples: usize,
    pub reference: Reference,
    /// Real images in the reference.
    pub reference_images: usize,
    /// The first 12 hexadecimal digits of the SHA-256 of their pixels; `None` for the digits that come with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_sha256: Option<String>,
    pub ode: OdeSampler,
    pub ema_decay: f64,
    /// Whose images these are.
    #[serde(default, skip_serializing_if = "Weights::is_averaged")]
    pub weights: Weights,
    /// Whether images were generated for a class each, as many of every class.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_classes: bool,
    /// The scale of classifier-free guidance; none where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
}

/// Which features are compared, and how images get the size that their network sees: `inception-v3 resize=clean`.
pub fn feature_protocol(features: Features, resize: Resize) -> String {
    format!("{} resize={}", features.name(), resize.with(features).name())
}

impl FidProtocol {
    /// Of what is compared: with `evaluate.weights: both`, of the averaged ones. `reference_sha256` is that of the reference
    /// images' pixels, whole.
    pub fn of(spec: &RunSpec, reference_images: usize, reference_sha256: &str) -> Self {
        let fid = &spec.evaluate.fid;
        let built_in = matches!(spec.data, Data::Digits(_)) && fid.reference != Reference::Folder;
        Self {
            features: fid.features,
            resize: fid.resize.with(fid.features),
            samples: fid.samples,
            reference: fid.reference,
            reference_images,
            reference_sha256: (!built_in).then(|| reference_sha256.chars().take(HASH_DIGITS).collect()),
            ode: fid.ode.clone(),
            ema_decay: spec.train.ema_decay,
            weights: spec.evaluate.weights.compared(),
            of_classes: spec.told_classes().is_some(),
            guidance: Some(fid.guidance).filter(|&guidance| guidance != 1.0),
        }
    }
}

impl fmt::Display for FidProtocol {
    /// One line that names everything: it is the `protocol` column of the records.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(formatter, true)
    }
}

impl FidProtocol {
    /// Of a measure that is made of generated images alone.
    pub fn without_reference(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, false).expect("a String takes any text");
        text
    }

    fn write(&self, formatter: &mut impl fmt::Write, with_reference: bool) -> fmt::Result {
        let features = self.features.name();
        let reference = match self.reference {
            Reference::Train => "train",
            Reference::Test => "test",
            Reference::Folder => "folder",
        };
        let hash = self.reference_sha256.as_ref().map_or_else(String::new, |sha256| format!("@{sha256}"));
        let reference = match with_reference {
            true => format!("ref={reference}:{}{hash} ", self.reference_images),
            false => String::new(),
        };
        write!(
            formatter,
            "{features} n={} {reference}resize={} {} {}",
            self.samples,
            self.resize.with(self.features).name(),
            self.ode.protocol(if self.guidance.is_some() { 2 } else { 1 }),
            self.weights.protocol(self.ema_decay)
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
