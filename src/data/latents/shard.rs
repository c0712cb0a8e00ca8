use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;
use npyz::{NpyFile, NpyHeader, Order};
use safetensors::{Dtype, SafeTensors};

use super::DataError;
use super::listing::{FLIPPED, LABELS, beside, shards};
use super::write::PICTURE_SUMS;
use crate::spec::LatentsData;

/// One file of latents, with its labels.
pub struct Shard {
    path: PathBuf,
    latents: Array,
    /// Those of the mirrored images.
    flipped: Option<Array>,
    /// All 0 without classes.
    pub labels: Vec<u16>,
    /// Where they are in a file of their own.
    labels_path: Option<PathBuf>,
}

/// Numbers of a mapped file, image by image.
struct Array {
    path: PathBuf,
    map: Arc<Mmap>,
    /// Where in the file the first begins.
    start: usize,
    number: Number,
    images: usize,
}

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    F32,
    F16,
    Bf16,
}

impl Shard {
    /// All shards that `path`, the value of `key`, names.
    pub fn open_all(key: &'static str, path: &str, data: &LatentsData) -> Result<Vec<Self>, DataError> {
        shards(key, path)?.iter().map(|path| Self::open(key, path, data)).collect()
    }

    fn open(key: &'static str, path: &Path, data: &LatentsData) -> Result<Self, DataError> {
        let shard = match path.extension().is_some_and(|ending| ending == "npy") {
            true => Self::of_numpy(key, path, data),
            false => Self::of_safetensors(key, path, data),
        }?;
        if data.horizontal_flips {
            let flipped = shard.flipped.as_ref().map(|flipped| flipped.images);
            if flipped != Some(shard.latents.images) {
                let found = flipped.map_or("none".to_owned(), |count| count.to_string());
                let images = shard.latents.images;
                let problem = format!("{} has {found} of the {images} latents of the mirrored images", path.display());
                let hint =
                    "a latent cannot be mirrored itself: encode with --flips, or leave `data.horizontal_flips` out";
                return Err(DataError::latents("data.horizontal_flips", problem, hint));
            }
        }
        Ok(shard)
    }

    /// How many latents it has.
    pub fn len(&self) -> usize {
        self.latents.images
    }

    /// All its files.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let flipped = self.flipped.iter().map(|flipped| flipped.path.clone()).filter(|path| *path != self.path);
        std::iter::once(self.path.clone()).chain(flipped).chain(self.labels_path.clone())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has the latents of mirrored images, too.
    pub fn has_mirrored(&self) -> bool {
        self.flipped.is_some()
    }

    /// The stored bytes of a latent, or of that of the mirrored image where there is one.
    pub fn bytes(&self, row: usize, mirrored: bool, values: usize) -> &[u8] {
        match &self.flipped {
            Some(flipped) if mirrored => flipped.bytes(row, values),
            _ => self.latents.bytes(row, values),
        }
    }

    /// The stored numbers of a latent, or of that of the mirrored image where there is one.
    pub fn read(&self, row: usize, mirrored: bool, values: &mut [f32]) {
        match &self.flipped {
            Some(flipped) if mirrored => flipped.read(row, values),
            _ => self.latents.read(row, values),
        }
    }

    /// The sum of the picture that each latent was encoded from, where the file has them.
    pub fn picture_sums(&self) -> Result<Vec<Option<i64>>, DataError> {
        // NumPy's files have none.
        let file = SafeTensors::deserialize(&self.latents.map).ok();
        let Some(sums) = file.as_ref().and_then(|file| file.tensor(PICTURE_SUMS).ok()) else {
            return Ok(vec![None; self.len()]);
        };
        if sums.dtype() != Dtype::I64 || sums.shape() != [self.len()] {
            let (kind, shape) = (sums.dtype(), sums.shape());
            let problem = format!("has `{PICTURE_SUMS}` of type {kind} and shape {shape:?}");
            return Err(refusal("data.path", &self.path)(&problem, "store one I64 a latent, or leave the tensor out"));
        }
        Ok(integers(sums.dtype(), sums.data()).expect("it reads I64").into_iter().map(Some).collect())
    }

