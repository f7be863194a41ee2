//! Stored pipelines and versions as the server reports them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ids::{PipelineId, PipelineVersionId},
    page::Listed,
    status::Status,
    wire,
};

/// A pipeline kept on the server. What it executes is in its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pipeline {
    /// Id, made by the server.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub pipeline_id: PipelineId,
    /// Name, unique in its namespace. Empty before KFP 2.14, where `display_name` is the name.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub name: String,
    /// Name to show.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub display_name: String,
    /// Free text.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub description: String,
    /// Namespace; empty for a pipeline shared by all, and on a single-user server.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub namespace: String,
    /// When it was made.
    #[serde(
        default,
        deserialize_with = "wire::timestamp",
        skip_serializing_if = "wire::is_default"
    )]
    pub created_at: Option<Timestamp>,
    /// Labels (from KFP 2.17 on).
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub tags: BTreeMap<String, String>,
    /// Why the server cannot read it.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub error: Option<Status>,
    /// Fields this version of the crate does not know, as the server wrote them.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
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

/// One version of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PipelineVersion {
    /// The pipeline.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub pipeline_id: PipelineId,
    /// Id, made by the server.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub pipeline_version_id: PipelineVersionId,
    /// Name, unique in the pipeline. Empty before KFP 2.14, where `display_name` is the name.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub name: String,
    /// Name to show.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub display_name: String,
    /// Free text.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub description: String,
    /// When it was made.
    #[serde(
        default,
        deserialize_with = "wire::timestamp",
        skip_serializing_if = "wire::is_default"
    )]
    pub created_at: Option<Timestamp>,
    /// What it executes: a specification, or `{pipeline_spec, platform_spec}`, or an Argo workflow;
    /// see [`PipelineDocument::from_json`](crate::ir::PipelineDocument::from_json).
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub pipeline_spec: Option<Value>,
    /// Where the server took it from, if it was made from a URL.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub package_url: Option<PackageUrl>,
    /// Where its source code is.
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub code_source_url: String,
    /// Labels (from KFP 2.17 on).
    #[serde(
        default,
        deserialize_with = "wire::or_default",
        skip_serializing_if = "wire::is_default"
    )]
    pub tags: BTreeMap<String, String>,
    /// Why the server cannot read it.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub error: Option<Status>,
    /// Fields this version of the crate does not know, as the server wrote them.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Where the server takes a pipeline from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PackageUrl {
    /// The URL of a YAML, `.zip` or `.tar.gz` file that the server can reach.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub pipeline_url: String,
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
