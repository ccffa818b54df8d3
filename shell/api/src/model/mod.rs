//! What is said over the API: values that are the same at both ends, and the JSON that scripts read.

mod health;
mod metrics;
mod requests;
mod settings;
mod status;

pub use health::{Health, Verdict};
pub use metrics::{Family, Metrics, Sample, Type};
pub use requests::{CreateVdisk, ResizeVdisk, VersionInfo};
pub use settings::Settings;
pub use status::{ClusterStatus, Facts, Kv, LostRange, Osd, OsdState, Vdisk, WriteBuffer};
