//! What makes the page explorable: its script, the data it reads, and the policy under which a browser runs them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::vendor::{UPLOT, UPLOT_LICENSE, UPLOT_VERSION};
use crate::report::explore::{Explore, embedded};

/// In the order in which they use each other.
const PARTS: [&str; 10] = [
    include_str!("script/dom.js"),
    include_str!("script/curves.js"),
    include_str!("script/speedup.js"),
    include_str!("script/theme.js"),
    include_str!("script/figure.js"),
    include_str!("script/target.js"),
    include_str!("script/panel.js"),
    include_str!("script/tables.js"),
    include_str!("script/samples.js"),
    include_str!("script/main.js"),
];

/// The page's scripts: the library with its licence, and our own.
pub struct Scripts {
    library: String,
    own: String,
}

impl Scripts {
    pub fn new() -> Self {
        let own = format!("(() => {{\n\"use strict\";\n{}}})();\n", PARTS.join("\n"));
        Self { library: format!("/* uPlot {UPLOT_VERSION}\n{UPLOT_LICENSE}*/\n{UPLOT}"), own }
    }

    /// Nothing is fetched from anywhere, these two scripts run and no other, and no text becomes HTML.
    pub fn policy(&self) -> String {
        let hash = |script: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script)));
        format!(
            "default-src 'none'; script-src {} {}; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; \
             form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
            hash(&self.library),
            hash(&self.own)
        )
    }

    /// At the end of the page: the study, then the scripts that read it.
    pub fn elements(&self, explore: &Explore) -> Markup {
        html! {
            script type="application/json" id="study" { (PreEscaped(embedded(explore))) }
            script { (PreEscaped(&self.library)) }
            script { (PreEscaped(&self.own)) }
        }
    }
}

/// Where the script puts the figures; a reader without scripts sees nothing of it.
pub fn place(explore: &Explore) -> Markup {
    html! {
        section id="explore" class="explore" hidden {
            h2 { "Explore the curves" }
            @if let Some(left_out) = &explore.left_out { p.note { (left_out) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_ends_early_or_writes_html() {
        let Scripts { library, own } = Scripts::new();
        for script in [&library, &own] {
            assert!(!script.contains("</script") && !script.contains("<!--"));
            for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!script.contains(way), "{way}");
            }
        }
        for way in ["fetch(", "XMLHttpRequest", "import(", "localStorage", "http://", "https://"] {
            assert!(!own.contains(way), "{way}");
        }
    }
}
