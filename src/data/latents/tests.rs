use std::path::Path;

use super::*;
use crate::data::batch_pixels;
use crate::random::{Draws, Stream};

fn folders() -> (tempfile::TempDir, DataFolder) {
    let folder = tempfile::tempdir().unwrap();
    let data_folder = DataFolder::find(Some(&folder.path().join("data"))).unwrap();
    (folder, data_folder)
}

/// Latents of 2x2x2, each number told by its place.
fn settings(path: &Path) -> LatentsData {
    LatentsData {
        path: path.to_str().unwrap().to_owned(),
        side: 2,
        channels: 2,
        scale: 0.5,
        held_out: 1,
        ..LatentsData::default()
    }
}

fn numbers(images: usize, first: usize) -> Vec<f32> {
    (0..8 * images).map(|index| (8 * first + index) as f32 / 4.0 - 3.0).collect()
}

fn write(path: &Path, values: &[f32], flipped: &[f32], labels: &[u16]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let shard = LatentShard { name: "latents", shape: [2, 2, 2], values, flipped, labels: Some(labels), pictures: &[] };
    write_latents(path, &shard).unwrap();
}

/// A NumPy file of this header and these bytes.
fn write_npy(path: &Path, descr: &str, shape: &str, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    header.extend(std::iter::repeat_n(' ', 118 - header.len() - 1));
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    fs::write(path, file).unwrap();
}

fn load_quietly(data: &LatentsData, folder: &DataFolder) -> Result<Dataset, DataError> {
    load(data, folder, &mut |_| {})
}

#[test]
fn shards_are_one_set_whose_held_out_latents_are_evenly_spread_and_all_are_scaled() {
    let (folder, data_folder) = folders();
    let root = folder.path().join("latents");
    write(&root.join("a.safetensors"), &numbers(4, 0), &[], &[0, 1, 2, 0]);
    write(&root.join("b.safetensors"), &numbers(2, 4), &[], &[1, 2]);
    let data = LatentsData { classes: 3, held_out: 2, ..settings(&root) };
    assert_eq!(check(&data).unwrap(), Checked { note: None, train: 4 });
    let Dataset { train, test, sha256, .. } = load_quietly(&data, &data_folder).unwrap();
    assert_eq!((train.len(), test.len(), train.channels, train.side), (4, 2, 2, 2));
    assert!(train.are_latents());
    let halved = |first| numbers(1, first).iter().map(|value| value / 2.0).collect::<Vec<f32>>();
    assert_eq!(train.pixels(0..4), [0, 1, 3, 4].map(halved).concat());
    assert_eq!(test.pixels(0..2), [2, 5].map(halved).concat());
    assert_eq!((&*train.labels, &*test.labels), (&[0, 1, 0, 1][..], &[2, 2][..]));
    assert_eq!(batch_pixels(&train, &[3, 0], false, 1, 7), [4, 0].map(halved).concat());

    // The sums are kept, and are of values and scale.
    let again = load(&data, &data_folder, &mut |_| panic!("they were summed before")).unwrap();
    assert_eq!((&again.sha256, &again.train.sha256), (&sha256, &train.sha256));
    let other = LatentsData { scale: 0.25, ..data.clone() };
    assert_ne!(load_quietly(&other, &data_folder).unwrap().train.sha256, train.sha256);
    write(&root.join("b.safetensors"), &numbers(2, 5), &[], &[1, 2]);
    let changed = load_quietly(&data, &data_folder).unwrap();
    assert!(changed.train.sha256 != train.sha256 && changed.sha256 != sha256);
}

