//! What the notation does not have is refused, and so is what would change nothing; arithmetic is exact.

use highwater::lab::case::{Case, Verdict};
use serde_json::{Value, json};

fn parsed(operator: &str, config: &Value, input: &Value) -> highwater::Result<Case> {
    let case = json!([{"id": "x", "operator": operator, "config": config, "input": input}]);
    Case::parse(&case.to_string()).map(|mut cases| cases.swap_remove(0))
}

/// With one more setting, or another value for one.
fn with(config: &Value, name: &str, value: Value) -> Value {
    let mut config = config.clone();
    config[name] = value;
    config
}

/// An operator, a configuration and an input that are accepted.
fn accepted() -> Vec<(&'static str, Value, Value)> {
    let sides = json!([["L", "a", 1, 3], ["R", "a", 2, 4], {"watermark": 9}, {"left_watermark": 12}]);
    let window = json!({"assigner": {"type": "tumble", "size": 5}, "trigger": {"type": "count", "n": 2}, "function": "sum",
        "evictor": {"type": "count", "n": 1}});
    let stages = json!([{"name": "a", "match": ["a"], "times": [1, 2], "greedy": true}, {"name": "b", "match": ["b"]}]);
    vec![
        ("window", window, json!([["a", 1, 3], "checkpoint_restore", {"watermark": 9}])),
        ("window", json!({"assigner": {"type": "dynamic_session"}, "function": "max"}), json!([["a", 1, 3]])),
        (
            "interval_join",
            json!({"lower": -2, "upper": 2, "join": "left", "condition": [["left", "<", {"literal": 5}]]}),
            sides.clone(),
        ),
        (
            "window_join",
            json!({"assigner": {"type": "hop", "size": 6, "slide": 3}, "join": "semi"}),
            sides.clone(),
        ),
        ("co_group", json!({"assigner": {"type": "session", "gap": 3}}), sides.clone()),
        ("temporal_join", json!({"join": "left"}), sides),
        (
            "cep",
            json!({"pattern": stages, "after_match": {"type": "skip_to_last", "stage": "a"}}),
            json!([["1", "a", 1], {"watermark": 1}]),
        ),
        ("bounded_out_of_orderness", json!({"bound": 1}), json!([{"record": 1}, "emit"])),
        ("watermark_merge", json!({"channels": 1}), json!([[0, {"watermark": 1}], [0, "idle"]])),
    ]
}

fn refusal(operator: &str, config: &Value, input: &Value) -> String {
    match parsed(operator, config, input) {
        Ok(case) => panic!("{operator} {config} {input} is accepted: {case:?}"),
        Err(error) => error.to_string(),
    }
}

/// Whatever it is called and whatever it holds, in the configuration, in what lies in it, and in each step.
#[test]
fn a_key_that_there_is_not_is_refused_everywhere() {
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
    for (operator, config, input) in accepted() {
        let whole = json!({"id": "x", "operator": operator, "config": config, "input": input});
        parsed(operator, &config, &input).unwrap().run().unwrap();
        for place in places(&whole) {
            for (name, value) in [("where", json!("rate > 3")), ("colour", Value::Null), ("limit", json!(0))]
            {
                let mut changed = whole.clone();
                let pointer: String = place.iter().map(|part| format!("/{part}")).collect();
                changed.pointer_mut(&pointer).unwrap()[name] = value;
                let told = Case::parse(&json!([changed]).to_string()).unwrap_err().to_string();
                // A mark has one key: it is said how many it has, or what the second one is.
                let is_named = told.contains(&format!("`{name}`")) || told.contains("map with a single key");
                assert!(told.starts_with("case \"x\": ") && is_named, "{changed}: {told}");
                count += 1;
            }
        }
    }
    assert!(count > 90, "{count} places");
}

