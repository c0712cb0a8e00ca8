//! Image files in a folder of the user's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::decode::decode_image;
use super::decoded::{DecodedWriter, Recipe};
use super::folder_listing::FolderListing;
use super::{DataError, DataFolder, Dataset, OnProgress, Progress, Unit};
use crate::checksum::hexadecimal;
use crate::spec::ImageFolderData;

/// How images are decoded: part of what names the decoded file.
const DECODING: &str = "centre crop, lanczos3, alpha on white, bt601, 1";
/// Decoded at a time, by all threads.
const CHUNK_BYTES: usize = 32 << 20;

/// One file as it is now.
struct ListedFile {
    path: PathBuf,
    bytes: u64,
    modified_nanoseconds: u128,
    class: u16,
}

/// Whether the folder can be read and holds what the settings say; a note where something in it was passed over.
pub(super) fn check(data: &ImageFolderData) -> Result<Option<String>, DataError> {
    let Listed { passed_over, .. } = list(data)?;
    Ok((passed_over > 0).then(|| passed_over_note(&data.path, passed_over)))
}

/// That entries of a folder were not looked at, for who expects them to be images.
pub fn passed_over_note(folder: &str, count: usize) -> String {
    let entries = if count == 1 { "entry was" } else { "entries were" };
    format!(
        "{folder}: {count} {entries} passed over as hidden or left by the operating system (.*, __MACOSX, Thumbs.db)"
    )
}

/// The images, decoded once for each state of the folder.
pub(super) fn load(
    data: &ImageFolderData,
    folder: &DataFolder,
    progress: OnProgress<'_>,
) -> Result<Dataset, DataError> {
    let Listed { files, .. } = list(data)?;
    let recipe = recipe(data, source(&files, data));
    recipe.open_or_make(&folder.decoded(), |writer| decode(&files, data, writer, progress))
}

/// Where the images of a folder are kept once they are decoded, by the hash of its files.
pub(super) fn recipe(data: &ImageFolderData, source: String) -> Recipe {
    Recipe { name: "folder".to_owned(), source, shape: (data.channels, data.side) }
}

/// The image files of a folder.
#[derive(Default)]
pub(super) struct FolderFiles {
    /// Each with its class.
    pub files: Vec<(PathBuf, u16)>,
    /// A hash of what they are.
    pub source: String,
}

/// Every image file; none of a folder without any.
pub(super) fn files(data: &ImageFolderData) -> Result<FolderFiles, DataError> {
    let root = Path::new(&data.path);
    if data.classes == 0 && root.is_dir() && FolderListing::below(root)?.images.is_empty() {
        return Ok(FolderFiles::default());
    }
    let Listed { files, .. } = list(data)?;
    let source = source(&files, data);
    Ok(FolderFiles { files: files.into_iter().map(|file| (file.path, file.class)).collect(), source })
}

/// A hash of the names, sizes and times of all files: their bytes would take minutes to read.
fn source(files: &[ListedFile], data: &ImageFolderData) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{DECODING}\n{}\n", data.held_out));
    for file in files {
        let relative = file.path.strip_prefix(&data.path).unwrap_or(&file.path);
        hash.update(relative.as_os_str().as_encoded_bytes());
        hash.update(format!("\0{} {} {}\n", file.bytes, file.modified_nanoseconds, file.class));
    }
    hexadecimal(&hash.finalize())
}

/// The images that are held out: as many, evenly spread.
pub(super) fn is_held_out(index: usize, count: usize, held_out: usize) -> bool {
    ((index + 1) * held_out) / count > (index * held_out) / count
}

