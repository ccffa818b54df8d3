use std::path::Path;

use certificates::Credentials;

use super::*;
use crate::cli::{self, Parsed, Verb};
use crate::config::{ClientConfig, Overrides, ServerConfig};

fn ovs(root: &Path, line: &str) -> Result<String, Failure> {
    let line = line.replace("FOLDER", &root.display().to_string());
    let Parsed::Cli(cli) = cli::parse(line.split(' ').map(Into::into)) else { panic!("{line} makes sense") };
    match cli.verb {
        Verb::Cluster(verb) => run(&verb),
        other => panic!("{other:?}"),
    }
}

#[test]
fn three_servers_and_a_client_know_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = &folder.path().join("cluster");
    let init = "ovs cluster init FOLDER --address 127.0.0.1:7001 --address 127.0.0.1:7002";
    let said = ovs(root, init).unwrap();
    assert!(
        said.contains("server-1/ovs.toml --with 1,2") && said.contains("an odd number is better"),
        "{said}"
    );
    let second = ServerConfig::load(&root.join("server-2/ovs.toml"), &Overrides::default()).unwrap();
    assert_eq!((second.server, second.servers.len()), (ServerId(2), 2), "they know each other");
    assert!(ovs(root, "ovs cluster init FOLDER --address 127.0.0.1:7001 --address 127.0.0.1:7001").is_err());
    ovs(root, "ovs cluster add-server FOLDER --address 127.0.0.1:7003").unwrap();
    ovs(root, "ovs cluster add-client FOLDER backup").unwrap();
    let third = ServerConfig::load(&root.join("server-3/ovs.toml"), &Overrides::default()).unwrap();
    assert_eq!((third.server, third.servers.len()), (ServerId(3), 3));
    let credentials = Credentials::load(&third.certificates).unwrap();
    assert_eq!((credentials.me().server, credentials.me().cluster), (Some(ServerId(3)), third.cluster));
    let backup = ClientConfig::load(&root.join("clients/backup/ovs.toml")).unwrap();
    assert_eq!(backup.servers, third.servers);
    let roles = |name: &str| {
        let config = ClientConfig::load(&root.join("clients").join(name).join("ovs.toml")).unwrap();
        Credentials::load(&config.certificates).unwrap().me().roles.to_string()
    };
    assert_eq!((roles("backup").as_str(), roles("admin").as_str()), ("client", "client+admin"));
    assert!(crate::group::dial(&backup).is_ok());
    let other = ClientConfig { cluster: glossary::ClusterIdentity([9; 16]), ..backup };
    let refused = crate::group::dial(&other).unwrap_err();
    assert!(refused.message.contains("is that of backup of cluster"), "{refused}");
    let refused = ovs(root, "ovs cluster add-client FOLDER server-1").unwrap_err();
    assert!(refused.message.contains("and not with server-"), "{refused}");
}

#[test]
fn init_is_repeated_after_an_interruption_and_changes_nothing_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = &folder.path().join("cluster");
    let init = "ovs cluster init FOLDER --address 127.0.0.1:7001";
    let first = ovs(root, init).unwrap();
    let certificate = std::fs::read(root.join("server-1/certificates/node.pem")).unwrap();
    // The configurations are written last: without them it was interrupted.
    std::fs::remove_file(root.join("clients/admin/ovs.toml")).unwrap();
    std::fs::remove_dir_all(root.join("clients/admin/certificates")).unwrap();
    assert_eq!(ovs(root, init).unwrap(), first);
    assert_eq!(std::fs::read(root.join("server-1/certificates/node.pem")).unwrap(), certificate);
    assert!(root.join("clients/admin/certificates/node.pem").exists());
    let refused = ovs(root, "ovs cluster init FOLDER --address 127.0.0.1:9").unwrap_err();
    assert!(refused.message.contains("with server-1 at 127.0.0.1:7001: ovs cluster add-server"), "{refused}");
}

