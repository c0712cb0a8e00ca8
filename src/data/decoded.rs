//! Images decoded once: a file of bytes that is mapped into memory, so that sets larger than memory work.
//!
//! ```text
//! 4096 bytes  magic, then a JSON header, padded with spaces
//! pixels      [train + test, channels, side, side], a byte each
//! labels      [train + test], little-endian u16
//! ```
//!
//! A file is named after its sources. It is written beside its place, synced to disk and renamed; an incomplete file is made
//! again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::images::MappedFile;
use super::{DataError, Dataset, Images};
use crate::checksum::{hexadecimal, sha256};

/// The version of the file. It is part of the name, so that other versions are neither read nor touched.
const DECODED_VERSION: u32 = 1;
const MAGIC: &[u8] = b"speedlab images\n";
const HEADER_BYTES: usize = 4096;
/// Files up to this size are compared with their checksum each time, which takes at most a fraction of a second.
const CHECKED_BYTES: usize = 256 << 20;

/// The sources of a decoded file.
pub(super) struct Recipe {
    /// The beginning of the file's name.
    pub name: String,
    /// A hash of the source and of how it is decoded.
    pub source: String,
    /// (channels, side).
    pub shape: (usize, usize),
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    source: String,
    channels: usize,
    side: usize,
    train: SplitHeader,
    test: SplitHeader,
    labels_sha256: String,
}

#[derive(Default, Serialize, Deserialize)]
struct SplitHeader {
    images: usize,
    /// Of the split's pixels.
    sha256: String,
}

impl Recipe {
    /// Where the images are kept under `folder`.
    pub fn path(&self, folder: &Path) -> PathBuf {
        let (channels, side) = self.shape;
        let key = sha256(format!("{DECODED_VERSION} {} {channels} {side}", self.source).as_bytes());
        folder.join(format!("{}-{channels}x{side}x{side}-{}.images", self.name, &key[..16]))
    }

    /// The images, decoded by `decode` if no whole file of them is in `folder`.
    ///
    /// Processes that want the same images at the same time wait for the first.
    pub fn open_or_make(
        &self,
        folder: &Path,
        decode: impl FnOnce(&mut DecodedWriter) -> Result<(), DataError>,
    ) -> Result<Dataset, DataError> {
        let path = self.path(folder);
        if let Some(dataset) = self.open(&path)? {
            return Ok(dataset);
        }
        fs::create_dir_all(folder).map_err(DataError::io("make the folder", folder))?;
        let lock_path = path.with_extension("lock");
        let lock = File::create(&lock_path).map_err(DataError::io("open", &lock_path))?;
        lock.lock().map_err(DataError::io("lock", &lock_path))?;
        if let Some(dataset) = self.open(&path)? {
            return Ok(dataset);
        }
        let partial = path.with_extension("partial");
        let made = DecodedWriter::create(&partial, self).and_then(|mut writer| {
            decode(&mut writer)?;
            writer.finish(&path)
        });
        if let Err(error) = made {
            // What is half made is of no use; failing to remove it is no further harm.
            let _ = fs::remove_file(&partial);
            return Err(error);
        }
        let unreadable = || DataError::Image { path: path.clone(), problem: "it changed while it was made".to_owned() };
        self.open(&path)?.ok_or_else(unreadable)
    }