#[test]
fn a_value_that_makes_no_sense_or_changes_nothing_is_refused() {
    let window = json!({"assigner": {"type": "tumble", "size": 5}, "function": "sum"});
    let of = |assigner: Value| json!({"assigner": assigner, "function": "count"});
    let triggered = |trigger: Value| with(&window, "trigger", trigger);
    let evicted = |evictor: Value| with(&window, "evictor", evictor);
    let interval = json!({"lower": -2, "upper": 2});
    let stage = |name: &str, value: Value| json!({"pattern": [{"name": "a", "match": ["a"]}, with(&json!({"name": "b", "match": ["b"]}), name, value)]});
    let plain = stage("optional", json!(false));
    let refused = [
        ("window", json!({"function": "sum"}), "missing field `assigner`"),
        ("window", json!({"assigner": {"type": "tumble", "size": 5}}), "missing field `function`"),
        ("window", of(json!({"size": 5})), "missing field `type`"),
        ("window", of(json!({"type": "tumble"})), "missing field `size`"),
        ("window", of(json!({"type": "tumble", "size": 0})), "nonzero"),
        ("window", of(json!({"type": "tumble", "size": -5})), "nonzero"),
        ("window", of(json!({"type": "tumble", "size": 5, "offset": "soon"})), "expected i64"),
        ("window", of(json!({"type": "tumble", "size": 5, "slide": 2})), "`slide`"),
        ("window", of(json!({"type": "hop", "size": 5000, "slide": 1})), "more than 1000 windows"),
        ("window", of(json!({"type": "cumulate", "size": 5, "step": 2})), "a multiple of their `step`"),
        ("window", of(json!({"type": "session", "gap": 0})), "nonzero"),
        ("window", of(json!({"type": "dynamic_session", "gap": 5})), "`gap`"),
        ("window", of(json!({"type": "global", "size": 3})), "`size`"),
        ("window", with(&of(json!({"type": "global"})), "time", json!("processing")), "leave out `time`"),
        (
            "window",
            with(&of(json!({"type": "count", "size": 2})), "trigger", json!({"type": "count", "n": 3})),
            "their own trigger",
        ),
        (
            "window",
            with(&of(json!({"type": "count", "size": 2})), "purging", json!(true)),
            "their own trigger",
        ),
        (
            "window",
            with(&of(json!({"type": "global"})), "allowed_lateness", json!(3)),
            "leave out `allowed_lateness`",
        ),
        (
            "window",
            with(&with(&window, "time", json!("processing")), "late", json!("drop")),
            "leave out `allowed_lateness`",
        ),
        ("window", with(&window, "late", json!(true)), "expected string or map"),
        ("window", with(&window, "allowed_lateness", json!(-1)), "expected u64"),
        ("window", with(&window, "purging", json!("yes")), "expected a boolean"),
        ("window", triggered(json!({"type": "event_time", "n": 2})), "`n`"),
        ("window", triggered(json!({"n": 2})), "missing field `type`"),
        ("window", triggered(json!({"type": "count", "n": 0})), "nonzero"),
        ("window", triggered(json!({"type": 7})), "expected variant identifier"),
        ("window", triggered(json!(7)), "expected a map"),
        ("window", evicted(json!({"type": "count", "n": 2, "after": 1})), "expected a boolean"),
        ("window", evicted(json!({"type": "time", "size": 2, "threshold": 1})), "`threshold`"),
        ("window", evicted(json!(["count", 2])), "expected a map"),
        ("interval_join", with(&interval, "join", json!(5)), "expected string or map"),
        ("interval_join", with(&interval, "join", json!("semi")), "one of inner, left, right, full"),
        ("interval_join", with(&interval, "lower_inclusive", json!("false")), "expected a boolean"),
        ("interval_join", with(&interval, "condition", json!([["left", "="]])), "invalid length 2"),
        (
            "interval_join",
            with(&interval, "condition", json!([["left", "=", "right", "left"]])),
            "fewer elements",
        ),
        ("window_join", json!({"assigner": {"type": "tumble", "size": 5, "time": "processing"}}), "`time`"),
        ("window_join", json!({"assigner": {"type": "dynamic_session"}}), "`tumble`, `hop` and `session`"),
        ("window_join", json!({"assigner": {"type": "hop", "size": 5000, "slide": 1}}), "more than 1000"),
        ("co_group", json!({"assigner": {"type": "count", "size": 5}}), "`tumble`, `hop` and `session`"),
        ("co_group", json!({"assigner": {"type": "tumble", "size": 5}, "join": "left"}), "`join`"),
        ("temporal_join", json!({"join": "full"}), "one of inner, left"),
        ("temporal_join", json!({"where": "rate > 3"}), "`where`"),
        ("cep", json!({"pattern": []}), "is empty"),
        ("cep", json!({"pattern": [{"name": "a"}]}), "missing field `match`"),
        ("cep", json!({"pattern": [["a", ["a"]]]}), "expected a map"),
        (
            "cep",
            json!({"pattern": [{"name": "a", "match": ["a"], "contiguity": "next"}]}),
            "leave out `contiguity`",
        ),
        ("cep", stage("greedy", json!("yes")), "expected a boolean"),
        ("cep", stage("inner", json!("consecutive")), "leave out `inner`"),
        ("cep", stage("times", json!([2])), "invalid length 1"),
        ("cep", stage("times", json!([1, "many"])), "expected u32"),
        ("cep", stage("times", json!([1, 2, 3])), "fewer elements"),
        ("cep", stage("match", json!(["a", 7])), "expected a string"),
        ("cep", stage("match", json!([])), "`match` is empty"),
        ("cep", stage("until", json!([])), "`until` is empty"),
        ("cep", stage("where", json!("n > 3")), "`where`"),
        ("cep", with(&plain, "after_match", json!({"type": "skip_to_last"})), "missing field `stage`"),
        (
            "cep",
            with(&plain, "after_match", json!({"type": "skip_to_last", "stage": "c"})),
            "no stage of that name",
        ),
        ("cep", with(&plain, "after_match", json!({"type": "no_skip", "stage": "a"})), "`stage`"),
        ("cep", with(&plain, "after_match", json!("no_skip")), "expected a map"),
        ("bounded_out_of_orderness", json!({"bound": -3}), "expected u64"),
        ("bounded_out_of_orderness", json!({}), "missing field `bound`"),
        ("watermark_merge", json!({"channels": 0}), "nonzero"),
        ("watermark_merge", json!({"channels": 70_000}), "nonzero u16"),
    ];
    for (operator, config, word) in refused {
        let told = refusal(operator, &config, &json!([]));
        assert!(told.starts_with("case \"x\": "), "{told}");
        assert!(told.contains(word), "{config} does not say {word:?}: {told}");
    }
}

