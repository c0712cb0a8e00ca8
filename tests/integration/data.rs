//! Sets fetched from a server of the test's own, and images decoded as other programs decode them.

mod fetch;
mod offline;
mod server;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use speedlab::data::{decode_image, decode_rgb};

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

/// Cut after every byte: a beginning is refused, or it is the whole image. Pillow refuses those too: see
/// scripts/golden/truncated_images.py.
#[test]
fn a_truncated_image_of_any_kind_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/truncated");
    let golden: Value = serde_json::from_slice(&fs::read(folder.join("truncated.json")).unwrap()).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let needed = golden["needed"].as_object().unwrap();
    assert_eq!(needed.len(), 10);
    for (name, needed) in needed {
        let whole = fs::read(folder.join(name)).unwrap();
        let expected = decode_rgb(&folder.join(name)).unwrap();
        let cut = temporary.path().join(name);
        for length in 0..whole.len() {
            fs::write(&cut, &whole[..length]).unwrap();
            match decode_rgb(&cut) {
                Err(error) => assert!(error.to_string().contains(name), "{error}"),
                Ok(found) => {
                    let enough = length >= needed.as_u64().unwrap() as usize;
                    assert!(enough && found == expected, "{name} cut to {length} of {} bytes", whole.len());
                }
            }
        }
    }
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
