//! Kernels that were compiled for a GPU, and which of them were fastest: kept for later processes.
//!
//! Every run is a process. Without this cache each process would compile and try some hundred kernels again before its first
//! step.

use std::path::PathBuf;

use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig as _};
use etcetera::BaseStrategy as _;

/// Has burn keep them. It comes before the first device is opened; later calls change nothing.
///
/// A `cubecl.toml` or `burn.toml` in the current folder or above it still holds, as do burn's own variables.
pub fn keep_kernels() {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.compilation.cache = true;
    // By default burn would look for a folder with a Cargo.toml, which a program that is used elsewhere has not.
    if let (CacheConfig::Target, Some(folder)) = (&config.environment.path, folder()) {
        config.environment.path = CacheConfig::Directory(folder);
    }
    CubeClRuntimeConfig::try_set(config);
}

fn folder() -> Option<PathBuf> {
    match std::env::var_os(super::KERNELS_VARIABLE).filter(|value| !value.is_empty()) {
        Some(folder) => std::path::absolute(folder).ok(),
        None => Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("speedlab").join("kernels")),
    }
}