#[test]
fn a_step_that_the_operator_does_not_have_is_refused() {
    let of = |name: &str, at: usize| {
        accepted().into_iter().filter(|(operator, ..)| *operator == name).nth(at).unwrap()
    };
    let refused = [
        (of("window", 0), json!(["a", 1]), "invalid length 2"),
        (of("window", 0), json!(["a", 1, null]), "in event time"),
        (of("window", 0), json!(["a", 1, "soon"]), "expected i64"),
        (of("window", 0), json!(["a", 1, 3, 4]), "fewer elements"),
        (of("window", 0), json!(["a", "x", 3]), "its value is a number"),
        (of("window", 0), json!(["a", null, 3]), "its value is a number"),
        (of("window", 0), json!(7), "expected string or map"),
        (of("window", 0), json!({"checkpoint_restore": true}), "expected unit"),
        (of("window", 0), json!({"watermark": 1.5}), "expected i64"),
        (of("window", 0), json!({"watermark": 1, "processing_time": 2}), "map with a single key"),
        (of("window", 0), json!({"left_watermark": 1}), "`left_watermark`"),
        (of("window", 1), json!(["a", 0, 3]), "positive"),
        (of("window", 1), json!(["a", -4, 3]), "positive"),
        (of("window", 1), json!(["a", 1.5, 3]), "positive"),
        (of("interval_join", 0), json!(["M", "a", 1, 3]), "unknown variant `M`, expected `L` or `R`"),
        (of("interval_join", 0), json!(["a", 1, 3]), "unknown variant `a`"),
        (of("co_group", 0), json!({"processing_time": 3}), "`processing_time`"),
        (of("cep", 0), json!({"watermark": null}), "expected i64"),
        (of("cep", 0), json!(["1", 2, 3]), "expected a string"),
        (of("bounded_out_of_orderness", 0), json!("emit nothing"), "`emit nothing`"),
        (of("bounded_out_of_orderness", 0), json!({"record": "emit"}), "expected i64"),
        (of("bounded_out_of_orderness", 0), json!(5), "expected string or map"),
        (of("watermark_merge", 0), json!([0, {"watermark": 3}, "idle"]), "fewer elements"),
        (of("watermark_merge", 0), json!([1, "idle"]), "there is no channel 1"),
        (of("watermark_merge", 0), json!([0, "active"]), "on_active"),
    ];
    for ((operator, config, mut input), step, word) in refused {
        input.as_array_mut().unwrap().push(step.clone());
        let told = refusal(operator, &config, &input);
        assert!(told.contains(word), "{step} of {operator} does not say {word:?}: {told}");
    }
}

/// Also what derived readers would accept: a case as a list of its values.
#[test]
fn a_file_that_is_not_a_list_of_cases_is_none() {
    let case = json!({"id": "odd", "operator": "cep", "config": {"pattern": [{"name": "a", "match": ["a"]}]}, "input": []});
    assert_eq!(Case::parse(&json!([case]).to_string()).unwrap().len(), 1);
    for none in [json!(7), case.clone(), json!({"cases": [case]})] {
        let told = Case::parse(&none.to_string()).unwrap_err().to_string();
        assert!(told.contains("a file of cases is a list"), "{told}");
    }
    let told = Case::parse(&json!([["odd", "", "", "cep", {}, []]]).to_string()).unwrap_err().to_string();
    assert!(told.contains("case number 1: ") && told.contains("expected a map"), "{told}");
    assert!(Case::parse("[{}]").unwrap_err().to_string().contains("missing field `id`"));
    assert!(Case::parse("x").is_err());
    // All that is wrong is told at once.
    let told =
        Case::parse(&json!([case, with(&case, "expected_unorderd", json!([])), {"id": "none"}]).to_string());
    let told = told.unwrap_err().to_string();
    assert!(told.contains("case \"odd\": unknown field `expected_unorderd`"), "{told}");
    assert!(told.contains("\ncase \"none\": missing field `operator`"), "{told}");
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    for text in [
        r#"[{"id": "odd", "operator": "interval_join", "config": {"lower": 1, "lower": 0, "upper": 2}, "input": []}]"#,
        r#"[{"id": "odd", "id": "lower", "operator": "interval_join", "config": {"lower": 1, "upper": 2}, "input": []}]"#,
        r#"[{"id": "odd", "operator": "interval_join", "config": {"lower": 1, "upper": 2}, "input": [["L", {"a": 1, "a": 2}, 3, 4]]}]"#,
    ] {
        let told = Case::parse(text).unwrap_err().to_string();
        assert!(told.contains("is there twice"), "{told}");
    }
}

