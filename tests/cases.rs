//! Event-time cases as the laboratory runs them: each operator, what differs, and what makes no sense.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "lab")]

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
 "input": [["L", "k", 1, 10], ["R", "k", 2, 15], ["R", "k", 3, 14], ["R", "k", 7, 12], ["L", "k", 4, 100], {"watermark": 50, "side": "L"}],
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
 "expected_unordered": [["1", "2", "3", "4"]]}
]}"#;

#[test]
fn all_come_out_as_expected() {
    for case in Case::parse(CASES).unwrap() {
        let run = case.run().unwrap();
        assert_eq!(run.verdict, Verdict::AsExpected, "{}\n{}", case.id, run.timeline);
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
