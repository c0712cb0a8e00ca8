//! The socket: few connections at a time, each with a thread and a deadline of its own.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::answer::{Answer, House, Status};
use super::door::{OwnNames, Token};
use super::{Resources, ServeError};

/// A request's head is no longer than this.
const MOST_HEAD: usize = 8 * 1024;
/// Connections that are open at a time; another is told to come again.
const MOST_CONNECTIONS: usize = 32;
/// A request has to be whole after this time, and an answer to be taken.
const REQUEST_TIME: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// What a client still sends after its answer is read for so long, so that it sees the answer.
const FAREWELL_TIME: Duration = Duration::from_millis(500);
const PIECE: usize = 64 * 1024;
const STACK_BYTES: usize = 256 * 1024;

/// A port that is taken, and not yet answered on.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    /// As it was given.
    host: String,
}

impl Listener {
    /// Takes `port` of `host`; 0 takes a free one.
    pub fn bind(host: &str, port: u16) -> Result<Self, ServeError> {
        let listener = TcpListener::bind((host, port)).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => ServeError::PortTaken { host: host.to_owned(), port },
            ErrorKind::PermissionDenied => ServeError::PortForbidden { port },
            _ => ServeError::NoSuchHost { host: host.to_owned(), reason: error.to_string() },
        })?;
        let address = listener
            .local_addr()
            .map_err(|source| ServeError::Io { action: "tell the port that was taken", source })?;
        Ok(Self { listener, address, host: host.to_owned() })
    }

    /// Whether nobody but this machine can ask.
    pub fn is_loopback(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on. `machine` is this machine's name, by which others may ask for it.
    pub fn serve(self, machine: &str, resources: Box<Resources>) -> Result<Server, ServeError> {
        let token = Token::new()?;
        // Every address stands for this machine's own, too.
        let shown = match self.address.ip().is_unspecified() {
            true => SocketAddr::from(([127, 0, 0, 1], self.address.port())),
            false => self.address,
        };
        let url = format!("http://{shown}/{}/", token.as_str());
        let own_names = OwnNames { is_loopback: self.is_loopback(), names: vec![self.host, machine.to_owned()] };
        let house = Arc::new(House { token, own_names, resources });
        let has_ended = Arc::new(AtomicBool::new(false));
        let open = Arc::new(AtomicUsize::new(0));
        let (ends, connections) = (has_ended.clone(), open.clone());
        let thread = thread::Builder::new()
            .name("server".to_owned())
            .spawn(move || accept(&self.listener, &house, &ends, &connections))
            .map_err(|source| ServeError::Io { action: "start a thread", source })?;
        Ok(Server { url, wake: shown, has_ended, open, thread: Some(thread) })
    }
}

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    url: String,
    wake: SocketAddr,
    has_ended: Arc<AtomicBool>,
    /// Connections.
    open: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// The page's address, with the token.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until everybody who asked has the answer, for at most so long.
    pub fn wait_for_answers(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while self.open.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::SeqCst);
        // It waits for a connection. If none can be made it ends with the process.
        if TcpStream::connect_timeout(&self.wake, Duration::from_secs(1)).is_ok()
            && let Some(thread) = self.thread.take()
        {
            thread.join().expect("the server's loop does not panic");
        }
    }
}

fn accept(listener: &TcpListener, house: &Arc<House>, has_ended: &AtomicBool, open: &Arc<AtomicUsize>) {
    for stream in listener.incoming() {
        if has_ended.load(Ordering::SeqCst) {
            return;
        }
        // The client is gone, or this process has no file left to open: it may have in a moment.
        let Ok(stream) = stream else {
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        let place = Place::take(open);
        if place.number >= MOST_CONNECTIONS {
            // Sent without a wait: the system has room for so little.
            let _ = (&stream).write_all(Answer::from(Status::Busy).head().as_bytes()); // a client that is gone
            continue;
        }
        let house = house.clone();
        let talk = move || {
            let _place = place;
            // A client that is slow or gone has no answer: nobody is left to tell.
            let _ = talk(stream, &house);
        };
        // Without a thread the connection is closed, as if it were one too many.
        let _ = thread::Builder::new().name("connection".to_owned()).stack_size(STACK_BYTES).spawn(talk);
    }
}

/// One of the open connections.
struct Place {
    open: Arc<AtomicUsize>,
    /// How many were there before.
    number: usize,
}

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        Self { number: open.fetch_add(1, Ordering::SeqCst), open: open.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn talk(mut stream: TcpStream, house: &House) -> io::Result<()> {
    let answer = listen(&mut stream, house)?;
    let until = Instant::now() + ANSWER_TIME;
    let head = answer.head();
    for piece in std::iter::once(head.as_bytes()).chain(answer.body().chunks(PIECE)) {
        stream.set_write_timeout(Some(left(until)?))?;
        stream.write_all(piece)?;
    }
    stream.shutdown(Shutdown::Write)?;
    // A connection that is closed before all that came was read is reset, and the answer lost.
    let until = Instant::now() + FAREWELL_TIME;
    let mut rest = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(until)?))?;
        if stream.read(&mut rest)? == 0 {
            return Ok(());
        }
    }
}

