//! What a trainer is given: a file with everything, and an environment that names the file.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

use super::conversation::Conversation;
use super::said::PROTOCOL;
use super::{ExternalAttempt, ExternalError};
use crate::data::DataFolder;
use crate::device::DeviceName;
use crate::event::Stamp;
use crate::record::RunFolder;
use crate::spec::PlannedRun;

/// Where a trainer works.
pub(super) struct Asked<'a> {
    pub folder: &'a RunFolder,
    pub data_folder: &'a DataFolder,
    pub attempt: &'a ExternalAttempt<'a>,
    /// The pipe that it speaks into.
    pub events: &'a Path,
}

impl Asked<'_> {
    /// Writes down what is asked of the trainer; the environment that it finds it by.
    pub fn write(
        &self,
        planned: &PlannedRun,
        conversation: &Conversation,
    ) -> Result<Vec<(String, String)>, ExternalError> {
        let Self { attempt, events, .. } = *self;
        let io = |doing| move |source| ExternalError::Io { doing, source };
        let folder = std::path::absolute(&self.folder.path).map_err(io("find the run's folder"))?;
        let [checkpoints, output] = ["checkpoint", "output"].map(|name| folder.join(name));
        for folder in [&checkpoints, &output] {
            fs::create_dir_all(folder).map_err(io("make the trainer's folders"))?;
        }
        let unfit = folder.to_str().is_none() || events.to_str().is_none();
        if unfit {
            let source = io::Error::other(format!("{} or {} is not in UTF-8", folder.display(), events.display()));
            return Err(ExternalError::Io { doing: "tell the trainer where its folders are", source });
        }
        let (visible, device) = visible_device(attempt.device);
        let stamped = |stamp: &Stamp| {
            json!({
                "step": stamp.step,
                "images_seen": stamp.images_seen,
                "train_seconds": stamp.train_seconds,
                "eval_seconds": stamp.eval_seconds,
            })
        };
        let announced: Vec<_> = conversation.announced().map(stamped).collect();
        let last = conversation.stamp();
        let asked = json!({
            "protocol": PROTOCOL,
            "run_id": planned.run_id,
            "arm": planned.arm,
            "trial": planned.trial,
            "seed": planned.seed,
            "params": planned.spec.params,
            "spec": planned.spec,
            "device": device,
            "threads": attempt.threads,
            "micro_batches": attempt.micro_batches,
            "checkpoints": checkpoints,
            "output": output,
            "events": events,
            "announced": announced,
            "last": (last.step > 0).then(|| stamped(&last)),
        });
        let path = folder.join("trainer.json");
        let text = serde_json::to_string_pretty(&asked).expect("it is plain data, which JSON can hold");
        fs::write(&path, text).map_err(io("write what is asked of the trainer"))?;
        let mut environment: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
        let text = |path: &Path| path.to_string_lossy().into_owned();
        set("SPEEDLAB_RUN", text(&path));
        set("SPEEDLAB_EVENTS", text(events));
        set("SPEEDLAB_CHECKPOINTS", text(&checkpoints));
        set("SPEEDLAB_OUTPUT", text(&output));
        set("SPEEDLAB_SEED", planned.seed.to_string());
        set("SPEEDLAB_STEPS", planned.spec.train.steps.to_string());
        set("SPEEDLAB_DEVICE", device);
        set("CUDA_VISIBLE_DEVICES", visible);
        for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"] {
            set(name, attempt.threads.to_string());
        }
        set("PYTHONDONTWRITEBYTECODE", "1".to_owned());
        set("SPEEDLAB_DATA", text(self.data_folder.path()));
        Ok(environment)
    }
}

/// What CUDA's programs may see, and the device's name among that.
fn visible_device(device: DeviceName) -> (String, String) {
    match device {
        DeviceName::Cuda(index) => {
            // As the numbers that this process sees are meant.
            let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
            let own = visible.split(',').map(str::trim).nth(index).filter(|own| !own.is_empty());
            (own.map_or_else(|| index.to_string(), str::to_owned), "cuda:0".to_owned())
        }
        other => (String::new(), other.to_string()),
    }
}