    /// The images of a whole file; `None` if there is none, or one that is damaged.
    pub fn open(&self, path: &Path) -> Result<Option<Dataset>, DataError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DataError::io("read", path)(error)),
        };
        // SAFETY: decoded files are never written to once they have their name, only replaced or removed as a whole,
        // which leaves a mapping as it is. Whoever truncates one by hand ends the program with a signal, not with
        // wrong images.
        let map = unsafe { Mmap::map(&file) }.map_err(DataError::io("map", path))?;
        Ok(self.read(MappedFile::new(map)))
    }

    fn read(&self, map: MappedFile) -> Option<Dataset> {
        let bytes = map.bytes();
        let header: Header = serde_json::from_slice(bytes.get(..HEADER_BYTES)?.strip_prefix(MAGIC)?).ok()?;
        let Header { version: DECODED_VERSION, source, train, test, labels_sha256, .. } = &header else { return None };
        if *source != self.source || (header.channels, header.side) != self.shape {
            return None;
        }
        let image_values = header.channels * header.side.pow(2);
        let test_start = HEADER_BYTES + train.images * image_values;
        let labels_start = test_start + test.images * image_values;
        if bytes.len() != labels_start + 2 * (train.images + test.images) {
            return None;
        }
        let is = |bytes: &[u8], expected: &str| sha256(bytes) == expected;
        let pixels = || {
            is(&bytes[HEADER_BYTES..test_start], &train.sha256) && is(&bytes[test_start..labels_start], &test.sha256)
        };
        if !is(&bytes[labels_start..], labels_sha256) || (bytes.len() <= CHECKED_BYTES && !pixels()) {
            return None;
        }
        let labels = bytes[labels_start..].as_chunks::<2>().0.iter().map(|&label| u16::from_le_bytes(label));
        let labels: Vec<u16> = labels.collect();
        let (train_labels, test_labels) = labels.split_at(train.images);
        let images = |start, labels: &[u16], sha256: &str| {
            Images::mapped(self.shape, &map, start, labels.to_vec(), sha256.to_owned())
        };
        Some(Dataset {
            train: images(HEADER_BYTES, train_labels, &train.sha256),
            test: images(test_start, test_labels, &test.sha256),
            references: BTreeMap::new(),
            sha256: header.source,
            encoder: None,
            pictures: None,
        })
    }
}

/// Writes the training images, then the held-out ones.
pub(super) struct DecodedWriter {
    path: PathBuf,
    file: BufWriter<File>,
    header: Header,
    split: Sha256,
    labels: Vec<u16>,
}

impl DecodedWriter {
    fn create(path: &Path, recipe: &Recipe) -> Result<Self, DataError> {
        let (channels, side) = recipe.shape;
        let header = Header {
            version: DECODED_VERSION,
            source: recipe.source.clone(),
            channels,
            side,
            train: SplitHeader::default(),
            test: SplitHeader::default(),
            labels_sha256: String::new(),
        };
        let create = || {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
            file.write_all(&[b' '; HEADER_BYTES])?;
            Ok(file)
        };
        let file = create().map_err(DataError::io("write", path))?;
        Ok(Self { path: path.to_owned(), file, header, split: Sha256::new(), labels: vec![] })
    }

    /// Adds images, `[labels.len(), channels, side, side]`, to the current split, the training images at first.
    pub fn push(&mut self, pixels: &[u8], labels: &[u16]) -> Result<(), DataError> {
        assert_eq!(pixels.len(), labels.len() * self.header.channels * self.header.side.pow(2), "whole images");
        self.file.write_all(pixels).map_err(DataError::io("write", &self.path))?;
        self.split.update(pixels);
        self.labels.extend_from_slice(labels);
        Ok(())
    }

    /// Images that are pushed from here on are held out.
    pub fn begin_held_out(&mut self) {
        let sha256 = hexadecimal(&std::mem::take(&mut self.split).finalize());
        self.header.train = SplitHeader { images: self.labels.len(), sha256 };
    }

