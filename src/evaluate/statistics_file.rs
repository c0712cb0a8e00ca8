//! Means and covariances of features in the files of pytorch-fid, clean-fid and ADM's evaluator: `.npz` with `mu` and `sigma` in f64.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use faer::{Mat, Side};
use npyz::{NpyFile, Order, WriterBuilder, npz};
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

/// A mean and covariance, and perhaps the features that they are of.
pub struct Statistics {
    pub gaussian: Gaussian,
    /// `[n, d]`, beside what others know, under the name `features`.
    pub features: Option<Vec<f32>>,
    /// Which features they are and how images were resized, as text in UTF-8 under the name `protocol`; files that others
    /// wrote do not say it.
    pub protocol: Option<String>,
    /// Of the spatial features, as ADM's evaluator keeps them under the names `mu_s` and `sigma_s`.
    pub spatial: Option<Gaussian>,
}

impl Statistics {
    /// Reads `mu` `[d]` and `sigma` `[d, d]`, in f32 or f64, and `features`, `protocol`, `mu_s` and `sigma_s` if they are there.
    pub fn read(path: &Path) -> Result<Self, StatisticsError> {
        let io = |source| StatisticsError::Io { doing: "read", path: path.to_owned(), source };
        let format = |problem: String| StatisticsError::Format { path: path.to_owned(), problem };
        let file = BufReader::new(File::open(path).map_err(io)?);
        let mut archive = ZipArchive::new(file).map_err(|error| format(error.to_string()))?;
        let found = gaussian(&mut archive, "mu", "sigma").map_err(format)?;
        let size = found.mean.len();
        let features = match has(&archive, "features") {
            false => None,
            true => {
                let (shape, values) = array::<f32, _>(&mut archive, "features").map_err(format)?;
                if shape.len() != 2 || shape[1] != size {
                    return Err(format(format!("features has the shape {shape:?}, where mu has {size} values")));
                }
                Some(values)
            }
        };
        let protocol = match has(&archive, "protocol") {
            false => None,
            true => {
                let (_, bytes) = array::<u8, _>(&mut archive, "protocol").map_err(format)?;
                Some(String::from_utf8(bytes).map_err(|_| format("protocol is no text in UTF-8".to_owned()))?)
            }
        };
        let spatial = match has(&archive, "mu_s") {
            false => None,
            true => Some(gaussian(&mut archive, "mu_s", "sigma_s").map_err(format)?),
        };
        Ok(Self { gaussian: found, features, protocol, spatial })
    }

    /// Writes them as `numpy.savez` would, not compressed; the file is there whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), StatisticsError> {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let written = File::create(&beside).and_then(|file| {
            let file = self.write_to(BufWriter::new(file))?.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&beside, path)).map_err(|source| {
            // What was written is of no use; failing to remove it is no further harm.
            let _ = fs::remove_file(&beside);
            StatisticsError::Io { doing: "write", path: path.to_owned(), source }
        })
    }

    fn write_to<W: Write + Seek>(&self, target: W) -> io::Result<W> {
        let mut archive = ZipWriter::new(target);
        let named = [("mu", "sigma", Some(&self.gaussian)), ("mu_s", "sigma_s", self.spatial.as_ref())];
        for (mu, sigma, gaussian) in named {
            let Some(Gaussian { mean, covariance }) = gaussian else { continue };
            let size = mean.len();
            let values = (0..size).flat_map(|row| (0..size).map(move |column| covariance[(row, column)]));
            write_array(&mut archive, mu, &[size as u64], mean.iter().copied())?;
            write_array(&mut archive, sigma, &[size as u64; 2], values)?;
        }
        let size = self.gaussian.mean.len();
        if let Some(features) = &self.features {
            let shape = [(features.len() / size) as u64, size as u64];
            write_array(&mut archive, "features", &shape, features.iter().copied())?;
        }
        if let Some(protocol) = &self.protocol {
            write_array(&mut archive, "protocol", &[protocol.len() as u64], protocol.bytes())?;
        }
        Ok(archive.finish()?)
    }
}

pub(super) fn has<R: Read + Seek>(archive: &ZipArchive<R>, name: &str) -> bool {
    archive.index_for_name(&npz::file_name_from_array_name(name)).is_some()
}

/// The mean `mu` `[d]` and the covariance `sigma` `[d, d]` of an archive, under these names.
fn gaussian<R: Read + Seek>(archive: &mut ZipArchive<R>, mu: &str, sigma: &str) -> Result<Gaussian, String> {
    let (shape, mean) = floats(archive, mu)?;
    let [size] = shape[..] else {
        return Err(format!("{mu} has the shape {shape:?}, not that of a vector"));
    };
    let (shape, covariance) = floats(archive, sigma)?;
    if shape != [size, size] || size == 0 {
        return Err(format!("{sigma} has the shape {shape:?}, where {mu} has {size} values"));
    }
    if let Some(value) = mean.iter().chain(&covariance).find(|value| !value.is_finite()) {
        return Err(format!("it holds {value}"));
    }
    let covariance = Mat::from_fn(size, size, |row, column| covariance[row * size + column]);
    require_covariance(&covariance, sigma)?;
    Ok(Gaussian { mean, covariance })
}

