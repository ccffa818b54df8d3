use certificates::Role;

use super::*;
use crate::storage::settings;
use formats::kv_level::LEVEL;
use glossary::ByteCount;

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn load(text: &str) -> Result<ServerConfig, String> {
    let (_folder, path) = written(text);
    ServerConfig::load(&path, &Overrides::default()).map_err(|failure| failure.message)
}

#[test]
fn the_example_is_read_as_it_was_meant() {
    let (folder, path) = written(&example());
    let config = ServerConfig::load(&path, &Overrides::default()).unwrap();
    assert_eq!((config.server, config.listen), (ServerId(1), "10.0.0.1:7410".parse().unwrap()));
    assert_eq!(config.data, folder.path().join("data"), "relative to the file");
    assert_eq!(config.certificates, folder.path().join("certificates"));
    assert!(config.roles.has(Role::Kv));
    let usual = StorageConfig::usual(&config.roles);
    assert_eq!(config.storage, usual, "what is a comment is as usual");
    assert!(usual.asd.is_some() && usual.volume_driver.is_some() && usual.edge.is_some());
    assert_eq!(config.servers[&ServerId(3)].to_string(), "10.0.0.3:7410");
    let client = ClientConfig::load(&path).unwrap();
    assert_eq!(
        (client.cluster, &client.servers),
        (config.cluster, &config.servers),
        "it serves a client too"
    );
}

#[test]
fn a_clients_file_is_no_servers() {
    let (_folder, path) = written(&example());
    let client = ClientConfig::load(&path).unwrap();
    let text = client_text(&ClientConfig { certificates: "certificates".into(), ..client.clone() });
    let (_other, path) = written(&text);
    assert_eq!(ClientConfig::load(&path).unwrap().servers, client.servers);
    assert!(load(&text).unwrap_err().contains("`server` is missing: this is a client's file"));
}

#[test]
fn a_kv_is_held_at_a_level_that_its_program_knows() {
    let at = |level: &str| example().replace(&format!("# level = {LEVEL}"), &format!("level = {level}"));
    assert_eq!(load(&example()).unwrap().kv_level, None);
    assert_eq!(load(&at("0")).unwrap().kv_level, Some(0));
    assert_eq!(load(&server_text(&load(&at("0")).unwrap())).unwrap().kv_level, Some(0));
    let why = load(&at("99")).unwrap_err();
    assert!(
        why.contains("level = 99: this program knows levels up to") && why.contains("leave it out"),
        "{why}"
    );
}

#[test]
fn flags_go_before_the_file() {
    let (_folder, path) = written(&example());
    let overrides = Overrides {
        listen: Some("127.0.0.1:1".parse().unwrap()),
        data: Some("elsewhere".into()),
        certificates: Some("/secret".into()),
        kv_level: Some(0),
    };
    let config = ServerConfig::load(&path, &overrides).unwrap();
    assert_eq!(config.listen, "127.0.0.1:1".parse().unwrap());
    assert_eq!(
        (config.data.as_path(), config.certificates.as_path()),
        (Path::new("elsewhere"), Path::new("/secret"))
    );
    assert_eq!(config.kv_level, Some(0));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let broken = |from: &str, to: &str, says: &str| {
        let text = example();
        assert!(text.contains(from), "{from}");
        let why = load(&text.replace(from, to)).unwrap_err();
        assert!(why.contains(says), "{why}");
    };
    broken("server = 1", "server = 0", "from 1 to");
    broken("server = 1", "server = \"one\"", "line 6");
    broken("server = 1", "sever = 1", "sever");
    broken("listen = \"10.0.0.1:7410\"", "listen = \"here\"", "no address");
    let roles = "roles = [\"kv\", \"volume-driver\", \"edge\", \"asd\"]";
    broken(roles, "roles = [\"kvs\"]", "no role; there are kv");
    broken(roles, "roles = [\"admin\"]", "doesn't run admin, which is a role of clients; it runs kv, asd");
    broken(roles, "roles = []", "nothing to run");
    broken(roles, "roles = [\"asd\", \"edge\"]", "name both or neither");
    broken(roles, "roles = [\"asd\", \"volume-driver\"]", "name both or neither");
    broken(roles, "roles = [\"volume-driver\", \"edge\"]", "a section [asd], and roles doesn't name asd");
    broken(roles, "roles = [\"kv\", \"asd\"]", "a section [volume-driver], and roles doesn't name");
    broken("disks = 8", "disks = 0", "[asd] disks = 0: it is between 1 and");
    broken("disks = 8", "disk = 4", "disk");
    broken("# disk-size = \"10GiB\"", "disk-size = \"1MiB\"", "[asd] disk-size 1 MiB is too small");
    broken("# disk-size = \"10GiB\"", "disk-size = \"much\"", "[asd] disk-size = \"much\": a size is");
    broken("# policies = [\"4,2,6,6\"]", "policies = [\"4,2\"]", "[volume-driver] policies = \"4,2\"");
    broken("# sco-size = \"16MiB\"", "sco-size = \"2MiB\"", "[volume-driver] sco-size");
    broken(
        "# write-buffer = \"2GiB\"",
        "write-buffer = \"1MiB\"",
        "[volume-driver] write-buffer 1 MiB is too",
    );
    broken("# vdisks = [\"disk1:10GiB\"]", "vdisks = [\"disk1\"]", "vdisks = \"disk1\": a vDisk is given by");
    broken("# vdisks = [\"disk1:10GiB\"]", "vdisks = [\"a:1GiB\", \"a:2GiB\"]", "names a twice");
    broken("nbd = \"127.0.0.1:10809\"", "nbd = \"0.0.0.0:10809\"", "insecure-nbd = true");
    broken("nbd = \"127.0.0.1:10809\"", "nbd = \"here\"", "[edge] nbd = \"here\": it is an address");
    broken("cluster = \"3", "cluster = \"", "32 hexadecimal digits");
    broken("2 = \"10.0.0.2:7410\"", "2 = \"10.0.0.2\"", "HOST:PORT");
    broken("2 = \"10.0.0.2:7410\"", "two = \"10.0.0.2:1\"", "no number of a server");
    let missing = ServerConfig::load(Path::new("/nowhere/ovs.toml"), &Overrides::default()).unwrap_err();
    assert!(missing.message.contains("/nowhere/ovs.toml"));
}

