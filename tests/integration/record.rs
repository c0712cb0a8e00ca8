//! Records on disk, apart from the runs that make them.

use speedlab::record::{CurveRow, RecordError, read_curves, write_curves};
use speedlab::spec::{RunId, RunSpec};

#[test]
fn a_table_of_curves_comes_back_bit_for_bit_and_a_cut_one_is_refused() {
    let row = |step: u64, value: f64| CurveRow {
        run_id: RunId::of(&RunSpec::default()),
        arm: "clts+mdlrc".into(),
        trial: "clts+mdlrc model.channels=16".into(),
        seed: u64::MAX,
        attempt: 2,
        step,
        images_seen: 64 * step,
        train_seconds: 0.1 + 0.2,
        wall_seconds: 1e-300,
        metric: "fid".into(),
        protocol: "digits-cnn n=500".into(),
        value,
    };
    let rows = [row(1, 1.0 / 3.0), row(2, f64::MIN_POSITIVE), row(3, -0.0)];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.parquet");
    write_curves(&path, &rows).unwrap();
    let back = read_curves(&path).unwrap();
    assert_eq!(back, rows);
    assert_eq!(back[2].value.to_bits(), (-0.0f64).to_bits());

    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(read_curves(&path), Err(RecordError::Damaged { .. })));
}