#[test]
fn held_out_latents_may_lie_elsewhere_and_numpy_files_are_read_too() {
    let (folder, data_folder) = folders();
    let (root, other) = (folder.path().join("train.npy"), folder.path().join("test"));
    let halves = |values: &[f32]| -> Vec<u8> {
        values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect()
    };
    write_npy(&root, "<f2", "(3, 2, 2, 2)", &halves(&numbers(3, 0)));
    write_npy(&folder.path().join("train.labels.npy"), "<i4", "(3,)", &[1i32, 0, 1].map(i32::to_le_bytes).concat());
    let whole: Vec<u8> = numbers(2, 9).iter().flat_map(|value| value.to_le_bytes()).collect();
    write_npy(&other.join("x.npy"), "<f4", "(2, 2, 2, 2)", &whole);
    write_npy(&other.join("x.labels.npy"), "|u1", "(2, 1)", &[0, 1]);
    let held_out_path = other.to_str().unwrap().to_owned();
    let data = LatentsData { classes: 2, held_out: 2, held_out_path, scale: 1.0, ..settings(&root) };
    check(&data).unwrap();
    let Dataset { train, test, .. } = load_quietly(&data, &data_folder).unwrap();
    assert_eq!((train.pixels(0..3), test.pixels(0..2)), (numbers(3, 0), numbers(2, 9)));
    assert_eq!((&*train.labels, &*test.labels), (&[1, 0, 1][..], &[0, 1][..]));
    let refused = check(&LatentsData { held_out: 3, ..data }).unwrap_err().to_string();
    assert!(refused.contains("has 2 latents, and `data.held_out` is 3"), "{refused}");
}

#[test]
fn a_mirrored_image_has_a_latent_of_its_own() {
    let (folder, data_folder) = folders();
    let root = folder.path().join("latents");
    let (plain, mirrored) = (numbers(6, 0), numbers(6, 100));
    write(&root.join("a.safetensors"), &plain, &mirrored, &[0; 6]);
    let data = LatentsData { horizontal_flips: true, scale: 1.0, ..settings(&root) };
    let Dataset { train, .. } = load_quietly(&data, &data_folder).unwrap();
    assert_eq!(train.image(1), plain[8..16]);
    let indices = vec![1; 400];
    let batch = batch_pixels(&train, &indices, true, 3, 0);
    let flipped = batch.chunks_exact(8).filter(|latent| *latent == &mirrored[8..16]).count();
    assert!(batch.chunks_exact(8).all(|latent| latent == &plain[8..16] || latent == &mirrored[8..16]));
    // Five standard deviations of 400 throws are 50.
    assert!(flipped.abs_diff(200) < 50, "{flipped}");

    write(&root.join("a.safetensors"), &plain, &[], &[0; 6]);
    let refused = check(&data).unwrap_err().to_string();
    assert!(refused.starts_with("`data.horizontal_flips`: ") && refused.contains("--flips"), "{refused}");
}

#[test]
fn sums_are_of_labels_and_mirrored_images_where_these_are_read() {
    let (folder, data_folder) = folders();
    let root = folder.path().join("latents");
    let sums = |data: &LatentsData, mirrored: usize, labels: &[u16]| {
        write(&root.join("a.safetensors"), &numbers(4, 0), &numbers(4, mirrored), labels);
        let dataset = load_quietly(data, &data_folder).unwrap();
        (dataset.train.sha256.clone(), dataset.content_sha256())
    };
    let plain = settings(&root);
    let first = sums(&plain, 100, &[0, 1, 0, 1]);
    assert_eq!(sums(&plain, 200, &[1, 1, 0, 1]), first, "neither is read");
    let classes = LatentsData { classes: 2, ..plain.clone() };
    let (of_0, of_1) = (sums(&classes, 100, &[0, 1, 0, 1]), sums(&classes, 100, &[1, 1, 0, 1]));
    assert!(of_0.0 != of_1.0 && of_0.1 != of_1.1);
    let flips = LatentsData { horizontal_flips: true, ..plain };
    let (of_100, of_200) = (sums(&flips, 100, &[0; 4]), sums(&flips, 200, &[0; 4]));
    assert!(of_100.0 != of_200.0 && of_100.1 != of_200.1 && of_100.0 != first.0);
}

#[test]
fn latents_that_are_trained_on_are_not_held_out() {
    let (folder, _) = folders();
    let root = folder.path().join("latents");
    write(&root.join("a.safetensors"), &numbers(4, 0), &[], &[0; 4]);
    let same = folder.path().join("other/../latents/a.safetensors");
    std::fs::create_dir(folder.path().join("other")).unwrap();
    let data = LatentsData { held_out_path: same.display().to_string(), ..settings(&root) };
    let refused = check(&data).unwrap_err().to_string();
    assert!(
        refused.starts_with("`data.held_out_path`: ") && refused.contains("is a file of `data.path` too\nhint: "),
        "{refused}"
    );
}

