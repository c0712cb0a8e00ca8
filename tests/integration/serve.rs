//! The page that is served: who gets in, what there is, how it lives with its sweep, and how it ends. (`watch.rs` is about the terminal.)

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{Sandbox, TINY, send_signal, stderr, stdout};

/// A program that serves a page.
struct Serving {
    program: Child,
    /// `127.0.0.1:12345`
    address: String,
    /// `/<token>/`
    path: String,
}

/// What a server answered.
struct Answer {
    head: String,
    body: String,
}

impl Serving {
    /// `is_run`: `speedlab run` says the address beside its progress, `speedlab serve` as its output.
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let is_run = args[0] == "run";
        let mut command = sandbox.command(args);
        command.stdout(if is_run { Stdio::null() } else { Stdio::piped() }).stderr(Stdio::piped());
        let mut program = command.spawn().expect("the program starts");
        let errors = program.stderr.take().expect("it is piped");
        let mut lines: Box<dyn Iterator<Item = std::io::Result<String>> + Send> = match program.stdout.take() {
            Some(output) => Box::new(BufReader::new(output).lines()),
            None => Box::new(BufReader::new(errors).lines()),
        };
        let line = lines.by_ref().map(|line| line.expect("text")).find(|line| line.contains("live page"));
        let line = line.expect("it says where the page is");
        // A pipe that nobody reads would stop the program.
        std::thread::spawn(move || lines.for_each(drop));
        let (_, rest) = line.split_once("http://").expect("an address");
        let (address, path) = rest.split_once('/').expect("a path");
        Self { program, address: address.to_owned(), path: format!("/{path}") }
    }

    fn send(&self, request: &str) -> Answer {
        self.try_send(request).expect("it answers")
    }

    /// Fails when the server is gone.
    fn try_send(&self, request: &str) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Answer { head: head.to_owned(), body: body.to_owned() })
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(&self.request(method, path))
    }

    fn request(&self, method: &str, path: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)
    }

    fn page(&self, sandbox: &Sandbox) -> String {
        let mut page = String::new();
        sandbox.wait_until("the first page", || {
            page = self.ask("GET", &self.path).body;
            page.contains("data-version")
        });
        page
    }

    fn state(&self) -> Value {
        let answer = self.ask("GET", &format!("{}state.json", self.path));
        assert!(answer.head.contains("Content-Type: application/json"), "{}", answer.head);
        serde_json::from_str(&answer.body).expect("JSON")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        send_signal("INT", self.program.id());
        // It fails only if somebody else reaped it.
        let _ = self.program.wait();
    }
}

