//! A sweep as written: patches and axes, before anything is merged.
