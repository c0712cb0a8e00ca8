//! `speedlab bench-report`: makes up the records of a sweep whose runs have all ended.

use std::io::Cursor;
use std::path::PathBuf;

use clap::Args;
use image::{ImageFormat, RgbImage};
use serde_json::json;

use super::Exit;
use crate::event::{EVENT_VERSION, Measure, RunEvent, RunOutcome, Stamp, Started};
use crate::plan::load_sweep;
use crate::random::{Draws, Stream};
use crate::record::{Journal, PlanFile, RecordError, Rows, SweepFolder, effective_events, write_curves};
use crate::spec::PlannedRun;

#[derive(Debug, Args)]
pub struct BenchReportArgs {
    /// The study; nothing of it is trained
    #[arg(value_name = "SWEEP.yaml")]
    sweep: PathBuf,
    /// The folder that the records are written to; it must not be the folder of real results
    #[arg(long, value_name = "DIR")]
    results: PathBuf,
    #[arg(long, default_value_t = 100)]
    evaluations: u64,
    /// The number of values of each evaluation, the compared metric first. Four more values describe the training before it
    #[arg(long, default_value_t = 6)]
    measures: usize,
}

/// Width and height of the one picture that every run has, in pixels.
const SIDE: u32 = 64;
/// A protocol as long as those of studies.
const PROTOCOL: &str = "digits-cnn fid, 250 images, dpm_solver_pp 7 steps, averaged weights, seed 0";
const PICTURE: &str = "samples/last.png";

pub fn bench_report(args: &BenchReportArgs) -> anyhow::Result<Exit> {
    let plan = load_sweep(&args.sweep, &[])?;
    let folder = SweepFolder::new(&args.results, &plan.name);
    anyhow::ensure!(!folder.path.exists(), "{} is there already; name a folder of its own", folder.path.display());
    PlanFile::freeze(&folder, &plan, "made up", "2026-01-01T00:00:00Z", &args.sweep.display().to_string())?;
    let picture = picture()?;
    // Threads of its own: Polars has its own pool, and a pool's thread that waits for another's begins the next run meanwhile.
    let threads = rayon::current_num_threads();
    std::thread::scope(|scope| {
        let (folder, picture) = (&folder, &picture);
        let parts = plan
            .runs
            .chunks(plan.runs.len().div_ceil(threads).max(1))
            .map(|runs| scope.spawn(move || runs.iter().try_for_each(|run| record(args, folder, run, picture))));
        let parts: Vec<_> = parts.collect();
        parts.into_iter().try_for_each(|part| part.join().expect("it does not panic"))
    })?;
    out!("{}", json!({ "version": 1, "runs": plan.runs.len(), "folder": folder.path }));
    Ok(Exit::AllDone)
}

/// Writes what the run would have left behind.
fn record(args: &BenchReportArgs, folder: &SweepFolder, planned: &PlannedRun, png: &[u8]) -> Result<(), RecordError> {
    let run = folder.run(&planned.run_id);
    run.prepare(planned)?;
    run.write_samples(PICTURE, png)?;
    let events = events(args, planned);
    let mut journal = Journal::open(&run.journal())?;
    events.iter().try_for_each(|event| journal.append(event))?;
    write_curves(&run.curves(), [(planned, &Rows::of(&effective_events(events)))])?;
    run.write_done(&RunOutcome::Completed)
}

/// Each arm is a little sooner than the one before it, and each seed a little otherwise.
fn events(args: &BenchReportArgs, planned: &PlannedRun) -> Vec<RunEvent> {
    let digits = u64::from_str_radix(planned.run_id.as_str(), 16).unwrap_or_default();
    let mut normals = vec![0f32; 1 + 2 * args.evaluations as usize * args.measures];
    Draws::new(planned.seed, Stream::Noise, digits).fill_normal(&mut normals);
    let mut normals = normals.into_iter().map(f64::from);
    let mut normal = || normals.next().expect("there is one for each number");
    let arm = planned.arm.bytes().map(u64::from).sum::<u64>() % 10;
    let speed = (1.0 + 0.02 * arm as f64) * (0.03 * normal()).exp();
    let steps = planned.spec.train.steps;
    let mut events = vec![RunEvent::Started(Started {
        version: EVENT_VERSION,
        run_id: planned.run_id.clone(),
        attempt: 1,
        from_checkpoint: 0,
        from_step: 0,
        shared_from: None,
        program: "made up".into(),
        device: "cpu: made up".into(),
        started_at: "2026-01-01T00:00:00Z".into(),
        build: String::new(),
        micro_batches: 1,
        data_sha256: String::new(),
        decoder_sha256: String::new(),
    })];
    let mut stamp = Stamp::default();
    for evaluation in 1..=args.evaluations {
        let step = steps * evaluation / args.evaluations;
        let train_seconds = 0.021_7 * step as f64;
        stamp = Stamp {
            step,
            images_seen: planned.spec.train.images_after(step),
            train_seconds,
            eval_seconds: 0.13 * evaluation as f64,
            wall_seconds: train_seconds + 0.14 * evaluation as f64,
            ..stamp
        };
        let fallen = (1.0 + speed * 40.0 * step as f64 / steps as f64).powf(-1.25);
        events.push(RunEvent::Trained {
            stamp,
            loss: 0.09 + 0.8 * fallen + 0.008 * normal(),
            gradient_norm: Some(1.0 + 0.1 * normal().abs()),
            learning_rate: Some(2e-3),
            beta1: Some(0.9),
            wait_seconds: Some(1e-4),
            device_utilization: None,
        });
        let measures = (0..args.measures).map(|index| {
            let (metric, protocol) = match index {
                0 => ("fid".to_owned(), PROTOCOL),
                1 => ("validation_loss".to_owned(), ""),
                bin => (format!("validation_loss/{}", bin - 2), ""),
            };
            let scale = if index == 0 { 260.0 } else { 0.5 };
            Measure {
                metric: metric.into(),
                protocol: protocol.into(),
                value: scale * (0.05 + fallen) * (0.02 * normal()).exp(),
            }
        });
        events.push(RunEvent::Evaluated { stamp, measures: measures.collect(), samples: PICTURE.to_owned() });
    }
    events.push(RunEvent::Ended { stamp, outcome: RunOutcome::Completed });
    events
}

/// A picture of noise, which no compression makes smaller than real pictures.
fn picture() -> anyhow::Result<Vec<u8>> {
    let mut normals = vec![0f32; (3 * SIDE * SIDE) as usize];
    Draws::new(0, Stream::Noise, 0).fill_normal(&mut normals);
    let pixels = normals.iter().map(|normal| (128.0 + 40.0 * normal) as u8).collect();
    let picture = RgbImage::from_raw(SIDE, SIDE, pixels).expect("three bytes for each pixel");
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}
