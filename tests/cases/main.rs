//! Event-time cases as the laboratory runs them: each operator, what differs, and what makes no sense.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "lab")]

mod queries;
mod strict;
mod words;

use highwater::lab::case::{Case, Event, Verdict};

const CASES: &str = r#"{"cases": [
{"id": "late firings and late records", "operator": "window",
 "config": {"assigner": {"type": "tumble", "size": 100}, "trigger": {"type": "event_time", "purging": true},
            "allowed_lateness": 20, "function": "sum"},
 "input": [["a", 1, 10], {"watermark": 99}, ["a", 2, 20], {"watermark": 118}, ["a", 4, 30], {"watermark": 119}, ["a", 8, 40]],
 "expected": [{"out": ["a", 1, 0, 100]}, {"watermark": 99}, {"out": ["a", 2, 0, 100]}, {"watermark": 118},
              {"out": ["a", 4, 0, 100]}, {"watermark": 119}, {"late": ["a", 8, 40]}]},
{"id": "sessions become one", "operator": "window",
 "config": {"assigner": {"type": "session", "gap": 10}, "function": "list"},
 "input": [["a", "x", 1], ["a", "z", 15], ["a", "y", 8], {"checkpoint_restore": true}, {"watermark": 24}],
 "expected": [{"out": ["a", ["x", "y", "z"], 1, 25]}, {"watermark": 24}]},
{"id": "hops by the wall clock", "operator": "window",
 "config": {"assigner": {"type": "hop", "size": 20, "slide": 10, "time": "processing"}, "function": "count"},
 "input": [{"processing_time": 5}, ["a", 1, 0], {"processing_time": 12}, ["a", 1, 0], {"processing_time": 50}],
 "expected": [{"out": ["a", 1, -10, 10]}, {"out": ["a", 2, 0, 20]}, {"out": ["a", 1, 10, 30]}]},
{"id": "the last two of every third", "operator": "window",
 "config": {"assigner": {"type": "global"}, "trigger": {"type": "count", "n": 3}, "evictor": {"type": "count", "n": 2},
            "function": "max"},
 "input": [["a", 9, 1], ["a", 1, 2], ["a", 2, 3], ["b", 5, 4], ["a", 0, 5], ["a", 0, 6], ["a", 0, 7]],
 "expected": [{"out": ["a", 2, null, null]}, {"out": ["a", 0, null, null]}]},
{"id": "a delta and its evictor", "operator": "window",
 "config": {"assigner": {"type": "global"}, "trigger": {"type": "delta", "threshold": 10},
            "evictor": {"type": "delta", "threshold": 5}, "function": "list"},
 "input": [["a", 0, 1], ["a", 8, 2], ["a", 11, 3]],
 "expected": [{"out": ["a", [8, 11], null, null]}]},
{"id": "early results", "operator": "window",
 "config": {"assigner": {"type": "tumble", "size": 100}, "trigger": {"type": "continuous_event_time", "interval": 40},
            "function": "min"},
 "input": [["a", 5, 10], {"watermark": 40}, ["a", 3, 50], {"watermark": 80}, {"watermark": 99}],
 "expected": [{"out": ["a", 5, 0, 100]}, {"watermark": 40}, {"out": ["a", 3, 0, 100]}, {"watermark": 80},
              {"out": ["a", 3, 0, 100]}, {"watermark": 99}]},
{"id": "both sides alone", "operator": "interval_join",
 "config": {"lower": 0, "upper": 5, "upper_inclusive": false, "join": "full", "extra_condition": "right value <> 7"},
 "input": [["L", "k", 1, 10], ["R", "k", 2, 15], ["R", "k", 3, 14], ["R", "k", 7, 12], ["L", "k", 4, 100], {"watermark": 50, "side": "L"},
           {"watermark": 9223372036854775807}],
 "expected_unordered": [["k", 1, 3, 14]], "expected_padded": [["k", null, 2], ["k", null, 7], ["k", 4, null]]},
{"id": "in the same window", "operator": "window_join",
 "config": {"assigner": {"type": "hop", "size": 10, "slide": 5}, "join": "left"},
 "input": [["L", "k", "l", 7], ["R", "k", "r", 11]],
 "expected_unordered": [["k", "l", "r"]], "expected_padded": [["k", "l", null]]},
{"id": "as of then", "operator": "temporal_join", "config": {"join": "left"},
 "input": {"rates": [["+", "eur", 3, 10], ["-", "eur", 3, 30], ["+", "eur", 4, "1 00:00:00"]],
           "orders": [[1, "eur", 5, 9], [2, "eur", 5, 10], [3, "eur", 5, 30], [4, "eur", 5, 86400000]]},
 "expected_unordered": [[1, "eur", 5, null], [2, "eur", 5, 3], [3, "eur", 5, null], [4, "eur", 5, 4]]},
{"id": "out of order by so much", "operator": "bounded_out_of_orderness", "config": {"bound": 5},
 "input": ["emit", 20, "emit", 12, "emit", 30, "emit"],
 "expected": [{"watermark": -9223372036854775808}, {"watermark": 14}, {"watermark": 14}, {"watermark": 24}]},
{"id": "one that comes back late", "operator": "watermark_merge", "config": {"channels": 2},
 "input": [{"channel": 0, "watermark": 5}, {"channel": 1, "idle": true}, {"channel": 0, "watermark": 9},
           {"channel": 1, "watermark": 7}, {"channel": 0, "watermark": 12}, {"channel": 1, "watermark": 11},
           {"channel": 0, "watermark": 13}],
 "expected": [{"watermark": 5}, {"watermark": 9}, {"watermark": 12}, {"watermark": 13}]},
{"id": "three failures and a success", "operator": "cep",
 "config": {"pattern": [{"name": "f", "match": ["no"], "contig": "relaxed", "times": [3, null], "inner": "strict"},
                        {"name": "s", "match": ["yes"], "contig": "strict"}], "within": 100, "after_match": "skip_past_last"},
 "input": [["1", "no", 1], ["3", "no", 3], ["2", "no", 2], ["4", "yes", 4], ["5", "no", 5], {"watermark": 5}, ["6", "yes", 6]],
 "expected_unordered": [["1", "2", "3", "4"]]},
{"id": "windows moved back", "operator": "window",
 "config": {"assigner": {"type": "tumble", "size": 10, "offset": -3}, "function": "count"},
 "input": [["a", 1, 6], ["a", 1, 7], ["a", 1, -4], {"watermark": 20}],
 "expected": [{"out": ["a", 1, -13, -3]}, {"out": ["a", 1, -3, 7]}, {"out": ["a", 1, 7, 17]}, {"watermark": 20}]},
{"id": "sessions that touch", "operator": "window",
 "config": {"assigner": {"type": "session", "gap": 10}, "function": "sum"},
 "input": [["a", 1, 0], ["a", 2, 10], ["a", 4, 31], ["a", 8, 21], {"watermark": 40}, ["a", 16, 41], {"watermark": 60}],
 "expected": [{"out": ["a", 3, 0, 20]}, {"out": ["a", 12, 21, 41]}, {"watermark": 40}, {"out": ["a", 16, 41, 51]}, {"watermark": 60}]},
{"id": "sessions with gaps of their own", "operator": "window",
 "config": {"assigner": {"type": "session", "gap": {"a": 10, "b": {"7": 3, "default": 5}}}, "function": "sum"},
 "input": [["a", 1, 0], ["a", 1, 9], ["b", 1, 0], ["b", 7, 4], ["b", 1, 8], {"watermark": 100}],
 "expected": [{"out": ["a", 2, 0, 19]}, {"out": ["b", 8, 0, 7]}, {"out": ["b", 1, 8, 13]}, {"watermark": 100}]},
{"id": "each multiple of an interval", "operator": "window",
 "config": {"assigner": {"type": "session", "gap": 30}, "trigger": {"type": "continuous_event_time", "interval": 20}, "function": "sum"},
 "input": [["a", 1, 15], ["b", 1, 0], ["b", 2, 10], {"watermark": 25}, ["b", 4, 40], {"watermark": 30}, ["a", 2, 40], ["b", 8, 35],
           {"watermark": 40}],
 "expected": [{"out": ["a", 1, 15, 45]}, {"out": ["b", 3, 0, 40]}, {"watermark": 25}, {"watermark": 30}, {"out": ["a", 3, 15, 70]},
              {"out": ["b", 15, 0, 70]}, {"watermark": 40}]},
{"id": "the end of all time", "operator": "window",
 "config": {"assigner": "global", "trigger": "end_of_stream", "function": "avg"},
 "input": [["a", 1, 5], ["a", 4, 3], {"watermark": 9223372036854775807}],
 "expected": [{"out": ["a", 2.5, null, null]}, {"watermark": 9223372036854775807}]},
{"id": "windows of records", "operator": "window",
 "config": {"assigner": {"type": "count", "size": 3, "slide": 2}, "function": "concat"},
 "input": [["a", "x"], ["a", "y"], ["a", "z"], ["b", "u"], ["a", "w"], ["a", "v"]],
 "expected": [{"out": ["a", "xy", null, null]}, {"out": ["a", "yzw", null, null]}]},
{"id": "windows that grow", "operator": "window",
 "config": {"assigner": {"type": "cumulate", "size": 30, "step": 10}, "function": "last"},
 "input": [["a", 1, 5], ["a", 2, 15], {"watermark": 100}],
 "expected": [{"out": ["a", 1, 0, 10]}, {"out": ["a", 2, 0, 20]}, {"out": ["a", 2, 0, 30]}, {"watermark": 100}]},
{"id": "the last millisecond of the wall clock", "operator": "window",
 "config": {"assigner": {"type": "tumble", "size": 10, "time": "processing"}, "trigger": {"type": "processing_time"}, "function": "sum"},
 "input": [{"processing_time": 3}, ["a", 1, 0], {"processing_time": 9}, ["a", 2, 0], {"processing_time": 19}],
 "expected": [{"out": ["a", 3, 0, 10]}]},
{"id": "what comes late at last", "operator": "window",
 "config": {"assigner": {"type": "tumble", "size": 10}, "trigger": {"type": "count", "n": 1}, "function": "sum"},
 "input": [["a", 1, 1], {"watermark": 5}, ["a", 2, 3], {"watermark": 12}, ["b", 4, 10], ["b", 4, 3]],
 "expected": [{"out": ["a", 1, 0, 10]}, {"watermark": 5}, {"out": ["a", 3, 0, 10]}, {"watermark": 12}, {"out": ["b", 4, 10, 20]},
              {"late": ["b", 4, 3]}]},
{"id": "a row at the watermark, and one behind", "operator": "interval_join",
 "config": {"lower": -5, "upper": 5},
 "input": [["L", "k", 1, 10], {"watermark": 10, "side": "L"}, ["L", "k", 2, 8], {"watermark": 10, "side": "R"}, ["R", "k", 3, 10],
           ["R", "k", 4, 9]],
 "expected_unordered": [["k", 1, 3, 10], ["k", 2, 3, 10]]},
{"id": "nothing is equal to null", "operator": "interval_join",
 "config": {"lower": 0, "upper": 5, "join": "left", "extra_condition": "left value < right value AND right value <> 9"},
 "input": [["L", null, 1, 1], ["R", null, 2, 1], ["L", "k", 1, 1], ["R", "k", 1, 1], ["R", "k", 9, 1], ["R", "k", 2, 2],
           {"watermark": 9223372036854775807}],
 "expected_unordered": [["k", 1, 2, 2]], "expected_padded": [[null, 1, null]]},
{"id": "who meets someone", "operator": "window_join",
 "config": {"assigner": {"type": "tumble", "size": 10}, "join": "semi", "extra_condition": "left value = 1 OR right value = 5"},
 "input": [["L", "k", 1, 1], ["L", "k", 2, 2], ["R", "k", 4, 3], ["L", "j", 1, 1], {"watermark": 20}],
 "expected_unordered": [["k", 1]]},
{"id": "who meets no one", "operator": "window_join",
 "config": {"assigner": {"type": "tumble", "size": 10}, "join": "anti"},
 "input": [["L", "k", 1, 1], ["R", "k", 4, 3], ["L", "j", 1, 1], {"watermark": 20}],
 "expected_unordered": [["j", 1]]},
{"id": "all of a window", "operator": "co_group",
 "config": {"assigner": {"type": "tumble", "size": 10, "offset": -5}},
 "input": [["L", "k", 1, 1], ["R", "k", 4, 3], ["L", "k", 2, 6], {"watermark": 20}],
 "expected_unordered": [["k", [1], [4]], ["k", [2], []]]},
{"id": "versions that are replaced", "operator": "temporal_join", "config": {},
 "input": {"rates": [["+I", "eur", 3, 10], ["-U", "eur", 3, 20], ["+U", "eur", 4, 20], ["+I", null, 9, 1]],
           "orders": [[1, "eur", 15], [2, "eur", 20], [3, null, 20]]},
 "expected_unordered": [[1, "eur", 3], [2, "eur", 4]]},
{"id": "channels that are told to come back", "operator": "watermark_merge", "config": {"channels": 1},
 "input": [{"channel": 0, "watermark": 5}, {"channel": 0, "status": "idle"}, {"channel": 0, "watermark": 9}, {"channel": 0, "active": true},
           {"channel": 0, "watermark": 10}],
 "expected": [{"watermark": 5}, {"idle": true}, {"active": true}, {"watermark": 10}]},
{"id": "a channel that comes back by itself", "operator": "watermark_merge", "config": {"channels": 1},
 "input": [{"channel": 0, "idle": true}, {"channel": 0, "watermark": 0}],
 "expected": [{"idle": true}, {"watermark": 0}]},
{"id": "what is left undone", "operator": "cep",
 "config": {"pattern": [{"name": "a", "match": "go"}, {"name": "b", "match": ["on"], "times": [1, null], "until": ["halt"]},
                        {"name": "c", "match": ["end"]}], "within": 10},
 "input": [["1", "go", 1], ["2", "on", 2], ["3", "halt", 3], ["4", "on", 4], ["5", "end", 5], ["6", "go", 6], ["7", "on", 18]],
 "expected_unordered": [["1", "2", "5"]], "expected_timeouts": [[["6"], 18]]},
{"id": "a loop that is full", "operator": "cep",
 "config": {"pattern": [{"name": "a", "match": "a", "times": [1, 2], "greedy": true}, {"name": "b", "match": "b"}]},
 "input": [["a1", "a", 1], ["a2", "a", 2], ["a3", "a", 3], ["b1", "b", 4]],
 "expected_unordered": [["a1", "a2", "b1"], ["a2", "a3", "b1"], ["a3", "b1"]]},
{"id": "a match that waits for a loop until the end", "operator": "cep",
 "config": {"pattern": [{"name": "ab", "match": ["a", "b"], "times": [1, null]}, {"name": "c", "match": "c"}],
            "after_match": "skip_to_first", "skip_to": "ab"},
 "input": [["1", "a", 1], ["2", "b", 2], ["3", "c", 3], {"watermark": 4}],
 "expected_unordered": [["1", "2", "3"], ["1", "3"], ["2", "3"]]},
{"id": "nothing comes after the last", "operator": "cep",
 "config": {"pattern": [{"name": "a", "match": "a"}, {"name": "b", "match": "b", "contig": "not_next"}]},
 "input": [["1", "a", 1], ["2", "a", 2], {"watermark": 9}],
 "expected_unordered": [["1"], ["2"]]},
{"id": "nothing comes in the time that is left", "operator": "cep",
 "config": {"pattern": [{"name": "a", "match": "a"}, {"name": "b", "match": "b", "contig": "not_followed_by"}], "within": 5,
            "after_match": "skip_past_last"},
 "input": [["1", "a", 1], ["2", "a", 8], {"watermark": 9}],
 "expected_unordered": [["1"], ["2"]]}
]}"#;

