//! Building a pipeline in code and writing it as it is sent, against writing alone.
//!
//! For every step there is a component, an executor and a task with an input, as in a real pipeline.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use benches::{Failure, Figures, line};
use kfp_client::ir::{
    ContainerComponent, ParameterSource, ParameterType, PipelineBuilder, PipelineDocument, TaskBuilder,
};
use serde_json::Value;

const ROUNDS: usize = 25;

fn main() -> Result<(), Failure> {
    line("build a pipeline and write it as JSON")?;
    for steps in [5, 100, 1000] {
        let repetitions = 2000 / steps;
        let value: Value = serde_json::from_str(&pipeline(steps)?.to_json())?;
        let yaml = pipeline(steps)?.to_yaml();
        let mut floor = Vec::new();
        let mut whole = Vec::new();
        let mut read = Vec::new();
        // In turns, so that whatever else the machine does meets all alike.
        for _ in 0..=ROUNDS {
            floor.push(timed(repetitions, || Ok(value.to_string()))?);
            whole.push(timed(repetitions, || Ok(pipeline(steps)?.to_json()))?);
            read.push(timed(repetitions.div_ceil(10), || {
                Ok(PipelineDocument::from_yaml(&yaml)?)
            })?);
        }
        let floor = told(steps, "floor: writing a JSON value", floor, None)?;
        told(steps, "built, checked and written", whole, Some(floor))?;
        told(steps, "read from YAML", read, Some(floor))?;
    }
    Ok(())
}

/// Seconds that one repetition takes.
fn timed<T>(repetitions: usize, work: impl Fn() -> Result<T, Failure>) -> Result<f64, Failure> {
    let begin = Instant::now();
    for _ in 0..repetitions {
        black_box(work()?);
    }
    Ok(begin.elapsed().as_secs_f64() / f64::from(u32::try_from(repetitions)?))
}

fn pipeline(steps: usize) -> Result<PipelineDocument, Failure> {
    let mut pipeline = PipelineBuilder::new("bench").parameter("word", ParameterType::String, Some("hello".into()));
    for step in 0..steps {
        let component = ContainerComponent::new("python:3.12")
            .command(["python", "-m", "step"])
            .args(["--word", "{{$.inputs.parameters['word']}}"])
            .input("word", ParameterType::String);
        let task = TaskBuilder::new(format!("step-{step}"), component).input("word", ParameterSource::input("word"));
        pipeline = pipeline.task(task);
    }
    Ok(pipeline.build()?)
}

fn told(steps: usize, name: &str, mut seconds: Vec<f64>, floor: Option<f64>) -> Result<f64, Failure> {
    // The first round warmed up.
    seconds.remove(0);
    let figures = Figures::new(seconds).ok_or("nothing was measured")?;
    let median = figures.median();
    let each = median * 1e6 / f64::from(u32::try_from(steps)?);
    let mut text = format!(
        "  {steps:>4} steps, {name:<28} {:<48} {each:6.2} us a step",
        figures.to_string()
    );
    if let Some(floor) = floor {
        write!(text, "  {:.2} times the floor", median / floor)?;
    }
    line(&text)?;
    Ok(median)
}
