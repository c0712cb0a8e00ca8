use std::env;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use super::DataError;
use crate::spec::{Features, Fid};

/// Where fetched sets and decoded images are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder {
    root: PathBuf,
    /// As it was chosen on the command line.
    chosen: Option<PathBuf>,
}

impl DataFolder {
    /// Names the folder where `--data-dir` does not.
    pub const VARIABLE: &str = "SPEEDLAB_DATA";

    /// `chosen`, else what [`Self::VARIABLE`] says, else `speedlab/data` in the platform's folder for caches. Relative
    /// folders are taken as seen from where the program was started.
    pub fn find(chosen: Option<&Path>) -> Result<Self, DataError> {
        let named = env::var_os(Self::VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = match chosen.map(Path::to_owned).or(named) {
            Some(root) => std::path::absolute(&root).map_err(DataError::io("find", &root))?,
            None => {
                let platform = etcetera::choose_base_strategy().map_err(|_| DataError::NoFolder)?;
                platform.cache_dir().join("speedlab").join("data")
            }
        };
        Ok(Self { root, chosen: chosen.map(Path::to_owned) })
    }

    /// `speedlab data fetch mnist` and the like, for this folder.
    pub fn command(&self, verb: &str, name: &str) -> String {
        let option = self.chosen.as_ref().map_or_else(String::new, |path| format!(" --data-dir {}", path.display()));
        format!("speedlab data {verb} {name}{option}")
    }

    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The files of a fetched set.
    pub fn set(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The file of the weights that `features` need; `None` where they come with the program.
    pub fn weights(&self, features: Features) -> Option<PathBuf> {
        let set = super::public_set(features.weights()?).expect("all weights are published");
        Some(self.set(&set.name).join(&set.files[0].name))
    }

    /// The same of what `evaluate.fid` names: fetched, or the user's own file.
    pub fn weights_of(&self, fid: &Fid) -> Option<PathBuf> {
        if fid.features.are_of_file() { Some(PathBuf::from(&fid.weights)) } else { self.weights(fid.features) }
    }

    /// Images as batches are made of them.
    pub fn decoded(&self) -> PathBuf {
        self.root.join("decoded")
    }
}
