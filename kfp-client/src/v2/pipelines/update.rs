//! Changing a pipeline or a version (from KFP 2.17 on).

use std::collections::BTreeMap;

use http::Method;
use serde::Serialize;

use super::{
    Pipelines,
    model::{Pipeline, PipelineVersion},
    upload::check_tags,
    version_path,
};
use crate::{
    endpoint::path_id,
    error::{Error, Result},
    ids::{PipelineId, PipelineVersionId},
    v2::stored_text,
    version::Feature,
};

/// What is to change of a pipeline or a version. Nothing else of them can be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UpdatePipeline {
    /// New name to show, not empty; unchanged if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// New labels, which replace **all** it has; none if empty, unchanged if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
}

impl UpdatePipeline {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// New name to show.
    #[must_use]
    pub fn display_name(mut self, display_name: impl Into<String>) -> Self {
        self.display_name = Some(display_name.into());
        self
    }

    /// New labels, which replace **all** it has: at most 20, of at most 63 characters each, keys without `.`.
    #[must_use]
    pub fn tags(mut self, tags: BTreeMap<String, String>) -> Self {
        self.tags = Some(tags);
        self
    }

    fn validate(&self, longest: usize) -> Result<()> {
        if let Some(display_name) = &self.display_name {
            // An empty one would change nothing, and the server would not say so.
            stored_text("display_name", display_name, longest, true)?;
        }
        if let Some(tags) = &self.tags {
            check_tags(tags)?;
        }
        if *self == Self::default() {
            return Err(Error::invalid("request", "a new display name, new tags, or both"));
        }
        Ok(())
    }
}

impl Pipelines {
    /// Changes a pipeline's name to show, its labels, or both (from KFP 2.17 on). Gives
    /// it as it is then.
    ///
    /// Its identity, `name`, stays. Two who change the labels at once overwrite each other: the server knows no
    /// versions of an object.
    pub async fn update(&self, id: &PipelineId, request: &UpdatePipeline) -> Result<Pipeline> {
        request.validate(128)?;
        let id = path_id("pipeline_id", id.as_str())?;
        let call = self.call("pipelines.update", Method::PATCH, &[id])?.json(request)?;
        self.client.inner.json(&call.needs(Feature::UPDATE, true)).await
    }

    /// Changes a version's name to show, its labels, or both (from KFP 2.17 on). Gives
    /// it as it is then.
    pub async fn update_version(
        &self,
        id: &PipelineId,
        version: &PipelineVersionId,
        request: &UpdatePipeline,
    ) -> Result<PipelineVersion> {
        request.validate(127)?;
        let (id, version) = version_path(id, version)?;
        let call = self
            .call("pipelines.update_version", Method::PATCH, &[id, "versions", version])?
            .json(request)?;
        self.client.inner.json(&call.needs(Feature::UPDATE, true)).await
    }
}
