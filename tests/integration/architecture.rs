//! The rules of src/ARCHITECTURE.md that can be read off the source: who imports whom, and which crate has which door.

use std::fs;
use std::path::{Path, PathBuf};

/// (module, modules of ours that it may import).
const IMPORTS: &[(&str, &[&str])] = &[
    ("spec", &[]),
    ("checksum", &[]),
    ("random", &[]),
    ("event", &["spec"]),
    ("plan", &["spec", "checksum", "twin"]),
    ("schedule", &["spec", "event"]),
    ("kernels", &["random"]),
    ("process", &[]),
    ("twin", &["checksum", "process"]),
    ("diffusion", &["spec", "random"]),
    ("model", &["spec", "random", "kernels"]),
    ("optim", &["spec", "kernels"]),
    ("data", &["spec", "random", "checksum"]),
    ("device", &["kernels", "checksum"]),
    ("train", &["spec", "event", "random", "checksum", "diffusion", "model", "optim", "kernels", "data"]),
    ("evaluate", &["spec", "event", "random", "checksum", "diffusion", "model", "data", "kernels"]),
    ("record", &["spec", "event", "checksum"]),
    ("report", &["spec", "event", "record", "random", "checksum"]),
    ("cluster", &["spec", "record", "checksum", "process"]),
    ("import", &["spec", "event", "plan", "record", "run", "checksum", "tensorboard"]),
    ("tensorboard", &[]),
    ("export", &["spec", "record", "tensorboard"]),
    ("compare", &["spec", "record", "checksum"]),
    ("merge", &["spec", "event", "record", "checksum"]),
    ("bundle", &["spec", "event", "record", "checksum"]),
    ("serve", &[]),
    (
        "study",
        &[
            "spec", "event", "plan", "schedule", "device", "model", "evaluate", "record", "report", "data", "run",
            "train", "optim", "checksum", "process", "cluster", "external", "import", "twin",
        ],
    ),
    ("run", &["spec", "event", "train", "evaluate", "record", "data", "model"]),
    (
        "external",
        &["spec", "event", "evaluate", "record", "data", "run", "schedule", "device", "checksum", "process", "twin"],
    ),
];

/// (what stands in the source, path prefixes under src/ where it may stand).
const DOORS: &[(&str, &[&str])] = &[
    ("serde_saphyr", &["plan/parse"]),
    ("clap", &["cli/", "main.rs"]),
    ("polars", &["record/", "report/", "import/table.rs"]),
    ("polars_arrow", &["record/curve_table.rs"]),
    ("polars_parquet", &["record/curve_table.rs"]),
    ("csv::ReaderBuilder", &["import/table.rs"]),
    ("csv::WriterBuilder", &["export/csv.rs"]),
    ("ZipArchive::new", &["bundle/", "evaluate/", "data/fetch/"]),
    ("ZipWriter::new", &["bundle/", "evaluate/"]),
    ("plotters", &["report/"]),
    ("maud", &["report/"]),
    ("faer", &["evaluate/", "optim/eigenbasis.rs", "optim/post_hoc.rs"]),
    ("pathfinding", &["diffusion/"]),
    ("ureq", &["data/fetch/"]),
    ("pytorch_reader", &["evaluate/features/", "model/vit/"]),
    (
        "npyz",
        &[
            "evaluate/statistics_file.rs",
            "evaluate/stored_reference.rs",
            "evaluate/generated_images.rs",
            "data/latents/shard.rs",
        ],
    ),
    ("memmap2", &["data/"]),
    (
        "Instant::now",
        &["train/stopwatch.rs", "schedule/worker", "external/", "process.rs", "serve/", "study/live_page/"],
    ),
    ("burn", &["kernels/", "model/", "optim/", "train/", "evaluate/", "run.rs", "run/", "cli/", "device/"]),
    ("cudarc", &["device/"]),
    ("cubecl", &["device/", "kernels/gpu/cube/"]),
    ("cubecl_monitoring", &["device/"]),
    ("burn_cubecl", &["kernels/gpu/cube/"]),
    ("libloading", &["device/"]),
    ("rustix", &["run.rs", "schedule/room.rs", "external/guard.rs", "external/process.rs", "study/live_page/"]),
    ("pdf_writer", &["report/plots/pdf.rs"]),
    ("subsetter", &["report/plots/pdf.rs"]),
    ("ttf_parser", &["report/plots/font.rs", "report/plots/pdf.rs"]),
    ("httparse", &["serve/"]),
    ("subtle", &["serve/"]),
    ("getrandom", &["serve/"]),
];

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// (path relative to src/, code without comments and without unit tests) of every source file.
fn sources() -> Vec<(String, String)> {
    fn visit(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let relative = path.strip_prefix(source_folder()).expect("it is under src");
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                let code = text.split("#[cfg(test)]\nmod ").next().expect("split gives at least one part");
                let code = code.split("#[cfg(test)]\npub mod ").next().expect("split gives at least one part");
                let code: String =
                    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
                found.push((relative.to_string_lossy().into_owned(), code));
            }
        }
    }
    let mut found = Vec::new();
    visit(&source_folder(), &mut found);
    found.sort();
    found
}

