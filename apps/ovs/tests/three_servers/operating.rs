//! What operators do to a group, and what is refused.

use std::process::Command;

use kv_client::Scope;
use serde_json::{Value, json};

use super::cluster::{Cluster, OVS, ovs, path};

/// A verb that is refused: its code, and why.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(OVS).args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// A verb that prints JSON.
fn told(arguments: &[&str]) -> Value {
    serde_json::from_str(&ovs(arguments)).unwrap()
}

#[test]
fn a_server_that_is_gone_is_taken_out_by_another() {
    let mut cluster = Cluster::of_three();
    cluster.kill(3);
    let (config, admin) = (cluster.config(1), cluster.folder.path().join("clients/admin/certificates"));
    let leave = ["kv", "leave", "--config", path(&config), "--server"];
    let with = |server| [&leave[..], &[server, "--certificates", path(&admin)]].concat();
    let (code, why) = refused(&[&leave[..], &["3"]].concat());
    assert_eq!(code, 4, "a server's certificate takes out nobody else: {why}");
    ovs(&with("3"));
    cluster.until_voters(2, &[1, 2]);
    let (code, why) = refused(&with("3"));
    assert!(code == 7 && why.contains("server 3 is not in the KV's group"), "{code} {why}");
    cluster.client(&[1, 2]).set(b"colour", b"blue").unwrap();
    // What it was it never is again; it can be another member.
    cluster.start(3);
    let writes = || cluster.status(3)["writes"].as_str().unwrap().to_owned();
    assert!((0..5000).any(|_| writes().contains("are refused: 1 of 3 voters answer")), "{}", writes());
    let status = cluster.status(3);
    let why = status["trouble"].as_str().unwrap_or_default();
    assert!(why.contains("the group took out member 3") && why.contains("ovs kv rejoin"), "{status}");
    cluster.kill(3);
    ovs(&["kv", "rejoin", "--config", path(&cluster.config(3))]);
    cluster.start(3);
    cluster.until_voters(1, &[1, 2, 0x1_0003]);
    cluster.kill(3);
    // Who lost what it had is told so before it votes again as what it was.
    let (data, aside) = (cluster.config(3).with_file_name("data"), cluster.folder.path().join("aside"));
    std::fs::rename(&data, &aside).unwrap();
    let (code, why) = refused(&["kv", "join", "--config", path(&cluster.config(3))]);
    assert!(code == 4 && why.contains("server 3 is member 65539 of the KV's group already"), "{code} {why}");
    std::fs::rename(&aside, &data).unwrap();
    ovs(&with("3"));
    // Neither does one that has joined: it asks the group once, and not again.
    cluster.start(3);
    let taken_out =
        || cluster.status(3)["trouble"].as_str().is_some_and(|why| why.contains("the group took out member"));
    assert!((0..5000).any(|_| taken_out()), "{}", cluster.status(3));
    cluster.until_voters(1, &[1, 2]);
    cluster.kill(3);
    ovs(&with("2"));
    let (code, why) = refused(&with("1"));
    assert!(code == 4 && why.contains("the only voter"), "at once, not in a minute: {code} {why}");
}

#[test]
fn a_second_kv_of_one_cluster_is_refused() {
    let mut cluster = Cluster::new(2);
    ovs(&["kv", "init", "--config", path(&cluster.config(1))]);
    cluster.start(1);
    let config = cluster.config(2);
    let (code, why) = refused(&["kv", "init", "--config", path(&config)]);
    assert!(code == 4 && why.contains("server 1 keeps a KV of this cluster"), "{code} {why}");
    assert!(why.contains("ovs kv join"), "{why}");
    let joined = told(&["kv", "join", "--json", "--config", path(&config)]);
    assert_eq!((&joined["server"], &joined["member"]), (&json!(2), &json!(2)));
    assert!(joined["warning"].as_str().unwrap().contains("2 voters"), "{joined}");
    cluster.start(2);
    cluster.until_voters(1, &[1, 2]);
}

