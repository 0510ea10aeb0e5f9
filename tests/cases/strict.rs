//! What the laboratory does not understand, it refuses; and what it reckons, it reckons exactly.

use highwater::lab::case::{Case, Verdict};
use serde_json::{Value, json};

fn case(operator: &str, config: &Value, input: &Value) -> Case {
    serde_json::from_value(json!({"id": "x", "operator": operator, "config": config, "input": input}))
        .unwrap()
}

/// With one more setting, or another value for one.
fn with(config: &Value, name: &str, value: Value) -> Value {
    let mut config = config.clone();
    config[name] = value;
    config
}

/// An operator, a configuration and an input that are understood.
fn understood() -> Vec<(&'static str, Value, Value)> {
    let sides = json!([["L", "a", 1, 3], ["R", "a", 2, 4], {"watermark": 9}]);
    let window = json!({"assigner": {"type": "tumble", "size": 5}, "trigger": {"type": "count", "n": 2}, "function": "sum",
        "evictor": {"type": "count", "n": 1}});
    let parts =
        json!([{"name": "a", "match": "a", "times": [1, 2], "greedy": true}, {"name": "b", "match": ["b"]}]);
    vec![
        ("window", window, json!([["a", 1, 3], {"checkpoint_restore": true}, {"watermark": 9}])),
        (
            "window",
            json!({"assigner": {"type": "session", "gap": "value"}, "function": "max"}),
            json!([["a", 1, 3]]),
        ),
        (
            "interval_join",
            json!({"lower": -2, "upper": 2, "join": "left", "sql": "A LEFT JOIN B ON k AND A.t BETWEEN B.t - 2 AND B.t + 2"}),
            sides.clone(),
        ),
        (
            "window_join",
            json!({"assigner": {"type": "hop", "size": 6, "slide": 3}, "join": "semi"}),
            sides.clone(),
        ),
        ("co_group", json!({"assigner": {"type": "session", "gap": 3}}), sides),
        (
            "temporal_join",
            json!({"join": "left", "versioned": "rates by key", "sql": "o LEFT JOIN r FOR SYSTEM_TIME AS OF o.t ON k"}),
            json!({"rates": [["+", "e", 3, 10], ["-", "e", 12]], "orders": [[1, "e", 11], [2, "e", 12]]}),
        ),
        (
            "cep",
            json!({"pattern": parts, "after_match": "skip_to_last", "skip_to": "a"}),
            json!([["1", "a", 1], {"watermark": 1}]),
        ),
        ("bounded_out_of_orderness", json!({"bound": 1}), json!([1, "emit", {"record": ["x", 3]}])),
        ("ascending_timestamps", json!({}), json!([1, "emit"])),
        (
            "watermark_merge",
            json!({"channels": 1}),
            json!([{"channel": 0, "watermark": 1}, {"channel": 0, "idle": true}]),
        ),
        (
            "sql",
            json!({"columns": ["n", "t ms"], "sql": "SELECT SUM(n) FROM TUMBLE(5 ms) GROUP BY window"}),
            json!([[1, 2], {"watermark": 4}]),
        ),
    ]
}

fn refusal(operator: &str, config: &Value, input: &Value) -> String {
    match case(operator, config, input).run() {
        Ok(run) => panic!("{operator} {config} {input} is accepted:\n{}", run.timeline),
        Err(error) => error.to_string(),
    }
}

/// Whatever it is called and whatever it holds, in the configuration, in what lies in it, and in each step.
#[test]
fn a_name_that_there_is_not_is_refused_everywhere() {
    fn places(value: &Value) -> Vec<Vec<String>> {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(name, inner)| (name.clone(), inner)).collect(),
            Value::Array(list) => {
                list.iter().enumerate().map(|(at, inner)| (at.to_string(), inner)).collect()
            }
            _ => Vec::new(),
        };
        let own = if value.is_object() { vec![Vec::new()] } else { Vec::new() };
        let deeper = inner.into_iter().flat_map(|(name, inner)| {
            places(inner).into_iter().map(move |place| [vec![name.clone()], place].concat())
        });
        own.into_iter().chain(deeper).collect()
    }
    let mut count = 0;
    for (operator, config, input) in understood() {
        let whole = json!({"config": config, "input": input});
        case(operator, &config, &input).run().unwrap();
        for place in places(&whole).into_iter().filter(|place| !place.is_empty()) {
            for (name, value) in [("where", json!("rate > 3")), ("colour", Value::Null), ("limit", json!(0))]
            {
                let mut changed = whole.clone();
                let pointer: String = place.iter().map(|part| format!("/{part}")).collect();
                changed.pointer_mut(&pointer).unwrap()[name] = value;
                let told = refusal(operator, &changed["config"], &changed["input"]);
                assert!(told.contains(&format!("{name:?}")), "{changed}: {told}");
                count += 1;
            }
        }
    }
    assert!(count > 60, "{count} places");
}