fn decode(
    files: &[ListedFile],
    data: &ImageFolderData,
    writer: &mut DecodedWriter,
    progress: OnProgress<'_>,
) -> Result<(), DataError> {
    let image_values = data.channels * data.side * data.side;
    let mut done = 0;
    for held_out in [false, true] {
        if held_out {
            writer.begin_held_out();
        }
        let of_split = |(index, _): &(usize, &ListedFile)| is_held_out(*index, files.len(), data.held_out) == held_out;
        let split: Vec<&ListedFile> = files.iter().enumerate().filter(of_split).map(|(_, file)| file).collect();
        for chunk in split.chunks((CHUNK_BYTES / image_values).max(1)) {
            let decode = |file: &&ListedFile| decode_image(&file.path, data.channels, data.side);
            let pixels: Vec<Vec<u8>> = chunk.par_iter().map(decode).collect::<Result<_, _>>()?;
            let labels: Vec<u16> = chunk.iter().map(|file| file.class).collect();
            writer.push(&pixels.concat(), &labels)?;
            done += chunk.len() as u64;
            let doing = format!("decoding {}", data.path);
            progress(&Progress { doing, done, total: Some(files.len() as u64), unit: Unit::Images });
        }
    }
    Ok(())
}

/// Every image file, in the order of names.
struct Listed {
    files: Vec<ListedFile>,
    passed_over: usize,
}

fn list(data: &ImageFolderData) -> Result<Listed, DataError> {
    let root = Path::new(&data.path);
    if !root.is_dir() {
        let hint = Some("a relative path starts at the folder where the program is started");
        return Err(DataError::Folder { problem: format!("there is no folder {}", root.display()), hint });
    }
    let mut listed = Listed { files: Vec::new(), passed_over: 0 };
    if data.classes == 0 {
        listed.add(FolderListing::below(root)?, 0)?;
    } else {
        let FolderListing { folders, images, irregular, passed_over, .. } = FolderListing::of(root)?;
        // What belongs to no class can be left out only where it is no image.
        listed.add(FolderListing { irregular, passed_over, ..FolderListing::default() }, 0)?;
        if folders.len() != data.classes {
            let found = folders.len();
            let problem =
                format!("{} has {found} class folders, but `data.classes` is {}", root.display(), data.classes);
            let hint = Some("set `data.classes` to the number of folders, or to 0 for images without classes");
            return Err(DataError::Folder { problem, hint });
        }
        if let Some(image) = images.first() {
            let problem = format!("{} is in no class folder", image.display());
            return Err(DataError::Folder { problem, hint: Some("move it into one, or set `data.classes` to 0") });
        }
        for (class, folder) in folders.iter().enumerate() {
            let before = listed.files.len();
            listed.add(FolderListing::below(folder)?, class as u16)?;
            if listed.files.len() == before {
                let problem = format!("the class folder {} has no image file", folder.display());
                return Err(DataError::Folder { problem, hint: Some("remove it, or put its images there") });
            }
        }
    }
    let found = listed.files.len();
    if found <= data.held_out {
        let held_out = data.held_out;
        let problem = format!("{} has {found} image files, of which {held_out} would be held out", root.display());
        return Err(DataError::Folder { problem, hint: Some("set `data.held_out` below the number of files") });
    }
    Ok(listed)
}

impl Listed {
    /// A file that has an image's name and cannot be one is refused, as one that cannot be decoded is.
    fn add(&mut self, listing: FolderListing, class: u16) -> Result<(), DataError> {
        if let Some((path, problem)) = listing.irregular.into_iter().next() {
            return Err(DataError::Image { path, problem: problem.to_owned() });
        }
        for path in listing.images {
            let metadata = fs::metadata(&path).map_err(DataError::io("read", &path))?;
            let modified = metadata.modified().map_err(DataError::io("read the time of", &path))?;
            let modified_nanoseconds = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
            self.files.push(ListedFile { path, bytes: metadata.len(), modified_nanoseconds, class });
        }
        self.passed_over += listing.passed_over;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    /// Files of one grey each, 12 x 10 pixels; `name` may have folders in it.
    fn write(root: &Path, name: &str, grey: u8) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(12, 10, Luma([grey])).save(path).unwrap();
    }

    fn settings(root: &Path, classes: usize, held_out: usize) -> ImageFolderData {
        let path = root.to_str().unwrap().to_owned();
        ImageFolderData { path, side: 4, channels: 1, classes, held_out, horizontal_flips: false }
    }

    fn greys(images: &super::super::Images) -> Vec<u8> {
        (0..images.len()).map(|index| images.bytes(index..index + 1)[0]).collect()
    }