#[test]
fn what_a_server_may_do_is_said_anew() {
    let cluster = Cluster::new(1);
    let root = cluster.folder.path();
    let renew = ["cluster", "renew", path(root)];
    ovs(&[&renew[..], &["server-1", "--roles", "kv,asd"]].concat());
    let listed = told(&["cluster", "certificates", path(root), "--json"]);
    let last = listed.as_array().unwrap().iter().rfind(|one| one["name"] == "server-1").unwrap();
    assert_eq!(last["roles"], json!(["kv", "asd"]));
    let (code, why) = refused(&[&renew[..], &["admin", "--roles", "kv"]].concat());
    assert!(code == 2 && why.contains("admin is a client"), "{why}");
}

#[test]
fn groups_are_made_used_backed_up_and_dropped() {
    let mut cluster = Cluster::new(1);
    ovs(&["kv", "init", "--config", path(&cluster.config(1))]);
    cluster.start(1);
    let admin = cluster.folder.path().join("clients/admin/ovs.toml");
    let kv = |arguments: &[&str]| [&["kv"], arguments, &["--config", path(&admin)]].concat().join("\n");
    let run = |arguments: &[&str]| ovs(&kv(arguments).split('\n').collect::<Vec<_>>());
    for name in ["jobs", "locks"] {
        run(&["group", "create", name]);
    }
    run(&["set", "colour", "green"]);
    run(&["set", "colour", "red", "--group", "jobs"]);
    run(&["set", "holder", "ann", "--group", "locks"]);
    let listed: Value =
        serde_json::from_str(run(&["group", "list", "--json"]).lines().next().unwrap()).unwrap();
    assert!(listed.to_string().contains("jobs"), "{listed}");
    let (file, one) = (cluster.folder.path().join("all.kv"), cluster.folder.path().join("one.kv"));
    run(&["backup", path(&file)]);
    run(&["backup", path(&one), "--group", "jobs"]);
    let inside = told(&["kv", "check-backup", path(&file), "--json"]);
    assert_eq!((&inside["keys"], &inside["groups"][0]["group"]), (&json!(1), &json!("jobs")), "{inside}");
    assert_eq!(told(&["kv", "check-backup", path(&one), "--json"])["groups"], json!([]));
    run(&["group", "drop", "locks"]);
    let (code, why) = refused(&kv(&["get", "holder", "--group", "locks"]).split('\n').collect::<Vec<_>>());
    assert!(code == 7 && why.contains("no group locks"), "{code} {why}");

    // Into a new cluster, which has no groups.
    let mut other = Cluster::new(1);
    ovs(&["kv", "init", "--config", path(&other.config(1))]);
    other.start(1);
    let admin = other.folder.path().join("clients/admin/ovs.toml");
    let there = |arguments: &[&str]| ovs(&[&["kv"], arguments, &["--config", path(&admin)]].concat());
    // A group that is in use is not restored into, and then nothing is.
    there(&["group", "create", "jobs"]);
    there(&["set", "mine", "1", "--group", "jobs"]);
    let (code, why) = refused(&["kv", "restore", path(&file), "--config", path(&admin)]);
    assert!(code == 4 && why.contains("not empty (there is key \"mine\")"), "{code} {why}");
    assert_eq!(there(&["count", ""]), "0\n");
    there(&["delete", "mine", "--group", "jobs"]);
    assert!(there(&["restore", path(&file)]).contains("restored 3 keys"));
    assert!(there(&["backup", path(&file.with_extension("again"))]).contains("and 2 more groups"));
    assert_eq!(there(&["get", "colour"]), "green\n");
    assert_eq!(there(&["get", "colour", "--group", "jobs"]), "red\n");
    assert_eq!(there(&["get", "holder", "--group", "locks"]), "ann\n");
}

