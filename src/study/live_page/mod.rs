//! The page of a sweep that may still be running, kept up to date in the background, and how the sweep stands.
//!
//! Whoever asks gets what is there at once: nobody waits for a page to be made. A page is made again only after something was recorded,
//! while somebody looks, on one thread that gives way to all others, and for at most a twentieth of the time.

mod state;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use self::state::{PageState, Process, Recorded};
use super::StudyError;
use super::cost::training_flops;
use crate::record::{LiveFile, PlanFile, RecordError, RecordMark, StudyRecord, SweepFolder, running_arguments};
use crate::report;
use crate::spec::{Labels, Plan};

/// Between two looks at how the sweep stands.
const STATE_PAUSE: Duration = Duration::from_secs(1);
/// A page that takes long to make is made as seldom as this many times that.
const REST: u32 = 20;
/// Who has not asked for so long looks no more.
const AWAY: Duration = Duration::from_secs(60);
/// At the end: how long readers who looked a moment ago have to take the last page, how long the others after the first of them, and when
/// a moment is over.
const FAREWELL: Duration = Duration::from_secs(6);
const OTHERS: Duration = Duration::from_secs(3);
const MOMENT: Duration = Duration::from_secs(10);
/// Before the server goes it tells nobody how the sweep stands for so long: who just heard of a newer page still gets it.
const CLOSING: Duration = Duration::from_secs(1);

/// A sweep's page while it lives. Dropping it ends its threads.
pub struct LivePage {
    shared: Arc<Shared>,
}

struct Shared {
    folder: SweepFolder,
    /// What the sweep's file calls the arms now; `None` for what the frozen plan says.
    labels: Option<Labels>,
    /// A page is made at most so often.
    every: Duration,
    kept: Mutex<Kept>,
    changed: Condvar,
}

struct Kept {
    page: Arc<[u8]>,
    /// The number of the page; 0 before the first.
    version: u64,
    report_error: Option<String>,
    state: Arc<[u8]>,
    plan: Arc<Plan>,
    recorded: Arc<Recorded>,
    /// When somebody last asked for anything.
    asked_at: Option<Instant>,
    /// Whether the process that serves the page has done with the sweep, and the number of the page that was made after that.
    has_ended: bool,
    last_version: Option<u64>,
    /// The number of the page that was last asked for.
    taken: u64,
    /// The server is about to go.
    is_closing: bool,
    /// Nobody is left to make pages for.
    is_dropped: bool,
}

impl LivePage {
    /// Begins to keep the page of a sweep whose plan is frozen. A page is made at most once in `every`. `labels`: those of the sweep's
    /// file, which may be newer than the frozen plan's.
    pub fn begin(folder: SweepFolder, labels: Option<Labels>, every: Duration) -> Result<Self, StudyError> {
        let file = PlanFile::read(&folder)?.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
        let arguments = running_arguments(&file.sweep_arguments, &folder.path, &file.plan.name);
        let recorded = Arc::new(Recorded::unread(&file.plan, arguments));
        let plan = Arc::new(file.plan);
        let kept = Kept {
            page: report::notice_page("The page is being made.").into_bytes().into(),
            version: 0,
            report_error: None,
            state: b"{}"[..].into(),
            plan,
            recorded,
            asked_at: None,
            has_ended: false,
            last_version: None,
            taken: 0,
            is_closing: false,
            is_dropped: false,
        };
        let shared = Arc::new(Shared { folder, labels, every, kept: Mutex::new(kept), changed: Condvar::new() });
        shared.tell_state();
        let io = |source| StudyError::Io { action: "start a thread", source };
        let pool = ThreadPoolBuilder::new().num_threads(1).start_handler(|_| give_way()).build();
        let pool = pool.map_err(|error| io(std::io::Error::other(error)))?;
        type Work = Box<dyn FnOnce(Arc<Shared>) + Send>;
        let work: [(&str, Work); 2] = [
            ("live-page", Box::new(move |shared| shared.keep_page(&pool))),
            ("live-state", Box::new(|shared| shared.keep_state())),
        ];
        for (name, work) in work {
            let shared = shared.clone();
            thread::Builder::new().name(name.to_owned()).spawn(move || work(shared)).map_err(io)?;
        }
        Ok(Self { shared })
    }

