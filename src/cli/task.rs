//! `speedlab exec .. --submission N`: what the jobs of a cluster start.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;

use super::run::Shown;
use super::submit::{print_handed, survey_words};
use super::{Color, Exit};
use crate::schedule::Stop;
use crate::study::{Observer as _, Rest, Task, finish, prepare};

#[derive(Debug, Args)]
pub struct TaskArgs {
    /// The submission's number.
    #[arg(long, value_name = "N")]
    submission: Option<u32>,
    /// Do this task of it, counted from 0.
    #[arg(long, value_name = "INDEX", requires = "submission", conflicts_with_all = ["prepare", "finish"])]
    task: Option<usize>,
    /// Decode images and compute reference features for all tasks.
    #[arg(long, requires = "submission", conflicts_with = "finish")]
    prepare: bool,
    /// Write the report, and hand in what is to follow.
    #[arg(long, requires = "submission")]
    finish: bool,
    /// SIGUSR1 came before this program was started.
    #[arg(long, requires = "submission")]
    noticed: bool,
}

pub fn task(results: &Path, sweep: &str, args: &TaskArgs, color: Color) -> anyhow::Result<Exit> {
    let number = args.submission.context("a submission is needed")?;
    let stop = Stop::of_a_task().context("cannot listen to signals")?;
    if args.noticed {
        stop.take_notice();
    }
    let mut shown = Shown::new(sweep, false, color);
    if args.prepare {
        prepare(results, sweep, number, &mut shown)?;
        return Ok(Exit::AllDone);
    }
    if args.finish {
        let finished = finish(results, sweep, number, &mut shown, &stop)?;
        match &finished.report {
            Ok(report) => {
                out!("{}", report.summary);
                out!("report: {}", report.page.display());
            }
            Err(error) => eprintln!("warning: there is no report: {error}"),
        }
        match finished.handed {
            Some(Ok(handed)) => return print_handed(&handed),
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
        out!("{}", survey_words(&finished.survey));
        if let Some(why) = &finished.stopped {
            eprintln!("note: runs are missing, and nothing was handed in: {why}");
        }
        return Ok(if finished.report.is_ok() { Exit::AllDone } else { Exit::SomeFailed });
    }
    let index = args.task.context("one of --task, --prepare and --finish is needed")?;
    let task = Task::open(results, sweep, number, index)?;
    eprintln!("{:>10}  {}", "device", task.devices().words);
    if let Some(note) = &task.devices().note {
        shown.note(note);
    }
    let summary = task.train(&mut shown, &stop)?;
    match task.rest(&stop)? {
        Rest::None => {}
        Rest::Requeued => eprintln!("note: the time of this task is over; it is back in the queue"),
        Rest::Left(why) => {
            eprintln!("note: the time of this task is over, and it is left for the next `speedlab submit`: {why}");
        }
    }
    Ok(match () {
        () if task.is_completed()? => Exit::AllDone,
        () if summary.counts.failed() + summary.counts.diverged > 0 => Exit::SomeFailed,
        () if summary.all_done() => Exit::AllDone,
        () => Exit::Incomplete,
    })
}