#[test]
fn all_come_out_as_expected() {
    for case in Case::parse(CASES).unwrap() {
        let run = case.run().unwrap();
        assert_eq!(run.verdict, Verdict::AsExpected, "{}\n{}", case.id, run.timeline);
    }
}

/// After each step, and before the first.
#[test]
fn to_go_on_from_a_snapshot_changes_nothing_anywhere() {
    let goes_on = ["window", "interval_join", "window_join", "co_group", "cep"];
    for case in Case::parse(CASES).unwrap().into_iter().filter(|case| goes_on.contains(&&*case.operator)) {
        let steps = case.input.as_array().unwrap();
        for at in 0..=steps.len() {
            let mut steps = steps.clone();
            steps.insert(at, serde_json::json!({"checkpoint_restore": true}));
            let case = Case { input: steps.into(), ..case.clone() };
            let run = case.run().unwrap();
            assert_eq!(
                run.verdict,
                Verdict::AsExpected,
                "{} with a restart at {at}\n{}",
                case.id,
                run.timeline
            );
        }
    }
}

#[test]
fn what_differs_is_told() {
    let text = CASES.replace(r#"{"out": ["a", 4, 0, 100]}"#, r#"{"out": ["a", 5, 0, 100]}"#);
    let case = Case::parse(&text).unwrap().swap_remove(0);
    let run = case.run().unwrap();
    let Verdict::Different { missing, unexpected } = run.verdict else { panic!("{:?}", run.verdict) };
    assert_eq!(missing, [r#"{"out":["a",5,0,100]}"#]);
    assert_eq!(unexpected, [r#"{"out":["a",4,0,100]}"#]);
    assert!(run.timeline.events().contains(&Event::Watermark(118)));
    assert!(run.timeline.to_string().contains("late [\"a\",8,40]"), "{}", run.timeline);
    let nothing = Case { expected: None, ..case };
    assert_eq!(nothing.run().unwrap().verdict, Verdict::NothingExpected);
}

#[test]
fn what_makes_no_sense_is_an_error_that_names_the_case() {
    let wrong = [
        (r#"{"id": "x", "operator": "sort", "input": []}"#, "no operator"),
        (r#"{"id": "x", "operator": "window", "input": []}"#, "no assigner"),
        (
            r#"{"id": "x", "operator": "window", "config": {"assigner": {"type": "tumble"}}, "input": []}"#,
            "\"size\"",
        ),
        (
            r#"{"id": "x", "operator": "window", "config": {"assigner": {"type": "tumble", "size": 0}, "function": "sum"}, "input": []}"#,
            "1 ms",
        ),
        (
            r#"{"id": "x", "operator": "window", "config": {"assigner": {"type": "tumble", "size": 5}, "function": "sum"}, "input": [7]}"#,
            "7 is no record",
        ),
        (r#"{"id": "x", "operator": "cep", "config": {"pattern": []}, "input": []}"#, "empty"),
        (
            r#"{"id": "x", "operator": "watermark_merge", "config": {"channels": 1}, "input": [{"channel": 1, "idle": true}]}"#,
            "no channel",
        ),
    ];
    for (text, word) in wrong {
        let error = Case::parse(text).unwrap().swap_remove(0).run().unwrap_err();
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
    assert!(Case::parse("[{}]").is_err() && Case::parse("x").is_err());
}
