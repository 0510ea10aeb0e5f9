//! Cases in the words of Flink and of SQL, and configurations that mean anything or nothing.

use highwater::lab::case::{Case, Verdict};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const CASES: &str = include_str!("words.json");

#[test]
fn all_come_out_as_expected() {
    for case in Case::parse(CASES).unwrap() {
        let run = case.run().unwrap();
        assert_eq!(run.verdict, Verdict::AsExpected, "{}\n{}", case.id, run.timeline);
    }
}

#[test]
fn what_is_there_instead_is_told() {
    let window = json!({"assigner": {"type": "tumble", "size": 5}, "function": "sum"});
    let with = |name: &str, value: Value| {
        let mut config = window.clone();
        config[name] = value;
        config
    };
    let part = |name: &str, value: &str| json!({"pattern": [{"name": "a", "match": "a"}, {"name": "b", "match": "b", name: value}]});
    let wrong = [
        ("window", with("assigner", json!("tumult")), "there are tumble, hop"),
        ("window", with("trigger", json!("hair")), "there are event_time"),
        ("window", with("evictor", json!("landlord")), "there are count with n"),
        ("window", with("function", json!("median")), "there are sum, count"),
        ("window", with("late", json!("fee")), "to a side or drop"),
        ("window", with("allowed_lateness", json!("a while")), "must be a length of time"),
        ("interval_join", json!({"lower": 0, "upper": 1, "join": "cross"}), "there are inner, left"),
        ("cep", part("inner", "loose"), "there are strict, relaxed and any"),
        ("cep", part("contig", "loose"), "is no part of a pattern"),
        ("cep", json!({"pattern": [{"name": "a", "match": "a"}], "after_match": "hop"}), "there are no_skip"),
        ("cep", json!({"pattern": [{"name": "a"}]}), "has no \"match\""),
        (
            "cep",
            json!({"pattern": [{"name": "a", "match": "a"}], "within": "soon"}),
            "must be a length of time",
        ),
        ("temporal_join", json!({}), "no list \"rates\""),
    ];
    for (operator, config, told) in wrong {
        let case = json!({"id": "x", "operator": operator, "config": config, "input": []});
        let case: Case = serde_json::from_value(case).unwrap();
        let error = case.run().unwrap_err().to_string();
        assert!(error.contains(told), "{config}: {error}");
    }
}

/// Settings with names and values that may or may not go together.
fn settings(names: &'static [&'static str], inner: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let words = "tumble hop session cumulate count global event_time processing delta purging sum list left full strict any never dynamic value \
                 continuous_event_time 5ms -3ms a drop";
    let words: Vec<&str> = words.split(' ').collect();
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|flag| json!(flag)),
        (-2..9i64).prop_map(|number| json!(number)),
        prop::sample::select(words).prop_map(|word| json!(word)),
    ];
    let value = prop_oneof![3 => plain, 1 => inner];
    prop::collection::vec((prop::sample::select(names), value), 0..6)
        .prop_map(|settings| {
            Value::Object(
                settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
            )
        })
        .boxed()
}

fn config() -> BoxedStrategy<Value> {
    let inner = settings(
        &[
            "type",
            "size",
            "slide",
            "step",
            "gap",
            "offset",
            "time",
            "n",
            "interval",
            "threshold",
            "purging",
            "after",
            "trigger",
            "default",
        ],
        Just(json!({"type": "count", "n": 2})).boxed(),
    );
    let part = settings(
        &["name", "match", "contig", "times", "inner", "neg", "greedy", "optional", "until"],
        Just(json!([1, null])).boxed(),
    );
    let parts = prop::collection::vec(part, 0..3).prop_map(Value::Array);
    let any = prop_oneof![2 => inner, 1 => parts].boxed();
    settings(
        &[
            "assigner",
            "trigger",
            "evictor",
            "allowed_lateness",
            "function",
            "late",
            "purging",
            "lower",
            "upper",
            "lower_exclusive",
            "join",
            "extra_condition",
            "pattern",
            "within",
            "after_match",
            "skip_to",
            "bound",
            "channels",
        ],
        any,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the configuration is, the case runs or an error names it.
    #[test]
    fn no_configuration_brings_it_down(config in config(), operator in 0..7usize) {
        let operators = ["window", "interval_join", "window_join", "co_group", "cep", "bounded_out_of_orderness", "watermark_merge"];
        let input = match operators[operator] {
            "window" => json!([["a", 1, 3], {"processing_time": 4}, {"watermark": 9}, ["a", 5, 2], {"checkpoint_restore": true}, {"watermark": 30}]),
            "cep" => json!([["1", "a", 1], ["2", "b", 2], {"watermark": 30}]),
            "bounded_out_of_orderness" => json!([1, "emit"]),
            "watermark_merge" => json!([{"channel": 0, "watermark": 1}, {"channel": 0, "idle": true}]),
            _ => json!([["L", "a", 1, 3], ["R", "a", 1, 3], {"watermark": 9}, ["L", "a", 5, 2], {"watermark": 30}]),
        };
        // Something that makes sense, with what is drawn in its place or beside it.
        let mut whole = json!({
            "assigner": {"type": "hop", "size": 6, "slide": 3}, "function": "sum", "lower": -2, "upper": 2, "bound": 1, "channels": 2,
            "pattern": [{"name": "a", "match": "a"}, {"name": "b", "match": "b"}]
        });
        for (name, drawn) in config.as_object().unwrap() {
            match (&mut whole[name], drawn) {
                (Value::Object(there), Value::Object(drawn)) => there.extend(drawn.clone()),
                (there, drawn) => *there = drawn.clone(),
            }
        }
        let config = whole;
        let case = json!({"id": "q", "operator": operators[operator], "config": config, "input": input});
        let case: Case = serde_json::from_value(case).unwrap();
        if let Err(error) = case.run() {
            prop_assert!(!error.to_string().contains("panic"), "{}: {}", config, error);
        }
    }
}
