//! The sets in `policies/` are what they teach: clean, formatted, tested with every rule determined, and their sample
//! requests are answered as their `requests.out` says (`UPDATE=1` rewrites it).

use policyc::{PolicySet, Sources, TextFile, format_text, parse_time};
use std::fs;

/// The allow of a boundary that is there to refuse everything.
const NEVER_DETERMINES: &str = "rule `policyd_off.2` determined no decision";

struct Sample {
    files: Vec<TextFile>,
    folder: String,
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn now() -> i64 {
    parse_time("2026-03-02T09:00:00Z").expect("a time")
}

fn samples() -> Vec<Sample> {
    let folders = fs::read_dir("policies").expect("policies/").map(|e| e.expect("an entry").path());
    let mut folders: Vec<_> = folders.filter(|p| p.is_dir()).collect();
    folders.sort();
    let samples = folders.into_iter().map(|folder| {
        let entries = fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry").path());
        let mut paths: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "pol")).collect();
        paths.sort();
        let files = paths
            .iter()
            .map(|p| TextFile { name: p.display().to_string(), bytes: fs::read(p).expect("a policy file") });
        Sample { files: files.collect(), folder: folder.display().to_string() }
    });
    samples.collect()
}

fn compile(sample: &Sample) -> PolicySet {
    let compiled = PolicySet::compile_files(sample.files.clone(), now());
    assert_eq!(compiled.diagnostics, [], "{} is clean", sample.folder);
    compiled.set.expect("a clean set compiles")
}

#[test]
fn they_are_formatted() {
    for file in samples().into_iter().flat_map(|s| s.files) {
        let text = String::from_utf8(file.bytes.clone()).expect("UTF-8");
        let name = file.name.clone();
        assert_eq!(format_text(file).expect("it parses"), text, "{name}: run `policyc fmt`");
    }
}

#[test]
fn their_tests_pass_and_determine_every_rule() {
    for sample in samples() {
        let set = compile(&sample);
        let outcomes = set.test(None).expect("made from texts");
        assert!(!outcomes.is_empty(), "{} has tests", sample.folder);
        for outcome in outcomes {
            assert_eq!(outcome.failures, [], "{}: {}", sample.folder, outcome.title);
        }
        let mut gaps = set.coverage(None).expect("made from texts").gaps;
        gaps.retain(|gap| !gap.text.contains(NEVER_DETERMINES));
        assert_eq!(gaps, [], "{}: nothing is left out", sample.folder);
    }
}

#[test]
fn their_data_fits_and_holds_what_they_name() {
    for sample in samples() {
        let set = compile(&sample);
        let mut data = Sources::default();
        let id = data.add("directory.json", read(&format!("{}/directory.json", sample.folder)));
        let (directory, found) = set.load_directory(&data, id);
        assert_eq!(found, [], "{}", sample.folder);
        let names = set.check_names(&directory.expect("it loads"));
        assert_eq!(names, [], "{}", sample.folder);
    }
}

#[test]
fn their_requests_are_answered_as_shown() {
    for sample in samples() {
        let set = compile(&sample);
        let mut data = Sources::default();
        let id = data.add("directory.json", read(&format!("{}/directory.json", sample.folder)));
        let directory = set.load_directory(&data, id).0.expect("it loads");
        let requests = read(&format!("{}/requests.jsonl", sample.folder));
        let answers = requests.lines().map(|line| match set.request(&directory, line, now()) {
            Ok(question) => {
                let decision = set.decide(&directory, &question);
                serde_json::to_string(&set.render(&question, &decision)).expect("plain data") + "\n"
            }
            Err(e) => {
                serde_json::json!({ "error": { "field": e.field, "message": e.message } }).to_string() + "\n"
            }
        });
        let answers: String = answers.collect();
        let path = format!("{}/requests.out", sample.folder);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &answers).expect("requests.out");
        }
        assert_eq!(answers, read(&path), "{path}");
    }
}
