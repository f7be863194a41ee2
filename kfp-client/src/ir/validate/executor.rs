//! Executors and their settings.

use super::{Checked, Path};
use crate::ir::{
    kubernetes::KubernetesExecutorConfig,
    platform::{PipelineConfig, PlatformSpec},
    quantity::is_quantity,
    spec::{ComponentSpec, ContainerSpec, PipelineSpec, Resources},
};

const PULL_POLICIES: [&str; 4] = ["", "Always", "IfNotPresent", "Never"];
const TOLERATION_OPERATORS: [&str; 3] = ["", "Equal", "Exists"];
const EFFECTS: [&str; 4] = ["", "NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn executors(spec: &PipelineSpec) -> Checked {
    let all = Path::new("deploymentSpec.executors");
    for (label, executor) in &spec.deployment_spec.executors {
        let path = all.at(label);
        match (&executor.container, &executor.importer) {
            (Some(spec), None) => container(&path.at("container"), spec)?,
            (None, Some(_)) => {}
            _ => return path.fault("a container or an importer: the server runs nothing else"),
        }
    }
    Ok(())
}

fn container(path: &Path<'_>, container: &ContainerSpec) -> Checked {
    path.at("image").require(!container.image.is_empty(), || "not empty")?;
    let named = container.env.iter().all(|variable| !variable.name.is_empty());
    path.at("env")
        .require(named, || "variables whose names are not empty")?;
    match &container.resources {
        Some(spec) => resources(&path.at("resources"), spec),
        None => Ok(()),
    }
}

fn resources(path: &Path<'_>, resources: &Resources) -> Checked {
    for (field, quantity) in [
        ("resourceCpuLimit", &resources.resource_cpu_limit),
        ("resourceMemoryLimit", &resources.resource_memory_limit),
        ("resourceCpuRequest", &resources.resource_cpu_request),
        ("resourceMemoryRequest", &resources.resource_memory_request),
    ] {
        path.at(field).require(
            quantity.is_empty() || is_quantity(quantity),
            || "a quantity as Kubernetes writes it, such as `500m`, `2` or `4Gi`",
        )?;
    }
    let Some(accelerator) = &resources.accelerator else {
        return Ok(());
    };
    let count = &accelerator.resource_count;
    path.at("accelerator").at("resourceCount").require(
        count.is_empty() || count.contains("{{") || count.parse::<u32>().is_ok(),
        || "a whole number",
    )
}

/// The placeholders in a container's texts name inputs and outputs of its component.
pub(super) fn placeholders(label: &str, component: &ComponentSpec, container: &ContainerSpec) -> Checked {
    let texts = container.command.iter().map(|text| ("command", text));
    let texts = texts.chain(container.args.iter().map(|text| ("args", text)));
    let texts = texts.chain(container.env.iter().map(|variable| ("env", &variable.value)));
    for (field, text) in texts {
        let mut rest = text.as_str();
        while let Some((_, tail)) = rest.split_once("{{$.") {
            rest = tail;
            let (kind, known, tail): (_, fn(&ComponentSpec, &str) -> bool, _) =
                if let Some(tail) = tail.strip_prefix("inputs.parameters[") {
                    (
                        "input parameter",
                        |of, name| of.input_definitions.parameters.contains_key(name),
                        tail,
                    )
                } else if let Some(tail) = tail.strip_prefix("inputs.artifacts[") {
                    (
                        "input artifact",
                        |of, name| of.input_definitions.artifacts.contains_key(name),
                        tail,
                    )
                } else if let Some(tail) = tail.strip_prefix("outputs.parameters[") {
                    (
                        "output parameter",
                        |of, name| of.output_definitions.parameters.contains_key(name),
                        tail,
                    )
                } else if let Some(tail) = tail.strip_prefix("outputs.artifacts[") {
                    (
                        "output artifact",
                        |of, name| of.output_definitions.artifacts.contains_key(name),
                        tail,
                    )
                } else {
                    continue;
                };
            if let Some(name) = quoted(tail)
                && !known(component, name)
            {
                let executors = Path::new("deploymentSpec.executors");
                let path = executors.at(label);
                return path
                    .at("container")
                    .at(field)
                    .fault(format!("without a placeholder for the undeclared {kind} `{name}`"));
            }
        }
    }
    Ok(())
}

