//! Logged models: models of an experiment, with their parameters and metrics, before and without a registration.

mod types;

use futures_core::Stream;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use types::{
    CreateLoggedModel, LoggedModel, LoggedModelData, LoggedModelInfo, LoggedModelOrder, LoggedModelStatus,
    Registration, SearchLoggedModels, SearchedDataset,
};

use crate::{
    artifacts::FileInfo,
    client::Client,
    endpoint::Call,
    error::{Error, Result},
    http::found,
    ids::LoggedModelId,
    limits,
    metric::Param,
    page::{self, Page},
    tag::Tag,
    version::ServerVersion,
};

/// Operations on logged models; see [`Client::logged_models`]. Since MLflow 3; an older server is told as
/// [`Error::ServerTooOld`].
///
/// ```no_run
/// # async fn example(client: mlflow_client::Client) -> Result<(), mlflow_client::Error> {
/// use mlflow_client::{CreateLoggedModel, LoggedModelStatus};
///
/// let models = client.logged_models();
/// let model = models.create(CreateLoggedModel::new("1").name("forest").param("depth", "3")).await?;
/// // ... store its files, then:
/// models.finalize(model.id(), LoggedModelStatus::Ready).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct LoggedModels {
    client: Client,
}

#[derive(Deserialize)]
struct OneModel {
    model: LoggedModel,
}

#[derive(Deserialize)]
struct ManyModels {
    #[serde(default)]
    models: Vec<LoggedModel>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<FileInfo>,
    next_page_token: Option<String>,
}

impl LoggedModels {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// A call below `logged-models`.
    fn path(&self, operation: &'static str, method: Method, path: &[&str]) -> Result<Call> {
        let root = ["api", "2.0", "mlflow", "logged-models"];
        Call::new(
            operation,
            method,
            &self.client.inner.base,
            root.iter().chain(path).copied(),
        )
    }

    fn of(&self, operation: &'static str, method: Method, id: &LoggedModelId, path: &[&str]) -> Result<Call> {
        limits::id("model_id", id.as_str())?;
        if id.as_str().contains('/') || matches!(id.as_str(), "." | "..") {
            return Err(Error::invalid("model_id", "an id as the server made it"));
        }
        let path: Vec<&str> = [id.as_str()].iter().chain(path).copied().collect();
        self.path(operation, method, &path)
    }

    async fn model(&self, call: &Call) -> Result<LoggedModel> {
        self.client.since(call.operation, ServerVersion::V3)?;
        let result = self.client.inner.json::<OneModel>(call).await;
        let answer = self.client.explain(call.operation, ServerVersion::V3, result).await?;
        Ok(answer.model)
    }

    async fn done(&self, call: &Call) -> Result<()> {
        self.client.since(call.operation, ServerVersion::V3)?;
        let result = self.client.inner.done(call).await;
        self.client.explain(call.operation, ServerVersion::V3, result).await
    }

    /// Makes a logged model, in status [`Pending`](LoggedModelStatus::Pending). Every call makes a new one, so it is never
    /// sent twice by itself.
    pub async fn create(&self, model: CreateLoggedModel) -> Result<LoggedModel> {
        limits::id("experiment_id", model.experiment_id.as_str())?;
        limits::logged_model_name(&model.name)?;
        check_params(&model.params)?;
        check_tags(&model.tags)?;
        let call = self.path("logged_models.create", Method::POST, &[])?.json(&model)?;
        self.model(&call).await
    }

    /// The model with this id.
    pub async fn get(&self, id: &LoggedModelId) -> Result<LoggedModel> {
        let call = self.of("logged_models.get", Method::GET, id, &[])?;
        self.model(&call).await
    }

    /// The model with this id; `None` if there is none.
    pub async fn get_opt(&self, id: &LoggedModelId) -> Result<Option<LoggedModel>> {
        found(self.get(id).await)
    }

    /// Says how the model came out, once its files are stored or could not be.
    pub async fn finalize(&self, id: &LoggedModelId, status: LoggedModelStatus) -> Result<LoggedModel> {
        // The server would store a status without a meaning.
        if status.number().is_none() {
            return Err(Error::invalid(
                "status",
                format!("one of the known ones, not `{status}`"),
            ));
        }
        // The id in the path alone is not read.
        let call = self
            .of("logged_models.finalize", Method::PATCH, id, &[])?
            .json(&json!({"model_id": id, "status": status}))?
            .idempotent();
        self.model(&call).await
    }