    fn of_safetensors(key: &'static str, path: &Path, data: &LatentsData) -> Result<Self, DataError> {
        let refused = refusal(key, path);
        let map = map(path)?;
        let file = SafeTensors::deserialize(&map).map_err(|error| {
            refused(&format!("is no whole safetensors file: {error}"), "it may be truncated: copy or encode it again")
        })?;
        let (wanted, other) = if data.moments { ("moments", "latents") } else { ("latents", "moments") };
        let array = |name: &str| -> Result<Option<Array>, DataError> {
            let Ok(tensor) = file.tensor(name) else { return Ok(None) };
            let number = match tensor.dtype() {
                Dtype::F32 => Number::F32,
                Dtype::F16 => Number::F16,
                Dtype::BF16 => Number::Bf16,
                found => {
                    return Err(refused(&format!("has `{name}` of type {found}"), "store them as F32, F16 or BF16"));
                }
            };
            check_shape(key, path, name, tensor.shape(), data)?;
            let start = tensor.data().as_ptr() as usize - map.as_ptr() as usize;
            Ok(Some(Array { path: path.to_owned(), map: map.clone(), start, number, images: tensor.shape()[0] }))
        };
        let Some(latents) = array(wanted)? else {
            let hint = match file.tensor(other).is_ok() {
                true => format!("it has `{other}`: set `data.moments: {}`", !data.moments),
                false => format!("name the tensor `{wanted}`, [n, channels, side, side]"),
            };
            return Err(refused(&format!("has no tensor `{wanted}`"), &hint));
        };
        let flipped = if data.horizontal_flips { array(&format!("{wanted}_flip"))? } else { None };
        let numbers = match file.tensor("labels") {
            Ok(labels) if data.classes > 0 => {
                let numbers = integers(labels.dtype(), labels.data()).ok_or_else(|| {
                    refused(&format!("has `labels` of type {}", labels.dtype()), "store whole numbers")
                })?;
                Some((labels.shape().to_vec(), numbers))
            }
            _ => None,
        };
        let labels = labels_of(key, path, "tensor `labels`", numbers, latents.images, data)?;
        Ok(Self { path: path.to_owned(), latents, flipped, labels, labels_path: None })
    }

    fn of_numpy(key: &'static str, path: &Path, data: &LatentsData) -> Result<Self, DataError> {
        let latents = Array::of_numpy(key, path, data)?;
        let flip_path = beside(path, FLIPPED);
        let flipped = match data.horizontal_flips && flip_path.is_file() {
            true => Some(Array::of_numpy(key, &flip_path, data)?),
            false => None,
        };
        let labels_path = beside(path, LABELS);
        let numbers = match labels_path.is_file() && data.classes > 0 {
            true => {
                let bytes = std::fs::read(&labels_path).map_err(DataError::io("read", &labels_path))?;
                let refused = refusal(key, &labels_path);
                let found = numpy_integers(&bytes);
                Some(found.map_err(|problem| refused(&problem, "store an array of whole numbers, one a latent"))?)
            }
            false => None,
        };
        let what = format!("file {}", labels_path.display());
        let labels = labels_of(key, path, &what, numbers, latents.images, data)?;
        let labels_path = (data.classes > 0).then_some(labels_path);
        Ok(Self { path: path.to_owned(), latents, flipped, labels, labels_path })
    }
}

impl Array {
    fn of_numpy(key: &'static str, path: &Path, data: &LatentsData) -> Result<Self, DataError> {
        let refused = refusal(key, path);
        let map = map(path)?;
        let mut reader = Cursor::new(&map[..]);
        let header = NpyHeader::from_reader(&mut reader)
            .map_err(|error| refused(&format!("is no NumPy array: {error}"), "write it by `numpy.save`"))?;
        let start = reader.position() as usize;
        let number = match header.dtype().descr().trim_matches('\'') {
            "<f4" => Number::F32,
            "<f2" => Number::F16,
            found => {
                return Err(refused(
                    &format!("is of type {found}"),
                    "store float32 or float16, little-endian (<f4, <f2)",
                ));
            }
        };
        if header.order() != Order::C {
            return Err(refused("is in Fortran's order", "write it by `numpy.save(path, numpy.ascontiguousarray(x))`"));
        }
        let shape: Vec<usize> = header.shape().iter().map(|&length| length as usize).collect();
        check_shape(key, path, "array", &shape, data)?;
        let expected = start + shape.iter().product::<usize>() * number.bytes();
        if map.len() != expected {
            let problem = format!("has {} bytes, and its header asks for {expected}", map.len());
            return Err(refused(&problem, "it may be truncated: copy or encode it again"));
        }
        Ok(Self { path: path.to_owned(), map, start, number, images: shape[0] })
    }

    fn bytes(&self, row: usize, values: usize) -> &[u8] {
        let length = values * self.number.bytes();
        &self.map[self.start + row * length..][..length]
    }

    fn read(&self, row: usize, values: &mut [f32]) {
        let bytes = self.bytes(row, values.len());
        match self.number {
            Number::F32 => {
                let stored = bytes.as_chunks::<4>().0.iter();
                values.iter_mut().zip(stored).for_each(|(value, bytes)| *value = f32::from_le_bytes(*bytes));
            }
            Number::F16 => {
                let stored = bytes.as_chunks::<2>().0.iter();
                values.iter_mut().zip(stored).for_each(|(value, bytes)| *value = f16::from_le_bytes(*bytes).to_f32());
            }
            Number::Bf16 => {
                let stored = bytes.as_chunks::<2>().0.iter();
                values.iter_mut().zip(stored).for_each(|(value, bytes)| *value = bf16::from_le_bytes(*bytes).to_f32());
            }
        }
    }
}

