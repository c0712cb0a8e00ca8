//! Takes files out of archives and other formats.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use liblzma::read::XzDecoder;

use super::super::cifar::{IMAGES_PER_FILE, SIDE, from_picture_rows};
use super::super::sums::{RunningSums, Sums};
use super::FetchError;

/// Decompresses a file.
pub(super) fn gzip(compressed: &Path, target: &Path) -> Result<Sums, FetchError> {
    let file = File::open(compressed).map_err(FetchError::io("read", compressed))?;
    write(GzDecoder::new(BufReader::new(file)), compressed, target)
}

/// Copies a file.
pub(super) fn copy(path: &Path, target: &Path) -> Result<Sums, FetchError> {
    write(File::open(path).map_err(FetchError::io("read", path))?, path, target)
}

/// Takes files out of a `.tar.gz`: those with `names`, each to `folder` under its last part. Their paths, in order.
pub(super) fn tar_gz(archive: &Path, names: &[String], folder: &Path) -> Result<Vec<PathBuf>, FetchError> {
    let file = File::open(archive).map_err(FetchError::io("read", archive))?;
    tar(GzDecoder::new(BufReader::new(file)), archive, names, folder)
}

/// The same of a `.zip`, such as a wheel.
pub(super) fn zip(archive: &Path, names: &[String], folder: &Path) -> Result<Vec<PathBuf>, FetchError> {
    let file = File::open(archive).map_err(FetchError::io("read", archive))?;
    let problem = |problem: String| FetchError::Archive { path: archive.to_owned(), problem };
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(|error| problem(error.to_string()))?;
    let mut unpack = |name: &String| {
        let entry = zip.by_name(name).map_err(|_| problem(format!("it has no {name}")))?;
        let target = folder.join(Path::new(name).file_name().expect("names that are asked for end in a file's name"));
        write(entry, archive, &target)?;
        Ok(target)
    };
    names.iter().map(&mut unpack).collect()
}

/// The same of a Debian package, which is an `ar` archive with a compressed tar in it.
pub(super) fn deb(archive: &Path, names: &[String], folder: &Path) -> Result<Vec<PathBuf>, FetchError> {
    let file = File::open(archive).map_err(FetchError::io("read", archive))?;
    let problem = |problem: String| FetchError::Archive { path: archive.to_owned(), problem };
    let mut package = ar::Archive::new(BufReader::new(file));
    while let Some(entry) = package.next_entry() {
        let entry = entry.map_err(|error| problem(error.to_string()))?;
        match entry.header().identifier() {
            b"data.tar.xz" => return tar(XzDecoder::new(entry), archive, names, folder),
            b"data.tar.gz" => return tar(GzDecoder::new(entry), archive, names, folder),
            b"data.tar" => return tar(entry, archive, names, folder),
            other if other.starts_with(b"data.tar") => {
                return Err(problem(format!("{} is compressed in a way not known", String::from_utf8_lossy(other))));
            }
            _ => {}
        }
    }
    Err(problem("it has no data.tar".to_owned()))
}

fn tar(tar: impl Read, archive: &Path, names: &[String], folder: &Path) -> Result<Vec<PathBuf>, FetchError> {
    let problem = |problem: String| FetchError::Archive { path: archive.to_owned(), problem };
    let unreadable = |error: io::Error| problem(error.to_string());
    let mut found: Vec<Option<PathBuf>> = vec![None; names.len()];
    let mut tar = tar::Archive::new(tar);
    for entry in tar.entries().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        // Only names that were asked for are written, so that no entry can reach outside the folder.
        let Some(index) = names.iter().position(|name| path.strip_prefix(".").unwrap_or(&path) == Path::new(name))
        else {
            continue;
        };
        let target = folder.join(path.file_name().expect("names that are asked for end in a file's name"));
        write(entry, archive, &target)?;
        found[index] = Some(target);
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    let missing = |(name, path): (&String, Option<PathBuf>)| path.ok_or_else(|| problem(format!("it has no {name}")));
    names.iter().zip(found).map(missing).collect()
}

/// Writes what `source` (a part of the file at `from`) gives, and brings it to disk.
fn write(mut source: impl Read, from: &Path, target: &Path) -> Result<Sums, FetchError> {
    let writing = FetchError::io("write", target);
    let file = match File::create(target) {
        Ok(file) => file,
        Err(error) => return Err(writing(error)),
    };
    let mut file = BufWriter::new(file);
    let (mut sums, mut block) = (RunningSums::default(), vec![0; 1 << 18]);
    loop {
        let count = match source.read(&mut block) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FetchError::Archive { path: from.to_owned(), problem: error.to_string() }),
        };
        sums.update(&block[..count]);
        if let Err(error) = file.write_all(&block[..count]) {
            return Err(writing(error));
        }
    }
    match file.flush().and_then(|()| file.get_ref().sync_all()) {
        Ok(()) => Ok(sums.finish()),
        Err(error) => Err(writing(error)),
    }
}

