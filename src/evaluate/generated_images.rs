//! Images that another program generated: a folder of pictures, or an array in numpy's format.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use npyz::npz;
use rayon::prelude::*;
use zip::ZipArchive;

use super::statistics_file::array;
use crate::data::{DataError, FolderListing, RgbImage, decode_rgb};

/// Why images cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum GeneratedError {
    #[error("{}: {problem}", path.display())]
    Unfit { path: PathBuf, problem: String },
    #[error(transparent)]
    Data(#[from] DataError),
}

/// `[count, channels, side, side]` in [-1, 1] of what lies at `path`: a folder of pictures, in the order of their paths, or an `.npz`
/// whose first array is `[count, side, side, channels]`, in bytes, or in f32 in [-1, 1]. Grey images need no last dimension.
pub fn read_generated(path: &Path, count: usize, (channels, side): (usize, usize)) -> Result<Vec<f32>, GeneratedError> {
    let unfit = |problem: String| GeneratedError::Unfit { path: path.to_owned(), problem };
    let images = if path.is_dir() {
        of_folder(path, (channels, side))?
    } else {
        of_array(path, (channels, side)).map_err(unfit)?
    };
    let found = images.len() / (channels * side * side);
    if found != count {
        return Err(unfit(format!("it holds {found} images, and `evaluate.fid.samples` asks for {count}")));
    }
    match images.iter().find(|value| !(-1.0..=1.0).contains(*value)) {
        Some(value) => Err(unfit(format!("it holds {value}, and pixels are from -1 to 1"))),
        None => Ok(images),
    }
}

fn of_folder(path: &Path, (channels, side): (usize, usize)) -> Result<Vec<f32>, GeneratedError> {
    let mut listing = FolderListing::below(path)?;
    listing.images.sort();
    let pixels = listing.images.par_iter().map(|file| {
        let RgbImage { width, height, bytes } = decode_rgb(file)?;
        let unfit = |problem: String| GeneratedError::Unfit { path: file.clone(), problem };
        if (width, height) != (side, side) {
            return Err(unfit(format!("it has {width}x{height} pixels, and the sweep's images have {side}x{side}")));
        }
        if channels == 1 && bytes.chunks_exact(3).any(|pixel| pixel[0] != pixel[1] || pixel[0] != pixel[2]) {
            return Err(unfit("it has colours, and the sweep's images are grey".to_owned()));
        }
        Ok((0..channels)
            .flat_map(|channel| bytes.iter().skip(channel).step_by(3).map(|byte| of_byte(*byte)).collect::<Vec<_>>())
            .collect())
    });
    Ok(pixels.collect::<Result<Vec<Vec<f32>>, GeneratedError>>()?.concat())
}

fn of_array(path: &Path, (channels, side): (usize, usize)) -> Result<Vec<f32>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| format!("it is neither a folder nor an .npz: {error}"))?;
    let first =
        archive.by_index(0).map_err(|_| "it holds no array")?.name().map_err(|error| error.to_string())?.into_owned();
    let name = npz::array_name_from_file_name(&first).ok_or_else(|| format!("`{first}` is no array"))?.to_owned();
    let (shape, values) = match array::<u8, _>(&mut archive, &name) {
        Ok((shape, bytes)) => (shape, bytes.into_iter().map(of_byte).collect::<Vec<f32>>()),
        Err(_) => {
            array::<f32, _>(&mut archive, &name).map_err(|problem| format!("{problem}; bytes or f32 are read"))?
        }
    };
    let is_fit = match shape[..] {
        [_, height, width, depth] => (height, width, depth) == (side, side, channels),
        [_, height, width] => (height, width, 1) == (side, side, channels),
        _ => false,
    };
    if !is_fit {
        return Err(format!("`{name}` has the shape {shape:?}, and [images, {side}, {side}, {channels}] is wanted"));
    }
    let plane = side * side;
    let image = |pixels: &[f32]| {
        (0..channels)
            .flat_map(|channel| (0..plane).map(|place| pixels[place * channels + channel]).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    Ok(values.chunks_exact(plane * channels).flat_map(image).collect())
}

fn of_byte(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use npyz::WriterBuilder as _;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn write_array<T: npyz::AutoSerialize + Clone>(path: &Path, shape: &[u64], values: &[T]) {
        let mut archive = ZipWriter::new(File::create(path).unwrap());
        archive.start_file("samples.npy", SimpleFileOptions::default()).unwrap();
        let mut array = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut archive).begin_nd().unwrap();
        array.extend(values.iter().cloned()).unwrap();
        array.finish().unwrap();
        archive.finish().unwrap().flush().unwrap();
    }

    #[test]
    fn a_folder_and_an_array_of_the_same_images_are_the_same() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("pictures");
        std::fs::create_dir(&folder).unwrap();
        let bytes: Vec<u8> = (0..2 * 3 * 3 * 3).map(|index| (index * 37 % 256) as u8).collect();
        for (index, image) in bytes.chunks_exact(27).enumerate() {
            image::RgbImage::from_raw(3, 3, image.to_vec()).unwrap().save(folder.join(format!("{index}.png"))).unwrap();
        }
        let path = temporary.path().join("samples.npz");
        write_array(&path, &[2, 3, 3, 3], &bytes);
        let of_folder = read_generated(&folder, 2, (3, 3)).unwrap();
        assert_eq!(read_generated(&path, 2, (3, 3)).unwrap(), of_folder);
        // The red of the second image's first row.
        let expected: Vec<f32> = [27, 30, 33].map(|index: usize| f32::from(bytes[index]) / 127.5 - 1.0).into();
        assert_eq!(of_folder[27..30], expected);

        let floats: Vec<f32> = (0..8).map(|index| index as f32 / 4.0 - 1.0).collect();
        write_array(&path, &[2, 2, 2], &floats);
        assert_eq!(read_generated(&path, 2, (1, 2)).unwrap(), floats);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("samples.npz");
        let refused = |count, shape| read_generated(&path, count, shape).unwrap_err().to_string();
        write_array(&path, &[2, 2, 2], &[0f32; 8]);
        assert!(refused(3, (1, 2)).ends_with("it holds 2 images, and `evaluate.fid.samples` asks for 3"));
        assert!(refused(2, (3, 2)).ends_with("`samples` has the shape [2, 2, 2], and [images, 2, 2, 3] is wanted"));
        write_array(&path, &[1, 2, 2], &[0.0, 0.5, f32::NAN, 0.0]);
        assert!(refused(1, (1, 2)).ends_with("it holds NaN, and pixels are from -1 to 1"));
        write_array(&path, &[1, 2, 2], &[0i64; 4]);
        assert!(refused(1, (1, 2)).contains("bytes or f32 are read"), "{}", refused(1, (1, 2)));
        std::fs::write(&path, "no archive").unwrap();
        assert!(refused(1, (1, 2)).contains("neither a folder nor an .npz"));
        let folder = temporary.path().join("pictures");
        std::fs::create_dir(&folder).unwrap();
        image::RgbImage::from_pixel(4, 4, image::Rgb([1, 2, 3])).save(folder.join("a.png")).unwrap();
        let refused = |shape| read_generated(&folder, 1, shape).unwrap_err().to_string();
        assert!(refused((3, 8)).ends_with("a.png: it has 4x4 pixels, and the sweep's images have 8x8"));
        assert!(refused((1, 4)).ends_with("a.png: it has colours, and the sweep's images are grey"));
    }
}