/// The asymmetry that rounding to f32, and sums in another order, may give a covariance, as a share of the largest
/// entry.
const ROUNDING: f64 = 1e-5;

/// Refuses a matrix that is not symmetric, or has an eigenvalue further below zero than rounding can bring one.
fn require_covariance(matrix: &Mat<f64>, name: &str) -> Result<(), String> {
    let size = matrix.nrows();
    let entries = || (0..size).flat_map(move |column| (0..size).map(move |row| (row, column)));
    let largest = entries().map(|place| matrix[place].abs()).fold(0.0, f64::max);
    let tolerance = ROUNDING * largest;
    let asymmetry = |&(row, column): &(usize, usize)| (matrix[(row, column)] - matrix[(column, row)]).abs();
    let worst = entries().max_by(|one, other| asymmetry(one).total_cmp(&asymmetry(other))).expect("it is not empty");
    if asymmetry(&worst) > tolerance {
        let (row, column) = worst;
        let (one, other) = (matrix[(row, column)], matrix[(column, row)]);
        return Err(format!(
            "{name} is no covariance: it has {one} at [{row}, {column}] and {other} at [{column}, {row}]"
        ));
    }
    // The Cholesky factorization of sigma + tolerance exists where no eigenvalue is below -tolerance, and takes a tenth of the
    // time of the eigenvalues.
    let shifted = Mat::from_fn(size, size, |row, column| {
        0.5 * (matrix[(row, column)] + matrix[(column, row)]) + if row == column { tolerance } else { 0.0 }
    });
    if largest > 0.0 && shifted.llt(Side::Lower).is_err() {
        let eigenvalues =
            matrix.self_adjoint_eigenvalues(Side::Lower).map_err(|_| format!("{name} has no eigenvalues"))?;
        let smallest = eigenvalues.into_iter().fold(f64::INFINITY, f64::min);
        return Err(format!("{name} is no covariance: its smallest eigenvalue is {smallest:.6e}"));
    }
    Ok(())
}

/// (shape, values) of a vector or a symmetric matrix of an archive, in f32 or f64; the order of such a matrix changes nothing.
fn floats<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str) -> Result<(Vec<usize>, Vec<f64>), String> {
    match of_any_order::<f64, _>(archive, name) {
        Ok((shape, _, values)) => Ok((shape, values)),
        Err(problem) => match of_any_order::<f32, _>(archive, name) {
            Ok((shape, _, values)) => Ok((shape, values.into_iter().map(f64::from).collect())),
            Err(_) => Err(problem),
        },
    }
}

/// (shape, values) of an array of an archive, the last index changing first.
pub(super) fn array<T: npyz::Deserialize, R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
) -> Result<(Vec<usize>, Vec<T>), String> {
    let (shape, order, values) = of_any_order(archive, name)?;
    require_order(name, order, shape.len())?;
    Ok((shape, values))
}

/// Refuses values of which the first index changes first.
pub(super) fn require_order(name: &str, order: Order, dimensions: usize) -> Result<(), String> {
    match order == Order::Fortran && dimensions > 1 {
        true => Err(format!("`{name}` is in Fortran's order; write `numpy.ascontiguousarray({name})` into the file")),
        false => Ok(()),
    }
}

fn of_any_order<T: npyz::Deserialize, R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
) -> Result<(Vec<usize>, Order, Vec<T>), String> {
    let mut file = archive.by_name(&npz::file_name_from_array_name(name)).map_err(|_| format!("it has no `{name}`"))?;
    // Read to its end, where the archive's checksum is compared.
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| format!("`{name}`: {error}"))?;
    let array = NpyFile::new(bytes.as_slice()).map_err(|error| format!("`{name}`: {error}"))?;
    let (shape, order) = (array.shape().iter().map(|&side| side as usize).collect(), array.order());
    let description = array.dtype().descr();
    let values = array.try_data::<T>().map_err(|_| format!("`{name}` is of type {description}"))?;
    let values = values.collect::<io::Result<Vec<T>>>().map_err(|error| format!("`{name}`: {error}"))?;
    Ok((shape, order, values))
}

