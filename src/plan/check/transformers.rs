//! Transformers.

use super::rules::{LARGEST_SIZE, Rules};
use crate::spec::{DitModel, UvitModel};

impl Rules {
    pub fn dit(&mut self, dit: &DitModel, side: usize) {
        let DitModel { patch, dim, depth, heads, mlp_ratio, .. } = *dit;
        // Sines and cosines of rows and columns.
        self.transformer([patch, dim, depth, heads, mlp_ratio], side, 4);
    }

    pub fn uvit(&mut self, uvit: &UvitModel, side: usize) {
        let UvitModel { patch, dim, depth, heads, mlp_ratio, .. } = *uvit;
        // Sines and cosines of the time.
        self.transformer([patch, dim, depth, heads, mlp_ratio], side, 2);
        if depth % 2 == 1 {
            let message = format!("`model.depth`, {depth}, must be even: the first half is joined to the second");
            self.breaks(&["model.depth"], message, None);
        }
    }

    /// `sizes` are patch, dim, depth, heads and mlp_ratio; `dim` must be a multiple of `parts`.
    fn transformer(&mut self, sizes: [usize; 5], side: usize, parts: usize) {
        let before = self.broken.len();
        let paths = ["model.patch", "model.dim", "model.depth", "model.heads", "model.mlp_ratio"];
        let most = [LARGEST_SIZE, 1 << 16, 1024, 1 << 16, 64];
        for ((path, size), most) in paths.into_iter().zip(sizes).zip(most) {
            self.size(path, size as u64, 1, most);
        }
        // What follows divides by these numbers.
        if self.broken.len() > before {
            return;
        }
        let [patch, dim, _, heads, _] = sizes;
        if !side.is_multiple_of(patch) {
            let message = format!("`model.patch`, {patch}, must divide the images' side, {side} pixels");
            self.breaks(&["model.patch", "data"], message, None);
        }
        if dim % heads != 0 {
            let message = format!("`model.heads`, {heads}, must divide `model.dim`, {dim}");
            self.breaks(&["model.heads", "model.dim"], message, None);
        }
        if dim % parts != 0 {
            let message = format!("`model.dim` must be a multiple of {parts}, not {dim}");
            self.breaks(&["model.dim"], message, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plan::check::assert_broken;

    #[test]
    fn every_number_has_its_range() {
        let dit = |key: &str, value: usize| json!({"model": {"kind": "dit", key: value}});
        assert_broken([
            (dit("patch", 3), "`model.patch`, 3, must divide the images' side, 8 pixels"),
            (dit("patch", 8), ""),
            (dit("heads", 0), "`model.heads` must be at least 1, not 0"),
            (dit("depth", 2000), "`model.depth` must be at most 1024, not 2000"),
            (dit("mlp_ratio", 65), "`model.mlp_ratio` must be at most 64, not 65"),
            (dit("heads", 3), "`model.heads`, 3, must divide `model.dim`, 128"),
            (json!({"model": {"kind": "dit", "dim": 30, "heads": 2}}), "`model.dim` must be a multiple of 4, not 30"),
            (json!({"model": {"kind": "uvit", "dim": 31, "heads": 1}}), "`model.dim` must be a multiple of 2, not 31"),
            (
                json!({"model": {"kind": "uvit", "depth": 5}}),
                "`model.depth`, 5, must be even: the first half is joined to the second",
            ),
        ]);
    }
}