    fn finish(mut self, path: &Path) -> Result<(), DataError> {
        assert!(!self.header.train.sha256.is_empty(), "every source says where its held-out images begin");
        let of_test = hexadecimal(&self.split.finalize());
        let images = self.labels.len() - self.header.train.images;
        self.header.test = SplitHeader { images, sha256: of_test };
        let labels: Vec<u8> = self.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        self.header.labels_sha256 = sha256(&labels);
        let header = serde_json::to_vec(&self.header).expect("a header is plain data, which JSON can hold");
        assert!(MAGIC.len() + header.len() <= HEADER_BYTES, "a header is short");
        let mut write = || {
            self.file.write_all(&labels)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(MAGIC)?;
            self.file.write_all(&header)?;
            self.file.flush()?;
            self.file.get_ref().sync_all()
        };
        write().map_err(DataError::io("write", &self.path))?;
        fs::rename(&self.path, path).map_err(DataError::io("write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe { name: "tiny".to_owned(), source: "abc".to_owned(), shape: (1, 2) }
    }

    fn decode(writer: &mut DecodedWriter) -> Result<(), DataError> {
        writer.push(&[0, 1, 2, 3, 4, 5, 6, 7], &[1, 2])?;
        writer.begin_held_out();
        writer.push(&[255; 4], &[300])
    }

    fn never(_: &mut DecodedWriter) -> Result<(), DataError> {
        panic!("it was decoded again")
    }

    #[test]
    fn images_come_back_without_decoding_again() {
        let folder = tempfile::tempdir().unwrap();
        recipe().open_or_make(folder.path(), decode).unwrap();
        let Dataset { train, test, sha256, .. } = recipe().open_or_make(folder.path(), never).unwrap();
        assert_eq!((train.bytes(0..2), test.bytes(0..1)), (&[0, 1, 2, 3, 4, 5, 6, 7][..], &[255; 4][..]));
        assert_eq!((&*train.labels, &*test.labels), (&[1, 2][..], &[300][..]));
        assert_eq!((test.image(0), sha256.as_str()), (vec![1.0; 4], "abc"));
        assert_eq!(train.sha256, crate::checksum::sha256(&[0, 1, 2, 3, 4, 5, 6, 7]));
    }

    #[test]
    fn another_source_size_or_shape_is_another_file() {
        let folder = Path::new("decoded");
        let other_source = Recipe { source: "abd".to_owned(), ..recipe() };
        let other_shape = Recipe { shape: (4, 1), ..recipe() };
        assert_ne!(recipe().path(folder), other_source.path(folder));
        assert_ne!(recipe().path(folder), other_shape.path(folder));
    }

    #[test]
    fn every_changed_byte_and_every_truncation_is_noticed_and_decoded_again() {
        let folder = tempfile::tempdir().unwrap();
        recipe().open_or_make(folder.path(), decode).unwrap();
        let path = recipe().path(folder.path());
        let whole = fs::read(&path).unwrap();
        let damaged = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            recipe().open(&path).unwrap().is_none()
        };
        // A decoded file that is open is never written to: each of these is a file of its own, read and let go.
        let header = whole[..HEADER_BYTES].iter().rposition(|&byte| byte == b'}').unwrap();
        for place in (0..=header).chain(HEADER_BYTES..whole.len()) {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x55;
            assert!(damaged(&bytes), "byte {place}");
        }
        for length in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, whole.len() - 1] {
            assert!(damaged(&whole[..length]), "{length} bytes");
        }
        recipe().open_or_make(folder.path(), decode).unwrap();
        assert!(fs::read(&path).unwrap() == whole);
    }

    #[test]
    fn what_cannot_be_decoded_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let fails = |writer: &mut DecodedWriter| {
            writer.push(&[0; 4], &[0])?;
            Err(DataError::NoFolder)
        };
        assert!(recipe().open_or_make(folder.path(), fails).is_err());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [recipe().path(folder.path()).with_extension("lock")]);
    }

    #[test]
    fn processes_that_want_the_same_images_decode_them_once() {
        let folder = tempfile::tempdir().unwrap();
        let decoded = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let slow = |writer: &mut DecodedWriter| {
                        decoded.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        decode(writer)
                    };
                    recipe().open_or_make(folder.path(), slow).unwrap();
                });
            }
        });
        assert_eq!(decoded.into_inner(), 1);
    }
}
