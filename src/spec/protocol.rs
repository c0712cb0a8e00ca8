//! The protocol that is part of every Fréchet distance.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Data, Features, FidPrecision, OdeSampler, Reference, Resize, RunSpec, Weights};

/// The protocol of a value that the user's own trainer measured itself begins with this; more may follow behind a colon.
pub const MEASURED_BY_TRAINER: &str = "measured by its trainer";

/// The protocol of a value that was read from another program's table begins with this.
pub const IMPORTED: &str = "imported";

/// The number of digits of the reference's hash that the protocol names.
const HASH_DIGITS: usize = 12;

/// How a Fréchet distance was measured. Two values are comparable only when their protocols are equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FidProtocol {
    pub features: Features,
    /// The network that gives the features, where files of weights differ: its size and the first 12 hexadecimal digits of the SHA-256 of the
    /// file, `dinov2-vitl14@0123456789ab`; without the size until somebody has looked into the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The resizing that is used with the features.
    #[serde(default, skip_serializing_if = "Resize::is_customary")]
    pub resize: Resize,
    /// Generated images.
    pub samples: usize,
    pub reference: Reference,
    /// Real images in the reference; `None` where a file of statistics does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_images: Option<usize>,
    /// The first 12 hexadecimal digits of the SHA-256 of their pixels, or of the file of statistics; `None` for the digits that come
    /// with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_sha256: Option<String>,
    /// The first 12 hexadecimal digits of the SHA-256 of the weights by which latents were decoded, generated ones and those of the
    /// reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// Whether latents were compared as they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_latents: bool,
    pub ode: OdeSampler,
    /// How weights were averaged: [`Train::average`](super::Train::average).
    pub average: String,
    /// The weights that generated the images.
    #[serde(default, skip_serializing_if = "Weights::is_averaged")]
    pub weights: Weights,
    /// Whether each image was generated for a class, with equally many of every class.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_classes: bool,
    /// Whether the user's own trainer generated the images in its own way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated_by_trainer: bool,
    /// The scale of classifier-free guidance; `None` where there was no guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// The number format in which images were generated, by our own networks, and seen.
    #[serde(default, skip_serializing_if = "FidPrecision::is_f32")]
    pub precision: FidPrecision,
}

/// Which features are compared, how images get the size that their network sees, and what it multiplies in where that is not f32:
/// `inception-v3 resize=clean`. `network` is [`FidProtocol::network`].
pub fn feature_protocol(features: Features, network: Option<&str>, resize: Resize, precision: FidPrecision) -> String {
    let (network, resize) = (network.unwrap_or(features.name()), resize.with(features).name());
    format!("{network} resize={resize}{}", precision.in_protocol())
}

/// What [`FidProtocol::network`] is of a network of this name whose file has this SHA-256.
pub fn network_protocol(name: &str, sha256: &str) -> String {
    format!("{name}@{sha256:.HASH_DIGITS$}")
}

impl FidProtocol {
    /// The protocol of what is compared: of the averaged weights with `evaluate.weights: both`. `reference_sha256` is the whole
    /// SHA-256 of the reference images' pixels, or of their file. Who decodes latents says by which weights.
    pub fn of(spec: &RunSpec, reference_images: Option<usize>, reference_sha256: &str) -> Self {
        let fid = &spec.evaluate.fid;
        let built_in =
            matches!(spec.data, Data::Digits(_)) && matches!(fid.reference, Reference::Train | Reference::Test);
        Self {
            features: fid.features,
            network: Some(&fid.weights_sha256)
                .filter(|sha256| !sha256.is_empty())
                .map(|sha256| network_protocol(fid.features.name(), sha256)),
            resize: fid.resize.with(fid.features),
            samples: fid.samples,
            reference: fid.reference,
            reference_images,
            reference_sha256: (!built_in).then(|| reference_sha256.chars().take(HASH_DIGITS).collect()),
            decoder: None,
            of_latents: spec.data.latents().is_some_and(|latents| latents.decoder.is_empty()),
            ode: fid.ode.clone(),
            average: spec.train.average(),
            weights: spec.evaluate.weights.compared(),
            generated_by_trainer: false,
            of_classes: spec.told_classes().is_some(),
            guidance: Some(fid.guidance).filter(|&guidance| guidance != 1.0),
            precision: fid.precision,
        }
    }
}