/// The name in quotes at the beginning of a text; inside JSON text the quotes are escaped.
pub(super) fn quoted(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\\').unwrap_or(text);
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (name, _) = text.get(1..)?.split_once(quote)?;
    Some(name.strip_suffix('\\').unwrap_or(name))
}

pub(super) fn platform(platform: &PlatformSpec, spec: &PipelineSpec) -> Checked {
    let all = Path::new("platform_spec.platforms");
    for (name, settings) in &platform.platforms {
        let path = all.at(name);
        let executors = path.at("deploymentSpec");
        let executors = executors.at("executors");
        for (label, config) in &settings.deployment_spec.executors {
            let path = executors.at(label);
            path.require(
                spec.deployment_spec.executors.contains_key(label),
                || "the label of an executor of the specification",
            )?;
            if name == crate::ir::platform::KUBERNETES {
                kubernetes(&path, config)?;
            }
        }
        if let Some(config) = &settings.pipeline_config {
            pipeline_config(&path.at("pipelineConfig"), config)?;
        }
    }
    Ok(())
}

fn pipeline_config(path: &Path<'_>, config: &PipelineConfig) -> Checked {
    for (field, seconds) in [
        ("resourceTtlOnCompletion", config.resource_ttl_on_completion),
        ("resourceTtlOnSuccess", config.resource_ttl_on_success),
        ("resourceTtlOnFailure", config.resource_ttl_on_failure),
        ("activeDeadlineSeconds", config.active_deadline_seconds),
    ] {
        path.at(field)
            .require(seconds.is_none_or(|seconds| seconds >= 0), || "at least 0")?;
    }
    let Some(workspace) = &config.workspace else {
        return Ok(());
    };
    path.at("workspace").at("size").require(
        is_quantity(&workspace.size),
        || "a quantity as Kubernetes writes it, such as `10Gi`",
    )
}

fn kubernetes(path: &Path<'_>, config: &KubernetesExecutorConfig) -> Checked {
    path.at("imagePullPolicy").require(
        PULL_POLICIES.contains(&config.image_pull_policy.as_str()),
        || "Always, IfNotPresent or Never",
    )?;
    path.at("activeDeadlineSeconds").require(
        config.active_deadline_seconds.is_none_or(|seconds| seconds >= 0),
        || "at least 0",
    )?;
    let mounts = config.pvc_mount.iter().map(|mount| ("pvcMount", &mount.mount_path));
    let secrets = config.secret_as_volume.iter();
    let mounts = mounts.chain(secrets.map(|mount| ("secretAsVolume", &mount.mount_path)));
    let maps = config.config_map_as_volume.iter();
    let mounts = mounts.chain(maps.map(|mount| ("configMapAsVolume", &mount.mount_path)));
    let volumes = config.generic_ephemeral_volume.iter();
    let mounts = mounts.chain(volumes.map(|mount| ("genericEphemeralVolume", &mount.mount_path)));
    let folders = config.empty_dir_mounts.iter();
    let mut mounts = mounts.chain(folders.map(|mount| ("emptyDirMounts", &mount.mount_path)));
    if let Some((field, _)) = mounts.find(|(_, mount_path)| mount_path.is_empty()) {
        return path.at(field).at("mountPath").fault("not empty");
    }
    for toleration in &config.tolerations {
        let path = path.at("tolerations");
        path.at("operator").require(
            TOLERATION_OPERATORS.contains(&toleration.operator.as_str()),
            || "Equal or Exists",
        )?;
        path.at("effect").require(
            EFFECTS.contains(&toleration.effect.as_str()),
            || "NoSchedule, PreferNoSchedule or NoExecute",
        )?;
    }
    let nodes = config.node_affinity.iter().map(|term| ("nodeAffinity", term.weight));
    let pods = config.pod_affinity.iter().map(|term| ("podAffinity", term.weight));
    for (field, weight) in nodes.chain(pods) {
        path.at(field)
            .at("weight")
            .require(weight.is_none_or(|weight| (1..=100).contains(&weight)), || "1 to 100")?;
    }
    Ok(())
}
