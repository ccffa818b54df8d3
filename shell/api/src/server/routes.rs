//! Which question a request asks.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use glossary::{OsdId, VdiskName};
use serde::de::DeserializeOwned;

use super::answer::{Answer, done, exposition, json};
use crate::admin::Admin;
use crate::model::{CreateVdisk, ResizeVdisk, VersionInfo};
use crate::refusal::{Kind, Refusal};
use crate::wait;

/// Bytes that the body of a request may have: the largest of ours has about a hundred.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// How much longer than its asker wants to wait a question may take: its own time-out says more than ours.
const SLACK: Duration = Duration::from_millis(500);

/// Who is asked, and how long that may take.
#[derive(Clone)]
struct Asking {
    admin: Arc<dyn Admin>,
    patience: Duration,
}

impl FromRequestParts<Arc<dyn Admin>> for Asking {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<dyn Admin>) -> Result<Self, Self::Rejection> {
        Ok(Asking { admin: Arc::clone(admin), patience: patience(&parts.headers) })
    }
}

impl Asking {
    /// Asks on a thread where asking may block.
    async fn ask<T: Send + 'static>(
        self,
        question: impl FnOnce(&dyn Admin, Duration) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let patience = self.patience;
        let asked = tokio::task::spawn_blocking(move || question(&*self.admin, patience)).await;
        asked.unwrap_or_else(|_| Err(Refusal::new(Kind::Failed, "answering failed: the log says why")))
    }
}

/// Ends what takes longer than its asker waits: reading the body, and answering.
async fn within_patience(request: Request, next: Next) -> Response {
    let patience = patience(request.headers());
    let answered = tokio::time::timeout(patience + SLACK, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let refusal = Refusal::new(Kind::TimedOut, "the cluster did not answer in time");
        refusal.hint("it may still happen: look, or wait longer").into_response()
    })
}

fn patience(headers: &HeaderMap) -> Duration {
    wait::parse(headers.get("prefer").and_then(|value| value.to_str().ok()))
}

/// All routes.
pub(crate) fn router(admin: Arc<dyn Admin>) -> Router {
    Router::new()
        .route("/v1/version", get(version))
        .route("/v1/status", get(status))
        .route("/v1/settings", get(settings))
        .route("/v1/metrics", get(metrics))
        .route("/v1/vdisks", get(list_vdisks).post(create_vdisk))
        .route("/v1/vdisks/{name}", get(vdisk_info).patch(resize_vdisk).delete(delete_vdisk))
        .route("/v1/vdisks/{name}/sync", post(sync_vdisk))
        .route("/v1/sync", post(sync_all))
        .route("/v1/osds", get(list_osds))
        .route("/v1/osds/{osd}/stop", post(stop_osd))
        .route("/v1/osds/{osd}/start", post(start_osd))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(middleware::from_fn(within_patience))
        .with_state(admin)
}

async fn version() -> Answer {
    json(&VersionInfo { program: env!("CARGO_PKG_VERSION").to_owned(), api: crate::VERSION })
}

async fn status(asking: Asking) -> Answer {
    json(&asking.ask(|admin, patience| admin.status(patience)).await?)
}

async fn settings(asking: Asking) -> Answer {
    json(&asking.ask(|admin, _| Ok(admin.settings())).await?)
}

async fn metrics(asking: Asking, headers: HeaderMap) -> Answer {
    let metrics = asking.ask(|admin, patience| admin.metrics(patience)).await?;
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    match accepted.is_some_and(|accepted| accepted.contains("application/json")) {
        true => json(&metrics),
        false => exposition(metrics.render()),
    }
}

async fn list_vdisks(asking: Asking) -> Answer {
    json(&asking.ask(|admin, patience| admin.list_vdisks(patience)).await?)
}

async fn vdisk_info(asking: Asking, Path(name): Path<String>) -> Answer {
    let name = vdisk_name(&name)?;
    json(&asking.ask(move |admin, patience| admin.vdisk_info(&name, patience)).await?)
}

async fn create_vdisk(asking: Asking, body: Result<Bytes, BytesRejection>) -> Answer {
    let CreateVdisk { name, size } = parsed(body)?;
    let name = vdisk_name(&name)?;
    asking.ask(move |admin, patience| admin.create_vdisk(&name, size, patience)).await?;
    done()
}

async fn resize_vdisk(
    asking: Asking,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let name = vdisk_name(&name)?;
    let ResizeVdisk { size } = parsed(body)?;
    asking.ask(move |admin, patience| admin.resize_vdisk(&name, size, patience)).await?;
    done()
}

async fn delete_vdisk(asking: Asking, Path(name): Path<String>) -> Answer {
    let name = vdisk_name(&name)?;
    asking.ask(move |admin, patience| admin.delete_vdisk(&name, patience)).await?;
    done()
}

async fn sync_vdisk(asking: Asking, Path(name): Path<String>) -> Answer {
    let name = vdisk_name(&name)?;
    asking.ask(move |admin, patience| admin.sync_vdisk(Some(&name), patience)).await?;
    done()
}

async fn sync_all(asking: Asking) -> Answer {
    asking.ask(|admin, patience| admin.sync_vdisk(None, patience)).await?;
    done()
}

async fn list_osds(asking: Asking) -> Answer {
    json(&asking.ask(|admin, patience| admin.list_osds(patience)).await?)
}

async fn stop_osd(asking: Asking, Path(osd): Path<String>) -> Answer {
    let osd = osd_id(&osd)?;
    asking.ask(move |admin, patience| admin.stop_osd(osd, patience)).await?;
    done()
}

async fn start_osd(asking: Asking, Path(osd): Path<String>) -> Answer {
    let osd = osd_id(&osd)?;
    asking.ask(move |admin, patience| admin.start_osd(osd, patience)).await?;
    done()
}

async fn no_route(uri: Uri) -> Answer {
    let refusal = Refusal::new(Kind::NotFound, format!("there is no {}", uri.path()));
    Err(refusal.hint("routes begin with /v1/ and are listed in shell/api/README.md"))
}

async fn no_method(method: Method, uri: Uri) -> Answer {
    Err(Refusal::new(Kind::Invalid, format!("{} does not know {method}", uri.path())))
}

fn vdisk_name(text: &str) -> Result<VdiskName, Refusal> {
    VdiskName::new(text).map_err(|error| Refusal::new(Kind::Invalid, error.to_string()))
}

/// A disk, by number.
fn osd_id(text: &str) -> Result<OsdId, Refusal> {
    let number = text.parse().map(OsdId);
    number.map_err(|_| Refusal::new(Kind::Invalid, format!("{text:?} is no number of a disk")))
}

fn parsed<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let invalid = |why: String| Refusal::new(Kind::Invalid, format!("the body can't be used: {why}"));
    let bytes = body.map_err(|error| invalid(error.body_text()))?;
    serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))
}
