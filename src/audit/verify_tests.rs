//! Exports under attack: every byte, every line, and what a forger with and without keys would try.

use super::super::export::Exporter;
use super::super::note::SignerKey;
use super::super::record::tests::entry;
use super::*;
use crate::audit::merkle::Tree;

const ORIGIN: &str = "inst/acme/decisions";

fn key(seed: u8) -> SignerKey {
    SignerKey::from_seed(ORIGIN, &[seed; 32]).expect("a key")
}

fn entries(count: u64) -> Vec<Entry> {
    (0..count).map(entry).collect()
}

fn sign(leaves: &[Hash32], key: &SignerKey) -> String {
    Checkpoint { origin: ORIGIN.to_owned(), size: leaves.len() as u64, root: Tree::over(leaves).root() }
        .sign(key)
}

/// The export of `entries` from `first` on, with a checkpoint after every tenth record.
fn export_from(entries: &[Entry], first: u64, kept_from: u64) -> Vec<String> {
    let leaves: Vec<Hash32> = entries.iter().map(Entry::leaf).collect();
    let tree = Tree::over(&leaves);
    let mut to = Exporter::begin(Vec::new(), ORIGIN, &tree, &leaves, first..entries.len() as u64, kept_from)
        .expect("begins");
    for (number, entry) in entries.iter().enumerate().skip(first as usize) {
        if (number as u64) < kept_from { to.hash(entry.leaf()) } else { to.record(entry) }.expect("written");
        if (number + 1).is_multiple_of(10) && number + 1 < entries.len() {
            to.checkpoint(&sign(&leaves[..=number], &key(1))).expect("in its place");
        }
    }
    let bytes = to.finish(&sign(&leaves, &key(1))).expect("all there");
    String::from_utf8(bytes).expect("UTF-8").split_inclusive('\n').map(str::to_owned).collect()
}

fn export(entries: &[Entry]) -> Vec<String> {
    export_from(entries, 0, 0)
}

fn judge(lines: &[String]) -> Result<Report, Finding> {
    verify(lines.concat().as_bytes(), &[key(1).verifier().clone()], None)
}

fn judge_after(lines: &[String], previous: &Checkpoint) -> Result<Report, Finding> {
    verify(lines.concat().as_bytes(), &[key(1).verifier().clone()], Some(previous))
}

/// The line (from 0) of a record, in an export with a checkpoint after every tenth.
fn line_of(record: usize) -> usize {
    1 + record + record / 10
}

fn head_of(entries: &[Entry]) -> Checkpoint {
    let leaves: Vec<Hash32> = entries.iter().map(Entry::leaf).collect();
    Checkpoint { origin: ORIGIN.to_owned(), size: leaves.len() as u64, root: Tree::over(&leaves).root() }
}

#[test]
fn a_whole_export_is_verified() {
    let all = entries(50);
    let report = judge(&export(&all)).expect("nothing is wrong");
    assert_eq!((report.records, report.hashes, report.erased, report.checkpoints), (50, 0, 0, 5));
    assert_eq!(report.checkpoint, head_of(&all));
    assert!(judge(&export(&[])).is_ok(), "an empty log");
}

#[test]
fn a_part_and_a_log_with_deleted_and_erased_records_are_verified() {
    let mut all = entries(50);
    for entry in &mut all {
        entry.erase("u-1");
    }
    let report = judge(&export_from(&all, 13, 21)).expect("nothing is wrong");
    assert_eq!((report.records, report.hashes), (29, 8));
    assert_eq!(report.erased, 2 * (21..50).filter(|n| n % 3 == 1).count() as u64);
}

/// Flips `bits(byte)` of each byte of an export of `count` records; all must be found, and named where they are in a record's line.
fn flip_all(count: u64, bits: impl Fn(usize) -> Vec<u8> + Sync) {
    let lines = export(&entries(count));
    let whole = lines.concat().into_bytes();
    let trusted = [key(1).verifier().clone()];
    let starts: Vec<usize> =
        lines.iter().scan(0, |at, line| Some(std::mem::replace(at, *at + line.len()))).collect();
    let flip = |number: usize| {
        let line = &lines[number];
        let record = (0..count as usize).find(|record| line_of(*record) == number);
        for (byte, bits) in
            (0..line.len()).flat_map(|byte| bits(byte).into_iter().map(move |bits| (byte, bits)))
        {
            let mut bytes = whole.clone();
            bytes[starts[number] + byte] ^= bits;
            let Err(finding) = verify(&bytes[..], &trusted, None) else {
                panic!("byte {byte} of line {} flipped by {bits} is not found: {line}", number + 1);
            };
            let Some(record) = record.filter(|_| byte + 1 < line.len()) else { continue };
            let said = finding.to_string();
            let names = [
                format!("record {record} "),
                format!("record {record},"),
                format!("line {},", number + 1),
                format!("line {}:", number + 1),
            ];
            assert!(names.iter().any(|name| said.contains(name)), "byte {byte} of record {record}: {said}");
        }
    };
    std::thread::scope(|scope| {
        for part in 0..2 {
            let (flip, count) = (&flip, starts.len());
            scope.spawn(move || (part..count).step_by(2).for_each(flip));
        }
    });
}

