//! Day files under power cuts, full disks, flipped bytes, retention and erasure.

use super::super::files::Disk;
use super::super::note::SignerKey;
use super::super::power::{PowerCutFiles, Trouble};
use super::super::record::Moment;
use super::super::record::tests::entry;
use super::*;
use proptest::prelude::*;

const ORIGIN: &str = "inst/acme/decisions";
const HOUR: i64 = 3_600_000_000;

fn dir() -> PathBuf {
    PathBuf::from("/log")
}

fn open(files: &PowerCutFiles) -> Result<DayLog, DayError> {
    DayLog::open(Arc::new(files.clone()), &dir(), ORIGIN)
}

/// Entry `number`, `hours` after the first moment of a day.
fn at(number: u64, hours: i64) -> Entry {
    Entry { time: Moment(20_000 * 24 * HOUR + hours * HOUR), ..entry(number) }
}

fn signed(log: &DayLog) -> String {
    let key = SignerKey::from_seed(ORIGIN, &[1; 32]).expect("a key");
    Checkpoint { origin: ORIGIN.to_owned(), size: log.size(), root: log.tree().root() }.sign(&key)
}

fn all(log: &DayLog) -> Vec<Entry> {
    let read = log.records(0..log.size()).collect::<Result<Vec<_>, _>>().expect("all can be read");
    assert!(read.iter().enumerate().all(|(n, (position, _))| n as u64 == *position));
    read.into_iter().map(|(_, entry)| entry).collect()
}

/// A log of `days` days with 5 batches of 2 each.
fn written(files: &PowerCutFiles, days: i64) -> (DayLog, Vec<Entry>) {
    let mut log = open(files).expect("opens");
    let mut entries = Vec::new();
    for batch in 0..days * 5 {
        let (day, hour) = (batch / 5, batch % 5);
        let batch =
            [at(entries.len() as u64, day * 24 + hour), at(entries.len() as u64 + 1, day * 24 + hour)];
        let first = entries.len() as u64;
        assert_eq!(log.append_batch(&batch).expect("appended"), first..first + 2);
        entries.extend(batch);
    }
    (log, entries)
}

#[test]
fn what_was_appended_is_read_again_also_after_opening_anew() {
    let files = PowerCutFiles::new(1);
    let (log, entries) = written(&files, 3);
    assert_eq!(all(&log), entries);
    let leaves: Vec<Hash32> = entries.iter().map(Entry::leaf).collect();
    assert_eq!(log.tree().root(), Tree::over(&leaves).root());
    log.close().expect("closes");
    let log = open(&files).expect("opens");
    assert_eq!((all(&log), log.cuts()), (entries.clone(), &[][..]));
    assert_eq!(log.leaves(0, 30).expect("hashes"), leaves);
    assert_eq!(log.tree().root(), Tree::over(&leaves).root());
    assert_eq!(log.entry(17).expect("there"), entries[17]);
    let day = 20_000 * 24 * HOUR;
    let found: Vec<u64> = log
        .between(Moment(day + 2 * HOUR), Moment(day + 25 * HOUR))
        .map(|found| found.expect("readable").0)
        .collect();
    assert_eq!(found, (4..12).collect::<Vec<u64>>());
}

