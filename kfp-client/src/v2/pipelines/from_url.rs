//! Pipelines and versions that the server downloads.

use std::collections::BTreeMap;

use http::Method;
use serde::Serialize;

use super::{
    CreatePipeline, Pipelines, is_other_name,
    model::{PackageUrl, Pipeline, PipelineVersion},
    upload::check_tags,
};
use crate::{
    endpoint::{Call, path_id},
    error::{Error, Result},
    ids::PipelineId,
    v2::{storable, stored_text},
    version::Feature,
};

/// A version of a pipeline that the server downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatePipelineVersion {
    /// Name: 1 to 127 characters, unique in the pipeline.
    pub name: String,
    /// URL of a YAML, `.zip` or `.tar.gz` file. The server downloads it, so it is reached from there. From KFP 2.17
    /// on it takes only hosts its administrator allows (GitHub and the stores of Google and Amazon at first), and none
    /// with a private address.
    pub package_url: String,
    /// Name to show; the name if empty. Before KFP 2.14 it becomes the name.
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// Where its source code is.
    pub code_source_url: String,
    /// Labels (from KFP 2.17 on): at most 20, of at most 63 characters each, keys without `.`.
    pub tags: BTreeMap<String, String>,
}

impl CreatePipelineVersion {
    /// A version of this name (1 to 127 characters), downloaded from `package_url`.
    pub fn new(name: impl Into<String>, package_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            package_url: package_url.into(),
            display_name: String::new(),
            description: String::new(),
            code_source_url: String::new(),
            tags: BTreeMap::new(),
        }
    }

    /// Name to show (from KFP 2.14 on).
    #[must_use]
    pub fn display_name(mut self, display_name: impl Into<String>) -> Self {
        self.display_name = display_name.into();
        self
    }

    /// Free text.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Where its source code is.
    #[must_use]
    pub fn code_source_url(mut self, code_source_url: impl Into<String>) -> Self {
        self.code_source_url = code_source_url.into();
        self
    }

    /// Adds a label (from KFP 2.17 on).
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    fn needs(&self, call: Call) -> Call {
        call.needs(Feature::TAGS, !self.tags.is_empty())
            .needs(Feature::SHOWN_NAME, is_other_name(&self.display_name, &self.name))
    }

    fn body<'a>(&'a self, pipeline_id: &'a str) -> Result<VersionBody<'a>> {
        stored_text("name", &self.name, 127, true)?;
        stored_text("display_name", &self.display_name, 127, false)?;
        storable("description", &self.description)?;
        storable("code_source_url", &self.code_source_url)?;
        check_tags(&self.tags)?;
        let url: Option<url::Url> = self.package_url.trim().parse().ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(Error::invalid("package_url", "an http or https URL"));
        }
        Ok(VersionBody {
            pipeline_id,
            naming: Naming::new(&self.name, &self.display_name),
            description: &self.description,
            package_url: PackageUrl {
                pipeline_url: self.package_url.trim().to_owned(),
                ..PackageUrl::default()
            },
            code_source_url: &self.code_source_url,
            tags: &self.tags,
        })
    }
}

/// How a name is written: as `display_name`, which every release takes as the name when there is no `name`, or as both
/// where they differ (before KFP 2.14 `name` is not known and the display name counts).
#[derive(Debug, Serialize)]
pub(super) struct Naming<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    display_name: &'a str,
}

impl<'a> Naming<'a> {
    pub(super) fn new(name: &'a str, display_name: &'a str) -> Self {
        if display_name.is_empty() || display_name == name {
            Self {
                name: "",
                display_name: name,
            }
        } else {
            Self { name, display_name }
        }
    }
}

#[derive(Serialize)]
struct VersionBody<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pipeline_id: &'a str,
    #[serde(flatten)]
    naming: Naming<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    package_url: PackageUrl,
    #[serde(skip_serializing_if = "str::is_empty")]
    code_source_url: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
}

impl Pipelines {
    /// Makes a pipeline with its first version, which the server downloads; as safe as [`create`](Self::create).
    /// [`Error::AlreadyExists`] if the name is
    /// taken, [`Error::InvalidArgument`] if the server may not use the URL.
    ///
    /// An upload works on every server and needs no way from there to the file; prefer it.
    pub async fn create_with_version(
        &self,
        pipeline: &CreatePipeline,
        version: &CreatePipelineVersion,
    ) -> Result<Pipeline> {
        let body = serde_json::json!({"pipeline": pipeline.body()?, "pipeline_version": version.body("")?});
        let call = self.call("pipelines.create_with_version", Method::POST, &["create"])?;
        let call = version.needs(pipeline.needs(call.json(&body)?));
        self.submit(&call, &pipeline.name, &pipeline.namespace).await
    }

    /// Makes a version of a pipeline, which the server downloads; as safe as [`create`](Self::create).
    /// [`Error::AlreadyExists`] if the pipeline has one of
    /// that name, [`Error::InvalidArgument`] if the server may not use the URL.
    pub async fn create_version(&self, id: &PipelineId, request: &CreatePipelineVersion) -> Result<PipelineVersion> {
        let path = path_id("pipeline_id", id.as_str())?;
        // The server takes the pipeline from the body and not from the path.
        let body = request.body(path)?;
        let call = self
            .call("pipelines.create_version", Method::POST, &[path, "versions"])?
            .json(&body)?;
        self.submit_version(&request.needs(call), id, &request.name).await
    }
}