/// No change of a byte is harmless, and where it is in the line of a record, that record or line is named.
#[test]
fn every_flipped_byte_is_found_and_named() {
    flip_all(50, |byte| vec![1 << (byte % 8)]);
}

#[test]
fn every_flipped_bit_is_found_and_named() {
    flip_all(2, |_| (0..8).map(|bit| 1 << bit).collect());
}

#[test]
fn an_edited_record_is_proven_by_the_next_checkpoint() {
    let mut lines = export(&entries(50));
    lines[line_of(12)] = lines[line_of(12)].replace("\\\"allowed\\\":true", "\\\"allowed\\\":false");
    let Err(Finding::Edited { at, proven: true }) = judge(&lines) else { panic!("{:?}", judge(&lines)) };
    assert_eq!((at.record, at.says.expect("it says").1), (Some(12), "r-12".to_owned()));
    assert_eq!(
        judge(&lines).expect_err("edited").to_string(),
        "record 12 (2026-09-21T14:13:32Z, id r-12), line 15: edited; its hash is in the signed tree, what stands here has another one"
    );
}

#[test]
fn an_edited_hash_is_told_from_an_edited_record() {
    let all = entries(50);
    let mut lines = export(&all);
    let (own, other) = (all[12].leaf().to_string(), all[13].leaf().to_string());
    lines[line_of(12)] = lines[line_of(12)].replace(&own, &other);
    assert!(matches!(judge(&lines), Err(Finding::HashEdited(at)) if at.record == Some(12)));
}

#[test]
fn a_forger_who_mends_the_hash_is_located_between_checkpoints() {
    let all = entries(50);
    let mut forged = all.clone();
    forged[12] = entry(1012);
    let mut lines = export(&all);
    lines[line_of(12)] = export(&forged)[line_of(12)].clone();
    assert!(matches!(judge(&lines), Err(Finding::EditedBetween(_, 10, 20))), "{:?}", judge(&lines));
    // Two records exchanged and renumbered.
    let mut swapped = all.clone();
    swapped.swap(33, 34);
    let mut lines = export(&all);
    for record in [33, 34] {
        lines[line_of(record)] = export(&swapped)[line_of(record)].clone();
    }
    assert!(matches!(judge(&lines), Err(Finding::EditedBetween(_, 30, 40))));
}

#[test]
fn dropped_reordered_and_duplicate_lines_are_named() {
    let lines = export(&entries(50));
    let mut dropped = lines.clone();
    dropped.remove(line_of(12));
    assert!(matches!(judge(&dropped), Err(Finding::Dropped(at, 12)) if at.record == Some(13)));
    let mut reordered = lines.clone();
    reordered.swap(line_of(12), line_of(13));
    assert!(matches!(judge(&reordered), Err(Finding::Reordered(at, 12)) if at.record == Some(13)));
    let mut twice = lines.clone();
    twice.insert(line_of(12), lines[line_of(12)].clone());
    assert!(matches!(judge(&twice), Err(Finding::Duplicate(at)) if at.record == Some(12)));
    let mut last = lines.clone();
    last.remove(line_of(49));
    assert!(judge(&last).is_err());
}

#[test]
fn every_truncation_is_found() {
    let lines = export(&entries(50));
    for keep in 0..lines.len() {
        let finding = judge(&lines[..keep]).expect_err("cut off");
        assert!(keep == 0 || matches!(finding, Finding::Truncated(..)), "{keep}: {finding:?}");
    }
    let text = lines.concat();
    let cut = verify(&text.as_bytes()[..text.len() - 1], &[key(1).verifier().clone()], None);
    assert!(matches!(cut, Err(Finding::NotExport(..))));
}

/// The tail is gone and an older, or a new and smaller, checkpoint ends the export: only what is known from before tells.
#[test]
fn a_dropped_tail_is_found_with_a_checkpoint_from_before() {
    let all = entries(50);
    let smaller = export(&all[..40]);
    assert!(judge(&smaller).is_ok(), "nothing in the file can tell");
    let before = head_of(&all[..45]);
    assert!(matches!(judge_after(&smaller, &before), Err(Finding::Shrunk(_, 40, 45))));
    assert!(judge_after(&export(&all), &before).expect("it grew").continues);
    assert!(judge_after(&export_from(&all, 45, 45), &before).expect("from there on").continues);
    assert!(matches!(judge_after(&export_from(&all, 46, 46), &before), Err(Finding::Incomparable(_))));
}

#[test]
fn a_rewritten_history_is_found_with_a_checkpoint_from_before() {
    let all = entries(50);
    let mut other = all.clone();
    other[3] = entry(1003);
    assert!(judge(&export(&other)).is_ok(), "signed by the key itself");
    assert!(matches!(judge_after(&export(&other), &head_of(&all[..45])), Err(Finding::Rewritten(_, 45))));
}

