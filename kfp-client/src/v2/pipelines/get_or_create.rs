//! Pipelines and versions by name, made if there are none.

use futures_util::TryStreamExt;

use super::{
    CreatePipeline, ListPipelineVersions, ListPipelines, Pipelines,
    model::{Pipeline, PipelineVersion},
    upload::{UploadPipeline, UploadPipelineVersion},
};
use crate::{
    error::{Error, Result},
    filter::Filter,
    ids::PipelineId,
};

impl Pipelines {
    /// The pipeline of this name, or `None`. Served by every release of KFP 2; without a namespace the pipelines
    /// shared by all are searched.
    ///
    /// The server's database compares names without regard to case and takes such names for the same; the exact one
    /// is preferred.
    pub async fn find(&self, name: &str, namespace: Option<&str>) -> Result<Option<Pipeline>> {
        // `name` is the identity on every release; `display_name` is another thing from KFP 2.14 on.
        let mut request = ListPipelines::new().filter(Filter::new().equals("name", name));
        request.namespace = namespace
            .filter(|namespace| !namespace.is_empty())
            .map(ToOwned::to_owned);
        let mut found = std::pin::pin!(self.list_all(request));
        let mut same_but_for_case = None;
        while let Some(pipeline) = found.try_next().await? {
            if identity(&pipeline.name, &pipeline.display_name) == name {
                return Ok(Some(pipeline));
            }
            same_but_for_case = Some(pipeline);
        }
        Ok(same_but_for_case)
    }

    /// The version of this name of a pipeline, or `None`; see [`find`](Self::find).
    pub async fn find_version(&self, id: &PipelineId, name: &str) -> Result<Option<PipelineVersion>> {
        let request = ListPipelineVersions::new().filter(Filter::new().equals("name", name));
        let mut found = std::pin::pin!(self.list_all_versions(id.clone(), request));
        let mut same_but_for_case = None;
        while let Some(version) = found.try_next().await? {
            if identity(&version.name, &version.display_name) == name {
                return Ok(Some(version));
            }
            same_but_for_case = Some(version);
        }
        Ok(same_but_for_case)
    }

    /// The pipeline of this name, made empty if there is none. One that is there is returned as it is.
    ///
    /// Safe when several callers do it at once: names are unique, and who comes second gets the first one's pipeline.
    pub async fn get_or_create(&self, request: &CreatePipeline) -> Result<Pipeline> {
        request.body()?;
        let call = request.needs(self.call("pipelines.create", http::Method::POST, &[])?);
        self.client.inner.refuse_older(&call)?;
        let namespace = Some(request.namespace.as_str());
        if let Some(found) = self.find(&request.name, namespace).await? {
            return Ok(found);
        }
        match self.create(request).await {
            Err(error) if may_be_there(&error) => self.find(&request.name, namespace).await?.ok_or(error),
            other => other,
        }
    }

    /// The pipeline of this name, uploaded if there is none. One that is there is returned as it is, **whatever its
    /// versions execute**; see [`get_or_upload_version`](Self::get_or_upload_version) for those.
    ///
    /// Safe when several callers do it at once, also on servers before KFP 2.5, which answer a taken name as if they
    /// had failed, and when the answer to the upload is lost.
    pub async fn get_or_upload(&self, request: &UploadPipeline) -> Result<Pipeline> {
        let call = self.pipeline_call(request)?;
        self.client.inner.refuse_older(&call)?;
        let namespace = Some(request.namespace.as_str());
        if let Some(found) = self.find(&request.name, namespace).await? {
            return Ok(found);
        }
        match self.submit(&call, &request.name, &request.namespace).await {
            Err(error) if may_be_there(&error) => self.find(&request.name, namespace).await?.ok_or(error),
            other => other,
        }
    }

    /// The version of this name, uploaded if the pipeline has none. One that is there is returned as it is: derive the
    /// name from the content (a hash of it), and the same content is uploaded once.
    ///
    /// As safe as [`get_or_upload`](Self::get_or_upload).
    pub async fn get_or_upload_version(&self, request: &UploadPipelineVersion) -> Result<PipelineVersion> {
        let call = self.version_call(request)?;
        self.client.inner.refuse_older(&call)?;
        if let Some(found) = self.find_version(&request.pipeline_id, &request.name).await? {
            return Ok(found);
        }
        match self.submit_version(&call, &request.pipeline_id, &request.name).await {
            Err(error) if may_be_there(&error) => {
                let found = self.find_version(&request.pipeline_id, &request.name).await?;
                found.ok_or(error)
            }
            other => other,
        }
    }
}

/// What identifies it: `name`, or the display name where there is none (before KFP 2.14).
fn identity<'a>(name: &'a str, display_name: &'a str) -> &'a str {
    if name.is_empty() { display_name } else { name }
}

/// Whether a name may be there after a creation that failed: it was taken, which older servers say in words that are
/// not all known.
fn may_be_there(error: &Error) -> bool {
    matches!(error, Error::AlreadyExists(_) | Error::Server(_))
}
