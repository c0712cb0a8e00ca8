//! Links from the numbers of a paper's tables to a page that shows what is behind them.

use std::fmt::Write as _;
use std::ops::Range;
use std::str::FromStr;

/// The address of a report's page, as in a link: the numbers of tables lead to `ADDRESS#cell-ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellLinks {
    address: String,
}

/// What a URL may hold beside letters and digits (RFC 3986, sections 2.2 and 2.3), without `#`, and `%` for what is encoded already.
const OF_A_URL: &str = "-._~:/?[]@!$&'()*+,;=%";
/// Of these, what LaTeX or Typst could take for a part of the text around it.
const ENCODED: &str = "~$'()[]";

impl FromStr for CellLinks {
    type Err = String;

    /// Spaces and other characters that a URL does not hold are percent-encoded.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(
                "give the address of the report's page, such as https://example.org/study/report/index.html".to_owned()
            );
        }
        if text.contains('#') {
            return Err("give the address without `#`: `#cell-ID` is put behind it".to_owned());
        }
        let is_encoded =
            |at: usize| text.as_bytes()[at + 1..].iter().take(2).filter(|digit| digit.is_ascii_hexdigit()).count() == 2;
        if let Some(at) = text.match_indices('%').map(|(at, _)| at).find(|at| !is_encoded(*at)) {
            return Err(format!(
                "`{}` is no percent-encoded character; a `%` itself is written %25",
                &text[at..].chars().take(3).collect::<String>()
            ));
        }
        let authority = authority(text)?;
        let mut address = String::new();
        for (at, character) in text.char_indices() {
            // Brackets stand around an IPv6 address.
            let is_of_host = "[]".contains(character) && authority.contains(&at);
            let is_encoded = ENCODED.contains(character) && !is_of_host;
            match (character.is_ascii_alphanumeric() || OF_A_URL.contains(character)) && !is_encoded {
                true => address.push(character),
                false => character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| {
                    write!(address, "%{byte:02X}").expect("a String takes any text");
                }),
            }
        }
        Ok(Self { address })
    }
}

/// Where the host, and what belongs to it, stands in an address that a page can have: of http, https or file, or a path.
fn authority(text: &str) -> Result<Range<usize>, String> {
    // A letter, then letters, digits and `+-.` up to a colon (RFC 3986, section 3.1).
    let is_of_a_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| {
        scheme.starts_with(|letter: char| letter.is_ascii_alphabetic()) && scheme.chars().all(is_of_a_scheme)
    });
    let path = match scheme {
        Some(scheme) => &text[scheme.len() + 1..],
        None => text,
    };
    let is_of_the_web = match scheme.map(str::to_ascii_lowercase).as_deref() {
        Some("http" | "https") => true,
        Some("file") | None => false,
        Some(other) => {
            return Err(format!("`{other}:` leads to no page: give an address of https, http or file, or a path"));
        }
    };
    let begin = text.len() - path.len();
    let authority = path.strip_prefix("//").map(|after| &after[..after.find(['/', '?']).unwrap_or(after.len())]);
    // What stands before `@` is a user, and what follows a colon a port. The host of a file is this machine.
    let host = authority.and_then(|authority| authority.rsplit('@').next()).unwrap_or_default();
    let has_host = !host.is_empty() && !host.starts_with(':') && !host.contains(char::is_whitespace);
    if !has_host && (is_of_the_web || scheme.is_none() && authority.is_some()) {
        return Err(format!("{text:?} names no host, as in https://example.org/study/report/index.html"));
    }
    if path.trim_matches('/').is_empty() {
        return Err(format!("{text:?} names no page, as file:///home/me/study/report/index.html does"));
    }
    Ok(authority.map_or(begin..begin, |authority| begin + 2..begin + 2 + authority.len()))
}

impl CellLinks {
    /// Where the number with this id is shown.
    pub fn of(&self, id: &str) -> String {
        format!("{}#cell-{id}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_only_what_a_url_may() {
        let links = |text: &str| text.parse::<CellLinks>().map(|links| links.of("k3f9qa"));
        assert_eq!(links("https://a.org/b_c/?d=1&e=%20").unwrap(), "https://a.org/b_c/?d=1&e=%20#cell-k3f9qa");
        assert_eq!(links("report/index.html").unwrap(), "report/index.html#cell-k3f9qa");
        assert_eq!(
            links("https://a.org/\\x{y}\"~é z").unwrap(),
            "https://a.org/%5Cx%7By%7D%22%7E%C3%A9%20z#cell-k3f9qa"
        );
        assert_eq!(links("http://[::1]:8000/a[1]").unwrap(), "http://[::1]:8000/a%5B1%5D#cell-k3f9qa");
        assert_eq!(links("file:///home/a b/index.html").unwrap(), "file:///home/a%20b/index.html#cell-k3f9qa");
        assert_eq!(links("../a:b/index.html").unwrap(), "../a:b/index.html#cell-k3f9qa");
        assert!(links("javascript:alert(1)").unwrap_err().contains("`javascript:` leads to no page"));
        for wrong in [
            "JavaScript:x",
            "mailto:a@b.org",
            "data:,x",
            "https:",
            "https:a.org",
            "https:///x",
            "http://:80/",
            "http://u@/x",
        ] {
            assert!(links(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", " ", "file:", "//", "a\nb", "https://a.org/#x", "50%", "%G0", "a%2"] {
            assert!(links(wrong).is_err(), "{wrong}");
        }
    }
}
