//! What stands between `{{` and `}}`.

/// Something that is named by a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// A parameter of the template itself.
    Input(&'a str),
    /// An artifact of the template itself.
    InputArtifact(&'a str),
    /// A parameter of the workflow.
    WorkflowParameter(&'a str),
    /// A task of the same graph, and the parameter of it if it is about one.
    Task(&'a str, Option<&'a str>),
    /// The item of a loop.
    Item,
}

/// All that a text names. Expressions (`{{=...}}`) and what is set by Argo itself (`pod.name`, `workflow.uid`) are
/// passed over.
pub(super) fn named(text: &str) -> impl Iterator<Item = Named<'_>> {
    let parts = text.split("{{").skip(1).filter_map(|part| part.split_once("}}"));
    parts.filter_map(|(inner, _)| one(inner.trim()))
}

fn one(inner: &str) -> Option<Named<'_>> {
    let parts: Vec<&str> = inner.split('.').collect();
    match parts.as_slice() {
        ["item", ..] => Some(Named::Item),
        ["inputs", "parameters", name, ..] => Some(Named::Input(name)),
        ["inputs", "artifacts", name, ..] => Some(Named::InputArtifact(name)),
        ["workflow", "parameters", name] => Some(Named::WorkflowParameter(name)),
        ["tasks", task, "outputs", "parameters", name] => Some(Named::Task(task, Some(name))),
        ["tasks", task, ..] => Some(Named::Task(task, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_named_and_passes_over_the_rest() {
        let text = "{{inputs.parameters.a}} {{ tasks.t.outputs.parameters.b }}{{tasks.t.status}} {{item.x}} {{pod.name}} \
                    {{=inputs.parameters.c}} {{workflow.parameters.d}} {{inputs.artifacts.e.path}} {{open {{}}";
        let found: Vec<Named<'_>> = named(text).collect();
        let expected = [
            Named::Input("a"),
            Named::Task("t", Some("b")),
            Named::Task("t", None),
            Named::Item,
            Named::WorkflowParameter("d"),
            Named::InputArtifact("e"),
        ];
        assert_eq!(found, expected);
    }
}
