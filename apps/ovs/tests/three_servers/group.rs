//! What a group of three keeps, whichever of them is lost.

use std::process::Command;

use serde_json::Value;

use super::cluster::{Cluster, OVS, free_addresses, ovs, path};

#[test]
fn what_a_group_acknowledged_outlives_any_one_server() {
    let mut cluster = Cluster::of_three();
    let leader = cluster.leader(1);
    cluster.kill(leader);
    let others: Vec<usize> = (1..=3).filter(|server| *server != leader).collect();
    let mut client = cluster.client(&others);
    assert_eq!(client.get(b"colour").unwrap().as_deref(), Some(&b"green"[..]));
    client.set(b"colour", b"blue").unwrap();
    cluster.start(leader);
    cluster.kill(others[0]);
    let mut client = cluster.client(&[leader, others[1]]);
    assert_eq!(
        client.get(b"colour").unwrap().as_deref(),
        Some(&b"blue"[..]),
        "two of three are enough, any two"
    );
    assert_eq!(cluster.status(leader)["voters"], serde_json::json!([1, 2, 3]));
}

#[test]
fn servers_join_a_group_that_runs_and_leave_it() {
    let mut cluster = Cluster::new(3);
    ovs(&["kv", "init", "--config", path(&cluster.config(1))]);
    cluster.start(1);
    cluster.client(&[1]).set(b"colour", b"green").unwrap();
    for server in [2, 3] {
        ovs(&["kv", "join", "--config", path(&cluster.config(server))]);
        cluster.start(server);
    }
    cluster.until_voters(2, &[1, 2, 3]);
    cluster.kill(1);
    assert_eq!(cluster.client(&[2, 3]).get(b"colour").unwrap().as_deref(), Some(&b"green"[..]));
    cluster.start(1);
    // One that leads hands over first.
    let (stays, leaves) = if cluster.leader(2) == 3 { (2, 3) } else { (3, 2) };
    ovs(&["kv", "leave", "--config", path(&cluster.config(leaves))]);
    cluster.until_voters(stays, &[1, stays as u64]);
    cluster.kill(leaves);
    let why = cluster.refusal(leaves);
    assert!(why.contains("has left the KV"), "who has left is never again the member that it was: {why}");
    assert_eq!(cluster.client(&[1, stays]).get(b"colour").unwrap().as_deref(), Some(&b"green"[..]));
}

#[test]
fn one_whose_log_is_damaged_or_lost_says_so_and_is_given_everything_anew() {
    let mut cluster = Cluster::of_three();
    let hurt = cluster.leader(1) % 3 + 1;
    let data = cluster.folder.path().join(format!("server-{hurt}/data"));
    cluster.damage_log(hurt);
    cluster.configure(hurt, "# heals = true", "heals = false");
    let why = cluster.refusal(hurt);
    assert!(why.contains("damaged") && why.contains("ovs kv rejoin"), "{why}");
    let ask_elsewhere = hurt % 3 + 1;
    let verify = ["kv", "verify", "--timeout", "1", "--config"];
    let output = Command::new(OVS).args(verify).arg(cluster.config(ask_elsewhere)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(8) && said.contains("2 of 3 members are alike"), "{said}");
    for lost in [1, 2] {
        ovs(&["kv", "rejoin", "--config", path(&cluster.config(hurt))]);
        cluster.start(hurt);
        cluster.until_anew(hurt, lost);
        cluster.kill(hurt);
        let mut files = std::fs::read_dir(data.join("kv")).unwrap().map(|entry| entry.unwrap().path());
        files
            .by_ref()
            .filter(|file| !file.ends_with("identity"))
            .for_each(|file| std::fs::remove_file(file).unwrap());
        assert!(cluster.refusal(hurt).contains("holds no log"));
        // The next time nothing is left.
        std::fs::remove_dir_all(if lost == 1 { data.join("kv") } else { data.clone() }).unwrap();
    }
    assert!(cluster.refusal(hurt).contains("holds no data"));
    ovs(&["kv", "rejoin", "--config", path(&cluster.config(hurt))]);
    cluster.start(hurt);
    while cluster.ask(ask_elsewhere, &["verify"])["members"].as_array().unwrap().len() != 3 {
        std::thread::yield_now();
    }
    assert_eq!(cluster.client(&[1, 2, 3]).get(b"colour").unwrap().as_deref(), Some(&b"green"[..]));
}