#[test]
fn a_value_that_is_none_or_changes_nothing_is_refused() {
    let window = json!({"assigner": {"type": "tumble", "size": 5}, "function": "sum"});
    let of = |assigner: Value| json!({"assigner": assigner, "function": "count"});
    let triggered = |trigger: Value| with(&window, "trigger", trigger);
    let evicted = |evictor: Value| with(&window, "evictor", evictor);
    let interval = json!({"lower": -2, "upper": 2});
    let part = |name: &str, value: Value| json!({"pattern": [with(&json!({"name": "a", "match": "a"}), name, value), {"name": "b", "match": "b"}]});
    let temporal = |text: &str| json!({"join": "inner", "sql": text});
    let refused = [
        ("window", of(json!({"type": "tumble", "size": 5, "time": "wall"})), "\"event\" or \"processing\""),
        ("window", of(json!({"type": "tumble", "size": 5, "offset": "soon"})), "offset"),
        ("window", of(json!({"type": "tumble", "size": 5, "slide": 2})), "\"slide\""),
        ("window", of(json!({"type": "tumble", "size": -5})), "positive"),
        ("window", of(json!({"type": "tumble", "size": 5, "length": 5})), "said twice"),
        ("window", of(json!({"type": "session", "gap": 0})), "positive"),
        ("window", of(json!({"type": "session", "gap": "soon"})), "positive"),
        ("window", of(json!({"type": "session", "gap": {"a": 0}})), "positive"),
        ("window", of(json!({"type": "session", "gap": {"a": {"1": -3}}})), "positive"),
        ("window", of(json!({"type": "session", "gap": "dynamic"})), "need a \"gap\""),
        ("window", of(json!({"type": "global", "time": "processing"})), "\"time\""),
        (
            "window",
            with(&of(json!({"type": "count", "size": 2})), "trigger", json!("count")),
            "their own trigger",
        ),
        (
            "window",
            with(&of(json!({"type": "count", "size": 2})), "purging", json!(true)),
            "their own trigger",
        ),
        ("window", with(&of(json!("global")), "allowed_lateness", json!(3)), "change nothing"),
        (
            "window",
            with(&of(json!({"type": "tumble", "size": 5, "time": "processing"})), "late", json!("drop")),
            "change nothing",
        ),
        ("window", with(&window, "late", json!(true)), "is a text"),
        ("window", with(&with(&window, "late", json!("drop")), "side_output", json!(true)), "said twice"),
        ("window", with(&window, "side_output", json!(3)), "the name of a side"),
        ("window", with(&window, "lateness", json!("5 parsecs")), "length of time"),
        ("window", triggered(json!({"type": "event_time", "n": 2})), "\"n\""),
        ("window", triggered(json!({"n": 2})), "\"n\""),
        ("window", triggered(json!({"type": "count", "n": 0})), "at least 1"),
        ("window", triggered(json!({"type": "count", "n": 2, "count": 3})), "said twice"),
        ("window", triggered(json!({"type": "count", "n": 2, "purging": "yes"})), "true or false"),
        ("window", triggered(json!(7)), "no trigger"),
        ("window", triggered(json!("end_of_stream")), "only the windows"),
        ("window", triggered(json!("purging_end_of_stream")), "only the windows"),
        ("window", triggered(json!({"type": 7})), "no text"),
        (
            "window",
            with(&triggered(json!({"type": "count", "n": 2, "purging": true})), "purging", json!(false)),
            "said twice",
        ),
        (
            "window",
            triggered(json!({"type": "purging", "trigger": {"type": "count", "n": 2, "interval": 3}})),
            "\"interval\"",
        ),
        ("window", evicted(json!({"type": "count", "n": 2, "after": 1})), "true or false"),
        ("window", evicted(json!({"type": "time", "size": 2, "threshold": 1})), "\"threshold\""),
        ("window", evicted(json!(["count"])), "no evictor"),
        ("interval_join", with(&interval, "join", json!(5)), "is a text"),
        ("interval_join", with(&interval, "lower_inclusive", json!("false")), "true or false"),
        ("interval_join", with(&interval, "upper_exclusive", json!("yes")), "true or false"),
        (
            "interval_join",
            with(&with(&interval, "upper_exclusive", json!(true)), "upper_inclusive", json!(true)),
            "said twice",
        ),
        ("interval_join", with(&interval, "where", json!("left value = 1")), "\"where\""),
        ("interval_join", with(&interval, "sql", json!("A JOIN B ON k WHERE A.n > 3")), "WHERE"),
        ("interval_join", with(&interval, "sql", json!("A LEFT JOIN B ON k")), "left join"),
        (
            "interval_join",
            with(&interval, "sql", json!("A JOIN B ON k AND A.t BETWEEN B.t AND B.t AND A.n > 3")),
            "extra_condition",
        ),
        (
            "window_join",
            json!({"assigner": {"type": "tumble", "size": 5, "time": "processing"}}),
            "wall clock",
        ),
        ("window_join", json!({"assigner": {"type": "session", "gap": "value"}}), "one gap"),
        ("co_group", json!({"assigner": {"type": "tumble", "size": 5}, "join": "left"}), "\"join\""),
        ("temporal_join", json!({"join": "full"}), "inner or left"),
        ("temporal_join", json!({"where": "rate > 3"}), "\"where\""),
        ("temporal_join", json!({"versioned": "rates by currency where rate > 3"}), "all of them"),
        ("temporal_join", json!({"versioned": {"by": "currency", "where": "rate > 3"}}), "is a text"),
        (
            "temporal_join",
            temporal("orders JOIN rates FOR SYSTEM_TIME AS OF orders.t ON currency WHERE rate > 3"),
            "\"WHERE\"",
        ),
        (
            "temporal_join",
            temporal("orders JOIN rates FOR SYSTEM_TIME AS OF orders.t ON currency AND rate > 3"),
            "\"AND\"",
        ),
        (
            "temporal_join",
            temporal("orders JOIN (SELECT * FROM rates WHERE rate > 3) FOR SYSTEM_TIME AS OF t ON currency"),
            "the name of a table",
        ),
        (
            "temporal_join",
            temporal("orders LEFT JOIN rates FOR SYSTEM_TIME AS OF orders.t ON currency"),
            "left join",
        ),
        ("cep", part("contig", json!("loose")), "no part of a pattern"),
        ("cep", part("greedy", json!("yes")), "true or false"),
        ("cep", part("one_or_more", json!(1)), "true or false"),
        ("cep", part("inner", json!("strict")), "change nothing"),
        ("cep", part("times", json!([2])), "[least, most]"),
        ("cep", part("times", json!([1, "many"])), "[least, most]"),
        ("cep", part("times", json!([1, 2, 3])), "[least, most]"),
        ("cep", part("match", json!(["a", 7])), "type of events"),
        ("cep", part("until", json!(7)), "type of events"),
        ("cep", part("where", json!("n > 3")), "\"where\""),
        ("cep", with(&part("optional", json!(false)), "skip_to", json!("a")), "change nothing"),
        ("cep", with(&part("optional", json!(false)), "after_match", json!("skip_to_last")), "which part"),
        ("cep", with(&part("optional", json!(false)), "after_match", json!(7)), "is a text"),
        (
            "cep",
            with(&part("optional", json!(false)), "after_match", json!({"type": "no_skip", "how": 1})),
            "\"how\"",
        ),
        ("ascending_timestamps", json!({"bound": 3}), "\"bound\""),
        (
            "sql",
            json!({"sql": "SELECT COUNT(*) FROM TUMBLE(5 s) GROUP BY window", "join": "left"}),
            "change nothing",
        ),
        (
            "sql",
            json!({"sql": "SELECT COUNT(*) FROM TUMBLE(5 s) GROUP BY window", "note": "why"}),
            "\"note\"",
        ),
    ];
    for (operator, config, word) in refused {
        let input = if operator == "temporal_join" { json!({"rates": [], "orders": []}) } else { json!([]) };
        let told = refusal(operator, &config, &input);
        assert!(told.contains(word), "{config} does not say {word:?}: {told}");
    }
}

