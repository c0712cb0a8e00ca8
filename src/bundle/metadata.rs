//! `ro-crate-metadata.json`: what is in a bundle, by RO-Crate 1.1 (<https://w3id.org/ro/crate/1.1>).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{METADATA, SUMS};
use crate::record::{PlanFile, RunState, StudyRecord};
use crate::spec::PlannedRun;

/// A file as it is described.
pub(super) struct Described {
    pub name: String,
    pub sum: String,
    pub bytes: u64,
}

const VERSION: &str = "https://w3id.org/ro/crate/1.1";

/// The metadata of a bundle. Nothing in it depends on when or where it is made.
pub(super) fn metadata_text(
    study: &StudyRecord,
    file: &PlanFile,
    described: &[Described],
    license: Option<&str>,
    author: Option<&str>,
) -> String {
    let (terms, license) = license_entity(license);
    let mut folders: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut parts = vec![json!({ "@id": SUMS })];
    let mut files = vec![json!({
        "@id": SUMS,
        "@type": "File",
        "name": "the SHA-256 of every other file, as sha256sum checks it",
        "encodingFormat": "text/plain",
    })];
    for Described { name, sum, bytes } in described {
        let id = json!({ "@id": encoded(name) });
        match run_folder(name) {
            Some(folder) => folders.entry(folder).or_default().push(id),
            None => parts.push(id),
        }
        files.push(json!({
            "@id": encoded(name),
            "@type": "File",
            "name": name,
            "contentSize": bytes.to_string(),
            "encodingFormat": encoding(name),
            "sha256": sum,
        }));
    }
    parts.extend(folders.keys().map(|folder| json!({ "@id": folder })));
    let sessions = sessions(file);
    let mut graph = vec![
        json!({
            "@id": METADATA,
            "@type": "CreativeWork",
            "conformsTo": { "@id": VERSION },
            "about": { "@id": "./" },
        }),
        json!({
            "@id": "./",
            "@type": "Dataset",
            "name": study.plan.name,
            "description": description(study),
            "datePublished": last_time(study, file),
            "license": terms,
            "hasPart": parts,
            "mentions": sessions.iter().map(|session| json!({ "@id": session["@id"] })).collect::<Vec<_>>(),
        }),
    ];
    graph.push(license);
    if let Some(name) = author {
        graph[1]["author"] = json!({ "@id": "#author" });
        graph.push(json!({ "@id": "#author", "@type": "Person", "name": name }));
    }
    graph.extend(programs(file));
    graph.extend(sessions);
    graph.extend(folders.into_iter().map(|(folder, parts)| {
        let name = study.runs.iter().find(|run| folder.contains(run.planned.run_id.as_str())).map(|run| {
            let PlannedRun { trial, seed, .. } = &run.planned;
            format!("the run of {trial} with seed {seed}")
        });
        json!({ "@id": folder, "@type": "Dataset", "name": name.unwrap_or_default(), "hasPart": parts })
    }));
    graph.extend(files);
    let context = json!([format!("{VERSION}/context"), { "sha256": "http://schema.org/sha256" }]);
    let whole = json!({ "@context": context, "@graph": graph });
    serde_json::to_string_pretty(&whole).expect("it is JSON") + "\n"
}

/// `runs/<id>/` or `attempts/<id>/<token>/`, if a file is in one.
fn run_folder(name: &str) -> Option<String> {
    let depth = match name.split('/').next()? {
        "runs" => 2,
        "attempts" => 3,
        _ => return None,
    };
    Some(encoded(&format!("{}/", name.split('/').take(depth).collect::<Vec<_>>().join("/"))))
}

fn description(study: &StudyRecord) -> String {
    let ended = study.runs.iter().filter(|run| matches!(run.state, RunState::Ended(_))).count();
    let question = match study.plan.question.trim() {
        "" => String::new(),
        question => format!("{question} "),
    };
    format!(
        "{question}Records of a Speedlab study: {ended} of {} planned runs have ended, {} arms, {} seeds. Unpack it to a folder; `speedlab \
         verify FOLDER` checks it, `speedlab report FOLDER` draws its report again.",
        study.plan.runs.len(),
        study.plan.arms.len(),
        study.plan.seeds.len()
    )
}

/// The reference for the whole, and the entity that it refers to.
fn license_entity(license: Option<&str>) -> (Value, Value) {
    let (id, name, words) = match license {
        Some(address) if address.starts_with("https://") || address.starts_with("http://") => {
            (address.to_owned(), address, "The terms under this address.".to_owned())
        }
        Some(words) => ("#license".to_owned(), words, format!("The results may be used under {words}.")),
        None => (
            "#license".to_owned(),
            "none was stated",
            "Who made this bundle said nothing of its terms of use: ask them.".to_owned(),
        ),
    };
    let entity = json!({ "@id": id, "@type": "CreativeWork", "name": name, "description": words });
    (json!({ "@id": id }), entity)
}

