//! The asker's end.

mod http;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glossary::{ByteCount, OsdId, VdiskName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{ClusterStatus, CreateVdisk, Metrics, Osd, ResizeVdisk, Settings, Vdisk, VersionInfo};
use crate::refusal::Refusal;
use http::{Request, Response};

/// Asks the cluster of a directory. One connection for each question.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no cluster is running")]
    NotRunning,
    /// The socket is another user's.
    #[error("the cluster belongs to another user: {0}")]
    Denied(io::Error),
    /// No answer in time. What was asked may still happen.
    #[error("the cluster did not answer in time")]
    TimedOut,
    /// The cluster answered that it doesn't.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection broke: the cluster was stopped or killed meanwhile.
    #[error("the cluster went away before it answered: {0}")]
    Broken(io::Error),
    /// What came is no answer.
    #[error("what listens there does not talk like a cluster: {0}")]
    Nonsense(String),
}

impl Client {
    /// Asks the cluster of `directory`, and waits as long as `patience` for each answer.
    pub fn new(directory: &Path, patience: Duration) -> Self {
        Client { socket: crate::socket_path(directory), patience }
    }

    /// The version of the program that runs.
    ///
    /// # Errors
    /// Here and below: when there is no answer, or the cluster refuses.
    pub fn version(&self) -> Result<VersionInfo, ClientError> {
        self.get("/v1/version")
    }

    /// How the cluster is.
    pub fn status(&self) -> Result<ClusterStatus, ClientError> {
        self.get("/v1/status")
    }

    /// What was chosen for it.
    pub fn settings(&self) -> Result<Settings, ClientError> {
        self.get("/v1/settings")
    }

    /// What can be counted.
    pub fn metrics(&self) -> Result<Metrics, ClientError> {
        self.get("/v1/metrics")
    }

    /// The vDisks.
    pub fn vdisks(&self) -> Result<Vec<Vdisk>, ClientError> {
        self.get("/v1/vdisks")
    }

    /// One vDisk.
    pub fn vdisk(&self, name: &VdiskName) -> Result<Vdisk, ClientError> {
        self.get(&format!("/v1/vdisks/{name}"))
    }

    /// Makes a vDisk.
    pub fn create_vdisk(&self, name: &VdiskName, size: ByteCount) -> Result<(), ClientError> {
        self.tell("POST", "/v1/vdisks", Some(&CreateVdisk { name: name.to_string(), size }))
    }

    /// Grows a vDisk.
    pub fn resize_vdisk(&self, name: &VdiskName, size: ByteCount) -> Result<(), ClientError> {
        self.tell("PATCH", &format!("/v1/vdisks/{name}"), Some(&ResizeVdisk { size }))
    }

    /// Deletes a vDisk.
    pub fn delete_vdisk(&self, name: &VdiskName) -> Result<(), ClientError> {
        self.tell("DELETE", &format!("/v1/vdisks/{name}"), None::<&()>)
    }

    /// Pushes everything acknowledged of a vDisk, or of all, to the disks.
    pub fn sync_vdisk(&self, name: Option<&VdiskName>) -> Result<(), ClientError> {
        let path = name.map_or("/v1/sync".to_owned(), |name| format!("/v1/vdisks/{name}/sync"));
        self.tell("POST", &path, None::<&()>)
    }

    /// The disks.
    pub fn osds(&self) -> Result<Vec<Osd>, ClientError> {
        self.get("/v1/osds")
    }

    /// Takes a disk from the cluster.
    pub fn stop_osd(&self, osd: OsdId) -> Result<(), ClientError> {
        self.tell("POST", &format!("/v1/osds/{osd}/stop"), None::<&()>)
    }

    /// Takes a disk back.
    pub fn start_osd(&self, osd: OsdId) -> Result<(), ClientError> {
        self.tell("POST", &format!("/v1/osds/{osd}/start"), None::<&()>)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.ask(&Request { method: "GET", path, body: &[] })?;
        serde_json::from_slice(&response.body).map_err(|error| ClientError::Nonsense(error.to_string()))
    }

    fn tell<T: Serialize>(&self, method: &str, path: &str, body: Option<&T>) -> Result<(), ClientError> {
        let body = body.map(|body| serde_json::to_vec(body).expect("bodies of ours encode"));
        self.ask(&Request { method, path, body: &body.unwrap_or_default() }).map(|_| ())
    }

    fn ask(&self, request: &Request<'_>) -> Result<Response, ClientError> {
        let response = http::exchange(&self.socket, request, self.patience)?;
        if (200..300).contains(&response.status) {
            return Ok(response);
        }
        Err(match serde_json::from_slice::<Refusal>(&response.body) {
            Ok(refusal) => ClientError::Refused(refusal),
            Err(_) => ClientError::Nonsense(format!("status {}", response.status)),
        })
    }
}
