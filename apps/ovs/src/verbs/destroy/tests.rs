//! Destroying directories of every kind.

use std::fs;
use std::os::unix::fs::symlink;

use formats::identity::{Folder as Kind, Identity};
use glossary::{BufferIdentity, OsdId, OsdIdentity};
use tempfile::TempDir;

use super::*;

const CLUSTER: ClusterIdentity = ClusterIdentity([7; 16]);

fn identify(folder: &Path, cluster: ClusterIdentity, kind: Kind) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("identity"), Identity { cluster, folder: kind }.encode()).unwrap();
}

fn asd(number: u32) -> Kind {
    Kind::Asd { osd: OsdId(number), identity: OsdIdentity([1; 16]) }
}

/// A cluster of two disks that was stopped, or killed, in `d` of a folder of its own.
fn cluster() -> (TempDir, PathBuf) {
    let bed = tempfile::tempdir().unwrap();
    let root = bed.path().join("d");
    identify(&root, CLUSTER, Kind::Root);
    for number in 0..2 {
        let folder = root.join(format!("asd-{number}"));
        identify(&folder, CLUSTER, asd(number));
        fs::write(folder.join("segment-0000000000000001"), "s").unwrap();
        fs::write(folder.join("checkpoint-a"), "c").unwrap();
    }
    identify(&root.join("write-buffer"), CLUSTER, Kind::WriteBuffer { identity: BufferIdentity([2; 16]) });
    fs::write(root.join("write-buffer/d1.sco-000000000001"), "s").unwrap();
    identify(&root.join("kv"), CLUSTER, Kind::Kv);
    fs::write(root.join("kv/log-0000000000000001"), "l").unwrap();
    fs::write(root.join("lock"), "").unwrap();
    drop(std::os::unix::net::UnixListener::bind(root.join(api::SOCKET)).unwrap());
    (bed, root)
}

fn destroy(dir: &Path) -> Result<String, Failure> {
    run(&Destroy { dir: dir.to_owned(), yes: true, json: false })
}

/// Every path below, for comparing.
fn tree(root: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            paths.push(entry.path());
            folders.extend(entry.file_type().unwrap().is_dir().then(|| entry.path()));
        }
    }
    paths.sort();
    paths
}

#[track_caller]
fn refused(dir: &Path, code: ExitCode, words: &str) {
    let failure = destroy(dir).unwrap_err();
    assert_eq!(failure.code, code, "{failure}");
    assert!(failure.message.contains(words), "{failure}");
}

#[test]
fn a_cluster_goes_with_its_directory() {
    let (_bed, root) = cluster();
    assert_eq!(destroy(&root), Ok(format!("destroyed the cluster in {}\n", root.display())));
    assert!(!root.exists());
    refused(&root, ExitCode::NotFound, "there is no directory");
}

#[test]
fn what_is_not_ours_stays() {
    let (_bed, root) = cluster();
    let foreign = ["notes.txt", "asd-0/notes.txt", "kv/snapshot-of-a-friend", "photos/cat.jpg"];
    fs::create_dir(root.join("photos")).unwrap();
    for name in foreign {
        fs::write(root.join(name), "precious").unwrap();
    }
    let text = destroy(&root).unwrap();
    assert!(
        text.ends_with(
            "left what is not its own: asd-0/notes.txt, kv/snapshot-of-a-friend, notes.txt, photos/\n"
        ),
        "{text}"
    );
    let mut left: Vec<PathBuf> =
        foreign.iter().chain(&["asd-0", "kv", "photos"]).map(|name| root.join(name)).collect();
    left.sort();
    assert_eq!(tree(&root), left);
    refused(&root, ExitCode::Refused, "not a cluster's directory");
}

