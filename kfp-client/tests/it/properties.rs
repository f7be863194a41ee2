//! What holds for every filter, and for every document that can be built.

use kfp_client::{
    Filter, ListKeys, ListRuns,
    ir::{ContainerComponent, ParameterSource, ParameterType, PipelineBuilder, PipelineDocument, TaskBuilder},
    v1,
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
    fn every_value_reaches_the_server_unchanged_in_both_dialects(
        texts in vec(any::<String>(), 1..4),
        traps in vec("[%+&=#? ]{0,4}", 1..3),
        seconds in 1_i64..4_000_000_000,
        ints in vec(any::<i32>(), 1..4),
        longs in vec(any::<i64>(), 1..4),
    ) {
        let time = jiff::Timestamp::from_second(seconds).unwrap();
        let filter = Filter::new()
            .equals("name", texts[0].clone())
            .one_of("description", texts.clone())
            .contains("name", traps.concat())
            .not_equals("name", traps[0].clone())
            .since("created_at", time)
            .equals_int("created_at", ints[0])
            .equals_long("created_at", longs[0])
            .one_of_ints("created_at", ints.clone())
            .one_of_longs("created_at", longs.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let targets = runtime.block_on(async {
            let server = Server::start(|_, _| Act::json(200, "{}")).await;
            let client = server.client().build().unwrap();
            client.runs().list(&ListRuns::new().filter(filter.clone())).await.unwrap();
            client.v1().runs().list(&v1::ListRuns::new().filter(filter)).await.unwrap();
            server.seen().into_iter().map(|seen| seen.target).collect::<Vec<_>>()
        });
        let texts_of = |longs: &[i64]| longs.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (target, operation) in targets.iter().zip(["operation", "op"]) {
            let expected = serde_json::json!({"predicates": [
                {operation: "EQUALS", "key": "name", "string_value": texts[0]},
                {operation: "IN", "key": "description", "string_values": {"values": texts}},
                {operation: "IS_SUBSTRING", "key": "name", "string_value": traps.concat()},
                {operation: "NOT_EQUALS", "key": "name", "string_value": traps[0]},
                {operation: "GREATER_THAN_EQUALS", "key": "created_at", "timestamp_value": time.to_string()},
                {operation: "EQUALS", "key": "created_at", "int_value": ints[0]},
                {operation: "EQUALS", "key": "created_at", "long_value": longs[0].to_string()},
                {operation: "IN", "key": "created_at", "int_values": {"values": ints}},
                {operation: "IN", "key": "created_at", "long_values": {"values": texts_of(&longs)}},
            ]});
            prop_assert_eq!(read(target), expected);
        }
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
