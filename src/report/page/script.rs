//! What makes the page explorable: its script, the data it reads, and the policy under which a browser runs them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::Delivery;
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
    delivery: Delivery,
}

impl Scripts {
    pub fn new(delivery: Delivery) -> Self {
        let begin = match delivery {
            Delivery::File => "start();\n",
            Delivery::Live { .. } => include_str!("script/live.js"),
        };
        let own = format!("(() => {{\n\"use strict\";\n{}\n{begin}}})();\n", PARTS.join("\n"));
        Self { library: format!("/* uPlot {UPLOT_VERSION}\n{UPLOT_LICENSE}*/\n{UPLOT}"), own, delivery }
    }

    /// These two scripts run and no other, no text becomes HTML, and nothing is fetched from anywhere; of a live page, nothing but from its
    /// own server.
    pub fn policy(&self) -> String {
        let connections = match self.delivery {
            Delivery::File => "",
            Delivery::Live { .. } => " connect-src 'self';",
        };
        let hash = |script: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script)));
        format!(
            "default-src 'none';{connections} script-src {} {}; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; \
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
        for delivery in [Delivery::File, Delivery::Live { version: 1 }] {
            let Scripts { library, own, .. } = Scripts::new(delivery);
            for script in [&library, &own] {
                assert!(!script.contains("</script") && !script.contains("<!--"));
                for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                    assert!(!script.contains(way), "{way}");
                }
            }
            for way in ["XMLHttpRequest", "WebSocket", "import(", "localStorage", "http://", "https://"] {
                assert!(!own.contains(way), "{way}");
            }
        }
    }

    #[test]
    fn the_page_of_a_file_asks_nobody_and_a_live_one_its_server_alone() {
        let (file, live) = (Scripts::new(Delivery::File), Scripts::new(Delivery::Live { version: 1 }));
        assert!(!file.own.contains("fetch(") && !file.own.contains("sessionStorage"));
        assert!(!file.policy().contains("connect-src"), "so that default-src holds for it");
        assert_eq!(live.own.matches("fetch(").count(), 1);
        assert!(live.own.contains("fetch(\"state.json\""));
        assert!(live.policy().contains("default-src 'none'; connect-src 'self';"));
    }
}
