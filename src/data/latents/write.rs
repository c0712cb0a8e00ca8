use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::DataError;
use crate::checksum::sha256;

/// The contents of a shard.
pub struct LatentShard<'s> {
    /// `latents` or `moments`.
    pub name: &'static str,
    /// Their shape but for the number of images.
    pub shape: [usize; 3],
    /// `[n, shape]`
    pub values: &'s [f32],
    /// Those of the mirrored images, or empty.
    pub flipped: &'s [f32],
    /// `[n]`, where there are classes.
    pub labels: Option<&'s [u16]>,
    /// `[n]`: the [`picture_sum`] of what each was encoded from, or empty.
    pub pictures: &'s [i64],
}

/// The tensor of the sums of pictures, with the version of what they are sums of.
pub(super) const PICTURE_SUMS: &str = "picture_sums_1";

/// What tells a picture from all others: the first eight bytes, as a little-endian number, of the SHA-256 of its bytes `[3, side, side]`, as the encoder
/// saw them.
pub fn picture_sum(bytes: &[u8]) -> i64 {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    i64::from_le_bytes(*digest.first_chunk().expect("a SHA-256 has 32 bytes"))
}

/// Writes a shard beside its place and renames it; its SHA-256. Equal contents give equal bytes.
pub fn write_latents(path: &Path, shard: &LatentShard) -> Result<String, DataError> {
    let LatentShard { name, shape: [channels, side, width], values, flipped, labels, pictures } = shard;
    let mut header = Map::new();
    let mut data =
        Vec::with_capacity(4 * (values.len() + flipped.len()) + 8 * (labels.map_or(0, <[u16]>::len) + pictures.len()));
    let mut add = |name: String, kind: &str, shape: Value, bytes: &mut dyn Iterator<Item = u8>| {
        let start = data.len();
        data.extend(bytes);
        header.insert(name, json!({ "dtype": kind, "shape": shape, "data_offsets": [start, data.len()] }));
    };
    let count = values.len() / (channels * side * width);
    // Wider numbers first, so that each tensor is aligned.
    if let Some(labels) = labels {
        let mut labels = labels.iter().flat_map(|&label| i64::from(label).to_le_bytes());
        add("labels".to_owned(), "I64", json!([count]), &mut labels);
    }
    if !pictures.is_empty() {
        add(PICTURE_SUMS.to_owned(), "I64", json!([count]), &mut pictures.iter().flat_map(|sum| sum.to_le_bytes()));
    }
    let shape = json!([count, channels, side, width]);
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into_iter();
    add((*name).to_owned(), "F32", shape.clone(), &mut bytes(values));
    if !flipped.is_empty() {
        add(format!("{name}_flip"), "F32", shape, &mut bytes(flipped));
    }
    let mut header = Value::Object(header).to_string();
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut file = Vec::with_capacity(8 + header.len() + data.len());
    file.extend((header.len() as u64).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    write_whole(path, &file)?;
    Ok(sha256(&file))
}

/// Beside its place, synced to disk, renamed.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let beside = path.with_extension("partial");
    let write = || {
        let mut file = BufWriter::new(File::create(&beside)?);
        file.write_all(bytes)?;
        file.flush()?;
        file.get_ref().sync_all()
    };
    write().map_err(DataError::io("write", &beside))?;
    fs::rename(&beside, path).map_err(DataError::io("write", path))
}