#[test]
fn a_step_that_is_not_understood_is_refused() {
    let of = |name: &str, at: usize| {
        understood().into_iter().filter(|(operator, ..)| *operator == name).nth(at).unwrap()
    };
    let refused = [
        (of("window", 0), json!(["a", 1]), "the time of a record"),
        (of("window", 0), json!(["a", 1, "soon"]), "the time of a record"),
        (of("window", 0), json!(["a", 1, 3, 4]), "nothing more"),
        (of("window", 0), json!(["a", "x", 3]), "no number"),
        (of("window", 0), json!(["a", null, 3]), "no number"),
        (of("window", 0), json!({"checkpoint_restore": false}), "cannot be false"),
        (of("window", 0), json!({"watermark": 1.5}), "cannot be 1.5"),
        (of("window", 0), json!({"watermark": 1, "processing_time": 2}), "at once"),
        (of("window", 0), json!({"watermark": 1, "side": "L"}), "\"side\""),
        (of("window", 1), json!(["a", 0, 3]), "positive"),
        (of("window", 1), json!(["a", -4, 3]), "positive"),
        (of("window", 1), json!(["a", 1.5, 3]), "positive"),
        (of("interval_join", 0), json!({"watermark": 1, "side": "M"}), "the side is"),
        (of("interval_join", 0), json!({"checkpoint_restore": "now"}), "cannot be"),
        (of("co_group", 0), json!({"processing_time": 3}), "one of watermark, checkpoint_restore"),
        (of("cep", 0), json!({"watermark": null}), "cannot be null"),
        (of("bounded_out_of_orderness", 0), json!("emit nothing"), "neither a time nor"),
        (of("bounded_out_of_orderness", 0), json!({"record": "emit"}), "cannot be"),
        (of("bounded_out_of_orderness", 0), json!({"emit": false}), "cannot be false"),
        (of("watermark_merge", 0), json!({"channel": 0, "watermark": 3, "idle": true}), "at once"),
        (of("sql", 0), json!({"watermark": "9"}), "cannot be"),
    ];
    for ((operator, config, mut input), step, word) in refused {
        input.as_array_mut().unwrap().push(step.clone());
        let told = refusal(operator, &config, &input);
        assert!(told.contains(word), "{step} of {operator} does not say {word:?}: {told}");
    }
    let (operator, config, input) = of("temporal_join", 0);
    for (name, rows, word) in [
        ("rates", json!([["*", "e", 3, 10]]), "no version"),
        ("rates", json!([["+", "e", 10]]), "no version"),
        ("rates", json!([["+", "e", null, 10]]), "no version"),
        ("rates", json!([["+", "e", 3, 10, "where rate > 3"]]), "no version"),
        ("versions", json!([]), "one list"),
        ("where", json!("rate > 3"), "\"where\""),
    ] {
        let told = refusal(operator, &config, &with(&input, name, rows.clone()));
        assert!(told.contains(word), "{name} {rows} does not say {word:?}: {told}");
    }
}

