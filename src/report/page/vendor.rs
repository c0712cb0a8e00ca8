//! uPlot, which draws the figures that react: its files as published, in `vendor/uplot`.

/// The version of the npm package `uplot`.
pub const UPLOT_VERSION: &str = "1.6.32";
pub const UPLOT: &str = include_str!("vendor/uplot/uPlot.iife.min.js");
pub const UPLOT_STYLE: &str = include_str!("vendor/uplot/uPlot.min.css");
pub const UPLOT_LICENSE: &str = include_str!("vendor/uplot/LICENSE");

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_files_are_those_that_were_published() {
        for (text, published) in [
            (UPLOT, "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"),
            (UPLOT_STYLE, "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
            (UPLOT_LICENSE, "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"),
        ] {
            let sum: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sum, published);
        }
        let readme = include_str!("vendor/uplot/README.md");
        assert!(readme.contains(UPLOT_VERSION) && UPLOT.contains("uPlot"));
    }
}
