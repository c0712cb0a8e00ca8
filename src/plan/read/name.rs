//! What a sweep and its arms may be called.

use super::reader::Reader;
use crate::plan::finding::Finding;
use crate::spec::{Entry, Location, Placed};

pub(super) const SAFE_NAME: &str =
    "use letters, digits, `-`, `_`, `+` and `.`, begin with a letter or digit, and use no more than 64";

/// Whether a name can be a folder, and be typed on a command line without quotes.
pub(super) fn is_safe_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.ends_with('.')
}

impl Reader {
    pub(super) fn name(&mut self, entry: Option<&Entry>, default: &str) -> Placed<String> {
        let Some(entry) = entry else {
            if !is_safe_name(default) {
                let message = format!("the file's name cannot name the sweep's results: `{default}`");
                self.findings.push(Finding::new(Location::default(), message).hint("give the sweep a `name`"));
            }
            return Placed { at: Location::default(), value: default.to_owned() };
        };
        let at = entry.value.at;
        let value: String = self.decode("name", &entry.value).unwrap_or_else(|| "unreadable".to_owned());
        if !is_safe_name(&value) {
            let message = format!("`name` names the folder of the results, which cannot be `{value}`");
            self.findings.push(Finding::new(at, message).hint(SAFE_NAME));
        }
        Placed { at, value }
    }
}