#[test]
fn a_page_lives_while_its_sweep_runs_and_is_nobody_elses() {
    let sandbox = Sandbox::new(&TINY.replace("steps: 60", "steps: 4000"));
    let mut serving =
        Serving::start(&sandbox, &["run", "sweep.yaml", "--quiet", "--jobs", "1", "--serve", "--page-every", "1"]);
    assert!(serving.address.starts_with("127.0.0.1:") && serving.path.len() == 34, "{}", serving.path);
    let page = serving.page(&sandbox);
    assert!(page.contains("connect-src 'self';") && page.contains("id=\"live\""));
    assert!(!page.contains("href=\"fid_images_seen.svg\""), "there are no files beside it");
    assert!(!page.contains("../runs/"), "nor runs");

    let mut state = Value::Null;
    sandbox.wait_until("a run that trains", || {
        state = serving.state();
        state["running"][0]["step"].as_u64() > Some(0)
    });
    assert_eq!((&state["state"], &state["counts"]["all"]), (&"running".into(), &4.into()));
    assert_eq!((&state["running"][0]["steps"], &state["counts"]["running"]), (&4000.into(), &1.into()));
    assert!(state["next"][0]["detail"].as_str().unwrap().starts_with("waits for a free slot"), "{state}");
    let first = state["report"].as_u64().unwrap();
    sandbox.wait_until("a newer page", || serving.state()["report"].as_u64() > Some(first));
    let newer = serving.page(&sandbox);
    assert_ne!(newer, page);

    // Nobody else gets anything.
    let path = serving.path.clone();
    for stranger in ["/", "/favicon.ico", "/state.json", &format!("/{}/", "0".repeat(32)), path.trim_end_matches('/')] {
        let answer = serving.ask("GET", stranger);
        assert!(answer.head.starts_with("HTTP/1.1 403 ") && answer.body.is_empty(), "{stranger}: {}", answer.head);
    }
    for file in ["index.html", "plan.json", "../plan.json", "%2e%2e/plan.json", "../../sweep.yaml"] {
        let answer = serving.ask("GET", &format!("{path}{file}"));
        assert!(answer.head.starts_with("HTTP/1.1 404 ") && answer.body.is_empty(), "{file}: {}", answer.head);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert!(serving.ask(method, &path).head.starts_with("HTTP/1.1 405 "), "{method}");
        assert!(serving.ask(method, "/").head.starts_with("HTTP/1.1 403 "), "{method}");
    }
    let head = serving.ask("HEAD", &path);
    assert!(head.head.starts_with("HTTP/1.1 200 ") && head.body.is_empty());
    let rebound = serving.send(&format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
    assert!(rebound.head.starts_with("HTTP/1.1 403 ") && rebound.body.is_empty());
    assert!(!head.head.to_lowercase().contains("access-control"));

    // A signal ends it as it ends any `run`.
    send_signal("INT", serving.program.id());
    assert_eq!(serving.program.wait().unwrap().code(), Some(130));
    assert!(TcpStream::connect(&serving.address).is_err(), "somebody still listens");
    let written = fs::read_to_string(sandbox.results().join("report/index.html")).unwrap();
    assert!(!written.contains("connect-src") && !written.contains("id=\"live\"") && !written.contains("data-version"));
    assert!(written.contains("default-src 'none'; script-src"));
}

#[test]
fn the_end_is_told_to_who_looks_and_holds_nobody_up() {
    let sandbox = Sandbox::new(&TINY.replace("steps: 60", "steps: 200"));
    let mut serving = Serving::start(&sandbox, &["run", "sweep.yaml", "--quiet", "--serve", "--page-every", "1"]);
    let mut state = Value::Null;
    sandbox.wait_until("the end", || {
        state = serving.state();
        state["state"] == "ended"
    });
    assert_eq!(state["counts"]["done"], 4);
    let page = serving.page(&sandbox);
    let (_, version) = page.split_once("data-version=\"").expect("a number");
    let version: u64 = version.split('"').next().unwrap().parse().unwrap();
    assert!(version > 1 && version == state["report"].as_u64().unwrap(), "{version}: {state}");
    assert!(page.contains("All 4 runs are finished."), "the last page is not of the last records");
    // No other page follows the last one, and before the server goes it says nothing that could send a reader to it in vain.
    let ask_state = serving.request("GET", &format!("{}state.json", serving.path));
    while let Ok(answer) = serving.try_send(&ask_state)
        && answer.head.starts_with("HTTP/1.1 200 ")
    {
        let state: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((&state["report"], &state["state"]), (&version.into(), &"ended".into()));
    }
    assert_eq!(serving.program.wait().unwrap().code(), Some(0));

    // With nobody who looks it ends at once, as ever.
    let other = Sandbox::new(TINY);
    let output = other.speedlab(&["run", "sweep.yaml", "--quiet", "--serve"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("live page  http://127.0.0.1:"), "{}", stderr(&output));
    assert!(!stdout(&output).contains("http://"), "{}", stdout(&output));
}

#[test]
fn results_are_drawn_for_papers_and_served_without_their_sweep_and_a_wrong_wish_is_refused_with_a_cure() {
    let sandbox = Sandbox::new(TINY);
    let none = sandbox.speedlab(&["serve", "sweep.yaml"]);
    assert_eq!(none.status.code(), Some(2), "{}", stderr(&none));
    assert!(stderr(&none).contains("nothing recorded"), "{}", stderr(&none));
    let trained = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(trained.status.code(), Some(0), "{}", stderr(&trained));
    // Figures for papers, of the same records.
    let drawn = sandbox.speedlab(&[
        "report",
        "sweep.yaml",
        "--figures",
        "paper",
        "--width",
        "two-column",
        "--format",
        "pdf,svg,pdf",
    ]);
    assert_eq!(drawn.status.code(), Some(0), "{}", stderr(&drawn));
    let names: Vec<String> = fs::read_dir(sandbox.path().join("paper"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.contains(&"speedups.pdf".to_owned()) && names.contains(&"fid_images_seen.svg".to_owned()),
        "{names:?}"
    );
    assert!(stdout(&drawn).contains(&format!("figures: {} files in paper", names.len())), "{}", stdout(&drawn));
    for wrong in [
        &["--figures", "results/tiny/report"][..],
        &["--figures", "x", "--width", "99"],
        &["--width", "one-column"],
        &["--figures", "x", "--format", "eps"],
    ] {
        let args = [&["report", "sweep.yaml"][..], wrong].concat();
        assert_eq!(sandbox.speedlab(&args).status.code(), Some(2), "{wrong:?}");
    }
    assert!(!sandbox.path().join("x").exists());

    fs::rename(sandbox.path().join("sweep.yaml"), sandbox.path().join("elsewhere.yaml")).unwrap();

    let mut serving = Serving::start(&sandbox, &["serve", "results/tiny"]);
    assert!(serving.page(&sandbox).contains("Does the curriculum reach the target sooner?"));
    sandbox.wait_until("the records", || serving.state()["state"] == "ended");
    assert_eq!(serving.state()["counts"]["done"], 4);

    let port = serving.address.split(':').nth(1).unwrap().to_owned();
    for args in [
        &["serve", "results/tiny", "--port", &port][..],
        &["run", "elsewhere.yaml", "--set", "name=other", "--serve", &port],
    ] {
        let taken = sandbox.speedlab(args);
        assert_eq!(taken.status.code(), Some(2), "{}", stderr(&taken));
        let words = stderr(&taken);
        assert!(words.contains(&format!("port {port} of 127.0.0.1 is taken")) && words.contains("hint: "), "{words}");
    }
    assert!(!sandbox.path().join("results/other").exists(), "nothing begins where the port is taken");
    let before = sandbox.speedlab(&["run", "--serve", "elsewhere.yaml"]);
    assert_eq!(before.status.code(), Some(2));
    assert!(stderr(&before).contains("the sweep stands before --serve"), "{}", stderr(&before));
    send_signal("TERM", serving.program.id());
    assert_eq!(serving.program.wait().unwrap().code(), Some(143));

    // Beyond this machine: it says what that opens.
    let mut open = sandbox.command(&["serve", "results/tiny", "--host", "0.0.0.0"]);
    let mut open = open.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(open.stderr.take().expect("it is piped")).lines();
    let note = lines.next().expect("a note").unwrap();
    assert!(note.starts_with("note: the page is served on 0.0.0.0:") && note.contains("unencrypted"), "{note}");
    send_signal("INT", open.id());
    assert_eq!(open.wait().unwrap().code(), Some(130));
}

#[test]
fn the_sweep_of_another_process_reads_running_while_it_runs_and_ended_from_the_first_look_on() {
    let sandbox = Sandbox::new(&TINY.replace("steps: 60", "steps: 200"));
    let mut run = sandbox.start(&["run", "sweep.yaml", "--quiet"]);
    sandbox.wait_until("a plan", || sandbox.results().join("plan.json").is_file());
    let serving = Serving::start(&sandbox, &["serve", "sweep.yaml", "--page-every", "600"]);
    let mut state = serving.state();
    sandbox.wait_until("the end", || {
        state = serving.state();
        let words = state["state"].as_str().expect("a word").to_owned();
        assert!(["running", "ended"].contains(&words.as_str()), "{state}");
        words == "ended"
    });
    assert_eq!(state["counts"]["done"], 4, "{state}");
    assert!(run.wait().expect("it ends").success());
    drop(serving);
    // Nobody waits for a page to learn that.
    let serving = Serving::start(&sandbox, &["serve", "results/tiny"]);
    let state = serving.state();
    assert_eq!((&state["state"], &state["counts"]["done"]), (&"ended".into(), &4.into()), "{state}");
}
