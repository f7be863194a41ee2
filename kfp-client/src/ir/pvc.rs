//! Volume claims that a pipeline makes and removes.
//!
//! The server knows both components by their image and does their work itself.

use serde_json::{Map, Value};

use super::{
    component::ContainerComponent,
    source::ParameterSource,
    spec::{ParameterSpec, ParameterType},
};

/// A volume claim to be made; for [`TaskBuilder::create_pvc`](super::TaskBuilder::create_pvc).
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct CreatePvc {
    pub(crate) inputs: Vec<(String, ParameterSource)>,
}

impl CreatePvc {
    /// A claim of this name.
    ///
    /// `access_modes` are of `ReadWriteOnce`, `ReadOnlyMany`, `ReadWriteMany` and `ReadWriteOncePod`; `size` is a
    /// quantity such as `5Gi`.
    pub fn named<S: Into<String>>(
        name: impl Into<ParameterSource>,
        access_modes: impl IntoIterator<Item = S>,
        size: impl Into<ParameterSource>,
    ) -> Self {
        Self::new("pvc_name", name.into(), access_modes, size.into())
    }

    /// A claim whose name is that of the run's workflow with this after it, so that each run has its own; otherwise as
    /// [`named`](Self::named).
    pub fn with_suffix<S: Into<String>>(
        suffix: impl Into<ParameterSource>,
        access_modes: impl IntoIterator<Item = S>,
        size: impl Into<ParameterSource>,
    ) -> Self {
        Self::new("pvc_name_suffix", suffix.into(), access_modes, size.into())
    }

    fn new<S: Into<String>>(
        input: &str,
        name: ParameterSource,
        access_modes: impl IntoIterator<Item = S>,
        size: ParameterSource,
    ) -> Self {
        let modes: Vec<Value> = access_modes
            .into_iter()
            .map(|mode| Value::String(mode.into()))
            .collect();
        Self {
            inputs: vec![
                (input.to_owned(), name),
                ("access_modes".to_owned(), ParameterSource::Constant(modes.into())),
                ("size".to_owned(), size),
            ],
        }
    }

    fn set(mut self, input: &str, value: ParameterSource) -> Self {
        self.inputs.push((input.to_owned(), value));
        self
    }

    /// Its storage class; the cluster's default if this is left out.
    pub fn storage_class(self, name: impl Into<ParameterSource>) -> Self {
        self.set("storage_class_name", name.into())
    }

    /// The volume it stands for, if that is there already.
    pub fn volume(self, name: impl Into<ParameterSource>) -> Self {
        self.set("volume_name", name.into())
    }

    /// Its annotations.
    pub fn annotations(self, annotations: Map<String, Value>) -> Self {
        self.set("annotations", ParameterSource::Constant(Value::Object(annotations)))
    }

    /// What it is filled from: an object with `apiGroup`, `kind` and `name`, of a snapshot or another claim.
    pub fn data_source(self, source: Map<String, Value>) -> Self {
        self.set("data_source", ParameterSource::Constant(Value::Object(source)))
    }
}

fn optional(parameter_type: ParameterType) -> ParameterSpec {
    ParameterSpec {
        is_optional: true,
        ..ParameterSpec::new(parameter_type)
    }
}

pub(crate) fn create_component() -> ContainerComponent {
    ContainerComponent::new("argostub/createpvc")
        .input("access_modes", ParameterType::List)
        .input("size", ParameterType::String)
        .input_spec("pvc_name", optional(ParameterType::String))
        .input_spec("pvc_name_suffix", optional(ParameterType::String))
        .input_spec("storage_class_name", optional(ParameterType::String))
        .input_spec("volume_name", optional(ParameterType::String))
        .input_spec("annotations", optional(ParameterType::Struct))
        .input_spec("data_source", optional(ParameterType::Struct))
        .output("name", ParameterType::String)
}

pub(crate) fn delete_component() -> ContainerComponent {
    ContainerComponent::new("argostub/deletepvc").input("pvc_name", ParameterType::String)
}