/// One run: batches until the power is cut at operation `cut`, then the disk as it is left. `Err` says what was lost.
fn cut_and_reopen(seed: u64, cut: u64, syncs_lie: bool) -> Result<(), String> {
    let files = PowerCutFiles::new(seed);
    if syncs_lie {
        files.let_syncs_lie();
    }
    files.trouble_at(cut, Trouble::PowerCut);
    let mut acknowledged: Vec<Entry> = Vec::new();
    let mut tried: Vec<Entry> = Vec::new();
    let mut checkpointed = 0;
    if let Ok(mut log) = open(&files) {
        for step in 0..12u64 {
            let first = tried.len() as u64;
            let batch: Vec<Entry> =
                (0..1 + (seed + step) % 4).map(|n| at(first + n, (step * 5) as i64)).collect();
            tried.extend(batch.iter().cloned());
            if log.append_batch(&batch).is_err() {
                assert!(matches!(log.append_batch(&batch), Err(DayError::Failed)), "nothing after a failure");
                break;
            }
            acknowledged.extend(batch);
            if step % 5 == 4 {
                let size = log.size();
                if log.store_checkpoint(&signed(&log)).is_err() {
                    break;
                }
                checkpointed = size;
            }
        }
    }
    files.restart();
    let mut log = open(&files).map_err(|error| error.to_string())?;
    let there =
        log.records(0..log.size()).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let there: Vec<Entry> = there.into_iter().map(|(_, entry)| entry).collect();
    if !there.starts_with(&acknowledged) {
        return Err(format!("{} acknowledged, {} there", acknowledged.len(), there.len()));
    }
    if there != tried[..there.len()] || !(there.len() == acknowledged.len() || there.len() == tried.len()) {
        return Err("a batch is half there".to_owned());
    }
    let leaves: Vec<Hash32> = there.iter().map(Entry::leaf).collect();
    if log.tree().root() != Tree::over(&leaves).root() || log.leaves(0, leaves.len()).ok() != Some(leaves) {
        return Err("the tree is another one".to_owned());
    }
    let stored =
        log.last_checkpoint().map_or(0, |note| Checkpoint::unverified(note).expect("a checkpoint").size);
    if stored < checkpointed {
        return Err("an acknowledged checkpoint is gone".to_owned());
    }
    // Life goes on, and once more.
    log.append_batch(&[at(900, 60)]).map_err(|error| error.to_string())?;
    let size = log.size();
    files.restart();
    let log = open(&files).map_err(|error| error.to_string())?;
    if log.size() == size { Ok(()) } else { Err("the record after the restart is gone".to_owned()) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever operation the power is cut at: every acknowledged record is there, none is half there, the tree is theirs.
    #[test]
    fn nothing_acknowledged_is_lost_by_a_power_cut(seed in 1u64..u64::MAX / 2, cut in 0u64..60) {
        prop_assert_eq!(cut_and_reopen(seed, cut, false), Ok(()));
    }
}

/// Every operation of one run, with several outcomes each; and without syncs the same test fails.
#[test]
fn the_power_cut_test_fails_without_syncs() {
    let failures = |lie| {
        (0..60)
            .flat_map(|cut| (1..5).map(move |seed| (seed, cut)))
            .filter(|(seed, cut)| cut_and_reopen(*seed, *cut, lie).is_err())
            .count()
    };
    assert_eq!(failures(false), 0);
    let lost = failures(true);
    assert!(lost > 100, "syncs do nothing, and only {lost} of 240 runs lost something");
}

#[test]
fn a_full_or_read_only_disk_acknowledges_nothing_and_loses_nothing() {
    for trouble in [Trouble::Full, Trouble::ReadOnly] {
        for operation in 0..8 {
            let files = PowerCutFiles::new(operation + 1);
            let (mut log, entries) = written(&files, 1);
            files.trouble_at(operation, trouble);
            let mut acknowledged = entries;
            for step in 0..6 {
                let batch = [at(100 + step, 24)];
                match log.append_batch(&batch) {
                    Ok(_) => acknowledged.extend(batch),
                    Err(DayError::Io(_, error)) => {
                        let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem];
                        assert!(kinds.contains(&error.kind()));
                    }
                    Err(error) => assert!(matches!(error, DayError::Failed), "{error}"),
                }
            }
            files.lift_trouble();
            let log = open(&files).expect("opens");
            assert!(all(&log).starts_with(&acknowledged), "{trouble:?} at {operation}");
        }
    }
}