    /// What answers for it, as HTML and JSON: (content type, body) of the page, whose name is empty, and of `state.json`.
    pub fn answers(&self) -> impl Fn(&str) -> Option<(&'static str, Arc<[u8]>)> + Send + Sync + use<> {
        let shared = self.shared.clone();
        move |name| {
            let mut kept = shared.lock();
            match name {
                "" => {
                    kept.asked_at = Some(Instant::now());
                    kept.taken = kept.version;
                    shared.changed.notify_all();
                    Some(("text/html; charset=utf-8", kept.page.clone()))
                }
                "state.json" if !kept.is_closing => {
                    kept.asked_at = Some(Instant::now());
                    Some(("application/json", kept.state.clone()))
                }
                _ => None,
            }
        }
    }

    /// The sweep has ended, or was stopped: makes the last page for those who look, and gives them a few seconds to take it.
    pub fn end(self) {
        let shared = &self.shared;
        let mut kept = shared.lock();
        let is_watched = kept.asked_at.is_some_and(|asked_at| asked_at.elapsed() < MOMENT);
        if !is_watched {
            return;
        }
        kept.has_ended = true;
        shared.changed.notify_all();
        let mut until = Instant::now() + FAREWELL;
        let mut is_taken = false;
        loop {
            if !is_taken && kept.last_version.is_some_and(|last| kept.taken >= last) {
                is_taken = true;
                until = until.min(Instant::now() + OTHERS);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            kept = shared.changed.wait_timeout(kept, left).expect("no holder of the lock panics").0;
        }
        kept.is_closing = true;
        drop(kept);
        thread::sleep(CLOSING);
    }
}

impl Drop for LivePage {
    fn drop(&mut self) {
        self.shared.lock().is_dropped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of the lock panics")
    }

    /// Until the page is dropped: looks every second how the sweep stands, while somebody wants to know.
    fn keep_state(&self) {
        loop {
            {
                let kept = self.lock();
                let ended = |kept: &mut Kept| !kept.is_dropped;
                let (kept, _) =
                    self.changed.wait_timeout_while(kept, STATE_PAUSE, ended).expect("no holder of the lock panics");
                if kept.is_dropped {
                    return;
                }
                if kept.is_unwatched() {
                    continue;
                }
            }
            self.tell_state();
        }
    }

    /// Puts down how the sweep stands.
    fn tell_state(&self) {
        // A view that cannot be read now, such as one that a newer program writes, tells less than the records, which still count.
        let live = LiveFile::read(&self.folder).ok().flatten();
        let (plan, recorded, has_ended, version, error) = {
            let kept = self.lock();
            // What the records say counts from the last page on, which has read them.
            let has_ended = kept.last_version.is_some();
            (kept.plan.clone(), kept.recorded.clone(), has_ended, kept.version, kept.report_error.clone())
        };
        // What was recorded after the last page was made counts, too; before the first, nothing was read.
        let newer = if live.is_none() { recorded.with_ends(&self.folder) } else { None };
        let recorded = newer.map_or(recorded.clone(), |newer| self.take_over(&recorded, newer));
        let process = match self.folder.holder() {
            _ if has_ended => Process::Done,
            Ok(Some(_)) => Process::Working,
            _ => Process::None,
        };
        let mut state = match &live {
            Some(live) if !has_ended => PageState::live(live, &plan, &recorded),
            _ => PageState::recorded(&recorded, &plan, process),
        };
        (state.report, state.report_error) = (version, error.as_deref());
        let text = serde_json::to_vec(&state).expect("plain data, which JSON can hold");
        self.lock().state = text.into();
    }