impl Number {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// `PATH` and what is wrong with it.
fn refusal(key: &'static str, path: &Path) -> impl Fn(&str, &str) -> DataError {
    move |problem, hint| DataError::latents(key, format!("{} {problem}", path.display()), hint)
}

fn map(path: &Path) -> Result<Arc<Mmap>, DataError> {
    let file = File::open(path).map_err(DataError::io("read", path))?;
    // SAFETY: files of latents are written once and then read. Whoever truncates one while a run reads it ends the program
    // with a signal, not with wrong latents; one that is replaced as a whole leaves a mapping as it is.
    Ok(Arc::new(unsafe { Mmap::map(&file) }.map_err(DataError::io("map", path))?))
}

fn check_shape(
    key: &'static str,
    path: &Path,
    name: &str,
    found: &[usize],
    data: &LatentsData,
) -> Result<(), DataError> {
    let &LatentsData { side, channels, moments, .. } = data;
    let stored = if moments { 2 * channels } else { channels };
    if found.len() == 4 && found[0] > 0 && found[1..] == [stored, side, side] {
        return Ok(());
    }
    let hint = match found {
        [0, ..] => "remove it, or put latents there".to_owned(),
        [_, depth, height, width] if height == width && !moments && *depth == 2 * channels && *height == side => {
            "if these are means and log-variances, set `data.moments: true`; else set `data.channels`".to_owned()
        }
        [_, depth, height, width] if height == width => {
            format!(
                "set `data.channels` and `data.side` to theirs: {} and {height}",
                if moments { depth / 2 } else { *depth }
            )
        }
        _ => "store them as [n, channels, side, side]".to_owned(),
    };
    Err(refusal(key, path)(
        &format!("has the {name} of shape {found:?}, and [n, {stored}, {side}, {side}] is wanted"),
        &hint,
    ))
}

/// The labels, from whole numbers of this shape; all 0 without classes.
fn labels_of(
    key: &'static str,
    path: &Path,
    what: &str,
    found: Option<(Vec<usize>, Vec<i64>)>,
    images: usize,
    data: &LatentsData,
) -> Result<Vec<u16>, DataError> {
    let refused = refusal(key, path);
    if data.classes == 0 {
        return Ok(vec![0; images]);
    }
    let Some((shape, numbers)) = found else {
        return Err(refused(
            &format!("has no {what}, and `data.classes` is {}", data.classes),
            "store a class for each latent, or set `data.classes: 0`",
        ));
    };
    if numbers.len() != images {
        let problem = format!("has {images} latents, and {what} has {} labels ({shape:?})", numbers.len());
        return Err(refused(&problem, "store a class for each latent"));
    }
    let class = |(index, &number): (usize, &i64)| {
        let fits = usize::try_from(number).is_ok_and(|class| class < data.classes);
        fits.then_some(number as u16).ok_or_else(|| {
            let problem = format!("has class {number} at latent {index}, and `data.classes` is {}", data.classes);
            refused(&problem, "classes are counted from 0; set `data.classes` to their number")
        })
    };
    numbers.iter().enumerate().map(class).collect()
}

fn integers(dtype: Dtype, bytes: &[u8]) -> Option<Vec<i64>> {
    macro_rules! of {
        ($number:ty) => {
            bytes
                .as_chunks::<{ size_of::<$number>() }>()
                .0
                .iter()
                .map(|bytes| <$number>::from_le_bytes(*bytes) as i64)
                .collect()
        };
    }
    Some(match dtype {
        Dtype::U8 => of!(u8),
        Dtype::I8 => of!(i8),
        Dtype::U16 => of!(u16),
        Dtype::I16 => of!(i16),
        Dtype::U32 => of!(u32),
        Dtype::I32 => of!(i32),
        Dtype::U64 => of!(u64),
        Dtype::I64 => of!(i64),
        _ => return None,
    })
}

/// (shape, values) of an array of whole numbers.
fn numpy_integers(bytes: &[u8]) -> Result<(Vec<usize>, Vec<i64>), String> {
    let open = || NpyFile::new(bytes).map_err(|error| format!("is no NumPy array: {error}"));
    let header = open()?;
    let shape: Vec<usize> = header.shape().iter().map(|&length| length as usize).collect();
    let description = header.dtype().descr().trim_matches('\'').to_owned();
    macro_rules! of {
        ($($number:ty),*) => {
            $(if let Ok(values) = open()?.try_data::<$number>() {
                let values: std::io::Result<Vec<$number>> = values.collect();
                let values = values.map_err(|error| format!("is not whole: {error}"))?;
                return Ok((shape, values.into_iter().map(|value| value as i64).collect()));
            })*
        };
    }
    of!(i64, i32, u8, u16, u32, u64, i16, i8);
    Err(format!("is of type {description}"))
}