fn write_array<T: npyz::AutoSerialize>(
    archive: &mut ZipWriter<impl Write + Seek>,
    name: &str,
    shape: &[u64],
    values: impl Iterator<Item = T>,
) -> io::Result<()> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    archive.start_file(npz::file_name_from_array_name(name), options)?;
    let mut array = npyz::WriteOptions::new().default_dtype().shape(shape).writer(archive).begin_nd()?;
    array.extend(values)?;
    array.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(features: Option<Vec<f32>>) -> Statistics {
        let covariance = Mat::from_fn(2, 2, |row, column| [[2.5, -0.125], [-0.125, 1.0 / 3.0]][row][column]);
        let protocol = features.is_some().then(|| "inception-v3 resize=clean".to_owned());
        let spatial = features.is_some().then(|| {
            let covariance = Mat::from_fn(1, 1, |_, _| 0.5);
            Gaussian { mean: vec![3.0], covariance }
        });
        Statistics { gaussian: Gaussian { mean: vec![0.1, -7.0], covariance }, features, protocol, spatial }
    }

    #[test]
    fn what_is_written_is_read_again_to_the_bit() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.npz");
        for features in [None, Some(vec![1.5, 2.5, -3.5, 4.5, 0.1, 6.5])] {
            let written = statistics(features.clone());
            written.write(&path).unwrap();
            let read = Statistics::read(&path).unwrap();
            assert_eq!((&read.gaussian.mean, &read.features), (&written.gaussian.mean, &features));
            assert_eq!(read.protocol, written.protocol);
            let spatial = |statistics: &Statistics| {
                statistics.spatial.as_ref().map(|spatial| (spatial.mean.clone(), spatial.covariance.clone()))
            };
            assert_eq!(spatial(&read), spatial(&written));
            assert_eq!(read.gaussian.covariance, written.gaussian.covariance);
        }
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_hold_something_else_are_named_with_what_is_wrong() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.npz");
        let refused = || Statistics::read(&path).err().expect("it is refused").to_string();
        assert!(refused().starts_with("cannot read "));
        fs::write(&path, "PK not really").unwrap();
        assert!(refused().contains("x.npz is no file of statistics: "), "{}", refused());
        let mut damaged = statistics(None);
        damaged.gaussian.mean.push(1.0);
        damaged.gaussian.covariance = Mat::from_fn(3, 3, |_, _| f64::NAN);
        damaged.write(&path).unwrap();
        assert!(refused().ends_with("it holds NaN"), "{}", refused());
        // Torn in the middle.
        statistics(None).write(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(refused().contains("is no file of statistics"), "{}", refused());
    }

    #[test]
    fn a_matrix_that_is_no_covariance_is_refused_with_the_number() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.npz");
        let read = |rows: [[f64; 2]; 2]| {
            let covariance = Mat::from_fn(2, 2, |row, column| rows[row][column]);
            let gaussian = Gaussian { mean: vec![0.0; 2], covariance };
            Statistics { gaussian, features: None, protocol: None, spatial: None }.write(&path).unwrap();
            Statistics::read(&path).map(drop).map_err(|error| error.to_string())
        };
        let error = read([[1.0, 0.5], [0.25, 1.0]]).unwrap_err();
        assert!(
            error.contains("sigma is no covariance: it has 0.25 at [1, 0] and 0.5 at [0, 1]")
                || error.contains("sigma is no covariance: it has 0.5 at [0, 1] and 0.25 at [1, 0]"),
            "{error}"
        );
        let error = read([[-2.5, 0.0], [0.0, 1.0]]).unwrap_err();
        assert!(error.ends_with("its smallest eigenvalue is -2.500000e0"), "{error}");
        // Eigenvalues 3 and -1.
        let error = read([[1.0, 2.0], [2.0, 1.0]]).unwrap_err();
        assert!(error.ends_with("its smallest eigenvalue is -1.000000e0"), "{error}");
        // Without full rank, with what rounding does, and of images that are all alike.
        for rows in [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0 + 1e-7, 1.0 - 1e-7]], [[0.0; 2]; 2]] {
            assert_eq!(read(rows), Ok(()));
        }
    }

    #[test]
    fn features_in_the_order_of_fortran_are_refused_and_a_symmetric_matrix_is_not() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.npz");
        fn add<T: npyz::AutoSerialize + Copy>(archive: &mut ZipWriter<File>, name: &str, shape: &[u64], values: &[T]) {
            archive.start_file(npz::file_name_from_array_name(name), SimpleFileOptions::default()).unwrap();
            let options = npyz::WriteOptions::new().default_dtype().order(Order::Fortran).shape(shape);
            let mut array = options.writer(archive).begin_nd().unwrap();
            array.extend(values.iter().copied()).unwrap();
            array.finish().unwrap();
        }
        let write = |with_features: bool| {
            let mut archive = ZipWriter::new(File::create(&path).unwrap());
            add(&mut archive, "mu", &[2], &[0.5; 2]);
            add(&mut archive, "sigma", &[2, 2], &[2.0, 0.5, 0.5, 1.0]);
            if with_features {
                add(&mut archive, "features", &[3, 2], &[1.0f32; 6]);
            }
            archive.finish().unwrap();
        };
        write(false);
        assert_eq!(Statistics::read(&path).unwrap().gaussian.covariance[(0, 1)], 0.5);
        write(true);
        let error = Statistics::read(&path).err().expect("it is refused").to_string();
        let message = "`features` is in Fortran's order; write `numpy.ascontiguousarray(features)` into the file";
        assert!(error.ends_with(message), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named_and_nothing_is_left() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("nowhere").join("x.npz");
        let message = statistics(None).write(&path).unwrap_err().to_string();
        assert!(message.starts_with("cannot write ") && message.contains("x.npz"), "{message}");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}
