//! What a file of `evaluate.fid.reference_file` holds: statistics, images, or both, as ADM's reference batches do.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use npyz::{NpyFile, npz};
use zip::ZipArchive;

use super::statistics_file::has;
use crate::data::RgbImage;

/// The name of the images in ADM's batches.
const IMAGES: &str = "arr_0";

/// Which of them are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredReference {
    /// `mu` and `sigma`.
    pub has_statistics: bool,
    /// How many images there are as `arr_0`; `None` where that is not there.
    pub images: Option<usize>,
}

impl StoredReference {
    /// Looks into the file. The error says what is wrong with it.
    pub fn of(path: &Path) -> Result<Self, String> {
        let mut archive = open(path)?;
        let has_statistics = has(&archive, "mu");
        let images = match has(&archive, IMAGES) {
            true => Some(images_of(&mut archive)?.0.count),
            false if has_statistics => None,
            false => return Err(format!("it holds neither `mu` and `sigma` nor images as `{IMAGES}`")),
        };
        Ok(Self { has_statistics, images })
    }
}

/// The shape of the stored images.
struct Shape {
    count: usize,
    height: usize,
    width: usize,
    channels: usize,
}

/// The shape of the images, and their bytes to be read.
fn images_of<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
) -> Result<(Shape, impl Iterator<Item = io::Result<u8>>), String> {
    let file = archive.by_name(&npz::file_name_from_array_name(IMAGES));
    let file = file.map_err(|_| format!("it holds no images as `{IMAGES}`"))?;
    let array = NpyFile::new(BufReader::new(file)).map_err(|error| format!("`{IMAGES}`: {error}"))?;
    let sides: Vec<usize> = array.shape().iter().map(|&side| side as usize).collect();
    let (count, height, width, channels) = match sides[..] {
        [count, height, width] => (count, height, width, 1),
        [count, height, width, channels @ (1 | 3)] => (count, height, width, channels),
        _ => return Err(format!("`{IMAGES}` has the shape {sides:?}, and [images, height, width, 3] is wanted")),
    };
    if height == 0 || width == 0 {
        return Err(format!("`{IMAGES}` has the shape {sides:?}: its images have no pixels"));
    }
    let kind = array.dtype().descr();
    let bytes = array.try_data::<u8>();
    let bytes = bytes.map_err(|_| format!("`{IMAGES}` is of type {kind}, and images are bytes"))?;
    Ok((Shape { count, height, width, channels }, bytes))
}

fn open(path: &Path) -> Result<ZipArchive<BufReader<File>>, String> {
    let file = File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
    ZipArchive::new(BufReader::new(file)).map_err(|error| format!("it is no .npz: {error}"))
}

/// Visits the images of the file, bytes `[n, height, width, 3]`, or `[n, height, width]` of grey ones, so many at a time with the first
/// one's place. They may be more than memory holds. `wrong`: the error for what is wrong with them.
pub fn each_image<E>(
    path: &Path,
    at_once: usize,
    wrong: impl Fn(String) -> E,
    mut visit: impl FnMut(&[RgbImage], usize) -> Result<(), E>,
) -> Result<(), E> {
    let mut archive = open(path).map_err(&wrong)?;
    let (Shape { count, height, width, channels }, mut values) = images_of(&mut archive).map_err(&wrong)?;
    for first in (0..count).step_by(at_once) {
        let mut images = Vec::with_capacity(at_once.min(count - first));
        for _ in first..count.min(first + at_once) {
            let bytes = values.by_ref().take(height * width * channels).collect::<io::Result<Vec<u8>>>();
            let bytes = bytes.map_err(|error| wrong(format!("`{IMAGES}`: {error}")))?;
            let bytes = if channels == 3 { bytes } else { bytes.iter().flat_map(|&grey| [grey; 3]).collect() };
            images.push(RgbImage { width, height, bytes });
        }
        visit(&images, first)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder as _;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn write<T: npyz::AutoSerialize + Clone>(path: &Path, name: &str, shape: &[u64], values: &[T]) {
        let mut archive = ZipWriter::new(File::create(path).unwrap());
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        let mut array = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut archive).begin_nd().unwrap();
        array.extend(values.iter().cloned()).unwrap();
        array.finish().unwrap();
        archive.finish().unwrap();
    }

    fn images(path: &Path) -> Result<Vec<RgbImage>, String> {
        let mut found = vec![];
        each_image(
            path,
            2,
            |problem| problem,
            |images, first| {
                assert_eq!(first, found.len());
                found.extend(images.iter().cloned());
                Ok(())
            },
        )?;
        Ok(found)
    }

    #[test]
    fn images_come_in_their_order_and_grey_ones_in_three_channels() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.npz");
        let bytes: Vec<u8> = (0..3 * 2 * 3 * 3).collect();
        write(&path, "arr_0", &[3, 2, 3, 3], &bytes);
        let found = images(&path).unwrap();
        assert_eq!((found.len(), found[2].width, found[2].height), (3, 3, 2));
        assert_eq!(found[2].bytes, bytes[36..]);
        assert_eq!(StoredReference::of(&path), Ok(StoredReference { has_statistics: false, images: Some(3) }));
        write(&path, "arr_0", &[3, 1, 2], &bytes[..6]);
        assert_eq!(images(&path).unwrap()[1].bytes, [2, 2, 2, 3, 3, 3]);
    }

    #[test]
    fn what_is_no_batch_of_images_is_told_apart() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.npz");
        write(&path, "arr_0", &[3, 1, 1, 2], &[0u8; 6]);
        assert_eq!(
            images(&path).unwrap_err(),
            "`arr_0` has the shape [3, 1, 1, 2], and [images, height, width, 3] is wanted"
        );
        write(&path, "arr_0", &[3, 0, 1], &[0u8; 0]);
        assert_eq!(images(&path).unwrap_err(), "`arr_0` has the shape [3, 0, 1]: its images have no pixels");
        write(&path, "arr_0", &[3, 1, 1, 1], &[0.5f32; 3]);
        assert_eq!(images(&path).unwrap_err(), "`arr_0` is of type '<f4', and images are bytes");
        write(&path, "labels", &[3], &[0u8; 3]);
        let neither = "it holds neither `mu` and `sigma` nor images as `arr_0`";
        assert_eq!(StoredReference::of(&path).unwrap_err(), neither);
        std::fs::write(&path, "x").unwrap();
        assert!(StoredReference::of(&path).unwrap_err().starts_with("it is no .npz: "));
    }
}
