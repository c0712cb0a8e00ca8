//! The answer to a request, from the bytes of its head. Pure.

use super::door::{OwnNames, Token};
use super::{Resource, Resources};

/// A head with more headers than this is refused.
const MOST_HEADERS: usize = 64;

/// Who may ask, and for what.
pub struct House {
    pub token: Token,
    pub own_names: OwnNames,
    pub resources: Box<Resources>,
}

/// A status and what goes with it.
#[derive(Debug)]
pub struct Answer {
    status: Status,
    resource: Option<Resource>,
    /// Whether the resource itself is sent, beside how long it is.
    has_body: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Found,
    Malformed,
    Forbidden,
    NotFound,
    OtherMethod,
    Slow,
    TooLong,
    Busy,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Found => "200 OK",
            Self::Malformed => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::OtherMethod => "405 Method Not Allowed",
            Self::Slow => "408 Request Timeout",
            Self::TooLong => "431 Request Header Fields Too Large",
            Self::Busy => "503 Service Unavailable",
        }
    }
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        Self { status, resource: None, has_body: false }
    }
}

impl Answer {
    /// To a head as far as it has come; `None` while it is not whole.
    pub fn to(head: &[u8], house: &House) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => Some(Self::to_request(&request, house)),
            Ok(httparse::Status::Partial) => None,
            Err(httparse::Error::TooManyHeaders) => Some(Status::TooLong.into()),
            Err(_) => Some(Status::Malformed.into()),
        }
    }

    fn to_request(request: &httparse::Request, house: &House) -> Self {
        let (Some(method), Some(target)) = (request.method, request.path) else { return Status::Malformed.into() };
        let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Status::Malformed.into() };
        let is_own = std::str::from_utf8(host.value).is_ok_and(|host| house.own_names.include(host.trim()));
        // Who has no token learns nothing, not even which methods there are.
        let Some(name) = house.token.resource(target).filter(|_| is_own) else { return Status::Forbidden.into() };
        if !matches!(method, "GET" | "HEAD") {
            return Status::OtherMethod.into();
        }
        match (house.resources)(name) {
            Some(resource) => Self { status: Status::Found, resource: Some(resource), has_body: method == "GET" },
            None => Status::NotFound.into(),
        }
    }

    /// The answer's head. Nothing of it is kept by a browser, shown in a frame, or let be read by pages of others.
    pub fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status.line());
        let mut put = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if let Some(resource) = &self.resource {
            put("Content-Type", resource.kind);
        }
        put("Content-Length", &self.resource.as_ref().map_or(0, |resource| resource.body.len()).to_string());
        if self.status == Status::OtherMethod {
            put("Allow", "GET, HEAD");
        }
        put("Connection", "close");
        put("Cache-Control", "no-store");
        put("X-Content-Type-Options", "nosniff");
        put("Referrer-Policy", "no-referrer");
        put("Cross-Origin-Resource-Policy", "same-origin");
        // The page's own policy is in the page.
        put("Content-Security-Policy", "frame-ancestors 'none'");
        head.push_str("\r\n");
        head
    }

    pub fn body(&self) -> &[u8] {
        self.resource.as_ref().filter(|_| self.has_body).map_or(&[], |resource| &resource.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house() -> House {
        let page = |name: &str| {
            let body: &[u8] = match name {
                "" => b"<p>the page</p>",
                "state.json" => b"{}",
                _ => return None,
            };
            Some(Resource { kind: "text/html; charset=utf-8", body: body.into() })
        };
        let own_names = OwnNames { is_loopback: true, names: vec![] };
        House { token: Token::new().unwrap(), own_names, resources: Box::new(page) }
    }

    #[test]
    fn the_page_is_given_to_who_has_the_token_and_nothing_to_anybody_else() {
        let house = house();
        let token = house.token.as_str();
        let ask = |request: String| Answer::to(request.as_bytes(), &house).map(|answer| answer.status);
        let with_host = |line: &str| ask(format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")).unwrap();
        assert_eq!(with_host(&format!("GET /{token}/")), Status::Found);
        assert_eq!(with_host(&format!("HEAD /{token}/state.json")), Status::Found);
        for name in ["index.html", "../plan.json", "..%2fplan.json", "/etc/passwd", "state.json?x=1", "x"] {
            assert_eq!(with_host(&format!("GET /{token}/{name}")), Status::NotFound, "{name}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"] {
            assert_eq!(with_host(&format!("{method} /{token}/")), Status::OtherMethod, "{method}");
            assert_eq!(with_host(&format!("{method} /")), Status::Forbidden, "{method}");
        }
        for target in
            ["/", "/favicon.ico", "/0123456789abcdef0123456789abcdef/", &format!("http://127.0.0.1/{token}/"), "*"]
        {
            assert_eq!(with_host(&format!("GET {target}")), Status::Forbidden, "{target}");
        }
        let foreign = format!("GET /{token}/ HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        assert_eq!(ask(foreign), Some(Status::Forbidden));
        for hosts in ["", "Host: localhost\r\nHost: evil.example\r\n"] {
            assert_eq!(ask(format!("GET /{token}/ HTTP/1.1\r\n{hosts}\r\n")), Some(Status::Malformed), "{hosts}");
        }
        assert_eq!(ask("\u{1}\u{2}\r\n\r\n".into()), Some(Status::Malformed));
        assert_eq!(ask(format!("GET /{token}/ HTTP/1.1\r\nHost: local")), None, "it is not whole yet");
        let headers = "x: y\r\n".repeat(MOST_HEADERS + 1);
        assert_eq!(ask(format!("GET /{token}/ HTTP/1.1\r\n{headers}\r\n")), Some(Status::TooLong));
    }

    #[test]
    fn a_head_has_the_length_of_a_body_and_refusals_have_no_body() {
        let house = house();
        let ask = |request: &str| {
            let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answer = Answer::to(request.as_bytes(), &house).unwrap();
            (answer.head(), answer.body().to_vec())
        };
        let token = house.token.as_str();
        let (head, body) = ask(&format!("GET /{token}/"));
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 15\r\n"),
            "{head}"
        );
        assert!(head.contains("frame-ancestors 'none'") && head.ends_with("\r\n\r\n") && body == b"<p>the page</p>");
        assert!(!head.to_lowercase().contains("access-control"));
        let (same, nothing) = ask(&format!("HEAD /{token}/"));
        assert_eq!((same, nothing.as_slice()), (head, &b""[..]));
        let (refused, nothing) = ask("GET /");
        assert!(
            refused.starts_with("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n") && nothing.is_empty(),
            "{refused}"
        );
    }
}