/// The modules named after `crate::` in a piece of code, also in `use crate::{a::b, c}`.
fn imported_modules(code: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut modules = Vec::new();
    for (position, _) in code.match_indices("crate::") {
        let rest = &code[position + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            modules.push(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut at_start = true;
        for (offset, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                _ if at_start && !character.is_whitespace() => {
                    modules.push(name(&list[offset..]));
                    at_start = false;
                }
                _ => {}
            }
        }
    }
    modules
}

fn module_of(path: &str) -> &str {
    path.split(['/', '.']).next().expect("a path is not empty")
}

/// `word` as a whole word: `burn` is not in `burnished`.
fn names(code: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(position, _)| {
        let before = code[..position].chars().next_back();
        let after = code[position + word.len()..].chars().next();
        !before.is_some_and(inside) && !after.is_some_and(inside) && (word.contains("::") || after == Some(':'))
    })
}

#[test]
fn modules_import_only_what_the_architecture_allows() {
    let modules: Vec<&str> = IMPORTS.iter().map(|(module, _)| *module).collect();
    let mut seen = 0;
    for (path, code) in sources() {
        let module = module_of(&path);
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
            assert!(["cli", "lib", "main"].contains(&module), "src/{path} belongs to no module of ARCHITECTURE.md");
            continue;
        };
        for imported in imported_modules(&code).iter().filter(|name| modules.contains(&name.as_str()) || *name == "cli")
        {
            assert!(
                imported == module || allowed.contains(&imported.as_str()),
                "src/{path} imports `{imported}`; `{module}` may import {allowed:?}"
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} imports were found: is the reader of `use` lines broken?");
}

#[test]
fn outside_crates_come_in_by_their_doors() {
    for (path, code) in sources() {
        for (word, doors) in DOORS {
            let allowed = doors.iter().any(|door| path.starts_with(door));
            assert!(allowed || !names(&code, word), "src/{path} uses `{word}`, whose doors are {doors:?}");
        }
    }
}

#[test]
fn the_reader_of_imports_sees_every_form() {
    let code = "use crate::spec::{A, B};\nuse crate::{event::{C, D}, record};\nlet x = crate::plan::y();";
    assert_eq!(imported_modules(code), ["spec", "event", "record", "plan"]);
    assert!(names("use burn::tensor::Tensor;", "burn") && !names("sunburn::x", "burn") && !names("// burn it", "burn"));
}

#[test]
fn every_module_that_the_architecture_page_names_exists() {
    let page = fs::read_to_string(source_folder().join("ARCHITECTURE.md")).expect("the page is there");
    let mut named = 0;
    for line in page.lines() {
        // The codemap's lines look like "| `plan/parse.rs` | what it does |".
        let Some(path) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        assert!(source_folder().join(path).exists(), "ARCHITECTURE.md names src/{path}, which does not exist");
        named += 1;
    }
    assert!(named >= 15, "the codemap names only {named} paths");
    let files = sources();
    for module in IMPORTS.iter().map(|(module, _)| module) {
        assert!(files.iter().any(|(path, _)| module_of(path) == *module), "there is no module `{module}`");
        assert!(page.contains(&format!("`{module}")), "ARCHITECTURE.md does not name `{module}`");
    }
}
