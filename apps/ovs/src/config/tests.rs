use certificates::Role;

use super::*;

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
fn flags_go_before_the_file() {
    let (_folder, path) = written(&example());
    let overrides = Overrides {
        listen: Some("127.0.0.1:1".parse().unwrap()),
        data: Some("elsewhere".into()),
        certificates: Some("/secret".into()),
    };
    let config = ServerConfig::load(&path, &overrides).unwrap();
    assert_eq!(config.listen, "127.0.0.1:1".parse().unwrap());
    assert_eq!(
        (config.data.as_path(), config.certificates.as_path()),
        (Path::new("elsewhere"), Path::new("/secret"))
    );
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
    broken("roles = [\"kv\"]", "roles = [\"kvs\"]", "no role; there are kv");
    broken("roles = [\"kv\"]", "roles = [\"admin\"]", "doesn't run admin");
    broken("roles = [\"kv\"]", "roles = []", "nothing to run");
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