/// Each program once that trained runs or froze the plan.
fn programs(file: &PlanFile) -> Vec<Value> {
    let names = file.sessions.iter().map(|session| (&session.program, Some(&session.build)));
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for (program, build) in names.chain([(&file.program, None)]) {
        let id = program_id(program);
        let version = program.rsplit_once(' ').map_or("", |(_, version)| version);
        known.entry(id.clone()).or_insert_with(|| {
            let build = build.map_or_else(String::new, |build| format!("build {build}"));
            json!({
                "@id": id,
                "@type": "SoftwareApplication",
                "name": program,
                "version": version,
                "description": build,
            })
        });
    }
    known.into_values().collect()
}

fn program_id(program: &str) -> String {
    format!("#{}", encoded(&program.replace(' ', "-")))
}

/// Where and by what runs were started.
fn sessions(file: &PlanFile) -> Vec<Value> {
    let entity = |(number, session): (usize, &crate::record::Session)| {
        json!({
            "@id": format!("#session-{number}"),
            "@type": "CreateAction",
            "name": format!("runs were trained on {}", session.host),
            "description": format!("program build {}, devices {}", session.build, session.devices.join(", ")),
            "startTime": session.started_at,
            "instrument": { "@id": program_id(&session.program) },
            "result": { "@id": "./" },
        })
    };
    (1..).zip(&file.sessions).map(entity).collect()
}

/// The last time that a record knows: no record changes when it is bundled.
fn last_time<'s>(study: &'s StudyRecord, file: &'s PlanFile) -> &'s str {
    let attempts = study.runs.iter().flat_map(|run| &run.attempts).map(|started| &started.started_at);
    let sessions = file.sessions.iter().map(|session| &session.started_at);
    let changes = file.revisions.iter().map(|revision| &revision.changed_at);
    attempts.chain(sessions).chain(changes).max().unwrap_or(&file.planned_at)
}

/// A path as a relative address (RFC 3986, section 3.3).
pub(super) fn encoded(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/+=,@".contains(&byte);
    let letter = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(letter).collect()
}

fn encoding(name: &str) -> &'static str {
    match name.rsplit(['.', '/']).next().unwrap_or_default() {
        "json" | "DONE" => "application/json",
        "jsonl" => "application/jsonl",
        "parquet" => "application/vnd.apache.parquet",
        "html" => "text/html",
        "csv" => "text/csv",
        "md" => "text/markdown",
        "txt" => "text/plain",
        "tex" => "application/x-tex",
        "yaml" => "application/yaml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

/// What is wrong with metadata, a sentence each; `described` is what is there, but for the two files that describe it.
pub(super) fn mistakes(text: &str, described: &BTreeMap<String, (String, u64)>) -> Vec<String> {
    let json: Value = match serde_json::from_str(text) {
        Ok(json) => json,
        Err(error) => return vec![format!("it is no JSON: {error}")],
    };
    let entities: BTreeMap<&str, &Value> = json["@graph"]
        .as_array()
        .map(|graph| graph.iter().filter_map(|entity| Some((entity["@id"].as_str()?, entity))).collect())
        .unwrap_or_default();
    let mut found = Vec::new();
    let mut expect = |is_so: bool, words: &str| {
        if !is_so {
            found.push(words.to_owned());
        }
    };
    let has_context = |context: &Value| context.as_str() == Some(&format!("{VERSION}/context"));
    let contexts = json["@context"].as_array().cloned().unwrap_or_else(|| vec![json["@context"].clone()]);
    expect(contexts.iter().any(has_context), "its context is not that of RO-Crate 1.1");
    let none = Value::Null;
    let entity = |id: &str| entities.get(id).copied().unwrap_or(&none);
    let descriptor = entity(METADATA);
    expect(descriptor["conformsTo"]["@id"] == VERSION, "it does not say that it conforms to RO-Crate 1.1");
    expect(descriptor["about"]["@id"] == "./", "it is about something else than its folder");
    let root = entity("./");
    expect(root["@type"] == "Dataset", "it has no root dataset");
    for key in ["name", "description", "datePublished", "license"] {
        expect(!root[key].is_null(), &format!("its root has no `{key}`"));
    }
    // What is part of the whole, or of a part of it.
    let parts = |of: &Value| -> Vec<String> {
        let list = of["hasPart"].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(|part| part["@id"].as_str().map(str::to_owned)).collect()
    };
    let mut reached: Vec<String> = parts(root);
    let nested: Vec<String> = reached.iter().flat_map(|id| parts(entity(id))).collect();
    reached.extend(nested);
    reached.sort_unstable();
    for (name, (sum, bytes)) in described {
        let (id, words) = (encoded(name), |what: &str| format!("{name}: {what}"));
        let file = entity(&id);
        expect(reached.binary_search(&id).is_ok(), &words("it is part of no dataset"));
        expect(file["@type"] == "File", &words("it is not described"));
        expect(file["sha256"] == sum.as_str(), &words("its sum is described as another"));
        expect(file["contentSize"].as_str() == Some(&bytes.to_string()), &words("its size is described as another"));
    }
    let there: BTreeSet<String> = described.keys().map(|name| encoded(name)).collect();
    for (id, _) in entities.iter().filter(|(id, entity)| entity["@type"] == "File" && **id != SUMS) {
        expect(there.contains(*id), &format!("{id}: it is described and not there"));
    }
    found
}