#[test]
fn what_a_forger_without_the_key_signs_is_refused() {
    let all = entries(20);
    let leaves: Vec<Hash32> = all.iter().map(Entry::leaf).collect();
    let mut lines = export(&all);
    let last = lines.len() - 1;
    lines[last] =
        format!("{}\n", serde_json::to_string(&Line::Checkpoint(sign(&leaves, &key(2)))).expect("JSON"));
    assert!(matches!(judge(&lines), Err(Finding::Checkpoint(_, NoteError::Untrusted(_)))));
}

#[test]
fn headers_are_held_against_the_rest() {
    let lines = export(&entries(20));
    let with = |from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[0].contains(from), "{}", lines[0]);
        lines[0] = lines[0].replace(from, to);
        judge(&lines)
    };
    for (from, to) in [
        ("\"size\":20", "\"size\":21"),
        ("\"size\":20", "\"size\":19"),
        ("\"size\":20", "\"size\":10"),
        ("\"first\":0", "\"first\":1"),
        ("\"kept_from\":0", "\"kept_from\":1"),
        ("inst/acme", "inst/evil"),
        ("\"acme\"", "\"evil\""),
        ("inst/", "other/"),
        ("export\":1", "export\":2"),
        ("\"before\":[]", "\"before\":[],\"more\":1"),
        ("\"first\":0", "\"first\": 0"),
        ("\"log\":\"decisions\"", "\"log\":\"changes\""),
    ] {
        assert!(with(from, to).is_err(), "{from} → {to}");
    }
}

#[test]
fn a_record_of_another_organization_is_foreign() {
    let mut all = entries(3);
    all[1].record = all[1].record.replace("\"organization\":\"acme\"", "\"organization\":\"evil\"");
    assert!(matches!(judge(&export(&all)), Err(Finding::Foreign(at, ..)) if at.record == Some(1)));
}

#[test]
fn a_changed_personal_value_is_named_and_an_erased_one_is_not_missed() {
    let all = entries(20);
    let mut lines = export(&all);
    lines[line_of(12)] = lines[line_of(12)].replace("person0@", "person9@");
    assert!(
        matches!(judge(&lines), Err(Finding::PersonalEdited(at, field)) if at.record == Some(12) && field == "account.id")
    );
}

#[test]
fn a_record_that_was_stripped_to_its_hash_is_named() {
    let all = entries(20);
    let mut lines = export(&all);
    let line = Line::Hash { index: 12, leaf: all[12].leaf() };
    lines[line_of(12)] = format!("{}\n", serde_json::to_string(&line).expect("JSON"));
    assert!(matches!(judge(&lines), Err(Finding::NotExport(at, _)) if at.record == Some(12)));
}

#[test]
fn other_spellings_and_endless_lines_are_refused() {
    let lines = export(&entries(3));
    for wrong in [
        lines.concat().replace('\n', "\r\n"),
        lines.concat().replacen("}\n", "} \n", 1),
        lines.concat().replacen("\n", "\n\n", 1),
        lines.concat() + "\n",
        lines.concat() + &lines[1],
        lines.concat().replace("\"index\":1,", "\"index\":1,\"more\":0,"),
        lines.concat().replace("\"index\":1,", "\"index\":1,\"index\":1,"),
        lines.concat().replace("\"index\":1,", "\"index\":1.0,"),
        lines.concat().replace("acme", "\\u0061cme"),
    ] {
        assert!(verify(wrong.as_bytes(), &[key(1).verifier().clone()], None).is_err(), "{wrong}");
    }
    let endless = std::io::BufReader::new(std::io::repeat(b'x'));
    assert!(matches!(verify(endless, &[], None), Err(Finding::NotExport(..))));
}

#[test]
fn a_rotation_passes_trust_on_and_takes_it_from_the_old_key() {
    let all = entries(30);
    let leaves: Vec<Hash32> = all.iter().map(Entry::leaf).collect();
    let tree = Tree::over(&leaves);
    let written = |last: &SignerKey, heirs: &[u8]| {
        let mut to = Exporter::begin(Vec::new(), ORIGIN, &tree, &leaves, 0..30, 0).expect("begins");
        for (number, entry) in all.iter().enumerate() {
            to.record(entry).expect("written");
            if number == 9 {
                to.checkpoint(&sign(&leaves[..10], &key(1))).expect("in its place");
                for heir in heirs {
                    to.rotation(&Rotation::sign(ORIGIN, 10, &key(1), &key(*heir))).expect("written");
                }
            }
        }
        to.finish(&sign(&leaves, last)).expect("all there")
    };
    let judge = |bytes: &[u8]| verify(bytes, &[key(1).verifier().clone()], None);
    let report = judge(&written(&key(2), &[2])).expect("the new key is trusted");
    assert_eq!(report.keys, [key(2).verifier().clone()]);
    assert!(matches!(judge(&written(&key(1), &[2])), Err(Finding::RetiredKey(_))));
    assert!(matches!(judge(&written(&key(3), &[2])), Err(Finding::Checkpoint(..))));
    let second = judge(&written(&key(3), &[2, 3]));
    assert!(matches!(second, Err(Finding::RetiredKey(_))), "a second heir: {second:?}");
}
