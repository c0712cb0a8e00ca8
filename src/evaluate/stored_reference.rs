//! What a file of `evaluate.fid.reference_file` holds: statistics, images, or both, as ADM's reference batches do.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use npyz::{NpyFile, NpyHeader, npz};
use zip::ZipArchive;

use super::statistics_file::{has, require_order};
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

/// Whether the file holds `mu`, as statistics do. The error says why it is no archive.
pub fn holds_statistics(path: &Path) -> Result<bool, String> {
    Ok(has(&open(path)?, "mu"))
}

/// The shape of the stored images.
struct Shape {
    count: usize,
    height: usize,
    width: usize,
    channels: usize,
}

/// The shape of the images, and what their bytes are read from.
fn images_of<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<(Shape, impl Read), String> {
    let file = archive.by_name(&npz::file_name_from_array_name(IMAGES));
    let mut file = BufReader::new(file.map_err(|_| format!("it holds no images as `{IMAGES}`"))?);
    let header = NpyHeader::from_reader(&mut file).map_err(|error| format!("`{IMAGES}`: {error}"))?;
    let sides: Vec<usize> = header.shape().iter().map(|&side| side as usize).collect();
    let (count, height, width, channels) = match sides[..] {
        [count, height, width] => (count, height, width, 1),
        [count, height, width, channels @ (1 | 3)] => (count, height, width, channels),
        _ => return Err(format!("`{IMAGES}` has the shape {sides:?}, and [images, height, width, 3] is wanted")),
    };
    if height == 0 || width == 0 {
        return Err(format!("`{IMAGES}` has the shape {sides:?}: its images have no pixels"));
    }
    require_order(IMAGES, header.order(), sides.len())?;
    let kind = header.dtype().descr();
    let values = NpyFile::with_header(header, io::empty()).try_data::<u8>();
    values.map_err(|_| format!("`{IMAGES}` is of type {kind}, and images are bytes"))?;
    Ok((Shape { count, height, width, channels }, file))
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
    let (Shape { count, height, width, channels }, mut file) = images_of(&mut archive).map_err(&wrong)?;
    let unread = |error: io::Error| wrong(format!("`{IMAGES}`: {error}"));
    for first in (0..count).step_by(at_once) {
        let mut images = Vec::with_capacity(at_once.min(count - first));
        for _ in first..count.min(first + at_once) {
            let mut bytes = vec![0; height * width * channels];
            file.read_exact(&mut bytes).map_err(unread)?;
            let bytes = if channels == 3 { bytes } else { bytes.iter().flat_map(|&grey| [grey; 3]).collect() };
            images.push(RgbImage { width, height, bytes });
        }
        visit(&images, first)?;
    }
    // At its end the archive's checksum is compared.
    match file.read(&mut [0]).map_err(unread)? {
        0 => Ok(()),
        _ => Err(wrong(format!("`{IMAGES}` holds more than its {count} images"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use npyz::{Order, WriterBuilder as _};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn write<T: npyz::AutoSerialize + Clone>(path: &Path, name: &str, shape: &[u64], values: &[T]) {
        write_with(path, name, shape, values, Order::C, &[]);
    }

    /// The same in some order, with something behind it.
    fn write_with<T: npyz::AutoSerialize + Clone>(
        path: &Path,
        name: &str,
        shape: &[u64],
        values: &[T],
        order: Order,
        more: &[u8],
    ) {
        let mut archive = ZipWriter::new(File::create(path).unwrap());
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file(format!("{name}.npy"), options).unwrap();
        let options = npyz::WriteOptions::new().default_dtype().order(order).shape(shape);
        let mut array = options.writer(&mut archive).begin_nd().unwrap();
        array.extend(values.iter().cloned()).unwrap();
        array.finish().unwrap();
        archive.write_all(more).unwrap();
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
        write_with(&path, "arr_0", &[3, 1, 2], &[7u8; 6], Order::Fortran, &[]);
        let message = "`arr_0` is in Fortran's order; write `numpy.ascontiguousarray(arr_0)` into the file";
        assert_eq!(images(&path).unwrap_err(), message);
        assert_eq!(StoredReference::of(&path).unwrap_err(), message);
        write_with(&path, "arr_0", &[3, 1, 2], &[7u8; 6], Order::C, b"x");
        assert_eq!(images(&path).unwrap_err(), "`arr_0` holds more than its 3 images");
        // One byte is another: only the checksum says so.
        let values: Vec<u8> = (100..106).collect();
        write(&path, "arr_0", &[3, 1, 2], &values);
        let mut bytes = std::fs::read(&path).unwrap();
        let place = bytes.windows(6).position(|window| window == values).unwrap();
        bytes[place + 1] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = images(&path).unwrap_err();
        assert!(error.starts_with("`arr_0`: ") && error.to_lowercase().contains("checksum"), "{error}");
        write(&path, "labels", &[3], &[0u8; 3]);
        assert_eq!(holds_statistics(&path), Ok(false));
        let neither = "it holds neither `mu` and `sigma` nor images as `arr_0`";
        assert_eq!(StoredReference::of(&path).unwrap_err(), neither);
        std::fs::write(&path, "x").unwrap();
        assert!(StoredReference::of(&path).unwrap_err().starts_with("it is no .npz: "));
    }
}