/// Whatever the disk made of its log: the others have it all, and nobody needs to be woken at night.
#[test]
fn one_whose_log_is_damaged_joins_anew_by_itself_once() {
    let mut cluster = Cluster::of_three();
    let hurt = cluster.leader(1);
    let data = cluster.folder.path().join(format!("server-{hurt}/data"));
    cluster.damage_log(hurt);
    cluster.start_through(hurt, 2);
    cluster.until_anew(hurt, 1);
    assert_eq!(cluster.client(&[1, 2, 3]).get(b"colour").unwrap().as_deref(), Some(&b"green"[..]));
    let aside = data.join(format!("kv.{hurt}"));
    assert!(aside.join("log-0000000000000001").exists(), "what it had is put aside");
    cluster.damage_log(hurt);
    let why = cluster.refusal(hurt);
    assert!(why.contains("damaged") && why.contains(path(&aside)), "{why}");
    std::fs::remove_dir_all(aside).unwrap();
    cluster.start_through(hurt, 2);
    cluster.until_anew(hurt, 2);
}

#[test]
fn a_server_without_a_vote_has_everything_and_the_preferred_one_leads() {
    let mut cluster = Cluster::new(3);
    cluster.introduce();
    let third = cluster.config(3);
    let text = std::fs::read_to_string(&third).unwrap();
    std::fs::write(&third, text.replace("votes = true", "votes = false")).unwrap();
    let output = Command::new(OVS).args(["kv", "init", "--config", path(&third)]).output().unwrap();
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && why.contains("votes = false"), "{why}");
    for server in 1..=2 {
        ovs(&["kv", "init", "--with", "1,2", "--config", path(&cluster.config(server))]);
        cluster.start(server);
    }
    let mut client = cluster.client(&[1, 2]);
    client.set(b"colour", b"green").unwrap();
    ovs(&["kv", "join", "--config", path(&third)]);
    cluster.start(3);
    while cluster.ask(1, &["verify"])["members"].as_array().unwrap().len() != 3 {
        std::thread::yield_now();
    }
    assert_eq!(cluster.status(3)["voters"], serde_json::json!([1, 2]));
    for preferred in [2, 1] {
        let text = preferred.to_string();
        assert_eq!(cluster.ask(1, &["prefer", "--server", &text])["preferred"], preferred);
        while cluster.leader(3) != preferred {
            std::thread::yield_now();
        }
    }
    assert_eq!(cluster.ask(3, &["members"])["preferred"], 1);
    let output = Command::new(OVS).args(["kv", "prefer", "--server", "3", "--config", path(&third)]).output();
    assert!(String::from_utf8(output.unwrap().stderr).unwrap().contains("has no vote"));
    assert_eq!(cluster.ask(2, &["prefer", "--nobody"])["preferred"], Value::Null);
    assert_eq!(cluster.ask(2, &["members"])["preferred"], Value::Null);
}

#[test]
fn a_server_is_refused_what_is_not_its_own_and_its_folder_to_a_second_process() {
    let mut cluster = Cluster::new(2);
    let (first, second) = (cluster.config(1), cluster.config(2));
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let output = Command::new(OVS).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(words) && text.lines().count() == 1, "{text}");
    };
    refused(&["serve", "--config", path(&first)], 4, "`ovs kv init` makes that of the first");
    refused(&["kv", "status", "--config", path(&first)], 3, "no server runs on");
    refused(&["kv", "init", "--config", path(&first), "--with", "2"], 2, "server 1 is not among them");
    refused(&["kv", "init", "--config", path(&first), "--with", "1,9"], 2, "where server 9 is must stand");
    ovs(&["kv", "init", "--config", path(&first)]);
    refused(&["kv", "init", "--config", path(&first)], 4, "holds the data of a server already");
    cluster.start(1);
    let elsewhere = free_addresses(1);
    refused(&["serve", "--config", path(&first)], 5, "is in use");
    refused(&["serve", "--config", path(&first), "--listen", &elsewhere[0]], 5, "another ovs runs on it");
    let data = cluster.folder.path().join("server-1/data");
    refused(&["serve", "--config", path(&second), "--data", path(&data)], 4, "holds the data of server-1");
    let theirs = cluster.folder.path().join("server-1/certificates");
    let with_another = ["serve", "--config", path(&second), "--certificates", path(&theirs)];
    refused(&with_another, 4, "is that of server-1 of cluster");
    assert_eq!(cluster.status(1)["role"], "alone");
}