/// Each byte of each day file: an error that names the file, a cut of the last, unchecked frame or of room that is said, or, in
/// the leaf hashes, what can be derived again. Never a record that is skipped or changed.
#[test]
fn a_flipped_byte_is_never_skipped() {
    let files = PowerCutFiles::new(7);
    let (mut log, entries) = written(&files, 2);
    log.store_checkpoint(&signed(&log)).expect("stored");
    let content = log.kept_days().expect("readable")[1].bytes as usize;
    drop(log);
    for name in ["2024-10-04.day", "2024-10-05.day", "2024-10-04.leaves", "2024-10-05.leaves", CHECKPOINTS] {
        let path = dir().join(name);
        let size = files.size(&path).expect("readable").expect("there") as usize;
        for byte in 0..size {
            let copy = fork(&files);
            copy.flip(&path, byte, 1 << (byte % 8));
            let outcome = open(&copy).and_then(|log| {
                let read: Result<Vec<_>, _> = log.records(0..log.size()).collect();
                Ok((read?, log.cuts().to_vec(), log.tree().root()))
            });
            match outcome {
                Err(DayError::Damaged { file, .. }) => assert_eq!(file, path),
                Err(error) => panic!("byte {byte} of {name}: {error}"),
                Ok((read, cuts, _)) => {
                    let derived = name.ends_with(".leaves");
                    let room = name == "2024-10-05.day" && byte >= content;
                    assert!(
                        derived || ((name == CHECKPOINTS || room) && cuts.len() == 1),
                        "byte {byte} of {name} is not seen"
                    );
                    assert!(read.iter().map(|(_, entry)| entry).eq(&entries), "byte {byte} of {name}");
                }
            }
        }
    }
}

/// A second file system with the same files.
fn fork(files: &PowerCutFiles) -> PowerCutFiles {
    let copy = PowerCutFiles::new(3);
    for name in files.list(&dir()).expect("readable") {
        let path = dir().join(&name);
        let mut bytes = vec![0; files.size(&path).expect("readable").expect("there") as usize];
        files.read_at(&path, 0, &mut bytes).expect("readable");
        let mut to = copy.open_append(&path).expect("made");
        to.append(&bytes).and_then(|()| to.sync()).expect("written");
    }
    copy.sync_dir(&dir()).expect("synced");
    copy
}

#[test]
fn a_torn_end_is_cut_and_said_and_damage_before_it_is_not() {
    let files = PowerCutFiles::new(7);
    let (log, entries) = written(&files, 1);
    let size = log.kept_days().expect("readable")[0].bytes;
    drop(log);
    let path = dir().join("2024-10-04.day");
    let copy = fork(&files);
    copy.truncate(&path, size - 5).expect("cut");
    let log = open(&copy).expect("opens");
    assert_eq!(all(&log), entries[..8]);
    assert_eq!((log.cuts().len(), &log.cuts()[0].file), (1, &path));
    // Two frames from the end: a whole one follows.
    let copy = fork(&files);
    copy.flip(&path, size as usize / 2, 4);
    let error = open(&copy).expect_err("damaged").to_string();
    assert!(error.starts_with("/log/2024-10-04.day: damaged at byte "), "{error}");
}

#[test]
fn a_log_that_is_smaller_than_its_checkpoint_does_not_open() {
    let files = PowerCutFiles::new(7);
    let (mut log, _) = written(&files, 2);
    log.store_checkpoint(&signed(&log)).expect("stored");
    drop(log);
    for kind in ["day", "leaves"] {
        files.remove(&dir().join(format!("2024-10-05.{kind}"))).expect("removed");
    }
    assert!(matches!(open(&files), Err(DayError::Smaller(10, 20))));
}