#[test]
fn folders_of_others_stay() {
    let (_bed, root) = cluster();
    identify(&root.join("asd-2"), ClusterIdentity([8; 16]), asd(2));
    identify(&root.join("asd-3"), CLUSTER, asd(4));
    fs::create_dir(root.join("asd-4")).unwrap();
    fs::write(root.join("asd-4/identity"), "damaged").unwrap();
    fs::create_dir(root.join("asd-5")).unwrap();
    fs::write(root.join("asd-5/segment-0000000000000001"), "whose?").unwrap();
    let text = destroy(&root).unwrap();
    assert!(text.ends_with("not its own: asd-2/, asd-3/, asd-4/, asd-5/\n"), "{text}");
    assert!(root.join("asd-5/segment-0000000000000001").exists() && root.join("asd-2/identity").exists());
}

#[test]
fn links_are_never_followed() {
    let (bed, root) = cluster();
    let outside = bed.path().join("outside");
    identify(&outside, CLUSTER, asd(2));
    fs::write(outside.join("segment-0000000000000001"), "precious").unwrap();
    symlink(&outside, root.join("asd-2")).unwrap();
    symlink(outside.join("segment-0000000000000001"), root.join("asd-0/segment-0000000000000002")).unwrap();
    let text = destroy(&root).unwrap();
    assert!(text.contains("asd-0/segment-0000000000000002, asd-2\n"), "{text}");
    assert!(outside.join("identity").exists() && outside.join("segment-0000000000000001").exists());

    let (bed, root) = cluster();
    let link = bed.path().join("link");
    symlink(&root, &link).unwrap();
    for path in [link.clone(), link.join(""), link.join(".")] {
        refused(&path, ExitCode::Refused, "give the directory itself");
    }
    let before = tree(&root);
    fs::rename(root.join("identity"), bed.path().join("identity")).unwrap();
    symlink(bed.path().join("identity"), root.join("identity")).unwrap();
    refused(&root, ExitCode::Refused, "not a cluster's directory");
    assert_eq!(tree(&root), before);
}

#[test]
fn other_directories_are_refused_untouched() {
    let (bed, root) = cluster();
    let before = tree(bed.path());
    refused(bed.path(), ExitCode::Refused, "not a cluster's directory");
    refused(&root.join("asd-0"), ExitCode::Refused, "a part of a cluster");
    refused(&root.join("lock"), ExitCode::Refused, "no directory");
    assert_eq!(tree(bed.path()), before);
    let mut newer = fs::read(root.join("identity")).unwrap();
    newer[8] = 9;
    fs::write(root.join("identity"), newer).unwrap();
    refused(&root, ExitCode::Refused, "version 9");
    assert_eq!(tree(bed.path()), before);
}

#[test]
fn a_running_cluster_is_refused_untouched() {
    let (_bed, root) = cluster();
    let before = tree(&root);
    let _running = Folder::open(&root).unwrap().lock("lock").unwrap();
    refused(&root, ExitCode::Busy, "stop its `ovs up` first");
    assert_eq!(tree(&root), before);
}

#[test]
fn without_a_yes_nothing_goes() {
    let (_bed, root) = cluster();
    let before = tree(&root);
    let arguments = Destroy { dir: root.join("../d"), yes: false, json: false };
    let failure = super::destroy(&arguments, |name, loss| {
        assert_eq!(name, "d");
        Err(Failure::refused(loss))
    });
    assert!(failure.unwrap_err().message.ends_with("loses every vDisk in it"));
    assert_eq!(tree(&root), before);
}

#[test]
fn an_interrupted_removal_can_be_repeated() {
    let (_bed, root) = cluster();
    fs::remove_file(root.join("asd-0/segment-0000000000000001")).unwrap();
    fs::remove_file(root.join("asd-0/checkpoint-a")).unwrap();
    fs::remove_file(root.join("asd-0/identity")).unwrap();
    fs::remove_dir_all(root.join("kv")).unwrap();
    fs::write(root.join("creating"), "").unwrap();
    destroy(&root).unwrap();
    assert!(!root.exists());
}

#[test]
fn programs_read_what_was_left() {
    let (_bed, root) = cluster();
    fs::write(root.join("notes.txt"), "precious").unwrap();
    let text = run(&Destroy { dir: root, yes: true, json: true }).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value, json!({ "done": "destroy", "cluster": "07".repeat(16), "left": ["notes.txt"] }));
}