/// Reads a request's head, and has its answer.
fn listen(stream: &mut TcpStream, house: &House) -> io::Result<Answer> {
    let until = Instant::now() + REQUEST_TIME;
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let Ok(left) = left(until) else { return Ok(Status::Slow.into()) };
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => head.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(Status::Slow.into());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if let Some(answer) = Answer::to(&head, house) {
            return Ok(answer);
        }
        if head.len() >= MOST_HEAD {
            return Ok(Status::TooLong.into());
        }
    }
}

/// The time until then, which is not nothing.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::super::Resource;
    use super::*;

    fn server() -> Server {
        let resources =
            |name: &str| (name.is_empty()).then(|| Resource { kind: "text/plain", body: vec![b'x'; 300_000].into() });
        Listener::bind("127.0.0.1", 0).unwrap().serve("lab", Box::new(resources)).unwrap()
    }

    fn connect(server: &Server) -> TcpStream {
        let stream = TcpStream::connect(server.wake).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    fn ask(server: &Server, path: &str) -> String {
        let mut stream = connect(server);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn path(server: &Server) -> &str {
        server.url().strip_prefix("http://").and_then(|rest| rest.find('/').map(|slash| &rest[slash..])).unwrap()
    }

    #[test]
    fn a_long_page_arrives_whole_and_the_server_ends_when_it_is_dropped() {
        let server = server();
        let answer = ask(&server, path(&server));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{}", &answer[..100]);
        assert_eq!(answer.split("\r\n\r\n").nth(1).unwrap().len(), 300_000);
        assert!(ask(&server, "/").starts_with("HTTP/1.1 403 "));
        let address = server.wake;
        drop(server);
        assert!(TcpStream::connect(address).is_err(), "somebody still listens");
    }

    #[test]
    fn a_port_that_is_taken_and_an_address_of_another_machine_are_refused_with_a_cure() {
        let server = server();
        let error = Listener::bind("127.0.0.1", server.wake.port()).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("hint: give another port"), "{error}");
        // An address for documentation (RFC 5737), which no machine has.
        let error = Listener::bind("192.0.2.1", 0).unwrap_err();
        assert!(matches!(error, ServeError::NoSuchHost { .. }), "{error}");
    }

    #[test]
    fn a_slow_request_and_one_that_never_ends_are_cut_short_and_others_are_answered_meanwhile() {
        let server = server();
        let mut slow = connect(&server);
        slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        let mut endless = connect(&server);
        // The server may have closed before all of it was sent.
        let _ = endless.write_all(format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(2 * MOST_HEAD)).as_bytes());
        let mut answer = [0; 12];
        endless.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431");
        assert!(ask(&server, path(&server)).starts_with("HTTP/1.1 200 "));
        let began = Instant::now();
        slow.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
        assert!(began.elapsed() < 2 * REQUEST_TIME);
    }

    #[test]
    fn one_connection_too_many_is_told_to_come_again() {
        let server = server();
        let idle: Vec<TcpStream> = (0..MOST_CONNECTIONS).map(|_| connect(&server)).collect();
        let mut answer = [0; 12];
        connect(&server).read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 503");
        drop(idle);
        let until = Instant::now() + Duration::from_secs(20);
        while !ask(&server, path(&server)).starts_with("HTTP/1.1 200 ") {
            assert!(Instant::now() < until, "places of closed connections stay taken");
        }
    }
}
