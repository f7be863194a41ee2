//! Stored pipelines and versions as the server reports them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    ids::{PipelineId, PipelineVersionId},
    message::message,
    page::Listed,
    status::Status,
    submit::Made,
};

message! {
    /// A pipeline kept on the server. What it executes is in its versions.
    pub struct Pipeline {
        /// Id, made by the server.
        pipeline_id: PipelineId,
        /// Name, unique in its namespace. Empty before KFP 2.14, where `display_name` is the name.
        name: String,
        /// Name to show.
        display_name: String,
        /// Free text.
        description: String,
        /// Namespace; empty for a pipeline shared by all, and on a single-user server.
        namespace: String,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// Labels (from KFP 2.17 on).
        tags: BTreeMap<String, String>,
        /// Why the server cannot read it.
        error: Option<Status>,
    }
}

impl Made for Pipeline {
    fn id(&self) -> &str {
        self.pipeline_id.as_str()
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

impl Listed for Pipeline {
    fn broken(&self) -> Option<(&str, &Status)> {
        let stub = self.display_name.is_empty() && self.created_at.is_none();
        self.error
            .as_ref()
            .filter(|_| stub)
            .map(|error| (self.pipeline_id.as_str(), error))
    }
}

message! {
    /// One version of a pipeline.
    pub struct PipelineVersion {
        /// The pipeline.
        pipeline_id: PipelineId,
        /// Id, made by the server.
        pipeline_version_id: PipelineVersionId,
        /// Name, unique in the pipeline. Empty before KFP 2.14, where `display_name` is the name.
        name: String,
        /// Name to show.
        display_name: String,
        /// Free text.
        description: String,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// What it executes: a specification, or `{pipeline_spec, platform_spec}`, or an Argo workflow;
        /// see [`PipelineDocument::from_json`](crate::ir::PipelineDocument::from_json).
        pipeline_spec: Option<Value>,
        /// Where the server took it from, if it was made from a URL.
        package_url: Option<PackageUrl>,
        /// Where its source code is.
        code_source_url: String,
        /// Labels (from KFP 2.17 on).
        tags: BTreeMap<String, String>,
        /// Why the server cannot read it.
        error: Option<Status>,
    }
}

message! {
    /// Where the server takes a pipeline from.
    pub struct PackageUrl {
        /// The URL of a YAML, `.zip` or `.tar.gz` file that the server can reach.
        pipeline_url: String,
    }
}

impl Made for PipelineVersion {
    fn id(&self) -> &str {
        self.pipeline_version_id.as_str()
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

impl Listed for PipelineVersion {
    fn broken(&self) -> Option<(&str, &Status)> {
        let stub = self.display_name.is_empty() && self.created_at.is_none();
        self.error
            .as_ref()
            .filter(|_| stub)
            .map(|error| (self.pipeline_version_id.as_str(), error))
    }
}
