//! A server of the test's own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// (path, the Range header).
pub type Request = (String, Option<String>);

/// Serves files over HTTP on this machine, and notes what it was asked for.
pub struct Server {
    pub address: String,
    pub files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    requests: Arc<Mutex<Vec<Request>>>,
    /// The connection is closed after so many bytes of a body, once.
    pub breaks_after: Arc<Mutex<Option<usize>>>,
}

impl Server {
    pub fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let server = Self {
            address: format!("http://{}/", listener.local_addr().expect("it is bound")),
            files: Arc::new(Mutex::new(files)),
            requests: Arc::default(),
            breaks_after: Arc::default(),
        };
        let (files, requests, breaks_after) =
            (server.files.clone(), server.requests.clone(), server.breaks_after.clone());
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that is gone is a client that broke off, as tests make them do.
                let _ = answer(stream, &files, &requests, &breaks_after);
            }
        });
        server
    }

    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn answer(
    mut stream: TcpStream,
    files: &Mutex<BTreeMap<String, Vec<u8>>>,
    requests: &Mutex<Vec<Request>>,
    breaks_after: &Mutex<Option<usize>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let mut range = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.to_owned());
        }
    }
    requests.lock().unwrap().push((path.clone(), range.clone()));
    let Some(file) = files.lock().unwrap().get(&path).cloned() else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let start = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let start = start.unwrap_or(0);
    if start > 0 && start >= file.len() {
        return stream.write_all(b"HTTP/1.1 416 Out of Range\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let status = if start == 0 { "200 OK".to_owned() } else { "206 Partial Content".to_owned() };
    let body = &file[start..];
    let part = if start == 0 {
        String::new()
    } else {
        format!("Content-Range: bytes {start}-{}/{}\r\n", file.len() - 1, file.len())
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{part}Connection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    let sent = breaks_after.lock().unwrap().take().unwrap_or(body.len()).min(body.len());
    stream.write_all(&body[..sent])
}
