//! What a thing belongs to, and what made it.

use crate::{
    ids::{ExperimentId, JobId, PipelineId, PipelineVersionId},
    message::message,
    wire::wire_enum,
};

wire_enum! {
    /// Kind of a thing that is referred to.
    pub enum ResourceType {
        /// Not said.
        Unspecified = "UNKNOWN_RESOURCE_TYPE",
        /// An experiment.
        Experiment = "EXPERIMENT",
        /// A job.
        Job = "JOB",
        /// A pipeline.
        Pipeline = "PIPELINE",
        /// A version of a pipeline.
        PipelineVersion = "PIPELINE_VERSION",
        /// A namespace.
        Namespace = "NAMESPACE",
    }
}

wire_enum! {
    /// What the other thing is to the one that refers to it.
    pub enum Relationship {
        /// Not said.
        Unspecified = "UNKNOWN_RELATIONSHIP",
        /// It belongs to it.
        Owner = "OWNER",
        /// It was made by it.
        Creator = "CREATOR",
    }
}

message! {
    /// Names a thing by its kind and id.
    pub struct ResourceKey {
        /// Kind.
        #[serde(rename = "type")]
        resource_type: Option<ResourceType>,
        /// Id; the name of a namespace. Empty for the namespace of a single-user server (from KFP 2.0 on).
        id: String,
    }
}

message! {
    /// Says what a thing belongs to, or what made it.
    ///
    /// The order of references varies from answer to answer.
    pub struct ResourceReference {
        /// The other thing.
        key: ResourceKey,
        /// Its name; sent by KFP 1.8 only.
        name: String,
        /// What it is to this one.
        relationship: Option<Relationship>,
    }
}

impl ResourceKey {
    /// The thing of this kind and id.
    pub fn new(resource_type: ResourceType, id: impl Into<String>) -> Self {
        Self {
            resource_type: Some(resource_type),
            id: id.into(),
            ..Self::default()
        }
    }
}

impl ResourceReference {
    fn new(kind: ResourceType, id: impl Into<String>, relationship: Relationship) -> Self {
        Self {
            key: ResourceKey::new(kind, id),
            relationship: Some(relationship),
            ..Self::default()
        }
    }

    /// It belongs to this experiment.
    pub fn experiment(id: ExperimentId) -> Self {
        Self::new(ResourceType::Experiment, id, Relationship::Owner)
    }

    /// It belongs to this namespace.
    pub fn namespace(namespace: impl Into<String>) -> Self {
        Self::new(ResourceType::Namespace, namespace, Relationship::Owner)
    }

    /// It belongs to this pipeline.
    pub fn pipeline(id: PipelineId) -> Self {
        Self::new(ResourceType::Pipeline, id, Relationship::Owner)
    }

    /// It executes this version of a pipeline.
    pub fn pipeline_version(id: PipelineVersionId) -> Self {
        Self::new(ResourceType::PipelineVersion, id, Relationship::Creator)
    }

    /// This job made it.
    pub fn job(id: JobId) -> Self {
        Self::new(ResourceType::Job, id, Relationship::Creator)
    }
}

/// The id of the first thing of this kind, if there is one that has an id.
pub(super) fn referred(references: &[ResourceReference], kind: &ResourceType) -> Option<String> {
    let mut keys = references.iter().map(|reference| &reference.key);
    let key = keys.find(|key| key.resource_type.as_ref() == Some(kind) && !key.id.is_empty())?;
    Some(key.id.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_written_as_the_server_reads_it_and_kept_as_the_server_wrote_it() {
        let written = serde_json::to_value(ResourceReference::pipeline_version("v1".into())).unwrap();
        let expected = json!({"key": {"type": "PIPELINE_VERSION", "id": "v1"}, "relationship": "CREATOR"});
        assert_eq!(written, expected);
        let newer = json!({"key": {"type": "PLANET", "id": "x", "size": 1}, "name": "n", "relationship": "MOON"});
        let read: ResourceReference = serde_json::from_value(newer.clone()).unwrap();
        assert_eq!(read.key.resource_type, Some(ResourceType::Unknown("PLANET".to_owned())));
        assert_eq!(serde_json::to_value(read).unwrap(), newer);
    }

    #[test]
    fn a_reference_without_id_refers_to_nothing() {
        let references = [
            ResourceReference::namespace(""),
            ResourceReference::experiment("e".into()),
            ResourceReference::namespace("team-a"),
        ];
        assert_eq!(
            referred(&references, &ResourceType::Namespace).as_deref(),
            Some("team-a")
        );
        assert_eq!(referred(&references, &ResourceType::Job), None);
    }

    #[test]
    fn every_known_value_and_an_invented_one_survive() {
        for value in ResourceType::KNOWN
            .iter()
            .map(ToString::to_string)
            .chain(["PLANET".to_owned()])
        {
            assert_eq!(ResourceType::from(&*value).as_str(), value);
        }
        for value in Relationship::KNOWN
            .iter()
            .map(ToString::to_string)
            .chain(["MOON".to_owned()])
        {
            assert_eq!(Relationship::from(&*value).as_str(), value);
        }
    }
}
