//! One spelling for everything: other words are refused, with the known one that is most like them. And
//! configurations that mean anything or nothing.

use highwater::lab::case::Case;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn told(case: &Value) -> String {
    match Case::parse(&json!([case]).to_string()) {
        Ok(cases) => panic!("{case} is accepted: {cases:?}"),
        Err(error) => error.to_string(),
    }
}

/// Misspelled keys and kinds of each part of a case, and what could have been meant.
#[test]
fn the_nearest_name_is_told() {
    let window = json!({"id": "x", "operator": "window", "input": [],
        "config": {"assigner": {"type": "tumble", "size": 5}, "function": "sum"}});
    let cep = json!({"id": "x", "operator": "cep", "input": [],
        "config": {"pattern": [{"name": "a", "match": ["a"]}, {"name": "b", "match": ["b"]}]}});
    let with = |case: &Value, pointer: &str, key: &str, value: Value| {
        let mut case = case.clone();
        case.pointer_mut(pointer).unwrap()[key] = value;
        case
    };
    let wrong = [
        (with(&window, "", "operator", json!("windows")), "windows", "window"),
        (with(&window, "", "operator", json!("cogroup")), "cogroup", "co_group"),
        (with(&window, "", "operator", json!("Cep")), "Cep", "cep"),
        (with(&window, "", "expected_unordered", json!([])), "expected_unordered", "expected"),
        (with(&window, "", "expected", json!([{"outt": []}])), "outt", "out"),
        (with(&window, "/config", "allowedLateness", json!(5)), "allowedLateness", "allowed_lateness"),
        (with(&window, "/config", "triger", json!({"type": "never"})), "triger", "trigger"),
        (with(&window, "/config", "function", json!("maximum")), "maximum", "max"),
        (with(&window, "/config", "time", json!("event_time")), "event_time", "event"),
        (with(&window, "/config", "assigner", json!({"type": "tumbling", "size": 5})), "tumbling", "tumble"),
        (with(&window, "/config", "assigner", json!({"type": "sessions", "gap": 5})), "sessions", "session"),
        (with(&window, "/config/assigner", "ofset", json!(1)), "ofset", "offset"),
        (
            with(&window, "/config", "trigger", json!({"type": "CountTrigger", "n": 2})),
            "CountTrigger",
            "count",
        ),
        (with(&window, "/config", "trigger", json!({"type": "count", "num": 2})), "num", "n"),
        (with(&window, "/config", "evictor", json!({"type": "time", "sizes": 2})), "sizes", "size"),
        (with(&window, "", "input", json!([{"water_mark": 3}])), "water_mark", "watermark"),
        (with(&window, "", "input", json!(["checkpoint"])), "checkpoint", "checkpoint_restore"),
        (
            with(&cep, "/config", "after_match", json!({"type": "skip_past_last_event"})),
            "skip_past_last_event",
            "skip_past_last",
        ),
        (with(&cep, "/config", "afterMatch", json!({"type": "no_skip"})), "afterMatch", "after_match"),
        (with(&cep, "/config/pattern/1", "contiguity", json!("followedBy")), "followedBy", "followed_by"),
        (with(&cep, "/config/pattern/1", "contig", json!("next")), "contig", "contiguity"),
    ];
    for (case, unknown, known) in wrong {
        let told = told(&case);
        assert!(told.starts_with("case \"x\": "), "{told}");
        assert!(
            told.contains(&format!("unknown field `{unknown}`"))
                || told.contains(&format!("unknown variant `{unknown}`")),
            "{told}"
        );
        assert!(told.ends_with(&format!("did you mean `{known}`?")), "{told}");
    }
    // What is like nothing is answered by what there is.
    let odd = told(&with(&window, "/config", "where", json!("rate > 3")));
    assert!(
        odd.contains("unknown field `where`, expected one of `assigner`") && !odd.contains("did you mean"),
        "{odd}"
    );
}