#[test]
fn a_missing_day_is_damage() {
    let files = PowerCutFiles::new(7);
    drop(written(&files, 3));
    let copy = fork(&files);
    copy.remove(&dir().join("2024-10-05.day")).expect("removed");
    assert!(matches!(open(&copy), Err(DayError::Damaged { file, .. }) if file.ends_with("2024-10-05.day")));
    copy.remove(&dir().join("2024-10-05.leaves")).expect("removed");
    assert!(matches!(open(&copy), Err(DayError::Damaged { file, .. }) if file.ends_with("2024-10-06.day")));
    let other = DayLog::open(Arc::new(files), &dir(), "inst/evil/decisions");
    assert!(matches!(other, Err(DayError::Damaged { .. })), "a log of another organization");
}

/// A hand that also mends the checksum: the hashes beside the day file tell, and they are held by the checkpoint.
#[test]
fn an_edited_record_with_a_mended_checksum_is_damage() {
    let files = PowerCutFiles::new(7);
    let (mut log, _) = written(&files, 1);
    log.store_checkpoint(&signed(&log)).expect("stored");
    drop(log);
    let path = dir().join("2024-10-04.day");
    let copy = fork(&files);
    copy.truncate(&path, 0).expect("emptied");
    let mut frames = super::super::frame::Frames::from(&files, &path, 0).expect("readable");
    let mut to = copy.open_append(&path).expect("there");
    while let Some(payload) = frames.next().expect("readable") {
        let text = payload.windows(6).position(|word| word == b"\"r-5\",");
        let mut payload = payload;
        if let Some(at) = text {
            payload[at + 3] = b'6';
        }
        to.append(&frame(&payload)).and_then(|()| to.sync()).expect("written");
    }
    let log = open(&copy).expect("opening reads no records that have hashes");
    let found: Vec<Result<u64, DayError>> = log.records(0..10).map(|found| found.map(|(n, _)| n)).collect();
    assert_eq!(found.len(), 5, "four records, and then the damage");
    let error = found.into_iter().next_back().expect("five").expect_err("edited").to_string();
    assert!(error.contains("expected record 5 with the hash that the tree holds"), "{error}");
}

#[test]
fn retention_keeps_the_tree() {
    let files = PowerCutFiles::new(7);
    let (mut log, entries) = written(&files, 4);
    log.store_checkpoint(&signed(&log)).expect("stored");
    let root = log.tree().root();
    assert_eq!(log.delete_through(20_001).expect("deleted"), 2);
    for mut log in [open(&fork(&files)).expect("opens"), log] {
        assert_eq!((log.kept_from(), log.tree().root(), log.size()), (20, root, 40));
        assert!(matches!(log.entry(19), Err(DayError::NoRecord(19))));
        assert_eq!(log.entry(20).expect("there"), entries[20]);
        let path = log.tree().inclusion(&log, 3, 40).expect("provable");
        assert!(super::super::merkle::verify_inclusion(3, 40, &entries[3].leaf(), &path, &root));
        assert_eq!(log.delete_through(30_000).expect("deleted"), 1);
        assert_eq!(log.kept_from(), 30, "never the last day");
    }
}

#[test]
fn erasing_a_person_leaves_records_and_tree() {
    let files = PowerCutFiles::new(7);
    let (mut log, entries) = written(&files, 3);
    let root = log.tree().root();
    assert_eq!((log.erase("u-9").expect("none"), log.erase("u-1").expect("erased")), (0, 20));
    log.append_batch(&[at(31, 72)]).expect("goes on");
    files.restart();
    let log = open(&files).expect("opens");
    let left = all(&log);
    assert_eq!((left.len(), log.tree().root_at(&log, 30).expect("a root")), (31, root));
    for (was, is) in entries.iter().zip(&left) {
        assert_eq!((&was.record, was.salt), (&is.record, is.salt));
        assert_eq!(is.personal.is_empty(), was.personal[0].person == "u-1");
    }
    for name in files.list(&dir()).expect("readable").iter().filter(|name| name.ends_with(".day")) {
        let path = dir().join(name);
        let mut bytes = vec![0; files.size(&path).expect("readable").expect("there") as usize];
        files.read_at(&path, 0, &mut bytes).expect("readable");
        let there = String::from_utf8_lossy(&bytes).contains("person1@");
        assert_eq!(there, name == "2024-10-07.day", "{name}: only what was appended afterwards");
    }
}