#[test]
fn a_case_with_more_than_a_case_has_is_none() {
    let text = r#"[{"id": "odd", "operator": "sql", "input": [], "expected_unorderd": []}]"#;
    let told = Case::parse(text).unwrap_err().to_string();
    assert!(told.contains("\"odd\"") && told.contains("expected_unorderd"), "{told}");
    let text = r#"[{"id": "odd", "operator": "interval_join", "config": {"lower": 1, "lower": 0, "upper": 2}, "input": []}]"#;
    let told = Case::parse(text).unwrap_err().to_string();
    assert!(told.contains("\"lower\" is there twice"), "{told}");
    assert!(Case::parse("7").is_err());
}

/// Between every two steps of the sides of a join.
#[test]
fn a_join_goes_on_from_a_snapshot() {
    let text = r#"[{"id": "x", "operator": "interval_join", "config": {"lower": -5, "upper": 5, "join": "full"},
        "input": [["L", "k", 1, 10], ["L", "k", 2, 50], ["R", "k", 3, 12], {"watermark": 30}, ["R", "j", 4, 40], {"watermark": 60}],
        "expected": [{"out": ["k", 1, 3, 12]}, {"watermark": 30}, {"watermark": 60}],
        "expected_padded": [["k", 2, null], ["j", null, 4]]}]"#;
    let case = Case::parse(text).unwrap().swap_remove(0);
    let steps = case.input.as_array().unwrap().clone();
    for at in 0..=steps.len() {
        let mut steps = steps.clone();
        steps.insert(at, json!({"checkpoint_restore": true}));
        let run = Case { input: steps.into(), ..case.clone() }.run().unwrap();
        assert_eq!(run.verdict, Verdict::AsExpected, "with a restart at {at}\n{}", run.timeline);
        assert!(run.timeline.to_string().contains("went on from a snapshot"));
    }
}

