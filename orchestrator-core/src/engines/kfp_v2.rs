//! Kubeflow Pipelines through its v2beta1 API.