#[test]
fn moments_are_drawn_from_anew_each_time_they_are_trained_on() {
    let (folder, data_folder) = folders();
    let root = folder.path().join("latents");
    std::fs::create_dir_all(&root).unwrap();
    // Means of 1 and deviations of 2, but for an image without any deviation.
    let log_variance = 2.0 * 2f32.ln();
    let mut values = [vec![1.0; 8], vec![log_variance; 8]].concat().repeat(5);
    values[8..16].fill(-200.0);
    let labels = Some(&[0; 5][..]);
    let shard = LatentShard { name: "moments", shape: [4, 2, 2], values: &values, flipped: &[], labels, pictures: &[] };
    write_latents(&root.join("a.safetensors"), &shard).unwrap();
    let data = LatentsData { moments: true, scale: 0.5, ..settings(&root) };
    let Dataset { train, .. } = load_quietly(&data, &data_folder).unwrap();
    let almost = |value: &f32| (value - 0.5).abs() < 1e-5;
    assert!(train.image(0).iter().all(almost));
    let indices: Vec<u32> = vec![1; 2000];
    let batch = batch_pixels(&train, &indices, false, 3, 5);
    let mut draws = Draws::new(3, Stream::Posterior, (5 << 20) | 7);
    let mut noise = [0.0; 8];
    draws.fill_normal(&mut noise);
    let expected = noise.map(|noise| 0.5 * (1.0 + log_variance.mul_add(0.5, 0.0).exp() * noise));
    assert_eq!(batch[7 * 8..8 * 8], expected);
    assert!((deviation(&batch) - 1.0).abs() < 0.05, "{}", deviation(&batch));
    assert_eq!(batch, batch_pixels(&train, &indices, false, 3, 5));
    assert_ne!(batch, batch_pixels(&train, &indices, false, 3, 6));
    assert_ne!(batch, batch_pixels(&train, &indices, false, 4, 5));
    // Everywhere else it is one latent.
    assert_eq!(train.image(1), train.image(1));
    assert_ne!(train.image(1), train.image(2));
}

#[test]
fn files_that_are_not_as_the_settings_say_are_refused_with_their_name_and_the_cure() {
    let (folder, data_folder) = folders();
    let root = folder.path().join("latents");
    let file = root.join("a.safetensors");
    let refused = |data: &LatentsData| {
        let error = load_quietly(data, &data_folder).unwrap_err();
        assert!(error.is_absence());
        let text = error.to_string();
        assert!(text.starts_with("`data.") && text.contains("\nhint: "), "{text}");
        text
    };
    let contains = |data: &LatentsData, expected: &str| {
        let text = refused(data);
        assert!(text.contains(expected), "{text}\nlacks: {expected}");
    };
    let data = settings(&root);
    contains(&data, "there is no file or folder ");
    std::fs::create_dir_all(&root).unwrap();
    contains(
        &data,
        "holds neither .safetensors nor .npy files\nhint: name the folder of the shards, or make them: speedlab data encode",
    );
    write(&file, &numbers(3, 0), &[], &[0, 1, 2]);
    contains(&LatentsData { held_out: 3, ..data.clone() }, "has 3 latents, of which 3 would be held out");
    contains(
        &LatentsData { side: 4, ..data.clone() },
        "a.safetensors has the latents of shape [3, 2, 2, 2], and [n, 2, 4, 4] is wanted\nhint: set `data.channels` and `data.side` to theirs: 2 and 2",
    );
    contains(
        &LatentsData { channels: 1, ..data.clone() },
        "if these are means and log-variances, set `data.moments: true`",
    );
    contains(
        &LatentsData { moments: true, ..data.clone() },
        "has no tensor `moments`\nhint: it has `latents`: set `data.moments: false`",
    );
    contains(
        &LatentsData { classes: 2, ..data.clone() },
        "a.safetensors has class 2 at latent 2, and `data.classes` is 2",
    );

    let whole = std::fs::read(&file).unwrap();
    for length in [0, 7, 40, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        contains(&data, "a.safetensors is no whole safetensors file: ");
    }
    let mut values = numbers(3, 0);
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        values[17] = value;
        write(&file, &values, &[], &[0; 3]);
        contains(&data, &format!("a.safetensors holds {word} in latent 2\nhint: encode that file again"));
    }
    write(&file, &numbers(3, 0), &values, &[0; 3]);
    contains(&LatentsData { horizontal_flips: true, ..data.clone() }, "holds inf in latent 2");
    std::fs::remove_file(&file).unwrap();

    let npy = root.join("b.npy");
    let bytes: Vec<u8> = numbers(3, 0).iter().flat_map(|value| value.to_le_bytes()).collect();
    write_npy(&npy, "<f4", "(3, 2, 2, 2)", &bytes[..bytes.len() - 4]);
    contains(&data, "b.npy has 220 bytes, and its header asks for 224\nhint: it may be truncated");
    write_npy(&npy, "<f8", "(3, 2, 2, 2)", &bytes);
    contains(&data, "b.npy is of type <f8\nhint: store float32 or float16");
    std::fs::write(&npy, "no array").unwrap();
    contains(&data, "b.npy is no NumPy array: ");
    write_npy(&npy, "<f4", "(3, 2, 2, 2)", &bytes);
    let classes = LatentsData { classes: 3, ..data.clone() };
    contains(&classes, "b.labels.npy, and `data.classes` is 3\nhint: store a class for each latent");
    write_npy(&root.join("b.labels.npy"), "|u1", "(2,)", &[0, 1]);
    contains(&classes, "b.npy has 3 latents, and file ");
    write_npy(&root.join("b.labels.npy"), "<f4", "(3,)", &[0; 12]);
    contains(&classes, "b.labels.npy is of type <f4\nhint: store an array of whole numbers");
    write(&file, &numbers(3, 0), &[], &[0; 3]);
    contains(&data, "holds both .safetensors and .npy files");
}