/// The words of Flink's classes and methods, of SQL, and of former notations.
#[test]
fn other_words_for_the_same_are_refused() {
    let window = |more: Value| {
        let mut config = json!({"assigner": {"type": "tumble", "size": 5}, "function": "sum"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("window", config)
    };
    let interval = |more: Value| {
        let mut config = json!({"lower": -2, "upper": 2});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("interval_join", config)
    };
    let stage = |more: Value| {
        let mut stage = json!({"name": "b", "match": ["b"]});
        stage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("cep", json!({"pattern": [{"name": "a", "match": ["a"]}, stage]}))
    };
    let refused = [
        window(json!({"assigner": "global"})),
        window(json!({"assigner": ["tumble", 5]})),
        window(json!({"assigner": {"type": "TumblingEventTimeWindows", "size": 5}})),
        window(json!({"assigner": {"type": "sliding", "size": 5, "slide": 1}})),
        window(json!({"assigner": {"type": "tumble", "size": "5 s"}})),
        window(json!({"assigner": {"type": "tumble", "size": 5.0}})),
        window(json!({"assigner": {"kind": "tumble", "size": 5}})),
        window(json!({"assigner": {"type": "session", "gap": "value"}})),
        window(json!({"assigner": {"type": "session", "gap": {"a": 5}}})),
        window(json!({"lateness": 5})),
        window(json!({"allowed_lateness": "5 s"})),
        window(json!({"side_output": true})),
        window(json!({"late": "side_output"})),
        window(json!({"function": "average"})),
        window(json!({"function": "collect"})),
        window(json!({"trigger": "event_time"})),
        window(json!({"trigger": {"type": "purging", "trigger": {"type": "count", "n": 2}}})),
        window(json!({"trigger": {"type": "count", "n": 2, "purging": true}})),
        window(json!({"trigger": {"type": "end_of_stream"}})),
        window(json!({"evictor": {"type": "count", "size": 2}})),
        window(json!({"time": "wall_clock"})),
        interval(json!({"lower_exclusive": true})),
        interval(json!({"lower": "-5 s"})),
        interval(json!({"join": "left_outer"})),
        interval(json!({"join": "LEFT OUTER JOIN"})),
        interval(json!({"extra_condition": "left value <> 'L-5'"})),
        interval(json!({"condition": "left value <> 'L-5'"})),
        interval(json!({"condition": [["left", "<>", {"literal": 5}]]})),
        interval(json!({"condition": [["left", "!=", 5]]})),
        interval(json!({"sql": "A JOIN B ON k"})),
        interval(json!({"note": "notes are the case's"})),
        ("temporal_join", json!({"versioned": "rates by currency"})),
        ("sql", json!({"sql": "SELECT COUNT(*) FROM TUMBLE(5 s) GROUP BY window"})),
        ("ascending_timestamps", json!({})),
        ("pattern", json!({"pattern": [{"name": "a", "match": ["a"]}]})),
        ("bounded_out_of_orderness", json!({"max_out_of_orderness": 5})),
        ("watermark_merge", json!({"inputs": 2})),
        stage(json!({"match": "b"})),
        stage(json!({"contiguity": "strict"})),
        stage(json!({"neg": true})),
        stage(json!({"times": 3})),
        stage(json!({"one_or_more": true})),
        stage(json!({"inner": "strict"})),
    ];
    for (operator, config) in refused {
        let told = told(&json!({"id": "x", "operator": operator, "config": config, "input": []}));
        assert!(told.starts_with("case \"x\": "), "{told}");
    }
}

/// Settings with names and values that may or may not go together.
fn settings(names: &'static [&'static str], inner: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let words = "tumble hop session cumulate count global dynamic_session event_time processing_time delta event processing sum list left full \
                 consecutive next never continuous_event_time skip_to_last 5ms a drop";
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
        &["type", "size", "slide", "step", "gap", "offset", "n", "interval", "threshold", "after", "stage"],
        Just(json!({"type": "count", "n": 2})).boxed(),
    );
    let stage = settings(
        &["name", "match", "contiguity", "times", "inner", "greedy", "optional", "until"],
        prop_oneof![Just(json!([1, null])), Just(json!(["a"]))].boxed(),
    );
    let stages = prop::collection::vec(stage, 0..3).prop_map(Value::Array);
    let any = prop_oneof![2 => inner, 1 => stages].boxed();
    settings(
        &[
            "assigner",
            "time",
            "trigger",
            "purging",
            "evictor",
            "allowed_lateness",
            "function",
            "late",
            "lower",
            "upper",
            "lower_inclusive",
            "join",
            "condition",
            "pattern",
            "within",
            "after_match",
            "bound",
            "channels",
            "resume",
        ],
        any,
    )
}

const OPERATORS: [(&str, &[&str]); 8] = [
    (
        "window",
        &["assigner", "time", "trigger", "purging", "evictor", "allowed_lateness", "function", "late"],
    ),
    ("interval_join", &["lower", "upper", "lower_inclusive", "join", "condition"]),
    ("window_join", &["assigner", "allowed_lateness", "join", "condition"]),
    ("co_group", &["assigner", "allowed_lateness"]),
    ("temporal_join", &["join"]),
    ("cep", &["pattern", "within", "after_match"]),
    ("bounded_out_of_orderness", &["bound"]),
    ("watermark_merge", &["channels", "resume"]),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the configuration is, the case runs or an error names it.
    #[test]
    fn no_configuration_brings_it_down(config in config(), operator in 0..OPERATORS.len()) {
        let (operator, known) = OPERATORS[operator];
        let input = match operator {
            "window" => json!([["a", 1, 3], {"processing_time": 4}, {"watermark": 9}, ["a", 5, 2], "checkpoint_restore", {"watermark": 30}]),
            "cep" => json!([["1", "a", 1], ["2", "b", 2], {"watermark": 30}]),
            "bounded_out_of_orderness" => json!([{"record": 1}, "emit"]),
            "watermark_merge" => json!([[0, {"watermark": 1}], [0, "idle"]]),
            _ => json!([["L", "a", 1, 3], ["R", "a", 1, 3], {"watermark": 9}, ["L", "a", 5, 2], {"watermark": 30}]),
        };
        // Something that makes sense, with what is drawn in its place or beside it.
        let mut whole = json!({
            "assigner": {"type": "hop", "size": 6, "slide": 3}, "function": "sum", "lower": -2, "upper": 2, "bound": 1, "channels": 2,
            "pattern": [{"name": "a", "match": ["a"]}, {"name": "b", "match": ["b"]}]
        });
        for (name, drawn) in config.as_object().unwrap() {
            match (&mut whole[name], drawn) {
                (Value::Object(there), Value::Object(drawn)) => there.extend(drawn.clone()),
                (there, drawn) => *there = drawn.clone(),
            }
        }
        whole.as_object_mut().unwrap().retain(|name, _| known.contains(&name.as_str()));
        let case = json!({"id": "q", "operator": operator, "config": whole, "input": input});
        let run = Case::parse(&json!([case]).to_string()).and_then(|cases| cases[0].run());
        if let Err(error) = run {
            let told = error.to_string();
            prop_assert!(told.starts_with("case \"q\": ") && !told.contains("panic"), "{}: {}", case, told);
        }
    }
}