    /// Keeps what is newer than `before`, unless a page was made meanwhile, which knows more; gives what is kept.
    fn take_over(&self, before: &Arc<Recorded>, newer: Recorded) -> Arc<Recorded> {
        let mut kept = self.lock();
        if Arc::ptr_eq(&kept.recorded, before) {
            kept.recorded = Arc::new(newer);
        }
        kept.recorded.clone()
    }

    /// Until the sweep has ended or the page is dropped: makes it anew when it is due.
    fn keep_page(&self, pool: &ThreadPool) {
        let (mut mark, mut pause, mut made_at) = (None, Duration::ZERO, None::<Instant>);
        loop {
            let is_last = {
                let mut kept = self.lock();
                loop {
                    if kept.is_dropped {
                        return;
                    }
                    if kept.has_ended {
                        break;
                    }
                    let rest = made_at.map_or(Duration::ZERO, |at| pause.saturating_sub(at.elapsed()));
                    if rest.is_zero() && (made_at.is_none() || !kept.is_unwatched()) {
                        break;
                    }
                    let rest = rest.max(Duration::from_millis(100));
                    kept = self.changed.wait_timeout(kept, rest).expect("no holder of the lock panics").0;
                }
                kept.has_ended
            };
            let began = Instant::now();
            // Taken before the records are read: what is recorded meanwhile counts as new.
            let plan = self.lock().plan.clone();
            let seen = RecordMark::of(&self.folder, &plan);
            let is_new = is_last || seen.as_ref().map_or(true, |seen| mark.as_ref() != Some(seen));
            if is_new {
                let version = self.lock().version + 1;
                let made = pool.install(|| self.make(version));
                mark = seen.ok().filter(|_| made.is_ok());
                self.put(version, made, is_last);
                self.tell_state();
            }
            if is_last {
                return;
            }
            made_at = Some(Instant::now());
            pause = self.every.max(REST * began.elapsed());
        }
    }

    fn make(&self, version: u64) -> Result<(StudyRecord, String), String> {
        let make = || -> Result<_, StudyError> {
            let mut study = StudyRecord::read(&self.folder)?;
            // A served page does not travel.
            study.place = Some(self.folder.path.clone());
            if let Some(labels) = &self.labels {
                study.plan.labels = labels.clone();
            }
            let page = report::live_page(&study, training_flops, version)?;
            Ok((study, page))
        };
        // A page that cannot be made is told; the thread goes on.
        let made = catch_unwind(AssertUnwindSafe(make));
        made.map_err(|_| "the report's maker panicked; see the terminal".to_owned())?.map_err(|error| error.to_string())
    }

    fn put(&self, version: u64, made: Result<(StudyRecord, String), String>, is_last: bool) {
        let mut kept = self.lock();
        match made {
            Ok((study, page)) => {
                kept.recorded = Arc::new(Recorded::of(&study));
                kept.plan = Arc::new(report::labelled(&study).plan.clone());
                kept.page = page.into_bytes().into();
                kept.version = version;
                kept.report_error = None;
            }
            // The page that is there stays, and says what is wrong.
            Err(error) => {
                if kept.version == 0 {
                    let notice = format!("The page cannot be made: {error}. It is tried again.");
                    kept.page = report::notice_page(&notice).into_bytes().into();
                }
                kept.report_error = Some(error);
            }
        }
        if is_last {
            kept.last_version = Some(kept.version);
        }
        self.changed.notify_all();
    }
}

impl Kept {
    /// Whether nobody has asked for a while.
    fn is_unwatched(&self) -> bool {
        self.asked_at.is_none_or(|asked_at| asked_at.elapsed() > AWAY)
    }
}

/// Lets all other threads go first: those that train runs, above all. Linux has priorities of threads; elsewhere they are of the whole process,
/// whose runs would inherit them.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        // A thread that may not be kinder than it is does the same work.
        let _ = rustix::process::setpriority_process(None, 19);
    }
}