#[test]
fn an_unusual_spread_is_noted_and_a_half_encoded_folder_is_refused() {
    let (folder, data_folder) = folders();
    let root = folder.path().join("latents");
    write(&root.join("a.safetensors"), &numbers(3, 0), &[], &[0; 3]);
    let note = check(&LatentsData { scale: 0.01, ..settings(&root) }).unwrap().note.unwrap();
    assert!(note.contains("have standard deviation 0.01"), "{note}");
    let encoded = Encoded {
        data: "pictures".to_owned(),
        source: String::new(),
        vae_sha256: String::new(),
        channels: 2,
        side: 2,
        take: "mean".to_owned(),
        seed: 0,
        flips: false,
        images_per_shard: 3,
    };
    let shard = EncodedShard { name: "a.safetensors".to_owned(), sha256: String::new(), sum: 48.0, squares: 120.0 };
    let mut manifest = LatentsManifest { version: 1, encoded, images: 7, shards: vec![shard], complete: false };
    manifest.write(&root).unwrap();
    let refused = check(&settings(&root)).unwrap_err().to_string();
    assert!(refused.contains("has 1 of 3 shards: encoding was stopped\nhint: give the same"), "{refused}");
    manifest.complete = true;
    manifest.write(&root).unwrap();
    check(&settings(&root)).unwrap();
    let contains = |expected: &str| {
        let refused = load_quietly(&settings(&root), &data_folder).unwrap_err().to_string();
        assert!(refused.starts_with("`data.path`: ") && refused.contains(expected), "{refused}\nlacks: {expected}");
    };
    contains("a.safetensors is not as it was encoded: encoded.json there has another sha256\nhint: give the same");
    manifest.shards[0].sha256 = crate::checksum::file_digest(&root.join("a.safetensors")).unwrap();
    manifest.write(&root).unwrap();
    load_quietly(&settings(&root), &data_folder).unwrap();
    write(&root.join("b.safetensors"), &numbers(3, 0), &[], &[0; 3]);
    contains("holds b.safetensors, which encoded.json there does not name\nhint: move that file");
    std::fs::rename(root.join("b.safetensors"), root.join("a.safetensors.old")).unwrap();
    std::fs::rename(root.join("a.safetensors"), root.join("c.safetensors")).unwrap();
    contains("lacks a.safetensors, which encoded.json there names\nhint: give the same");
    std::fs::rename(root.join("c.safetensors"), root.join("a.safetensors")).unwrap();
    // 24 numbers: mean 2, mean square 5.
    assert_eq!(manifest.deviation(), 1.0);
    std::fs::write(root.join("encoded.json"), "{}").unwrap();
    assert!(check(&settings(&root)).unwrap_err().to_string().contains("encoded.json cannot be read: "));
}
