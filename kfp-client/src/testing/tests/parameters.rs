//! Parameters of runs, as servers check them.

use super::*;

#[tokio::test]
async fn parameters_are_checked_as_loosely_as_servers_do() {
    let server = KfpServer::builder().build().start().await;
    let asker = Asker::new(&server);
    let mut spec = pipeline(&["echo"]);
    spec["root"]["inputDefinitions"] = json!({"parameters": {
        "b": {"parameterType": "BOOLEAN", "isOptional": true},
        "c": {"parameterType": "STRING", "isOptional": true, "literals": ["x", "y"]},
        "f": {"parameterType": "TASK_FINAL_STATUS", "isOptional": true},
        "i": {"parameterType": "NUMBER_INTEGER"},
        "l": {"parameterType": "LIST", "isOptional": true},
        "u": {"isOptional": true},
    }});
    let create = |parameters: Value| {
        let config = json!({"parameters": parameters});
        let body = json!({"display_name": "r", "pipeline_spec": spec, "runtime_config": config});
        asker.ask("POST", "runs", Some(body))
    };
    for (parameters, text) in [
        (
            json!({}),
            "parameter i is not optional, yet has neither default value nor user provided value",
        ),
        (
            json!({"i": "1"}),
            "input parameter i requires type double or integer, but the parameter value is not of number value type",
        ),
        (
            json!({"i": 1, "b": 1}),
            "input parameter b requires type bool, but the input parameter is not of bool value type",
        ),
        (
            json!({"i": 1, "l": {}}),
            "input parameter l requires type list, but the input parameter is not of list value type",
        ),
        (
            json!({"i": 1, "f": {}}),
            "input parameter f requires type TASK_FINAL_STATUS, which is invalid for root component",
        ),
        (json!({"i": 1, "u": 1}), "input parameter u has unspecified type"),
        (
            json!({"i": 1, "c": "z"}),
            "input parameter \"c\" value string_value:\"z\" does not match any of the allowed literal values: \
             [string_value:\"x\" string_value:\"y\"]",
        ),
        (
            json!({"i": 1, "zz": 1}),
            "parameter(s) provided are not required by pipeline: zz",
        ),
    ] {
        let (status, answer) = create(parameters).await.unwrap();
        assert_eq!((status, &answer["details"][0]["message"]), (400, &json!(text)));
    }
    for (given, kept) in [
        (json!(1.5), json!(1.5)),
        (json!(10.0), json!(10)),
        (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64)),
    ] {
        let (status, run) = create(json!({"i": given, "c": "x"})).await.unwrap();
        assert_eq!((status, &run["runtime_config"]["parameters"]["i"]), (200, &kept));
    }
}
