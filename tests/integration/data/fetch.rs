//! Sets fetched from a server: once, resumed, checked, placed whole.

use std::fs;
use std::path::PathBuf;

use md5::Md5;
use sha2::{Digest as _, Sha256};
use speedlab::data::{
    DataFolder, FetchError, Fetched, ImageFiles, Layout, Origin, PublicSet, SetFile, SetState, fetch,
};
use tempfile::TempDir;

use super::server::Server;
use super::{compressed, tar_gz};

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn md5_of(bytes: &[u8]) -> String {
    hexadecimal(&Md5::digest(bytes))
}

/// A set like MNIST, of 3 and 1 images of 2 x 2, and the bytes of its files.
fn tiny() -> (PublicSet, Vec<(String, Vec<u8>)>) {
    let idx = |axes: &[u32], values: Vec<u8>| {
        let sizes = axes.iter().flat_map(|axis| axis.to_be_bytes());
        [0, 0, 8, axes.len() as u8].into_iter().chain(sizes).chain(values).collect::<Vec<u8>>()
    };
    let contents = vec![
        ("train-pixels".to_owned(), idx(&[3, 2, 2], (0..12).map(|value| value * 20).collect())),
        ("train-labels".to_owned(), idx(&[3], vec![2, 1, 0])),
        ("test-pixels".to_owned(), idx(&[1, 2, 2], vec![9; 4])),
        ("test-labels".to_owned(), idx(&[1], vec![7])),
    ];
    let file = |(name, bytes): &(String, Vec<u8>)| SetFile {
        name: name.clone(),
        bytes: Some(bytes.len() as u64),
        sha256: hexadecimal(&Sha256::digest(bytes)),
        md5: Some(md5_of(bytes)),
    };
    let set = PublicSet {
        name: "tiny".to_owned(),
        summary: String::new(),
        terms: String::new(),
        images: Some(ImageFiles { shape: (1, 2), counts: [3, 1], layout: Layout::Idx }),
        files: contents.iter().map(file).collect(),
        origins: vec![],
    };
    (set, contents)
}

struct Case {
    set: PublicSet,
    contents: Vec<(String, Vec<u8>)>,
    server: Server,
    folder: DataFolder,
    _temporary: TempDir,
}

/// The tiny set, each file compressed on a server.
fn case() -> Case {
    let (mut set, contents) = tiny();
    let gz: Vec<(String, Vec<u8>)> =
        contents.iter().map(|(name, bytes)| (format!("set/{name}.gz"), compressed(bytes))).collect();
    let md5 = gz.iter().map(|(_, bytes)| md5_of(bytes)).collect();
    let server = Server::start(gz.into_iter().collect());
    set.origins = vec![Origin::Gzip { base: format!("{}set/", server.address), md5 }];
    let temporary = TempDir::new().unwrap();
    let folder = DataFolder::find(Some(temporary.path())).unwrap();
    Case { set, contents, server, folder, _temporary: temporary }
}

impl Case {
    fn fetch(&self) -> Result<Fetched, FetchError> {
        fetch(&self.set, &self.folder, &mut |_| {})
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.set("tiny").join(name)
    }

    #[track_caller]
    fn is_whole(&self) {
        for (name, bytes) in &self.contents {
            assert!(fs::read(self.path(name)).unwrap() == *bytes, "{name}");
        }
        assert_eq!(self.set.state(&self.folder), SetState::Present);
        assert!(!self.path(".partial").exists(), "what was needed on the way is removed");
    }
}

