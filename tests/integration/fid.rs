//! `speedlab fid`, as a user runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use npyz::WriterBuilder as _;
use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn fid(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_speedlab"));
    command.arg("fid").args(arguments).args(["--data-dir", "data"]).current_dir(folder);
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Pictures of 12 x 12 pixels in one colour each, which `shift` changes.
fn pictures(folder: &Path, count: u32, shift: u8) {
    fs::create_dir_all(folder).unwrap();
    for index in 0..count {
        let colour = Rgb([(index * 37 % 200) as u8 + shift, (index * 91 % 200) as u8, (index * 53 % 200) as u8]);
        RgbImage::from_fn(12, 12, |x, _| if x < index % 12 { colour } else { Rgb([shift; 3]) })
            .save(folder.join(format!("{index:03}.png")))
            .unwrap();
    }
}

#[test]
fn folders_and_statistics_are_compared_by_any_features() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    pictures(&folder.join("a/inner"), 40, 0);
    pictures(&folder.join("b"), 40, 50);
    let same = fid(folder, &["a", "a", "--features", "pixels-8x8", "--save", "a.npz"]);
    assert!(same.status.success(), "{}", stderr(&same));
    let text = stdout(&same);
    assert!(text.starts_with("Fréchet distance (pixels-8x8)  0.000"), "{text}");
    assert!(
        text.contains("protocol  pixels-8x8 resize=none n=40,40") && text.contains("A  folder a, 40 images"),
        "{text}"
    );
    // Fewer images than values of a feature vector.
    assert!(stderr(&same).contains("40 images for features of 192 values"), "{}", stderr(&same));

    // Its file says what it is of.
    let other = fid(folder, &["a.npz", "b", "--features", "efficientnet-lite0", "--weights", "nowhere.pth"]);
    assert!(!other.status.success());
    let said = fid(folder, &["a.npz", "digits", "--features", "digits-cnn"]);
    let message = stderr(&said);
    assert!(
        message.contains("a.npz was made with pixels-8x8 resize=none, not with digits-cnn resize=none"),
        "{message}"
    );

    let value = |arguments: &[&str]| {
        let output = fid(folder, &[arguments, &["--features", "pixels-8x8", "--json"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
        json["value"].as_f64().unwrap()
    };
    let (direct, stored) = (value(&["a", "b"]), value(&["a.npz", "b"]));
    assert!(direct > 1.0 && (direct - stored).abs() < 1e-9 * direct, "{direct}, {stored}");
    assert!((value(&["b", "a"]) - direct).abs() < 1e-6 * direct);
    // The program's own images, and held-out ones.
    let output = fid(folder, &["digits:test", "digits", "--features", "digits-cnn", "--samples", "300"]);
    assert!(output.status.success() && stdout(&output).contains("n=300,300"), "{}", stderr(&output));
}

#[test]
fn kinds_of_files_make_no_difference() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    pictures(&folder.join("png"), 36, 0);
    fs::create_dir(folder.join("mixed")).unwrap();
    for index in 0..36 {
        let ending = ["bmp", "WEBP", "tif", "tiff", "ppm", "png"][index % 6];
        let picture = image::open(folder.join(format!("png/{index:03}.png"))).unwrap().into_rgb8();
        let path = folder.join(format!("mixed/{index:03}.{ending}"));
        match ending {
            "ppm" => fs::write(path, [&b"P6\n12 12\n255\n"[..], picture.as_raw().as_slice()].concat()).unwrap(),
            _ => picture.save(path).unwrap(),
        }
    }
    let output = fid(folder, &["png", "mixed", "--features", "pixels-8x8", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["sides"][1]["images"], 36);
    assert_eq!(json["sides"][1]["not_read"].as_array().unwrap().len(), 0);
    let value = json["value"].as_f64().unwrap();
    assert!(value < 1e-4, "{value}");
}

#[test]
fn what_cannot_be_decoded_is_named_counted_and_no_success() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    pictures(&folder.join("a"), 30, 0);
    fs::write(folder.join("a/broken.png"), "no picture").unwrap();
    fs::write(folder.join("a/photo.gif"), "not read").unwrap();
    let output = fid(folder, &["a", "a", "--features", "pixels-8x8", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("1 files cannot be read as images and were left out") && said.contains("broken.png"),
        "{said}"
    );
    assert!(said.contains("such as a/photo.gif"), "{said}");
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["sides"][0]["images"], 30);
    assert!(json["sides"][0]["corrupt"][0]["file"].as_str().unwrap().ends_with("broken.png"));
}

/// Pictures of a folder as ADM's evaluator keeps images, in the order of their names.
fn batch(folder: &Path, path: &Path) {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let bytes: Vec<u8> = names.iter().flat_map(|name| image::open(name).unwrap().to_rgb8().into_raw()).collect();
    let mut archive = ZipWriter::new(fs::File::create(path).unwrap());
    archive.start_file("arr_0.npy", SimpleFileOptions::default()).unwrap();
    let shape = [names.len() as u64, 12, 12, 3];
    let mut array = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut archive).begin_nd().unwrap();
    array.extend(bytes).unwrap();
    array.finish().unwrap();
    archive.finish().unwrap();
}

#[test]
fn a_batch_of_images_is_what_its_images_are() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    pictures(&folder.join("a"), 40, 0);
    pictures(&folder.join("b"), 300, 50);
    batch(&folder.join("b"), &folder.join("b.npz"));
    let value = |arguments: &[&str]| {
        let output = fid(folder, &[arguments, &["--features", "pixels-8x8", "--json"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
        (json["value"].as_f64().unwrap(), json["protocol"].clone())
    };
    assert_eq!(value(&["a", "b.npz"]), value(&["a", "b"]));
    assert_eq!(value(&["a", "b.npz", "--samples", "30"]), value(&["a", "b", "--samples", "30"]));
    let output = fid(folder, &["a", "b.npz", "--features", "digits-cnn"]);
    assert!(stderr(&output).contains("has 12 x 12 pixels, where digits-cnn sees 8 x 8"), "{}", stderr(&output));
    let output = fid(folder, &["b.npz", "a", "--features", "digits-cnn"]);
    assert!(stderr(&output).contains("b.npz: image 0 has 12 x 12 pixels"), "{}", stderr(&output));
    let output = fid(folder, &["a", "b.npz", "--features", "pixels-8x8", "--samples", "301"]);
    assert!(!output.status.success(), "{}", stdout(&output));
    // What is compared is not replaced.
    let before = fs::read(folder.join("b.npz")).unwrap();
    let output = fid(folder, &["a", "b.npz", "--features", "pixels-8x8", "--save", "./b.npz"]);
    assert!(stderr(&output).contains("--save ./b.npz would replace b.npz, which is compared"), "{}", stderr(&output));
    assert!(!output.status.success() && fs::read(folder.join("b.npz")).unwrap() == before);
}

#[test]
fn wrong_inputs_are_refused_in_a_sentence() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    pictures(&folder.join("a"), 3, 0);
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("x.npz"), "no statistics").unwrap();
    let refused = |arguments: &[&str], expected: &str| {
        let output = fid(folder, arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    };
    refused(&["a", "nowhere"], "there is no folder or file nowhere, and no data set of that name");
    refused(&["a", "a"], "hint: fetch them: speedlab data fetch inception-v3");
    refused(&["a", "x.npz", "--features", "pixels-8x8"], "x.npz is no file of statistics");
    let mut archive = ZipWriter::new(fs::File::create(folder.join("floats.npz")).unwrap());
    archive.start_file("arr_0.npy", SimpleFileOptions::default()).unwrap();
    let options = npyz::WriteOptions::new().default_dtype().shape(&[2, 1, 1, 3]);
    let mut array = options.writer(&mut archive).begin_nd().unwrap();
    array.extend([0.5f32; 6]).unwrap();
    array.finish().unwrap();
    archive.finish().unwrap();
    refused(
        &["a", "floats.npz", "--features", "pixels-8x8"],
        "floats.npz: `arr_0` is of type '<f4', and images are bytes",
    );
    refused(&["empty", "a", "--features", "pixels-8x8"], "no images in empty");
    refused(&["a", "a", "--features", "digits-cnn"], "has 12 x 12 pixels, where digits-cnn sees 8 x 8");
    refused(&["a", "a", "--features", "pixels-8x8", "--samples", "4"], "folder a has 3 images, not 4");
    refused(&["a", "a", "--features", "pixels-8x8", "--resize", "clean"], "leave --resize out");
    refused(&["a"], "required arguments were not provided");
    refused(&["a", "digits", "--features", "pixels-8x8"], "feature vectors of");
}

#[test]
fn what_systems_leave_in_folders_changes_no_value_and_a_note_counts_it() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    pictures(&folder.join("clean"), 40, 0);
    pictures(&folder.join("hidden"), 40, 0);
    pictures(&folder.join("other"), 40, 50);
    for name in [".DS_Store", "._0.png", "Thumbs.db", "desktop.ini"] {
        fs::write(folder.join("hidden").join(name), b"\0\x05\x16\x07").unwrap();
    }
    fs::create_dir(folder.join("hidden/__MACOSX")).unwrap();
    fs::write(folder.join("hidden/__MACOSX/._1.png"), b"\0\x05\x16\x07").unwrap();
    let of = |name: &str| fid(folder, &[name, "other", "--features", "pixels-8x8", "--json"]);
    let (clean, hidden) = (of("clean"), of("hidden"));
    let value = |output: &Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();
    assert!(hidden.status.success(), "{}", stderr(&hidden));
    assert_eq!(value(&hidden)["value"], value(&clean)["value"]);
    assert_eq!(value(&hidden)["sides"][0]["passed_over"], 5);
    assert!(
        stderr(&hidden).contains("note: folder hidden: 5 entries were passed over as hidden"),
        "{}",
        stderr(&hidden)
    );
    assert!(!stderr(&clean).contains("passed over"), "{}", stderr(&clean));
}

#[cfg(unix)]
#[test]
fn a_truncated_picture_and_a_pipe_are_left_out_by_name() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    pictures(&folder.join("a"), 40, 0);
    pictures(&folder.join("b"), 40, 50);
    let half = folder.join("a/half.jpg");
    RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, 9])).save(&half).unwrap();
    let whole = fs::read(&half).unwrap();
    fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("a/pipe.png")).status().unwrap().success());
    let output = fid(folder, &["a", "b", "--features", "pixels-8x8", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let corrupt = value["sides"][0]["corrupt"].as_array().unwrap();
    let named = |name: &str, problem: &str| {
        corrupt.iter().any(|file| {
            file["file"].as_str().unwrap().ends_with(name) && file["problem"].as_str().unwrap().contains(problem)
        })
    };
    assert!(corrupt.len() == 2 && value["sides"][0]["images"] == 40);
    assert!(named("half.jpg", "it is truncated") && named("pipe.png", "not a regular file"), "{corrupt:?}");
}

#[test]
fn two_files_of_statistics_need_no_network_and_say_what_they_are_of() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    pictures(&folder.join("a"), 40, 0);
    pictures(&folder.join("b"), 40, 50);
    for (side, file) in [("a", "a.npz"), ("b", "b.npz")] {
        let saved = fid(folder, &[side, "--features", "pixels-8x8", "--save", file]);
        assert!(saved.status.success(), "{}", stderr(&saved));
    }
    let direct = stdout(&fid(folder, &["a", "b", "--features", "pixels-8x8"]));
    let stored = fid(folder, &["a.npz", "b.npz"]);
    assert!(stored.status.success(), "{}", stderr(&stored));
    assert_eq!(stdout(&stored).lines().next(), direct.lines().next());
    assert!(stdout(&stored).contains("protocol  pixels-8x8 resize=none n=unknown,unknown"), "{}", stdout(&stored));
    // Those of a network whose feature vectors have another length were asked for.
    let refused = fid(folder, &["a.npz", "b.npz", "--features", "efficientnet-lite0"]);
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("a.npz has means of 192 values"), "{}", stderr(&refused));
}