impl FidProtocol {
    /// The same of features that this network gives, if it is one that has a name of its own.
    pub fn seen_by(self, network: Option<String>) -> Self {
        Self { network: network.or(self.network), ..self }
    }

    /// The same of latents that were decoded by weights with this SHA-256.
    pub fn decoded_by(self, sha256: Option<&str>) -> Self {
        Self { decoder: sha256.map(|sha256| sha256.chars().take(HASH_DIGITS).collect()), ..self }
    }
}

impl fmt::Display for FidProtocol {
    /// One line that names everything: it is the `protocol` column of the records.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(formatter, true)
    }
}

impl FidProtocol {
    /// The protocol of a measure that is made of generated images alone.
    pub fn without_reference(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, false).expect("a String takes any text");
        text
    }

    fn write(&self, formatter: &mut impl fmt::Write, with_reference: bool) -> fmt::Result {
        let features = self.network.as_deref().unwrap_or(self.features.name());
        let reference = match self.reference {
            Reference::Train => "train",
            Reference::Test => "test",
            Reference::Folder => "folder",
            Reference::File => "file",
        };
        let hash = self.reference_sha256.as_ref().map_or_else(String::new, |sha256| format!("@{sha256}"));
        let reference = match with_reference {
            true => {
                let count = self.reference_images.map_or(String::new(), |count| format!(":{count}"));
                format!("ref={reference}{count}{hash} ")
            }
            false => String::new(),
        };
        let (resize, precision) = (self.resize.with(self.features).name(), self.precision.in_protocol());
        write!(formatter, "{features} n={} {reference}resize={resize}{precision} ", self.samples)?;
        if let Some(decoder) = &self.decoder {
            write!(formatter, "decoder=@{decoder} ")?;
        }
        if self.of_latents {
            write!(formatter, "of=latents ")?;
        }
        if self.generated_by_trainer {
            return formatter.write_str("generated by its trainer");
        }
        let ode = self.ode.protocol(if self.guidance.is_some() { 2 } else { 1 });
        write!(formatter, "{ode} {}", self.weights.protocol(&self.average))?;
        if self.of_classes {
            write!(formatter, " classes=balanced")?;
        }
        match self.guidance {
            Some(guidance) => write!(formatter, " guidance={guidance}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_named_where_it_is_not_f32() {
        let mut spec = RunSpec::default();
        let of = |spec: &RunSpec| FidProtocol::of(spec, Some(1442), "");
        let text = "digits-cnn n=1000 ref=train:1442 resize=none ddim nfe=20 ema=0.999";
        let exact = of(&spec);
        assert_eq!(exact.to_string(), text);
        assert!(!serde_json::to_string(&exact).unwrap().contains("precision"));
        spec.evaluate.fid.precision = FidPrecision::Bf16;
        let rounded = of(&spec);
        assert_eq!(rounded.to_string(), text.replace("resize=none", "resize=none precision=bf16"));
        assert!(rounded.without_reference().contains(" precision=bf16 "));
        let by_trainer = FidProtocol { generated_by_trainer: true, ..rounded.clone() };
        let expected = "digits-cnn n=1000 ref=train:1442 resize=none precision=bf16 generated by its trainer";
        assert_eq!(by_trainer.to_string(), expected);
        assert_eq!(serde_json::to_value(&rounded).unwrap()["precision"], "bf16");
        let clip = |precision| feature_protocol(Features::Clip, Some("clip-vitl14@01"), Resize::Clean, precision);
        assert_eq!(clip(FidPrecision::F32), "clip-vitl14@01 resize=clean");
        assert_eq!(clip(FidPrecision::Bf16), "clip-vitl14@01 resize=clean precision=bf16");
    }
}
