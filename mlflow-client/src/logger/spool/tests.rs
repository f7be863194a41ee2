use std::collections::HashSet;

use super::*;
use crate::logger::entry::{Entry, Keys, Point};

const RUN: &str = "0123456789abcdef";

fn point(keys: &Keys, step: i64) -> Entry {
    let key = if step % 2 == 0 { "even" } else { "odd" };
    Entry::Point(Point {
        key: keys.intern(key).unwrap(),
        value: 0.5,
        timestamp: 1,
        step,
    })
}

fn points(keys: &Keys, steps: std::ops::Range<i64>) -> Vec<Entry> {
    steps.map(|step| point(keys, step)).collect()
}

fn steps(entries: &[Entry], keys: &Keys) -> Vec<i64> {
    let mut steps = Vec::new();
    for entry in entries {
        let Entry::Point(point) = entry else { panic!("a point") };
        let name = if point.step % 2 == 0 { "even" } else { "odd" };
        assert_eq!(keys.read().name(point.key), name);
        steps.push(point.step);
    }
    steps
}

fn open(spool: &Spool) -> (Store, Arc<Keys>, u64) {
    let keys = Arc::new(Keys::default());
    // Numbers of keys differ from process to process.
    keys.intern(&uuid::Uuid::new_v4().to_string()).unwrap();
    let (store, left) = Store::open(spool.clone(), RUN, Arc::clone(&keys)).unwrap();
    (store, keys, left.entries)
}

fn read_all(store: &mut Store, keys: &Keys) -> Vec<i64> {
    let mut entries = Vec::new();
    store.read(usize::MAX, &mut entries).unwrap();
    steps(&entries, keys)
}

fn files(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.path().join(RUN))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "spool"))
        .collect();
    files.sort();
    files
}

#[test]
fn what_was_not_confirmed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path()).segment_bytes(2_000);
    let (mut store, keys, left) = open(&spool);
    assert_eq!(left, 0);
    for start in 0..30 {
        let (written, result) = store.append(&points(&keys, start * 10..start * 10 + 10));
        result.unwrap();
        assert_eq!(written, 10);
    }
    assert!(files(&folder).len() > 3);
    let mut window = Vec::new();
    // In the middle of a frame.
    let position = store.read(123, &mut window).unwrap();
    assert_eq!(steps(&window, &keys), (0..123).collect::<Vec<_>>());
    store.confirm(position).unwrap();
    drop(store);

    let (mut store, keys, left) = open(&spool);
    assert_eq!(left, 177);
    // New ones come behind the old ones.
    store.append(&points(&keys, 300..310)).1.unwrap();
    assert_eq!(read_all(&mut store, &keys), (123..310).collect::<Vec<_>>());
    drop(store);

    let (mut store, keys, left) = open(&spool);
    assert_eq!(left, 187);
    let position = store.read(usize::MAX, &mut Vec::new()).unwrap();
    store.confirm(position).unwrap();
    assert_eq!(read_all(&mut store, &keys), [0; 0]);
    assert!(files(&folder).len() <= 1);
    store.remove().unwrap();
    assert!(!folder.path().join(RUN).exists());
}

#[test]
fn a_torn_end_is_left_out_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path());
    let (mut store, keys, _) = open(&spool);
    store.append(&points(&keys, 0..5)).1.unwrap();
    store.append(&points(&keys, 5..10)).1.unwrap();
    drop(store);
    let file = files(&folder).remove(0);
    let whole = fs::read(&file).unwrap();
    for cut in 1..60 {
        fs::write(&file, &whole[..whole.len() - cut]).unwrap();
        let keys = Arc::new(Keys::default());
        let (mut store, left) = Store::open(spool.clone(), RUN, Arc::clone(&keys)).unwrap();
        assert_eq!(left.entries, 5);
        assert!(left.unreadable_bytes > 0);
        store.append(&points(&keys, 10..12)).1.unwrap();
        assert_eq!(read_all(&mut store, &keys), [0, 1, 2, 3, 4, 10, 11]);
        assert_eq!(store.unreadable(), left.unreadable_bytes);
        drop(store);
        fs::remove_file(files(&folder).remove(1)).unwrap();
    }
    // Killed while it wrote the header: there was nothing in it.
    fs::write(&file, &whole[..10]).unwrap();
    let (mut store, keys, left) = open(&spool);
    assert_eq!((left, read_all(&mut store, &keys)), (0, vec![]));
}