#[test]
fn addresses_are_hosts_with_ports() {
    for good in ["a:1", "a-b.c_d:65535", "10.0.0.1:7410", "[::1]:7410"] {
        assert_eq!(good.parse::<Address>().map(|address| address.to_string()), Ok(good.into()));
    }
    for bad in ["", "a", "a:", ":1", "a:0", "a:65536", "a:+1", "::1:7410", "[::1:1", "a b:1", "a:1:2"] {
        assert!(bad.parse::<Address>().is_err(), "{bad}");
    }
    assert!(!"localhost:1".parse::<Address>().unwrap().resolve().unwrap().is_empty());
}

/// What a file says of what a server stores is written as it was read.
#[test]
fn sections_are_read_as_they_are_written() {
    let text = example()
        .replace("# disk-size = \"10GiB\"", "disk-size = \"1GiB\"")
        .replace("# policies = [\"4,2,6,6\"]", "policies = [\"2,2,3,2\", \"1,2,2,1\"]")
        .replace("# sco-size = \"16MiB\"", "sco-size = \"4MiB\"")
        .replace("# write-buffer = \"2GiB\"", "write-buffer = \"64MiB\"")
        .replace("# vdisks = [\"disk1:10GiB\"]", "vdisks = [\"a:1GiB\", \"b:4096\"]")
        .replace("nbd = \"127.0.0.1:10809\"", "nbd = \"0.0.0.0:1\"\ninsecure-nbd = true");
    let (folder, path) = written(&text);
    let config = ServerConfig::load(&path, &Overrides::default()).unwrap();
    let storage = &config.storage;
    assert_eq!(storage.asd, Some(AsdConfig { disks: 8, disk_size: Some(ByteCount(1 << 30)) }));
    assert_eq!(storage.edge, Some(EdgeConfig { nbd: "0.0.0.0:1".parse().unwrap() }));
    let driver = storage.volume_driver.as_ref().unwrap();
    assert_eq!(settings::list(&driver.policies), "2,2,3,2 then 1,2,2,1");
    assert_eq!((driver.sco_size, driver.write_buffer), (Some(ByteCount(4 << 20)), Some(ByteCount(64 << 20))));
    let vdisks: Vec<_> = driver.vdisks.iter().map(|(name, size)| (name.as_str(), size.0)).collect();
    assert_eq!(vdisks, [("a", 1 << 30), ("b", 4096)]);
    let again = server_text(&config).replace("0.0.0.0:1\"", "0.0.0.0:1\"\ninsecure-nbd = true");
    std::fs::write(&path, again).unwrap();
    assert_eq!(ServerConfig::load(&path, &Overrides::default()).unwrap(), config);
    drop(folder);
}