#[test]
fn a_half_made_server_is_completed_under_its_number_and_a_revoked_number_is_never_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = &folder.path().join("cluster");
    ovs(root, "ovs cluster init FOLDER --address 127.0.0.1:7001").unwrap();
    ovs(root, "ovs cluster add-server FOLDER --address 127.0.0.1:7002").unwrap();
    std::fs::remove_file(root.join("server-2/ovs.toml")).unwrap();
    assert!(
        ovs(root, "ovs cluster add-server FOLDER --address 127.0.0.1:7002").unwrap().contains("server-2")
    );
    let refused = ovs(root, "ovs cluster add-server FOLDER --address 127.0.0.1:7002").unwrap_err();
    assert!(refused.message.contains("server-2 is at 127.0.0.1:7002 already"), "{refused}");
    ovs(root, "ovs cluster revoke FOLDER server-2").unwrap();
    assert!(
        ovs(root, "ovs cluster add-server FOLDER --address 127.0.0.1:7002").unwrap().contains("server-3")
    );
}

#[test]
fn who_is_revoked_stays_in_the_list_and_out_of_a_renewal() {
    let folder = tempfile::tempdir().unwrap();
    let root = &folder.path().join("cluster");
    ovs(root, "ovs cluster init FOLDER").unwrap();
    ovs(root, "ovs cluster add-client FOLDER backup").unwrap();
    assert!(ovs(root, "ovs cluster revoke FOLDER backup").unwrap().starts_with("revoked backup"));
    assert!(ovs(root, "ovs cluster revoke FOLDER backup").unwrap().contains("before"));
    let list = ovs(root, "ovs cluster certificates FOLDER").unwrap();
    assert!(list.lines().any(|line| line.starts_with("backup") && line.ends_with("revoked")), "{list}");
    let said = ovs(root, "ovs cluster renew FOLDER").unwrap();
    assert!(said.contains("admin, server-1") && !said.contains("backup"), "{said}");
    let json = ovs(root, "ovs cluster certificates FOLDER --json").unwrap();
    let values: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(values.len(), 5, "two were renewed");
    assert_eq!((values[0]["name"].as_str(), values[0]["days_left"].as_u64()), (Some("server-1"), Some(364)));
    let shared = |name: &str| std::fs::read(root.join(name).join("certificates/revoked.pem")).unwrap();
    assert_eq!(shared("server-1"), std::fs::read(root.join("authority/revoked.pem")).unwrap());
    assert_eq!(ovs(root, "ovs cluster revoke FOLDER nobody").unwrap_err().code, ExitCode::NotFound);
}

#[test]
fn a_lost_key_of_the_authority_has_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = &folder.path().join("cluster");
    ovs(root, "ovs cluster init FOLDER").unwrap();
    ovs(root, "ovs cluster add-client FOLDER gone").unwrap();
    ovs(root, "ovs cluster revoke FOLDER gone").unwrap();
    std::fs::remove_file(root.join("authority/authority.key")).unwrap();
    let refused = ovs(root, "ovs cluster add-client FOLDER backup").unwrap_err();
    assert!(refused.message.contains("replace the authority"), "{refused}");
    ovs(root, "ovs cluster replace-authority FOLDER").unwrap();
    let refused = ovs(root, "ovs cluster retire-authority FOLDER").unwrap_err();
    assert_eq!(refused.code, ExitCode::Refused);
    assert!(refused.message.contains("nobody would believe admin, server-1 any more"), "{refused}");
    assert!(ovs(root, "ovs cluster certificates FOLDER").unwrap().contains("to renew"));
    assert!(
        ovs(root, "ovs cluster renew FOLDER").unwrap().starts_with("renewed admin, server-1;"),
        "gone stays so"
    );
    ovs(root, "ovs cluster retire-authority FOLDER").unwrap();
    let list = ovs(root, "ovs cluster certificates FOLDER").unwrap();
    let ends = |end: &str| list.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!((ends("good"), ends("retired"), ends("revoked")), (2, 2, 1), "{list}");
    ovs(root, "ovs cluster add-client FOLDER backup").unwrap();
    for name in ["server-1", "clients/admin", "clients/backup"] {
        assert!(Credentials::load(&root.join(name).join("certificates")).is_ok(), "{name}");
    }
}

#[test]
fn other_folders_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let refused = ovs(folder.path(), "ovs cluster init FOLDER").unwrap_err();
    assert!(refused.message.contains("something else"), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let missing = ovs(folder.path(), "ovs cluster renew FOLDER").unwrap_err();
    assert!(missing.message.contains("ovs cluster init makes one"), "{missing}");
}