#[test]
fn a_record_far_from_the_day_is_refused_and_the_day_never_goes_back() {
    let files = PowerCutFiles::new(7);
    let mut log = open(&files).expect("opens");
    log.append_batch(&[at(0, 50)]).expect("appended");
    log.append_batch(&[at(1, 47)]).expect("the day before is near enough");
    assert!(matches!(log.append_batch(&[at(2, 10)]), Err(DayError::Time(_))));
    assert!(matches!(log.append_batch(&[at(2, 50), at(2, 200)]), Err(DayError::Time(_))));
    log.append_batch(&[at(2, 51)]).expect("a refusal is no failure");
    assert_eq!((log.size(), log.days.len()), (3, 1));
}

/// The real file system, and from there an export that verifies.
#[test]
fn a_log_on_disk_is_exported_and_verified() {
    let dir = std::env::temp_dir().join(format!("policyd-day-{}", std::process::id()));
    let mut log = DayLog::open(Arc::new(Disk), &dir, ORIGIN).expect("opens");
    let batch: Vec<Entry> = (0..600).map(entry).collect();
    for part in batch.chunks(7) {
        log.append_batch(part).expect("appended");
    }
    log.store_checkpoint(&signed(&log)).expect("stored");
    let log = DayLog::open(Arc::new(Disk), &dir, ORIGIN).expect("opens anew");
    let mut to = super::super::export::Exporter::begin(Vec::new(), ORIGIN, log.tree(), &log, 300..600, 0)
        .expect("begins");
    for found in log.records(300..600) {
        to.record(&found.expect("readable").1).expect("written");
    }
    let bytes = to.finish(log.last_checkpoint().expect("stored")).expect("whole");
    let key = SignerKey::from_seed(ORIGIN, &[1; 32]).expect("a key");
    let report = super::super::verify::verify(&bytes[..], &[key.verifier().clone()], None).expect("verified");
    assert_eq!((report.records, report.erased), (300, 0));
    std::fs::remove_dir_all(&dir).expect("removed");
}

/// How long opening takes: `AUDIT_RECORDS=5000000 cargo test --features server --lib audit::day -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement: it writes 1 KiB a record to the temporary folder"]
fn time_to_open() {
    let count: u64 = std::env::var("AUDIT_RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let dir = std::env::temp_dir().join(format!("policyd-open-{}", std::process::id()));
    let mut log = DayLog::open(Arc::new(Disk), &dir, ORIGIN).expect("opens");
    let pattern: Vec<Entry> = (0..1000).map(entry).collect();
    let begun = std::time::Instant::now();
    for batch in 0..count / 1000 {
        let hour = 30 * 24 * batch as i64 / (count / 1000) as i64;
        let time = Moment(20_000 * 24 * HOUR + hour * HOUR);
        let entries: Vec<Entry> = pattern.iter().map(|entry| Entry { time, ..entry.clone() }).collect();
        log.append_batch(&entries).expect("appended");
    }
    println!("{count} records over 30 days written in {:?}", begun.elapsed());
    let root = log.tree().root();
    drop(log);
    let begun = std::time::Instant::now();
    let log = DayLog::open(Arc::new(Disk), &dir, ORIGIN).expect("opens");
    println!("opened after a kill in {:?}", begun.elapsed());
    assert_eq!((log.size(), log.tree().root()), (count, root));
    let begun = std::time::Instant::now();
    let path = log.tree().inclusion(&log, count / 3, count).expect("provable");
    println!("an inclusion proof of {} hashes in {:?}", path.len(), begun.elapsed());
    let begun = std::time::Instant::now();
    log.entry(count / 3).expect("there");
    println!("one record read in {:?}", begun.elapsed());
    std::fs::remove_dir_all(&dir).expect("removed");
}
