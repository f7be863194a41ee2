//! What holds for every filter, and for every document that can be built.

use kfp_client::{
    Filter, ListKeys, ListRuns,
    ir::{ContainerComponent, ParameterSource, ParameterType, PipelineBuilder, PipelineDocument, TaskBuilder},
};
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use crate::scripted::{Act, Server};

/// Reads a filter as the server does: the query's value, unescaped once more.
fn read(target: &str) -> Value {
    let url = url::Url::parse(&format!("http://x{target}")).unwrap();
    let found = url.query_pairs().find(|(key, _)| key == "filter");
    let once = found.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let (twice, _) = url::form_urlencoded::parse(once.as_bytes()).next().unwrap();
    serde_json::from_str(&twice).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_text_reaches_the_server_unchanged(texts in vec(any::<String>(), 1..4), seconds in 1_i64..4_000_000_000) {
        let time = jiff::Timestamp::from_second(seconds).unwrap();
        let filter = Filter::new()
            .equals("display_name", texts[0].clone())
            .one_of("description", texts.clone())
            .since("created_at", time);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let target = runtime.block_on(async {
            let server = Server::start(|_, _| Act::json(200, "{}")).await;
            let runs = server.client().build().unwrap().runs();
            runs.list(&ListRuns::new().filter(filter)).await.unwrap();
            server.seen()[0].target.clone()
        });
        let read = read(&target);
        prop_assert_eq!(&read["predicates"][0]["string_value"], &Value::from(texts[0].clone()));
        prop_assert_eq!(&read["predicates"][1]["string_values"]["values"], &Value::from(texts));
        let sent: jiff::Timestamp = read["predicates"][2]["timestamp_value"].as_str().unwrap().parse().unwrap();
        prop_assert_eq!(sent, time);
    }

    #[test]
    fn no_field_and_no_order_makes_the_check_fail_in_another_way(key in any::<String>(), sort_by in any::<String>()) {
        let keys = ListKeys::RUNS;
        let known = keys.keys.iter().any(|known| known.name == key);
        prop_assert_eq!(keys.check(&Filter::new().equals(key.clone(), "x"), "").is_ok() , known
            && !["created_at", "finished_at", "scheduled_at"].contains(&key.as_str()));
        let checked = keys.check(&Filter::new(), &sort_by);
        prop_assert!(checked.is_err() || sort_by.trim().is_empty() || sort_by.to_lowercase().contains("metric:")
            || keys.keys.iter().any(|known| sort_by.to_lowercase().contains(known.name)));
    }

    #[test]
    fn documents_survive_being_written_and_read(
        image in "[a-z]{1,8}(:[a-z0-9.]{1,6})?",
        words in vec(any::<String>(), 1..5),
        number in any::<i32>(),
        steps in 1_usize..6,
    ) {
        let mut pipeline = PipelineBuilder::new("p").parameter("n", ParameterType::NumberInteger, Some(number.into()));
        for step in 0..steps {
            let component = ContainerComponent::new(image.clone())
                .command(words.clone())
                .input("n", ParameterType::NumberInteger);
            pipeline = pipeline.task(
                TaskBuilder::new(format!("step-{step}"), component).input("n", ParameterSource::input("n")),
            );
        }
        let Ok(document) = pipeline.build() else {
            // Words that look like placeholders are checked, and may be refused.
            return Ok(());
        };
        prop_assert_eq!(&PipelineDocument::from_yaml(&document.to_yaml()).unwrap(), &document);
        prop_assert_eq!(&PipelineDocument::from_json(document.to_wire()).unwrap(), &document);
        let text = document.to_wire().to_string();
        prop_assert_eq!(PipelineDocument::from_json(serde_json::from_str(&text).unwrap()).unwrap(), document);
    }
}
