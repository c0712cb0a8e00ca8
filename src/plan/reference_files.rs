//! The sums of the files that `reference: file` compares with and of those of `weights`, of measures and of alignment, which are part of a
//! run's id; and whether the folder of pictures that tokens are aligned by is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::finding::Finding;
use crate::checksum::file_digest;
use crate::spec::{FidProtocol, Location, Reference, RunSpec};

/// Fills in the sums of all runs' files. `place`: where a key of the run of a cell is written.
pub fn find_digests(
    specs: &mut [RunSpec],
    place: &dyn Fn(usize, &str) -> Option<Location>,
) -> Result<(), Vec<Finding>> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut folders: BTreeSet<String> = BTreeSet::new();
    for (cell, spec) in specs.iter_mut().enumerate() {
        let evaluate = &mut spec.evaluate;
        let of_fid = std::iter::once(("evaluate.fid", &mut evaluate.fid));
        for (section, fid) in of_fid.chain(evaluate.also.iter_mut().map(|fid| ("evaluate.also", fid))) {
            let at = |key: &str| {
                let at = place(cell, &format!("{section}.{key}")).or_else(|| place(cell, section));
                at.unwrap_or_default()
            };
            for (key, written) in [("reference_sha256", &fid.reference_sha256), ("weights_sha256", &fid.weights_sha256)]
            {
                if !written.is_empty() {
                    let message = format!("`{section}.{key}` is found, not written");
                    return Err(vec![Finding::new(at(key), message).hint("remove it")]);
                }
            }
            let mut digest = |key: &str, path: &str| {
                find_digest(path, &format!("{section}.{key}"), &mut known)
                    .map_err(|finding| vec![Finding { at: at(key), ..finding }])
            };
            if fid.reference == Reference::File {
                fid.reference_sha256 = digest("reference_file", &fid.reference_file)?;
            }
            if !fid.weights.is_empty() {
                fid.weights_sha256 = digest("weights", &fid.weights)?;
            }
        }
        let alignment = &mut spec.auxiliary_losses.alignment;
        let section = "auxiliary_losses.alignment";
        let at = |key: &str| place(cell, &format!("{section}.{key}")).unwrap_or_default();
        if !alignment.weights_sha256.is_empty() {
            let message = format!("`{section}.weights_sha256` is found, not written");
            return Err(vec![Finding::new(at("weights_sha256"), message).hint("remove it")]);
        }
        if !alignment.weights.is_empty() {
            alignment.weights_sha256 = find_digest(&alignment.weights, &format!("{section}.weights"), &mut known)
                .map_err(|finding| vec![Finding { at: at("weights"), ..finding }])?;
        }
        if !alignment.pictures.is_empty() && folders.insert(alignment.pictures.clone()) {
            find_folder(&alignment.pictures, &format!("{section}.pictures"))
                .map_err(|finding| vec![Finding { at: at("pictures"), ..finding }])?;
        }
        if let Some(message) = measured_twice(spec) {
            let at = place(cell, "evaluate.also").unwrap_or_default();
            return Err(vec![Finding::new(at, message).hint("change something in it, or leave it out")]);
        }
    }
    Ok(())
}

/// Says which two entries compare with one content under two names, and are alike otherwise: their values would be recorded twice.
fn measured_twice(spec: &RunSpec) -> Option<String> {
    let mut known: Vec<(String, String)> = Vec::new();
    for (entry, by) in spec.by_each_fid().enumerate() {
        let fid = &by.evaluate.fid;
        if fid.reference == Reference::File {
            let protocol = FidProtocol::of(&by, None, &fid.reference_sha256).to_string();
            if let Some((_, same)) = known.iter().find(|(other, _)| *other == protocol) {
                return Some(format!(
                    "entry {entry} of `evaluate.also` measures as another does: {} and {same} hold the same",
                    fid.reference_file
                ));
            }
            known.push((protocol, fid.reference_file.clone()));
        }
    }
    None
}

const PATHS: &str = "paths are seen from the folder where `speedlab` is started; what is recorded already is shown without it by `speedlab report \
                     results/NAME`";

fn find_folder(path: &str, key: &str) -> Result<(), Finding> {
    if Path::new(path).is_dir() {
        return Ok(());
    }
    Err(Finding::new(Location::default(), format!("`{key}`: there is no folder {path}")).hint(PATHS))
}

