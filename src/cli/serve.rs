//! `speedlab serve` and `speedlab run --serve`: the report as a page that lives while its sweep runs.

use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::{Exit, SweepArgs};
use crate::record::{RecordError, SweepFolder, host_name};
use crate::schedule::Stop;
use crate::serve::{Listener, Resource, ServeError, Server};
use crate::spec::Labels;
use crate::study::LivePage;

/// This machine alone.
const LOOPBACK: &str = "127.0.0.1";
/// A page is made at most so often, in seconds.
const EVERY: u64 = 10;
/// How long a program that ends waits for answers that are on their way.
const ANSWERS: Duration = Duration::from_secs(2);
/// Between two looks whether a signal came.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab serve sweeps/quickstart.yaml             while another terminal, or a cluster, runs the sweep
  speedlab serve results/quickstart --port 8080     a sweep's results, without its file
  ssh -L 8080:localhost:8080 lab                    on a laptop: then the address of `serve --port 8080` on `lab` opens here

The page is that of the report, and tells beside it which runs run, wait or failed, and the time left. It is made again while somebody looks
and runs record something. The address that is printed has a random token in it: nobody reads the page without it. Nothing can be
changed through the page. Ctrl-C ends the server; the page stays usable where it is open. `speedlab run --serve` serves its own sweep;
`speedlab status --watch` shows a table on the terminal.")]
pub struct ServeArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// The port to listen on [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    #[command(flatten)]
    page: PageArgs,
}

/// Where the page is served, and how often it is made.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// The address of this machine to listen on. Any but the default can be asked by other machines: without encryption, by whoever knows the token
    #[arg(long, value_name = "ADDR", default_value = LOOPBACK)]
    host: String,
    /// Make the page again at most once in so many seconds
    #[arg(long = "page-every", value_name = "SECONDS", default_value_t = EVERY, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

/// What `run` serves.
#[derive(Debug, Args)]
pub struct RunServeArgs {
    /// Serve the report as a page that lives while the sweep runs, on PORT or on a free one; the address is printed. See `speedlab serve`
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "0", value_parser = port)]
    serve: Option<u16>,
    #[command(flatten)]
    page: PageArgs,
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "a port is a number up to 65535; the sweep stands before --serve".to_owned())
}

pub fn serve(args: &ServeArgs) -> anyhow::Result<Exit> {
    let (_, folder, frozen) = args.sweep.begun_and_frozen()?;
    let labels = frozen.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?.plan.labels;
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let live = args.page.take(args.port)?.begin(folder, Some(labels))?;
    out!("live page: {}", live.server.url());
    while stop.requests() == 0 {
        thread::sleep(LOOK);
    }
    Ok(Exit::Code(stop.exit_code().unwrap_or(130)))
}

impl RunServeArgs {
    /// Takes the port, if the page is to be served, before anything begins.
    pub(super) fn take(&self) -> Result<Option<Taken>, ServeError> {
        self.serve.map(|port| self.page.take(port)).transpose()
    }
}

impl PageArgs {
    fn take(&self, port: u16) -> Result<Taken, ServeError> {
        let listener = Listener::bind(&self.host, port)?;
        if !listener.is_loopback() {
            eprintln!(
                "note: the page is served on {}, beyond this machine: who can reach that address and knows the token in it can read the \
                 study's names, settings, curves, images and ends of logs, and so can who sees the unencrypted connection",
                listener.address()
            );
        }
        Ok(Taken { listener, every: Duration::from_secs(self.every) })
    }
}

/// A port for a page that is not served yet.
pub(super) struct Taken {
    listener: Listener,
    every: Duration,
}

impl Taken {
    /// Serves the page of a sweep whose plan is frozen.
    pub(super) fn begin(self, folder: SweepFolder, labels: Option<Labels>) -> anyhow::Result<Live> {
        let page = LivePage::begin(folder, labels, self.every)?;
        let answers = page.answers();
        let resources = move |name: &str| answers(name).map(|(kind, body)| Resource { kind, body });
        let server = self.listener.serve(&host_name(), Box::new(resources))?;
        Ok(Live { page, server })
    }
}

/// A page that is served until it is dropped.
pub(super) struct Live {
    page: LivePage,
    server: Server,
}

impl Live {
    pub(super) fn url(&self) -> &str {
        self.server.url()
    }

    /// The sweep has ended or was stopped: who looks gets the last page, and a few seconds for it.
    pub(super) fn end(self) {
        self.page.end();
        self.server.wait_for_answers(ANSWERS);
    }
}
