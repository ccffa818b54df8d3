//! A server whose KV is lost or damaged becomes a member anew, since its operator wants it.

use serde_json::json;

use super::said;
use crate::cli::MemberRejoin;
use crate::config::ServerConfig;
use crate::failure::Failure;
use crate::serve::{Anew, become_anew};

/// Makes it one, and says what comes next.
pub(super) fn run(rejoin: &MemberRejoin) -> Result<String, Failure> {
    let config = ServerConfig::load(&rejoin.configured.config, &rejoin.configured.overrides())?;
    let Anew { member, disks_lost, aside } = become_anew(&config, rejoin.waiting.patience())?;
    let kept = aside.as_ref().map_or(String::new(), |aside| {
        format!("what it had is in {}: remove that when nobody wants to look at it\n", aside.display())
    });
    let text = format!(
        "server {} will be member {member} of the KV's group, in {}\n{kept}next: ovs serve --config {}",
        config.server,
        config.data.display(),
        rejoin.configured.config.display()
    );
    let value =
        json!({ "server": config.server.0, "member": member.0, "disks_lost": disks_lost, "aside": aside });
    Ok(said(rejoin.waiting.json, &text, &value))
}