fn find_digest(path: &str, key: &str, known: &mut BTreeMap<String, String>) -> Result<String, Finding> {
    if !known.contains_key(path) {
        let digest = file_digest(Path::new(path)).map_err(|source| {
            let message = format!("`{key}`: cannot read {path}: {source}");
            Finding::new(Location::default(), message).hint(PATHS)
        })?;
        known.insert(path.to_owned(), digest);
    }
    Ok(known[path].clone())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::spec::{Features, Fid};

    #[test]
    fn files_are_known_by_what_they_hold_and_sums_are_not_written() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a.npz").display().to_string();
        let with = |fid: Fid| {
            let mut spec = RunSpec::default();
            spec.evaluate.also = vec![fid];
            let mut specs = [spec];
            find_digests(&mut specs, &|_, _| None).map_err(|findings| findings[0].message.clone())?;
            Ok::<_, String>(specs[0].evaluate.also[0].reference_sha256.clone())
        };
        let fid = Fid { reference: Reference::File, reference_file: path.clone(), ..Fid::default() };
        let message = with(fid.clone()).unwrap_err();
        assert!(message.starts_with(&format!("`evaluate.also.reference_file`: cannot read {path}: ")), "{message}");
        fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(with(fid.clone()).unwrap(), expected);
        assert_eq!(with(Fid { reference: Reference::Train, ..fid.clone() }).unwrap(), "");
        // Two names of one content measure one thing, unless something else differs.
        let copy = temporary.path().join("b.npz").display().to_string();
        fs::write(&copy, "abc").unwrap();
        let both = |other: Fid| {
            let mut spec = RunSpec::default();
            spec.evaluate.also = vec![fid.clone(), Fid { reference_file: copy.clone(), ..other }];
            find_digests(&mut [spec], &|_, _| None).map_err(|findings| findings[0].message.clone())
        };
        let twice = format!("entry 2 of `evaluate.also` measures as another does: {copy} and {path} hold the same");
        assert_eq!(both(fid.clone()), Err(twice));
        assert_eq!(both(Fid { samples: 70, ..fid.clone() }), Ok(()));
        let seen = Fid { features: Features::Dinov2, weights: path.clone(), ..Fid::default() };
        let mut spec = RunSpec::default();
        spec.evaluate.fid = seen;
        let mut specs = [spec];
        find_digests(&mut specs, &|_, _| None).map_err(|findings| findings[0].message.clone()).unwrap();
        assert_eq!(specs[0].evaluate.fid.weights_sha256, expected);
        let message = find_digests(&mut specs, &|_, _| None).unwrap_err()[0].message.clone();
        assert_eq!(message, "`evaluate.fid.weights_sha256` is found, not written");
        let mut spec = RunSpec::default();
        spec.auxiliary_losses.alignment.weights = path.clone();
        let mut specs = [spec];
        find_digests(&mut specs, &|_, _| None).map_err(|findings| findings[0].message.clone()).unwrap();
        assert_eq!(specs[0].auxiliary_losses.alignment.weights_sha256, expected);
        let message = find_digests(&mut specs, &|_, _| None).unwrap_err()[0].message.clone();
        assert_eq!(message, "`auxiliary_losses.alignment.weights_sha256` is found, not written");
        specs[0].auxiliary_losses.alignment = Default::default();
        specs[0].evaluate.fid = Fid::default();
        specs[0].auxiliary_losses.alignment.weights = "nowhere.pth".to_owned();
        let message = find_digests(&mut specs, &|_, _| None).unwrap_err()[0].message.clone();
        assert!(message.starts_with("`auxiliary_losses.alignment.weights`: cannot read nowhere.pth: "), "{message}");
        let alignment = &mut specs[0].auxiliary_losses.alignment;
        (alignment.weights, alignment.pictures) = (String::new(), temporary.path().display().to_string());
        assert!(find_digests(&mut specs, &|_, _| None).is_ok());
        // A file is no folder.
        specs[0].auxiliary_losses.alignment.pictures = path.clone();
        let message = find_digests(&mut specs, &|_, _| None).unwrap_err()[0].message.clone();
        assert_eq!(message, format!("`auxiliary_losses.alignment.pictures`: there is no folder {path}"));
        let written = Fid { reference_sha256: "1".to_owned(), ..fid };
        assert_eq!(with(written).unwrap_err(), "`evaluate.also.reference_sha256` is found, not written");
    }
}