/// The labels of CIFAR-10 as the package of pictures lists them.
pub(super) struct CifarLabels {
    train: Vec<u8>,
    test: Vec<u8>,
}

impl CifarLabels {
    pub fn read(train: &Path, test: &Path) -> Result<Self, FetchError> {
        let read = |path: &Path| {
            let text = fs::read(path).map_err(FetchError::io("read", path))?;
            let problem =
                |error: serde_json::Error| FetchError::Archive { path: path.to_owned(), problem: error.to_string() };
            serde_json::from_slice::<Vec<u8>>(&text).map_err(problem)
        };
        Ok(Self { train: read(train)?, test: read(test)? })
    }

    /// Those of the file with this index; the last of `files` is held out.
    pub fn of_file(&self, index: usize, files: usize) -> Result<&[u8], FetchError> {
        let (labels, first) = if index + 1 == files { (&self.test, 0) } else { (&self.train, index * IMAGES_PER_FILE) };
        labels.get(first..first + IMAGES_PER_FILE).ok_or_else(|| FetchError::Wrong {
            what: "the list of labels".to_owned(),
            problem: format!("has {} labels", labels.len()),
        })
    }
}

/// Makes a file of CIFAR-10's binary version from a picture with an image in each row.
pub(super) fn cifar_picture(picture: &Path, labels: &[u8], target: &Path) -> Result<Sums, FetchError> {
    let wrong = |problem: String| FetchError::Archive { path: picture.to_owned(), problem };
    let reader = image::ImageReader::open(picture).map_err(FetchError::io("read", picture))?;
    let decoded = reader.decode().map_err(|error| wrong(error.to_string()))?;
    if (decoded.width() as usize, decoded.height() as usize) != (SIDE * SIDE, labels.len()) {
        return Err(wrong(format!("it has {} x {} pixels", decoded.width(), decoded.height())));
    }
    let file = from_picture_rows(&decoded.into_rgb8(), labels).map_err(wrong)?;
    write(&file[..], picture, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            archive.append_data(&mut header, name, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn deb_of(data_name: &str, data: &[u8]) -> Vec<u8> {
        let mut package = ar::Builder::new(Vec::new());
        for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("control.tar.xz", b"x"), (data_name, data)] {
            package.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), bytes).unwrap();
        }
        package.into_inner().unwrap()
    }

    #[test]
    fn files_come_out_of_a_debian_package_in_the_order_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let tar = tar_of(&[("./usr/share/one", b"1"), ("./usr/other", b"x"), ("./usr/share/two", b"22")]);
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(&tar[..], 1).read_to_end(&mut xz).unwrap();
        let archive = folder.path().join("a.deb");
        let names = ["usr/share/two".to_owned(), "usr/share/one".to_owned()];
        for (name, data) in [("data.tar.xz", &xz), ("data.tar", &tar)] {
            fs::write(&archive, deb_of(name, data)).unwrap();
            let found = deb(&archive, &names, folder.path()).unwrap();
            assert_eq!(found.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), [&b"22"[..], b"1"]);
        }
        let missing = deb(&archive, &["usr/share/three".to_owned()], folder.path()).unwrap_err().to_string();
        assert!(missing.ends_with("cannot be unpacked: it has no usr/share/three"), "{missing}");
        fs::write(&archive, deb_of("data.tar.zst", b"z")).unwrap();
        let unknown = deb(&archive, &names, folder.path()).unwrap_err().to_string();
        assert!(unknown.contains("data.tar.zst is compressed in a way not known"), "{unknown}");
        fs::write(&archive, &deb_of("data.tar.xz", &xz)[..200]).unwrap();
        assert!(deb(&archive, &names, folder.path()).is_err());
    }

    #[test]
    fn a_picture_of_rows_becomes_a_binary_file() {
        let folder = tempfile::tempdir().unwrap();
        let (picture, target) = (folder.path().join("rows.png"), folder.path().join("file.bin"));
        let pixel = |x: u32, y: u32| image::Rgb([x as u8, (x / 256) as u8, y as u8]);
        image::RgbImage::from_fn(1024, 2, pixel).save(&picture).unwrap();
        let sums = cifar_picture(&picture, &[4, 5], &target).unwrap();
        let file = fs::read(&target).unwrap();
        assert_eq!((sums.bytes, file.len()), (2 * 3073, 2 * 3073));
        assert_eq!((file[0], file[1 + 7], file[1 + 1024 + 700], file[3073], file[3073 + 1 + 2048]), (4, 7, 2, 5, 1));
        let wrong = cifar_picture(&picture, &[4], &target).unwrap_err().to_string();
        assert!(wrong.contains("it has 1024 x 2 pixels"), "{wrong}");
    }
}