    fn folders() -> (tempfile::TempDir, DataFolder) {
        let folder = tempfile::tempdir().unwrap();
        let data_folder = DataFolder::find(Some(&folder.path().join("data"))).unwrap();
        (folder, data_folder)
    }

    #[test]
    fn class_folders_are_classes_and_held_out_images_are_evenly_spread() {
        let (folder, data_folder) = folders();
        let root = folder.path().join("images");
        for index in 0..6 {
            write(&root, &format!("cats/{index}.png"), 10 + index);
            write(&root, &format!("birds/deeper/{index}.PNG"), 20 + index);
        }
        fs::write(root.join("cats/readme.txt"), "no image").unwrap();
        write(&root, ".hidden/1.png", 99);
        let load = || load(&settings(&root, 2, 3), &data_folder, &mut |_| {}).unwrap();
        let Dataset { train, test, .. } = load();
        assert_eq!(greys(&train), [20, 21, 22, 24, 25, 10, 12, 13, 14]);
        assert_eq!(&*train.labels, [0, 0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!((greys(&test), &*test.labels), (vec![23, 11, 15], &[0, 1, 1][..]));
        assert_eq!((train.channels, train.side), (1, 4));

        // Unchanged, nothing is decoded again; a changed file is noticed.
        let decoded = || {
            fs::read_dir(data_folder.decoded())
                .unwrap()
                .filter(|entry| {
                    entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "images")
                })
                .count()
        };
        load();
        assert_eq!(decoded(), 1);
        GrayImage::from_pixel(13, 13, Luma([77])).save(root.join("cats/0.png")).unwrap();
        assert_eq!(greys(&load().train)[5], 77);
        assert_eq!(decoded(), 2);
    }

    #[test]
    fn without_classes_all_images_are_alike() {
        let (folder, data_folder) = folders();
        let root = folder.path().join("images");
        write(&root, "b.png", 2);
        write(&root, "a/c.jpg", 3);
        write(&root, "a.jpeg", 1);
        let dataset = load(&settings(&root, 0, 1), &data_folder, &mut |_| {}).unwrap();
        assert_eq!((greys(&dataset.train), greys(&dataset.test)), (vec![1, 2], vec![3]));
        assert!(dataset.train.labels.iter().all(|&label| label == 0));
    }

    #[test]
    fn held_out_images_are_as_many_as_asked_for() {
        for (count, held_out) in [(10, 1), (10, 3), (10, 9), (1000, 256), (7, 0)] {
            assert_eq!((0..count).filter(|&index| is_held_out(index, count, held_out)).count(), held_out);
        }
    }

    #[test]
    fn a_folder_that_is_not_as_the_settings_say_is_refused_with_the_cure() {
        let (folder, _) = folders();
        let root = folder.path().join("images");
        let refused = |classes, held_out| check(&settings(&root, classes, held_out)).unwrap_err().to_string();
        assert!(refused(0, 1).contains("there is no folder") && refused(0, 1).contains("hint: "));
        write(&root, "cats/1.png", 1);
        write(&root, "dogs/1.png", 1);
        assert!(refused(3, 1).contains("has 2 class folders, but `data.classes` is 3"), "{}", refused(3, 1));
        assert!(refused(0, 2).contains("has 2 image files, of which 2 would be held out"));
        write(&root, "stray.png", 1);
        assert!(refused(2, 1).contains("stray.png is in no class folder"));
        fs::remove_file(root.join("stray.png")).unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        assert!(refused(3, 1).contains("empty has no image file"));
    }

    #[test]
    fn a_file_that_is_no_image_is_named() {
        let (folder, data_folder) = folders();
        let root = folder.path().join("images");
        write(&root, "a.png", 1);
        fs::write(root.join("b.png"), "not a picture").unwrap();
        let whole = fs::read(root.join("a.png")).unwrap();
        let load = || load(&settings(&root, 0, 1), &data_folder, &mut |_| {}).unwrap_err().to_string();
        assert!(load().contains("cannot read the image") && load().contains("b.png"), "{}", load());
        fs::write(root.join("b.png"), &whole[..whole.len() / 2]).unwrap();
        assert!(load().contains("b.png") && load().contains("hint: repair or remove that file"), "{}", load());
    }
}
