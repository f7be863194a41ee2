//! Pictures of artifacts.

use http::Method;

use super::ROOT;
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    message::message,
    wire::wire_enum,
};

wire_enum! {
    /// Kind of a picture.
    pub enum VisualizationType {
        /// A ROC curve; what an answer that says nothing means.
        RocCurve = "ROC_CURVE",
        /// Statistics of a dataset, by TensorFlow Data Validation.
        Tfdv = "TFDV",
        /// An evaluation, by TensorFlow Model Analysis.
        Tfma = "TFMA",
        /// A table.
        Table = "TABLE",
        /// Code of the caller's, if the server allows it.
        Custom = "CUSTOM",
    }
}

message! {
    /// A picture to be made, or one that was made.
    pub struct Visualization {
        /// Kind.
        #[serde(rename = "type")]
        visualization_type: Option<VisualizationType>,
        /// Where the data is, e.g. `gs://bucket/file.csv`; may hold wildcards.
        source: String,
        /// Further settings of the kind, as JSON text.
        arguments: String,
        /// The picture, in an answer.
        html: String,
        /// Why there is none, in an answer.
        error: String,
    }
}

impl Visualization {
    /// A picture of this kind of the data at `source`.
    pub fn new(visualization_type: VisualizationType, source: impl Into<String>) -> Self {
        Self {
            visualization_type: Some(visualization_type),
            source: source.into(),
            ..Self::default()
        }
    }

    /// Further settings, as JSON text.
    #[must_use]
    pub fn arguments(mut self, arguments: impl Into<String>) -> Self {
        self.arguments = arguments.into();
        self
    }
}

/// Operations on pictures; made by [`V1::visualizations`](super::V1::visualizations). The newer API has no such path.
#[derive(Debug, Clone)]
pub struct Visualizations {
    client: Client,
}

impl Visualizations {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a picture. Needs a visualization server in the namespace.
    pub async fn create(&self, namespace: &str, request: &Visualization) -> Result<Visualization> {
        let namespace = path_id("namespace", namespace)?;
        if request.source.is_empty() && request.visualization_type != Some(VisualizationType::Custom) {
            return Err(Error::invalid("source", "not empty"));
        }
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&request.arguments);
        if !request.arguments.is_empty() && object.is_err() {
            return Err(Error::invalid("arguments", "a JSON object as text"));
        }
        let path = [ROOT[0], ROOT[1], "visualizations", namespace];
        let call = Call::new("v1.visualizations.create", Method::POST, &self.client.inner.base, &path)?;
        self.client.inner.json(&call.json(request)?).await
    }
}
