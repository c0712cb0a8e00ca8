//! The trainer in PyTorch that comes with the program: `trainer: torch`. It has the same networks, initial weights, batches,
//! noises and timesteps as our own (`scripts/torch/check.py` compares the losses).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::checksum::sha256_of_parts;
use crate::process::output_within;

/// The trainer's name in the digests of a run's trainer.
pub const NAME: &str = "torch";
/// Names the Python that has PyTorch, where that is not `python3`.
pub const PYTHON_VARIABLE: &str = "SPEEDLAB_PYTHON";

/// The file that starts the trainer.
const MAIN: &str = "train.py";
/// The first import of PyTorch may compile and read gigabytes.
const IMPORT_PATIENCE: Duration = Duration::from_secs(300);

macro_rules! files {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_bytes!(concat!("../scripts/torch/", $name)))),+] };
}

const FILES: &[(&str, &[u8])] = files![
    "aligned_tokens.py",
    "data.py",
    "diffusion.py",
    "draws.py",
    "evaluation.py",
    "hybrid_loss.py",
    "layers.py",
    "networks.py",
    "ode_samplers.py",
    "optim.py",
    "schedules.py",
    "spec.py",
    "timestep_samplers.py",
    "train.py",
    "trainer.py",
    "transformers.py",
];
const HELPER: (&str, &[u8]) = ("speedlab_run.py", include_bytes!("external/speedlab_run.py"));
const DIGITS: (&str, &[u8]) = ("digits.bin", include_bytes!("data/digits.bin"));
/// What tokens are aligned with.
const DIGITS_CNN: (&str, &[u8]) = ("digits-cnn.safetensors", include_bytes!("evaluate/digits-cnn.safetensors"));

fn files() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().copied().chain([HELPER, DIGITS, DIGITS_CNN])
}

/// The SHA-256 of all of it.
pub fn digest() -> String {
    sha256_of_parts(files())
}

/// Writes it into a folder, which is made; the program to start with Python.
pub fn unpack(folder: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    for (name, content) in files() {
        fs::write(folder.join(name), content)?;
    }
    Ok(folder.join(MAIN))
}

/// The Python that is to have PyTorch.
pub fn python() -> String {
    std::env::var(PYTHON_VARIABLE).ok().filter(|python| !python.is_empty()).unwrap_or_else(|| "python3".to_owned())
}

/// Why this machine cannot train with it; `None` where it can.
pub fn missing() -> Option<String> {
    let python = python();
    let asked = output_within(Command::new(&python).args(["-c", "import numpy, torch"]), IMPORT_PATIENCE);
    let said = match asked {
        Ok(Some(Output { status, .. })) if status.success() => return None,
        Ok(Some(Output { stderr, status, .. })) => {
            let text = String::from_utf8_lossy(&stderr).into_owned();
            text.lines().rev().find(|line| !line.trim().is_empty()).map_or_else(|| status.to_string(), str::to_owned)
        }
        Ok(None) => format!("no answer in {} s", IMPORT_PATIENCE.as_secs()),
        Err(error) => error.to_string(),
    };
    Some(format!("`{python}` cannot import torch and numpy: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_it_is_in_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/torch");
        let mut there: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".py") && name != "check.py")
            .collect();
        there.sort();
        assert_eq!(there, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        assert_eq!(digest().len(), 64);
    }

    #[test]
    fn it_is_unpacked_whole() {
        let temporary = tempfile::tempdir().unwrap();
        let main = unpack(&temporary.path().join("torch")).unwrap();
        assert_eq!(
            fs::read(&main).unwrap(),
            fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/torch/train.py")).unwrap()
        );
        assert!(main.with_file_name("digits.bin").is_file());
        assert!(main.with_file_name("digits-cnn.safetensors").is_file());
    }
}
