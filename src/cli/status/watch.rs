//! The live table, for as long as some process works on the sweep.

use std::env;
use std::io::{IsTerminal as _, stdout};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::super::progress::live_area::LiveArea;
use super::super::progress::paint::Paint;
use super::super::progress::words::shortened;
use super::super::table::stdout_columns;
use super::super::{Color, Exit, print_text};
use super::live_lines::{Labels, live_lines, live_words};
use crate::record::{LiveFile, PlanFile, SweepFolder};
use crate::schedule::Stop;
use crate::spec::{Plan, PlannedRun};
use crate::study::RunLabel;

/// Between two looks whether a signal came and whether some process still has the sweep.
const LOOK: Duration = Duration::from_millis(100);
/// Between two redraws on a terminal, and between two lines elsewhere.
const REDRAW: Duration = Duration::from_secs(1);
const SUMMARY: Duration = Duration::from_secs(10);

/// Shows how the sweep goes on until no process has it; `Some` if a signal came before that.
pub(super) fn watch(
    plan: &Plan,
    folder: &SweepFolder,
    every: Option<Duration>,
    color: Color,
) -> anyhow::Result<Option<Exit>> {
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    let mut screen = (stdout().is_terminal() && !dumb).then(LiveArea::default);
    let every = every.unwrap_or(if screen.is_some() { REDRAW } else { SUMMARY });
    let paint = Paint { color: color.on_stdout() };
    let ended = follow(plan, folder, every, paint, &mut screen, &stop);
    if let Some(area) = &mut screen {
        print_text(&area.clear(stdout_columns()))?;
    }
    ended
}

fn follow(
    plan: &Plan,
    folder: &SweepFolder,
    every: Duration,
    paint: Paint,
    screen: &mut Option<LiveArea>,
    stop: &Stop,
) -> anyhow::Result<Option<Exit>> {
    let mut labels = labels_of(plan, folder);
    // The first look shows.
    let mut since_shown = every;
    loop {
        if stop.requests() > 0 {
            return Ok(Some(Exit::Code(stop.exit_code().unwrap_or(130))));
        }
        let Some(holder) = folder.holder()? else { return Ok(None) };
        if since_shown >= every {
            since_shown = Duration::ZERO;
            let live = LiveFile::read(folder)?;
            let is_new = |live: &LiveFile| live.runs.iter().any(|run| !labels.contains_key(&run.run_id));
            if live.as_ref().is_some_and(is_new)
                && let Some(grown) = PlanFile::read(folder)?
            {
                labels = labels_of(&grown.plan, folder);
            }
            let unknown = || format!("{}: {holder} has not said yet how its runs stand", plan.name);
            match screen {
                Some(area) => {
                    let width = stdout_columns();
                    let lines = match &live {
                        Some(live) => live_lines(live, &labels, &plan.name, width - 1, paint),
                        None => vec![shortened(&unknown(), width - 1)],
                    };
                    print_text(&area.draw(&lines, width))?;
                }
                None => {
                    let known = |live: LiveFile| format!("{}: {}", plan.name, live_words(&live, &labels));
                    let words = live.map_or_else(unknown, known);
                    print_text(&format!("{words}\n"))?;
                }
            }
        }
        thread::sleep(LOOK);
        since_shown += LOOK;
    }
}

fn labels_of(plan: &Plan, folder: &SweepFolder) -> Labels {
    let label = |run: &PlannedRun| RunLabel::new(run, None, folder.run(&run.run_id).log());
    plan.runs.iter().map(|run| (run.run_id.clone(), label(run))).collect()
}
