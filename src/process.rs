//! Other programs: runs one and reads its output, within a time limit.

use std::io::{self, Read};
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs a command to its end and returns what it said; `None` where it took longer than `patience`: then it is killed. It reads
/// nothing.
pub fn output_within(command: &mut Command, patience: Duration) -> io::Result<Option<Output>> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = read(child.stdout.take().expect("piped"));
    let stderr = read(child.stderr.take().expect("piped"));
    let deadline = Instant::now() + patience;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                // It fails only for a process that is gone, which is what is wanted.
                let _ = child.kill();
                child.wait()?;
                return Ok(None);
            }
            None => thread::sleep(PAUSE),
        }
    };
    let bytes = |reader: JoinHandle<io::Result<Vec<u8>>>| reader.join().expect("a reader does not panic");
    Ok(Some(Output { status, stdout: bytes(stdout)?, stderr: bytes(stderr)? }))
}

/// Both pipes are read at once: a program that fills one while the other is waited for would never end.
fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Option<Output> {
        output_within(Command::new("sh").args(["-c", script]), patience).unwrap()
    }

    #[test]
    fn everything_is_heard_however_much_it_is() {
        let script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 3";
        let output = shell(script, Duration::from_secs(60)).unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len(), output.status.code()), (300_000, 300_000, Some(3)));
    }

    #[test]
    fn who_takes_too_long_is_killed() {
        let began = Instant::now();
        assert!(shell("exec sleep 60", Duration::from_millis(50)).is_none());
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let error = output_within(&mut Command::new("no-such-program"), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