#[test]
fn encoders_of_a_users_file_see_folders_and_say_which_they_are() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    pictures(&folder.join("a"), 6, 0);
    pictures(&folder.join("b"), 6, 50);
    let weights = ["dinov2 of its authors", "clip"].map(|name| crate::vit::small_weights(folder, name));
    for (features, weights, network) in
        [("dinov2", &weights[0], "dinov2-vit-128x2-14@"), ("clip", &weights[1], "clip-vit-128x2-14-56@")]
    {
        let with = ["--features", features, "--weights", weights.to_str().unwrap(), "--quiet"];
        let output = fid(folder, &[&["a", "b", "--save", "a.npz", "--json"], with.as_slice()].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let protocol = json["protocol"].as_str().unwrap();
        assert!(protocol.starts_with(network) && protocol.ends_with(" resize=pillow n=6,6"), "{protocol}");
        let direct = json["value"].as_f64().unwrap();
        assert!(direct > 0.0);
        // Kept statistics name the network, and are refused with another's.
        let again = fid(folder, &[&["a.npz", "b", "--json"], with.as_slice()].concat());
        let json: Value = serde_json::from_str(&stdout(&again)).unwrap();
        assert!((json["value"].as_f64().unwrap() / direct - 1.0).abs() < 1e-6, "{}", stderr(&again));
        let stored = fid(folder, &["a.npz", "a.npz", "--json"]);
        let json: Value = serde_json::from_str(&stdout(&stored)).unwrap();
        assert_eq!(json["features"], features, "{}", stderr(&stored));
    }
    let other = fid(folder, &["a", "b", "--features", "clip", "--weights", weights[0].to_str().unwrap()]);
    assert!(
        stderr(&other).contains("holds an encoder of features `dinov2`, and `clip` are asked for"),
        "{}",
        stderr(&other)
    );
    let none = fid(folder, &["a", "b", "--features", "dinov2"]);
    assert!(stderr(&none).contains("features `dinov2` need --weights FILE"), "{}", stderr(&none));
    let resized = fid(folder, &["a", "b", "--features", "dinov2", "--weights", "x", "--resize", "none"]);
    assert!(stderr(&resized).contains("`dinov2` needs images of its own size"), "{}", stderr(&resized));
    fs::write(folder.join("letter.pth"), "not weights at all, but a letter").unwrap();
    let letter = fid(folder, &["a", "b", "--features", "dinov2", "--weights", "letter.pth"]);
    let message = stderr(&letter);
    assert!(message.contains("letter.pth is neither a safetensors file nor one that `torch.save` wrote"), "{message}");
    assert!(message.contains("hint: ") && !letter.status.success(), "{message}");
}