    /// Deletes a model. One that is not there any more is no error.
    pub async fn delete(&self, id: &LoggedModelId) -> Result<()> {
        let call = self.of("logged_models.delete", Method::DELETE, id, &[])?.idempotent();
        self.done(&call).await
    }

    /// One page of models.
    pub async fn search(&self, search: SearchLoggedModels) -> Result<Page<LoggedModel>> {
        limits::page_size("max_results", search.max_results, i32::MAX as u32)?;
        search.filter.text()?;
        if search.experiment_ids.is_empty() {
            return Err(Error::invalid("experiment_ids", "at least one experiment"));
        }
        for id in &search.experiment_ids {
            limits::id("experiment_ids", id.as_str())?;
        }
        let call = self
            .path("logged_models.search", Method::POST, &["search"])?
            .json(&search)?
            .read_only();
        self.client.since(call.operation, ServerVersion::V3)?;
        let result = self.client.inner.json::<ManyModels>(&call).await;
        let answer = self.client.explain(call.operation, ServerVersion::V3, result).await?;
        Ok(Page::new(answer.models, answer.next_page_token))
    }

    /// All models of a search, page by page as they are needed.
    pub fn search_all(&self, search: SearchLoggedModels) -> impl Stream<Item = Result<LoggedModel>> + Send + use<> {
        let this = self.clone();
        page::all(search.page_token.clone(), move |page_token| {
            let (this, search) = (
                this.clone(),
                SearchLoggedModels {
                    page_token,
                    ..search.clone()
                },
            );
            async move { this.search(search).await }
        })
    }

    /// Sets tags.
    pub async fn set_tags<T: Into<Tag>>(&self, id: &LoggedModelId, tags: impl IntoIterator<Item = T>) -> Result<()> {
        let tags: Vec<Tag> = tags.into_iter().map(Into::into).collect();
        check_tags(&tags)?;
        let call = self
            .of("logged_models.set_tags", Method::PATCH, id, &["tags"])?
            .json(&json!({"tags": tags}))?
            .idempotent();
        self.done(&call).await
    }

    /// Deletes a tag; [`Error::NotFound`] if there is none. A key with a slash is refused: the server has no route for it
    /// (MLflow 3.17).
    pub async fn delete_tag(&self, id: &LoggedModelId, key: &str) -> Result<()> {
        limits::key("key", key)?;
        if key.contains('/') {
            return Err(Error::invalid(
                "key",
                "without slashes: the server cannot delete such a tag of a logged model",
            ));
        }
        let call = self.of("logged_models.delete_tag", Method::DELETE, id, &["tags", key])?;
        self.done(&call).await
    }

    /// Logs parameters. One that is there already is refused, even with the same value, as [`Error::InvalidArgument`].
    pub async fn log_params<T: Into<Param>>(
        &self,
        id: &LoggedModelId,
        params: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        #[derive(Serialize)]
        struct Body<'a> {
            model_id: &'a LoggedModelId,
            params: &'a [Param],
        }
        let params: Vec<Param> = params.into_iter().map(Into::into).collect();
        check_params(&params)?;
        // The id in the path alone is not read.
        let body = Body {
            model_id: id,
            params: &params,
        };
        let call = self
            .of("logged_models.log_params", Method::POST, id, &["params"])?
            .json(&body)?;
        self.done(&call).await
    }

    /// One page of files and directories directly below `path` among the model's files, or below their root if it is
    /// empty. Paths are relative to that root.
    pub async fn list_artifacts(
        &self,
        id: &LoggedModelId,
        path: &str,
        page_token: Option<&str>,
    ) -> Result<Page<FileInfo>> {
        let call = self
            .of(
                "logged_models.list_artifacts",
                Method::GET,
                id,
                &["artifacts", "directories"],
            )?
            .query("artifact_directory_path", path)
            .query_opt("page_token", page_token);
        self.client.since(call.operation, ServerVersion::V3)?;
        let result = self.client.inner.json::<Listing>(&call).await;
        let answer = self.client.explain(call.operation, ServerVersion::V3, result).await?;
        Ok(Page::new(answer.files, answer.next_page_token))
    }
}

fn check_params(params: &[Param]) -> Result<()> {
    let mut keys = std::collections::HashSet::new();
    for param in params {
        limits::param(&param.key, &param.value)?;
        if !keys.insert(&param.key) {
            return Err(Error::invalid(
                "params.key",
                format!("there once; `{}` is there twice", param.key),
            ));
        }
    }
    Ok(())
}

fn check_tags(tags: &[Tag]) -> Result<()> {
    tags.iter().try_for_each(|tag| limits::run_tag(&tag.key, &tag.value))
}