#[test]
fn a_set_is_fetched_once_and_then_needs_no_network() {
    let case = case();
    let mut heard = Vec::new();
    let fetched = fetch(&case.set, &case.folder, &mut |progress| heard.push(progress.clone())).unwrap();
    assert_eq!(fetched, Fetched::From(format!("{}set/", case.server.address)));
    case.is_whole();
    assert_eq!(case.server.requests().len(), 4);
    assert!(heard.iter().any(|progress| Some(progress.done) == progress.total));

    assert_eq!(case.fetch().unwrap(), Fetched::Present);
    assert_eq!(case.server.requests(), []);
    // Only what is missing or wrong is fetched again.
    fs::remove_file(case.path("test-labels")).unwrap();
    fs::write(case.path("train-labels"), b"something else").unwrap();
    case.fetch().unwrap();
    case.is_whole();
    let asked: Vec<String> = case.server.requests().into_iter().map(|(path, _)| path).collect();
    assert_eq!(asked, ["set/train-labels.gz", "set/test-labels.gz"]);
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let case = case();
    *case.server.breaks_after.lock().unwrap() = Some(10);
    case.fetch().unwrap();
    case.is_whole();
    let requests = case.server.requests();
    assert_eq!(requests[0], ("set/train-pixels.gz".to_owned(), None));
    assert_eq!(requests[1], ("set/train-pixels.gz".to_owned(), Some("bytes=10-".to_owned())));
}

#[test]
fn what_an_earlier_process_fetched_is_kept_and_what_was_wrong_of_it_is_not() {
    let case = case();
    let whole = case.server.files.lock().unwrap()["set/train-pixels.gz"].clone();
    let partial = case.path(".partial").join("train-pixels.gz");
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, &whole[..7]).unwrap();
    case.fetch().unwrap();
    case.is_whole();
    assert_eq!(case.server.requests()[0].1, Some("bytes=7-".to_owned()));

    // A beginning that is of another file, and one that is longer than the file: fetched anew.
    for beginning in [vec![1; 7], vec![1; whole.len() + 5]] {
        fs::remove_dir_all(case.folder.set("tiny")).unwrap();
        fs::create_dir_all(partial.parent().unwrap()).unwrap();
        fs::write(&partial, beginning).unwrap();
        case.fetch().unwrap();
        case.is_whole();
    }
}

#[test]
fn a_byte_short_or_a_byte_wrong_is_refused_and_nothing_is_placed() {
    let case = case();
    let whole = case.server.files.lock().unwrap()["set/train-pixels.gz"].clone();
    let mut wrong = whole.clone();
    wrong[20] ^= 1;
    for bytes in [whole[..whole.len() - 1].to_vec(), wrong] {
        case.server.files.lock().unwrap().insert("set/train-pixels.gz".to_owned(), bytes);
        let message = case.fetch().unwrap_err().to_string();
        assert!(message.contains("what came is not train-pixels.gz: it has MD5"), "{message}");
        assert!(message.contains("hint: ") && message.contains("speedlab data verify tiny"), "{message}");
        assert!(!case.path("train-pixels").exists());
    }
    case.server.files.lock().unwrap().insert("set/train-pixels.gz".to_owned(), whole);
    case.fetch().unwrap();
    case.is_whole();
}

#[test]
fn the_next_origin_is_tried_when_one_has_nothing() {
    let mut case = case();
    let archive = tar_gz(
        &case.contents.iter().map(|(name, bytes)| (format!("folder/{name}"), bytes.clone())).collect::<Vec<_>>(),
    );
    let archive_origin = Origin::TarGz {
        url: format!("{}all.tar.gz", case.server.address),
        md5: md5_of(&archive),
        folder: "folder".to_owned(),
    };
    case.server.files.lock().unwrap().insert("all.tar.gz".to_owned(), archive);
    case.set.origins = vec![
        Origin::Gzip { base: format!("{}elsewhere/", case.server.address), md5: vec![String::new(); 4] },
        // Nobody listens there.
        Origin::Gzip { base: "http://127.0.0.1:1/".to_owned(), md5: vec![String::new(); 4] },
    ];
    let message = case.fetch().unwrap_err().to_string();
    assert!(message.contains("the server answered 404") && message.contains("http://127.0.0.1:1/"), "{message}");
    case.set.origins.push(archive_origin);
    case.fetch().unwrap();
    case.is_whole();
}