#[test]
fn a_group_is_looked_at_and_managed_from_afar() {
    let mut cluster = Cluster::of_three();
    let clients = cluster.folder.path().join("clients");
    // Made last, it names all servers; the administrator's names the first alone.
    ovs(&["cluster", "add-client", path(cluster.folder.path()), "reader"]);
    let (reader, admin) = (clients.join("reader/ovs.toml"), clients.join("admin/ovs.toml"));
    std::fs::copy(&reader, &admin).unwrap();
    let as_admin = ["--config", path(&admin)];
    let of_admin = |verb: &[&str]| ovs(&[&["kv"], verb, &as_admin].concat());
    let json = |verb: &[&str]| told(&[&["kv"], verb, &["--json", "--config", path(&reader)]].concat());
    let leader = |server: &str| json(&["leader", "--server", server])["leader_server"].as_u64();
    of_admin(&["transfer", "--to", "2"]);
    let all_follow = || ["1", "2", "3"].into_iter().all(|server| leader(server) == Some(2));
    assert!((0..5000).any(|_| all_follow()));
    let roles = || {
        let all = json(&["status"]);
        all["servers"].as_array().unwrap().iter().map(|one| one["role"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(roles(), ["follower", "leader", "follower"]);
    assert_eq!(json(&["status", "--server", "3"])["voters"], json!([1, 2, 3]));
    assert_eq!(json(&["members"])["members"].as_array().unwrap().len(), 3);
    let stats = json(&["stats", "--server", "1"]);
    assert!(stats.to_string().contains("sessions_unknown"), "{stats}");
    assert_eq!(json(&["verify"])["alike"], true);
    assert!(of_admin(&["prefer", "--server", "2"]).contains("server 2 leads"));
    of_admin(&["group", "create", "jobs"]);
    assert!(of_admin(&["prefer", "--server", "3", "--group", "jobs"]).contains("server 3 leads"));
    let preferred = |more: &[&str]| {
        let words = [&["kv", "members", "--json"], more, &as_admin].concat();
        told(&words)["preferred"].clone()
    };
    assert_eq!((preferred(&[]), preferred(&["--group", "jobs"])), (json!(2), json!(3)));
    // A server that has not heard of the group yet, or of who leads it, fails. A group that nobody uses sleeps as it is.
    let leads_jobs = || {
        of_admin(&["set", "job", "1", "--group", "jobs"]);
        let words = ["kv", "leader", "--server", "1", "--group", "jobs", "--config", path(&reader)];
        Command::new(OVS).args(words).output().unwrap().stdout
    };
    assert!((0..500).any(|_| leads_jobs() == b"3\n"));
    assert_eq!(of_admin(&["snapshot", "--server", "1"]), "server 1 has a snapshot\n");

    let (code, why) = refused(&["kv", "snapshot", "--server", "1", "--config", path(&reader)]);
    assert!(code == 4 && why.contains("does not allow this: use an administrator's"), "{why}");
    let refused = |verb: &[&str]| refused(&[&["kv"], verb, &as_admin].concat());
    let (code, why) = refused(&["snapshot"]);
    assert!(code == 2 && why.contains("say by --server which server"), "{why}");
    let (code, why) = refused(&["leave"]);
    assert!(code == 2 && why.contains("say by --server which server"), "{why}");
    let (code, why) = refused(&["status", "--server", "9"]);
    assert!(code == 2 && why.contains("where server 9 is does not stand below [servers]"), "{why}");
    for (verb, expected) in
        [(&["transfer", "--to", "1", "--group", "jabs"][..], 4), (&["status", "--group", "jabs"], 7)]
    {
        let (code, why) = refused(verb);
        assert!(code == expected && why.contains("there is no group 'jabs'"), "{code} {why}");
    }
    let (code, why) = refused(&["group", "drop", "jabs"]);
    assert!(code == 7 && why.contains("no group jabs"), "{code} {why}");

    cluster.kill(3);
    let all = of_admin(&["status"]);
    assert!(
        all.lines().any(|line| line.starts_with('3') && line.contains("server 3 doesn't answer")),
        "{all}"
    );
    let (code, why) = refused(&["status", "--server", "3"]);
    assert!(code == 3 && why.contains("server 3 doesn't answer"), "{code} {why}");
    of_admin(&["leave", "--server", "3"]);
    cluster.until_voters(2, &[1, 2]);
}

#[test]
fn what_one_server_has_is_enough_to_begin_anew() {
    let mut cluster = Cluster::of_three();
    let data = cluster.config(3).with_file_name("data");
    let has_all =
        || told(&["kv", "get", "colour", "--stale", "--json", "--dir", path(&data)])["value"] == "green";
    assert!((0..5000).any(|_| has_all()));
    cluster.kill(1);
    cluster.kill(2);
    let file = cluster.folder.path().join("last.kv");
    let backup = ["kv", "backup", path(&file), "--whole", "--dir", path(&data), "--timeout", "2"];
    let (code, why) = refused(&backup);
    assert!(code == 8 && why.contains("are most of them running"), "no majority: {code} {why}");
    ovs(&[&backup[..], &["--stale"]].concat());

    // As docs/lost-majority.md has it.
    cluster.kill(3);
    for part in ["kv", "member"] {
        std::fs::rename(data.join(part), data.join(part).with_extension("lost")).unwrap();
    }
    let begin = ["kv", "init", "--disks-lost", "1", "--config"];
    ovs(&[&begin[..], &[path(&cluster.config(3))]].concat());
    cluster.start(3);
    assert!(ovs(&["kv", "restore", path(&file), "--whole", "--dir", path(&data)]).contains("restored"));
    let first = cluster.config(1);
    std::fs::remove_dir_all(first.with_file_name("data")).unwrap();
    ovs(&["kv", "join", "--disks-lost", "1", "--config", path(&first)]);
    cluster.start(1);
    cluster.until_voters(3, &[0x1_0001, 0x1_0003]);
    assert_eq!(cluster.client(&[1, 3]).get(b"colour").unwrap().as_deref(), Some(&b"green"[..]));
    // One that comes back as what it was is in nobody's way.
    cluster.start(2);
    let writes = || cluster.status(2)["writes"].as_str().unwrap().to_owned();
    assert!((0..5000).any(|_| writes().contains("are refused: 1 of 3 voters answer")), "{}", writes());
    cluster.client(&[1, 3]).set(b"colour", b"blue").unwrap();
    assert_eq!(cluster.client(&[1, 3]).get(b"colour").unwrap().as_deref(), Some(&b"blue"[..]));
}

#[test]
fn servers_that_begin_two_kvs_are_refused_when_they_meet() {
    let mut cluster = Cluster::new(3);
    cluster.introduce();
    // One of them was not told of the others.
    ovs(&["kv", "init", "--config", path(&cluster.config(1))]);
    for server in [2, 3] {
        ovs(&["kv", "init", "--with", "1,2,3", "--config", path(&cluster.config(server))]);
    }
    cluster.start(1);
    cluster.client(&[1]).set(b"colour", b"green").unwrap();
    for server in [2, 3] {
        let (code, why) = refused(&["serve", "--config", path(&cluster.config(server))]);
        assert!(code == 4 && why.contains("server 1 keeps a KV of this cluster"), "{code} {why}");
    }
    // Nor the other way about.
    cluster.kill(1);
    std::fs::remove_dir_all(cluster.config(1).with_file_name("data")).unwrap();
    cluster.start(2);
    cluster.start(3);
    cluster.client(&[2, 3]).set(b"colour", b"blue").unwrap();
    let (code, why) = refused(&["kv", "init", "--config", path(&cluster.config(1))]);
    assert!(
        code == 4 && why.contains("would begin another under the same name, with server 1"),
        "{code} {why}"
    );
    ovs(&["kv", "init", "--with", "1,2,3", "--config", path(&cluster.config(1))]);
    cluster.start(1);
    cluster.until_voters(1, &[1, 2, 3]);
}

/// What is there before the end of a restore is a part. Whoever took it for all would begin another cluster over the disks.
#[test]
fn a_server_waits_for_the_end_of_a_restore() {
    let mut cluster = Cluster::of_roles(&["kv", "volume-driver,edge"]);
    ovs(&["kv", "init", "--config", path(&cluster.config(1))]);
    cluster.start(1);
    let mut client = cluster.client(&[1]);
    client.within(Scope::Whole);
    client.set(formats::kv_backup::UNDER_WAY, b"").unwrap();
    cluster.start_waiting(2, "a restore of the KV is under way");
    assert_eq!(client.get(formats::registry::CLUSTER_KEY).unwrap(), None);
    client.delete(formats::kv_backup::UNDER_WAY).unwrap();
    let mut has_begun = || client.get(formats::registry::CLUSTER_KEY).unwrap().is_some();
    assert!((0..50_000).any(|_| has_begun()));
}