/// Between every two steps of the sides of a join.
#[test]
fn a_join_goes_on_from_a_snapshot() {
    let text = r#"[{"id": "x", "operator": "interval_join", "config": {"lower": -5, "upper": 5, "join": "full"},
        "input": [["L", "k", 1, 10], ["L", "k", 2, 50], ["R", "k", 3, 12], {"watermark": 30}, ["R", "j", 4, 40], {"watermark": 60}],
        "expected": [{"out": ["k", 1, 3, 12]}, {"watermark": 30}, {"padded": ["k", 2, null]}, {"padded": ["j", null, 4]},
                     {"watermark": 60}]}]"#;
    let case = Case::parse(text).unwrap().swap_remove(0);
    for at in 0..=case.input.len() {
        let mut case = case.clone();
        case.input.insert(at, json!("checkpoint_restore"));
        let run = case.run().unwrap();
        assert_eq!(run.verdict, Verdict::AsExpected, "with a restart at {at}\n{}", run.timeline);
        assert!(run.timeline.to_string().contains("restored from a checkpoint"));
    }
}

/// Cases of what a function makes of values, written as they are: numbers keep their digits.
fn verdict(function: &str, values: &str, expected: &str) -> Verdict {
    let values: Vec<Value> = serde_json::from_str(values).unwrap();
    let records: Vec<String> = values.into_iter().map(|value| json!(["k", value, 1]).to_string()).collect();
    let text = format!(
        r#"[{{"id": "x", "operator": "window", "config": {{"assigner": {{"type": "tumble", "size": 5}}, "function": "{function}"}},
            "input": [{}, {{"watermark": 4}}], "expected": [{{"out": ["k", {expected}, 0, 5]}}, {{"watermark": 4}}]}}]"#,
        records.join(", ")
    );
    Case::parse(&text).unwrap()[0].run().unwrap().verdict
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
fn comparisons_of_a_condition_are_exact() {
    let pairs = |operator: &str, right: &str| {
        let text = format!(
            r#"[{{"id": "x", "operator": "interval_join",
                "config": {{"lower": 0, "upper": 0, "condition": [["left", "{operator}", {{"literal": {right}}}], ["right", "=", {{"literal": 1}}]]}},
                "input": [["L", "k", 9007199254740993, 1], ["L", "k", null, 1], ["R", "k", 1, 1], ["R", "k", 2, 1]],
                "expected": [{{"out": ["k", 9007199254740993, 1, 1]}}]}}]"#
        );
        Case::parse(&text).unwrap()[0].run().unwrap().verdict == Verdict::AsExpected
    };
    let holds = [
        ("=", "9007199254740993"),
        ("!=", "9007199254740992"),
        (">", "9007199254740992"),
        (">=", "9007199254740993"),
        ("<", "9007199254740994.0"),
        ("<=", "9007199254740993"),
    ];
    assert!(holds.iter().all(|(operator, right)| pairs(operator, right)));
    let fails = [
        ("=", "9007199254740992"),
        ("!=", "9007199254740993"),
        (">", "9007199254740993"),
        ("<", "9007199254740993"),
        (">=", "9007199254740994"),
        ("<=", "9007199254740992"),
        ("=", "null"),
        ("!=", "null"),
    ];
    assert!(!fails.iter().any(|(operator, right)| pairs(operator, right)));
}

#[test]
fn a_sum_beyond_all_numbers_of_a_case_is_an_error() {
    let window = json!({"assigner": {"type": "tumble", "size": 5}, "function": "sum"});
    let case =
        parsed("window", &window, &json!([["k", u64::MAX, 1], ["k", 1, 1], {"watermark": 4}])).unwrap();
    let told = case.run().unwrap_err().to_string();
    assert!(told.starts_with("case \"x\": ") && told.contains("18446744073709551616 is beyond"), "{told}");
}
