//! Means and covariances of features as pytorch-fid and clean-fid keep them: `.npz` with `mu` and `sigma` in f64.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use faer::Mat;
use npyz::{NpyFile, WriterBuilder, npz};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::Gaussian;

/// Why a file of statistics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StatisticsError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is no file of statistics: {problem}", path.display())]
    Format { path: PathBuf, problem: String },
}

/// Reads `mu` `[d]` and `sigma` `[d, d]`, in f32 or f64.
pub fn read_statistics(path: &Path) -> Result<Gaussian, StatisticsError> {
    let io = |source| StatisticsError::Io { doing: "read", path: path.to_owned(), source };
    let format = |problem: String| StatisticsError::Format { path: path.to_owned(), problem };
    let file = BufReader::new(File::open(path).map_err(io)?);
    let mut archive = ZipArchive::new(file).map_err(|error| format(error.to_string()))?;
    let (shape, mean) = array(&mut archive, "mu").map_err(format)?;
    let [size] = shape[..] else { return Err(format(format!("mu has the shape {shape:?}, not that of a vector"))) };
    let (shape, covariance) = array(&mut archive, "sigma").map_err(format)?;
    if shape != [size, size] || size == 0 {
        return Err(format(format!("sigma has the shape {shape:?}, where mu has {size} values")));
    }
    if let Some(value) = mean.iter().chain(&covariance).find(|value| !value.is_finite()) {
        return Err(format(format!("it holds {value}")));
    }
    // Symmetric, so that the order of rows and columns does not matter.
    Ok(Gaussian { mean, covariance: Mat::from_fn(size, size, |row, column| covariance[row * size + column]) })
}

/// (shape, values) of an array of an archive.
fn array<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str) -> Result<(Vec<usize>, Vec<f64>), String> {
    let file = archive.by_name(&npz::file_name_from_array_name(name)).map_err(|_| format!("it has no `{name}`"))?;
    let array = NpyFile::new(file).map_err(|error| format!("`{name}`: {error}"))?;
    let shape = array.shape().iter().map(|&side| side as usize).collect();
    let unreadable = |error: io::Error| format!("`{name}`: {error}");
    let values = match array.try_data::<f64>() {
        Ok(values) => values.collect::<io::Result<Vec<f64>>>().map_err(unreadable)?,
        Err(array) => {
            let description = array.dtype().descr();
            let values = array.try_data::<f32>().map_err(|_| format!("`{name}` is of type {description}"))?;
            values.map(|value| value.map(f64::from)).collect::<io::Result<Vec<f64>>>().map_err(unreadable)?
        }
    };
    Ok((shape, values))
}

/// Writes them as `numpy.savez` would: `mu`, `sigma`, not compressed.
pub fn write_statistics(gaussian: &Gaussian, target: impl Write + Seek) -> io::Result<()> {
    let mut archive = ZipWriter::new(target);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let size = gaussian.mean.len();
    let sigma = (0..size).flat_map(|row| (0..size).map(move |column| gaussian.covariance[(row, column)]));
    write_array(&mut archive, options, "mu", &[size as u64], gaussian.mean.iter().copied())?;
    write_array(&mut archive, options, "sigma", &[size as u64; 2], sigma)?;
    archive.finish()?;
    Ok(())
}

fn write_array(
    archive: &mut ZipWriter<impl Write + Seek>,
    options: SimpleFileOptions,
    name: &str,
    shape: &[u64],
    values: impl Iterator<Item = f64>,
) -> io::Result<()> {
    archive.start_file(npz::file_name_from_array_name(name), options)?;
    let mut array = npyz::WriteOptions::new().default_dtype().shape(shape).writer(archive).begin_nd()?;
    array.extend(values)?;
    array.finish()
}
