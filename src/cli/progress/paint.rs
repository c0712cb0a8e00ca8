//! Colours on a terminal that wants them.

use std::env;
use std::io::{IsTerminal, stderr};

use clap::ColorChoice;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Paint {
    /// For standard error. `--color` decides; left open, a non-empty `NO_COLOR` (no-color.org) turns colours off.
    pub fn for_stderr(color: ColorChoice) -> Self {
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::choose(color, no_color, stderr().is_terminal())
    }

    pub fn choose(color: ColorChoice, no_color: bool, is_terminal: bool) -> Self {
        Self(match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !no_color,
        })
    }

    pub fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Bold => 1,
            Ink::Dim => 2,
            Ink::Red => 31,
            Ink::Green => 32,
            Ink::Yellow => 33,
            Ink::Cyan => 36,
        };
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_decides_then_no_color_then_the_terminal() {
        let colours = |color, no_color, is_terminal| Paint::choose(color, no_color, is_terminal).0;
        assert!(colours(ColorChoice::Always, true, false));
        assert!(!colours(ColorChoice::Never, false, true));
        assert!(colours(ColorChoice::Auto, false, true));
        assert!(!colours(ColorChoice::Auto, true, true));
        assert!(!colours(ColorChoice::Auto, false, false));
    }
}