fn verdict(function: &str, values: &str, expected: &str) -> Verdict {
    let values: Vec<Value> = serde_json::from_str(values).unwrap();
    let records: Vec<Value> = values.into_iter().map(|value| json!(["k", value, 1])).collect();
    let expected: Value = serde_json::from_str(expected).unwrap();
    let case = Case {
        expected_unordered: Some(vec![json!(["k", expected, 0, 5])]),
        ..case(
            "window",
            &json!({"assigner": {"type": "tumble", "size": 5}, "function": function}),
            &json!(records),
        )
    };
    let mut steps = case.input.as_array().unwrap().clone();
    steps.push(json!({"watermark": 4}));
    Case { input: steps.into(), ..case }.run().unwrap().verdict
}

#[test]
fn numbers_are_exact_and_judged_so() {
    let (big, next) = ("9007199254740993", "9007199254740992");
    let right = [
        ("min", "[9007199254740994, 9007199254740993]", big),
        ("max", "[9007199254740992, 9007199254740993]", big),
        ("max", "[9007199254740993, 9007199254740992.0]", big),
        ("sum", "[9007199254740992, 1]", big),
        ("sum", "[9007199254740992, 0.5, 0.5]", big),
        ("avg", "[9007199254740992, 9007199254740994]", big),
        ("avg", "[9007199254740993]", big),
        ("avg", "[1, 2]", "1.5"),
        (
            "avg",
            "[-9223372036854775808, -9223372036854775808, -9223372036854775808, -9223372036854775808]",
            "-9223372036854775808",
        ),
        ("avg", "[18446744073709551615, 18446744073709551615]", "18446744073709551615"),
        ("avg", "[1, 1, 2]", "1.3333333333333333"),
        ("sum", "[9223372036854775807, 9223372036854775807, 1]", "18446744073709551615"),
        ("sum", "[9223372036854775807, 1, -1]", "9223372036854775807"),
        ("sum", "[0.1, 0.2]", "0.3"),
        ("sum", "[0.1, 0.2, -0.3]", "0"),
        ("max", "[18446744073709551614, 18446744073709551615]", "18446744073709551615"),
        ("min", "[1e300, 2e300]", "1e300"),
        ("last", "[0.30000000000000004]", "0.30000000000000004"),
    ];
    for (function, values, expected) in right {
        assert_eq!(verdict(function, values, expected), Verdict::AsExpected, "{function} of {values}");
    }
    let wrong = [
        ("max", "[9007199254740992, 9007199254740993]", next),
        ("sum", "[9007199254740992, 1]", "9007199254740992.0"),
        ("last", "[18446744073709551615]", "18446744073709551616.0"),
        ("avg", "[9007199254740992, 9007199254740994]", next),
        ("sum", "[0.1, 0.2]", "0.30000000000000004"),
    ];
    for (function, values, expected) in wrong {
        assert!(
            matches!(verdict(function, values, expected), Verdict::Different { .. }),
            "{function} of {values} is not {expected}"
        );
    }
}

#[test]
fn a_sum_beyond_all_numbers_of_a_case_is_an_error() {
    let max = json!(u64::MAX);
    let window = json!({"assigner": {"type": "tumble", "size": 5}, "function": "sum"});
    let told = refusal("window", &window, &json!([["k", max, 1], ["k", 1, 1], {"watermark": 4}]));
    assert!(told.contains("18446744073709551616 is beyond"), "{told}");
    let columns = json!(["n", "t ms"]);
    for sql in [
        "SELECT SUM(n) FROM TUMBLE(5 ms) GROUP BY window",
        "inner join of two TUMBLE(5 ms) SUM(n) aggregates on window",
    ] {
        let told = refusal("sql", &json!({"columns": columns, "sql": sql}), &json!([[max, 1], [1, 1]]));
        assert!(told.contains("18446744073709551616 is beyond"), "{sql}: {told}");
    }
    let sql = "SELECT SUM(n), MAX(n), COUNT(*) FROM TUMBLE(5 ms) WHERE n > 9007199254740992 GROUP BY window HAVING MAX(n) < 9007199254740994";
    let exact = case(
        "sql",
        &json!({"columns": columns, "sql": sql}),
        &json!([[9_007_199_254_740_993i64, 1], [9_007_199_254_740_992i64, 1]]),
    );
    let exact = Case {
        expected_unordered: Some(vec![json!([9_007_199_254_740_993i64, 9_007_199_254_740_993i64, 1])]),
        ..exact
    };
    assert_eq!(exact.run().unwrap().verdict, Verdict::AsExpected);
}
