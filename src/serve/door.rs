//! Who is let in: those who know the token, and who ask this server by a name that is its own. Pure but for the token's making.

use std::net::IpAddr;

use subtle::ConstantTimeEq as _;

use super::ServeError;

/// Digits of a token: 128 bits.
const DIGITS: usize = 32;

/// The secret in the address: as hexadecimal digits, from the system's generator of random numbers.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new one.
    pub fn new() -> Result<Self, ServeError> {
        let mut bytes = [0; DIGITS / 2];
        getrandom::fill(&mut bytes)
            .map_err(|error| ServeError::Io { action: "get random numbers from the system", source: error.into() })?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the resource that `target`, the path of a request, asks for; `None` without the token. How long it takes tells nothing
    /// of how much of a wrong token is right.
    pub fn resource<'t>(&self, target: &'t str) -> Option<&'t str> {
        let (given, name) = target.strip_prefix('/')?.split_once('/')?;
        bool::from(given.as_bytes().ct_eq(self.0.as_bytes())).then_some(name)
    }
}

/// The names by which a server may be asked. A page of somebody else's whose name was pointed at this machine (DNS rebinding) asks by that name.
#[derive(Clone, Debug)]
pub struct OwnNames {
    /// Whether nobody but this machine can ask.
    pub is_loopback: bool,
    /// Beside addresses and `localhost`.
    pub names: Vec<String>,
}

impl OwnNames {
    /// Whether the header Host names this server; its port says nothing, since tunnels change it.
    pub fn include(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        match name.parse::<IpAddr>() {
            Ok(address) => !self.is_loopback || address.is_loopback(),
            Err(_) => !self.is_loopback && self.names.iter().any(|own| own.eq_ignore_ascii_case(name)),
        }
    }
}

/// `127.0.0.1` of `127.0.0.1:8080`, `::1` of `[::1]:8080`.
fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.find(':').map_or((host, ""), |colon| host.split_at(colon)),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_random_and_let_through_only_as_a_whole() {
        let (token, other) = (Token::new().unwrap(), Token::new().unwrap());
        assert!(token.as_str().len() == DIGITS && token.as_str().bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert_ne!(token.as_str(), other.as_str());
        let digits = token.as_str();
        assert_eq!(token.resource(&format!("/{digits}/")), Some(""));
        assert_eq!(token.resource(&format!("/{digits}/state.json")), Some("state.json"));
        let wrong = [
            "/".to_owned(),
            format!("/{digits}"),
            format!("{digits}/"),
            format!("//{digits}/"),
            format!("/{}/", &digits[1..]),
            format!("/{digits}0/"),
            format!("/{}/", other.as_str()),
            format!("/{}/", digits.to_uppercase().replace(|digit: char| digit.is_ascii_digit(), "A")),
            format!("/x?{digits}/"),
        ];
        for target in wrong {
            assert_eq!(token.resource(&target), None, "{target}");
        }
    }

    #[test]
    fn a_server_answers_to_its_own_names_alone() {
        let own = OwnNames { is_loopback: true, names: vec!["lab".into()] };
        for host in ["127.0.0.1:8080", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8080", "[::1]"] {
            assert!(own.include(host), "{host}");
        }
        let foreign = [
            "",
            "evil.example",
            "evil.example:8080",
            "lab",
            "10.0.0.7:8080",
            "localhost.evil.example",
            "[::1",
            "127.0.0.1:x",
            "127.0.0.1:80:80",
        ];
        for host in foreign {
            assert!(!own.include(host), "{host}");
        }
        let open = OwnNames { is_loopback: false, names: vec!["lab".into()] };
        for host in ["10.0.0.7:8080", "lab:8080", "Lab", "[2001:db8::1]:80", "localhost"] {
            assert!(open.include(host), "{host}");
        }
        for host in ["evil.example", "lab.evil.example"] {
            assert!(!open.include(host), "{host}");
        }
    }
}
