//! Tokens that are aligned with an encoder of the user's, from the sweep to the record.

use std::fs;
use std::path::Path;

use super::{Sandbox, stderr};
use crate::sandbox::{TINY, stdout};

#[test]
fn tokens_follow_a_users_dinov2_and_its_file_is_part_of_what_runs_are() {
    let tiny = TINY.replace("seeds: 2", "seeds: 1").replace("steps: 60", "steps: 20").replace(
        "model: { kind: unet, channels: 8, channel_multipliers: [1, 2] }",
        "model: { kind: dit, patch: 4, dim: 16, depth: 1, heads: 2 }",
    );
    let arm = |settings: &str| {
        let aligned = format!("auxiliary_losses: {{ alignment: {{ weight: 0.5, block: 1, hidden: 8, {settings} }} }}");
        tiny.replace("timestep_sampler: { kind: curriculum }", &aligned)
    };
    let named = |file: &str, encoder: &str| arm(&format!("weights: {file}, encoder: {{ kind: dinov2{encoder} }}"));
    let sandbox = Sandbox::new(&named("small.pth", ", channels: 64"));
    let folder = sandbox.path();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights/dinov2.pth");
    fs::copy(golden, folder.join("small.pth")).unwrap();
    let large = crate::vit::small_weights(folder, "dinov2 with registers of timm");
    let large = large.file_name().unwrap().to_str().unwrap();

    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let study = sandbox.study();
    let aligned = study.runs.iter().find(|run| run.planned.spec.auxiliary_losses.alignment.weight > 0.0).unwrap();
    assert_eq!(aligned.planned.spec.auxiliary_losses.alignment.weights_sha256.len(), 64);

    let other = |sweep: &str, command: &[&str]| {
        fs::write(folder.join("other.yaml"), sweep.replace("name: tiny", "name: other")).unwrap();
        sandbox.speedlab(&[&[command[0], "other.yaml"], &command[1..]].concat())
    };
    // The content is the run's, and the path is not.
    fs::copy(folder.join("small.pth"), folder.join("copy.pth")).unwrap();
    let moved = other(&named("copy.pth", ", channels: 64"), &["plan", "--json"]);
    assert!(stdout(&moved).contains(aligned.planned.run_id.as_str()), "{}", stderr(&moved));

    let refused = |sweep: &str, message: &str| {
        let output = other(sweep, &["run", "--quiet"]);
        assert!(stderr(&output).contains(message) && stderr(&output).contains("hint: "), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    };
    refused(&named("nowhere.pth", ""), "`auxiliary_losses.alignment.weights`: cannot read nowhere.pth");
    refused(&arm("encoder: dinov2"), "the encoder `dinov2` needs the weights of its network");
    refused(
        &named("small.pth", ""),
        "small.pth holds dinov2-vit-64x1-2, whose tokens have 64 numbers, and `auxiliary_losses.alignment.encoder.channels` is 768",
    );
    refused(
        &named(large, ", channels: 128, side: 40"),
        "`auxiliary_losses.alignment.encoder.side`, 40, is no multiple of the 14 pixels of the patches in dinov2-with-registers-of-timm",
    );
    refused(&named("sweep.yaml", ""), "sweep.yaml is neither a safetensors file nor");
    let output = other(&named(large, ", channels: 128"), &["run", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    // What was trained is generated from without the encoder.
    fs::remove_file(folder.join("small.pth")).unwrap();
    let run = folder.join("results/tiny/runs").join(aligned.planned.run_id.as_str());
    let output = sandbox.speedlab(&["sample", run.to_str().unwrap(), "--images", "4", "--out", "samples.png"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
