//! Links from the numbers of a paper's tables to a page that shows what is behind them.

use std::fmt::Write as _;
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
        if text.is_empty() || text.chars().any(char::is_control) {
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
        let mut address = String::new();
        for character in text.chars() {
            match (character.is_ascii_alphanumeric() || OF_A_URL.contains(character)) && !ENCODED.contains(character) {
                true => address.push(character),
                false => character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| {
                    write!(address, "%{byte:02X}").expect("a String takes any text");
                }),
            }
        }
        Ok(Self { address })
    }
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
        for wrong in ["", "a\nb", "https://a.org/#x", "50%", "%G0", "a%2"] {
            assert!(links(wrong).is_err(), "{wrong}");
        }
    }
}
