//! One file over HTTP, resumable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use md5::{Digest as _, Md5};

use super::super::{OnProgress, Progress, Unit};
use super::FetchError;
use crate::checksum::hexadecimal;

/// A server that says nothing for so long is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a download that breaks off is taken up again at once.
const TRIES: usize = 3;
const BLOCK_BYTES: usize = 1 << 16;

pub(super) struct Downloader {
    agent: ureq::Agent,
}

impl Downloader {
    /// Takes the proxy from the environment, as other programs do; this machine itself needs none.
    pub fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(READ_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .http_status_as_error(false)
            .user_agent(concat!("speedlab/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent() }
    }

    /// Downloads `url` to `target`, whose MD5 must come out as given, if any is. What is there already is the beginning of it, from
    /// an earlier try; if the whole turns out wrong, it is downloaded once more from the start.
    pub fn download(
        &self,
        url: &str,
        target: &Path,
        md5: Option<&str>,
        progress: OnProgress<'_>,
    ) -> Result<(), FetchError> {
        let had_beginning = length(target)? > 0;
        self.complete(url, target, progress)?;
        let Some(md5) = md5 else { return Ok(()) };
        let mut found = md5_of(target)?;
        if found != md5 && had_beginning {
            fs::remove_file(target).map_err(FetchError::io("remove", target))?;
            self.complete(url, target, progress)?;
            found = md5_of(target)?;
        }
        if found == md5 {
            return Ok(());
        }
        fs::remove_file(target).map_err(FetchError::io("remove", target))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Err(FetchError::Wrong { what: name, problem: format!("has MD5 {found}, not {md5}") })
    }

    /// Gets what is missing of the file, in as many tries as it takes while they get on.
    fn complete(&self, url: &str, target: &Path, progress: OnProgress<'_>) -> Result<(), FetchError> {
        let mut tries = 0;
        loop {
            let before = length(target)?;
            match self.go_on(url, target, before, progress) {
                Err(FetchError::Network(_)) if length(target)? > before => tries = 0,
                Err(FetchError::Network(problem)) => {
                    tries += 1;
                    if tries >= TRIES || before == 0 {
                        return Err(FetchError::Network(problem));
                    }
                }
                done_or_failed => return done_or_failed,
            }
        }
    }

    /// One request, from byte `start` on.
    fn go_on(&self, url: &str, target: &Path, start: u64, progress: OnProgress<'_>) -> Result<(), FetchError> {
        let network = |error: ureq::Error| FetchError::Network(error.to_string());
        let mut request = self.agent.get(url).header("Accept-Encoding", "identity");
        if url.starts_with("http://127.0.0.1:") {
            request = request.config().proxy(None).build();
        }
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
        }
        let response = request.call().map_err(network)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let content_length: Option<u64> = header("Content-Length").and_then(|length| length.parse().ok());
        let (start, total) = match response.status().as_u16() {
            200 => (0, content_length),
            206 => {
                let range = header("Content-Range").and_then(content_range);
                match range {
                    Some((first, total)) if first == start => (start, total),
                    _ => return Err(FetchError::Network("the server sent another part than asked for".to_owned())),
                }
            }
            // Nothing is left to send: what is there is the whole file, or more than it.
            416 if start > 0 => return Ok(()),
            status => return Err(FetchError::Network(format!("the server answered {status}"))),
        };
        let open = || {
            let mut options = OpenOptions::new();
            let file = if start > 0 { options.append(true).open(target) } else { File::create(target) };
            file.map_err(FetchError::io("write", target))
        };
        let mut file = open()?;
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let doing = format!("downloading {name}");
        let (mut done, mut block) = (start, vec![0; BLOCK_BYTES]);
        loop {
            let count = match body.read(&mut block) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(FetchError::Network(format!("broke off after {done} bytes: {error}"))),
            };
            file.write_all(&block[..count]).map_err(FetchError::io("write", target))?;
            done += count as u64;
            progress(&Progress { doing: doing.clone(), done, total, unit: Unit::Bytes });
        }
        match total {
            Some(total) if done < total => Err(FetchError::Network(format!("broke off after {done} of {total} bytes"))),
            _ => file.sync_all().map_err(FetchError::io("write", target)),
        }
    }
}

/// The first byte and the size of the whole, of `bytes 5-9/10`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

/// 0 if there is no file.
fn length(path: &Path) -> Result<u64, FetchError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(FetchError::io("read", path)(error)),
    }
}

fn md5_of(path: &Path) -> Result<String, FetchError> {
    let read = || {
        let mut file = File::open(path)?;
        let (mut hash, mut block) = (Md5::new(), vec![0; BLOCK_BYTES]);
        loop {
            match file.read(&mut block)? {
                0 => return Ok(hexadecimal(&hash.finalize())),
                count => hash.update(&block[..count]),
            }
        }
    };
    read().map_err(FetchError::io("read", path))
}