#[test]
fn damage_takes_one_record_and_not_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path());
    let (mut store, keys, _) = open(&spool);
    // The first record defines the keys.
    for start in [0, 10, 20] {
        store.append(&points(&keys, start..start + 10)).1.unwrap();
    }
    drop(store);
    let file = files(&folder).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (mut store, keys, left) = open(&spool);
    assert_eq!(left, 20);
    let read = read_all(&mut store, &keys);
    assert_eq!(read, (0..10).chain(20..30).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_is_told_and_nothing_is_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let mut spool = Spool::new(folder.path());
    spool.full = Some(Arc::clone(&full));
    let (mut store, keys, _) = open(&spool);
    store.append(&points(&keys, 0..10)).1.unwrap();
    full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let (written, result) = store.append(&points(&keys, 10..20));
        assert!(matches!((written, result), (0, Err(SpoolError::Full { .. }))));
    }
    assert_eq!(files(&folder).len(), 1);
    full.store(false, Ordering::SeqCst);
    store.append(&points(&keys, 10..20)).1.unwrap();
    assert_eq!(read_all(&mut store, &keys), (0..20).collect::<Vec<_>>());
    drop(store);
    let (mut store, keys, _) = open(&spool);
    assert_eq!(read_all(&mut store, &keys), (0..20).collect::<Vec<_>>());
    assert_eq!(store.unreadable(), 0);
}

#[test]
fn its_own_limit_is_a_full_disk_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path()).segment_bytes(500).max_bytes(2_000);
    let (mut store, keys, _) = open(&spool);
    let mut next = 0;
    while store.append(&points(&keys, next..next + 10)).1.is_ok() {
        next += 10;
    }
    assert!((20..=60).contains(&next), "{next}");
    let position = store.read(usize::MAX, &mut Vec::new()).unwrap();
    store.confirm(position).unwrap();
    store.append(&points(&keys, next..next + 10)).1.unwrap();
    assert_eq!(read_all(&mut store, &keys), (next..next + 10).collect::<Vec<_>>());
}

#[test]
fn a_full_file_that_is_delivered_makes_room_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path()).max_bytes(1_000);
    let (mut store, keys, _) = open(&spool);
    while store.append(&points(&keys, 0..10)).1.is_ok() {}
    // Once more: the next file is begun.
    store.append(&points(&keys, 0..10)).1.unwrap_err();
    let position = store.read(usize::MAX, &mut Vec::new()).unwrap();
    assert!(store.is_behind(position));
    store.confirm(position).unwrap();
    store.append(&points(&keys, 0..10)).1.unwrap();
    assert_eq!(read_all(&mut store, &keys), (0..10).collect::<Vec<_>>());
}

#[test]
fn one_spool_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path());
    let (store, _, _) = open(&spool);
    let again = Store::open(spool.clone(), RUN, Arc::default());
    assert!(matches!(again, Err(SpoolError::InUse { .. })));
    Store::open(spool.clone(), "another", Arc::default()).unwrap();
    drop(store);
    open(&spool).0.remove().unwrap();
    open(&spool);
}

#[test]
fn files_of_others_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path());
    let (mut store, keys, _) = open(&spool);
    store.append(&points(&keys, 0..5)).1.unwrap();
    drop(store);
    let file = files(&folder).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[8] = 9;
    fs::write(&file, &bytes).unwrap();
    let opened = Store::open(spool.clone(), RUN, Arc::default());
    assert!(
        matches!(&opened, Err(error @ SpoolError::Format { .. }) if error.to_string().contains("version is 9")),
        "{opened:?}"
    );
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path().join("new"));
    let (mut store, keys, _) = open(&spool);
    store.append(&points(&keys, 0..5)).1.unwrap();
    let run = folder.path().join("new").join(RUN);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&run), 0o700);
    let mut names = HashSet::new();
    for entry in fs::read_dir(&run).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
        names.insert(entry.file_name().into_string().unwrap());
    }
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn names_that_lead_elsewhere_are_none() {
    for bad in ["", "..", "a/b", "a\\b", "a.b", &"a".repeat(129)] {
        assert!(!is_folder_name(bad), "{bad}");
    }
    assert!(is_folder_name("0123456789abcdef-_A"));
}
