//! Event-time cases as the laboratory runs them: each operator, what differs, and what is refused.

mod spelling;
mod strict;

use highwater::lab::case::{Case, Event, Operator, Output, Verdict};
use serde_json::{Value, json};

const FILES: [(&str, &str); 7] = [
    ("cep", include_str!("cep.json")),
    ("co_group", include_str!("co_group.json")),
    ("interval_join", include_str!("interval_join.json")),
    ("temporal_join", include_str!("temporal_join.json")),
    ("watermarks", include_str!("watermarks.json")),
    ("window", include_str!("window.json")),
    ("window_join", include_str!("window_join.json")),
];

/// The documentation of the notation.
const NOTATION: &str = include_str!("../../../src/lab/case/notation.md");

fn cases() -> Vec<Case> {
    FILES
        .iter()
        .flat_map(|(file, text)| Case::parse(text).unwrap_or_else(|told| panic!("{file}: {told}")))
        .collect()
}

fn assert_as_expected(case: &Case) {
    let run = case.run().unwrap();
    assert_eq!(run.verdict, Verdict::AsExpected, "{}\n{}", case.id, run.timeline);
}

#[test]
fn all_come_out_as_expected() {
    let cases = cases();
    assert!(cases.len() > 90, "{} cases", cases.len());
    cases.iter().for_each(assert_as_expected);
}

/// Each operator is documented by an example that runs.
#[test]
fn examples_of_the_notation_come_out_as_expected() {
    let fenced = NOTATION.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let examples: Vec<Case> = fenced.flat_map(|text| Case::parse(text).unwrap()).collect();
    examples.iter().for_each(assert_as_expected);
    let sections = NOTATION.lines().filter_map(|line| line.strip_prefix("# `")?.strip_suffix('`'));
    let shown: Vec<String> = examples.iter().map(|case| case.operator.to_string()).collect();
    assert_eq!(shown, sections.collect::<Vec<_>>());
    assert_eq!(shown.len(), 8, "there are 8 operators");
}

/// After each step, and before the first.
#[test]
fn a_restore_from_a_checkpoint_changes_nothing_anywhere() {
    let cannot = [Operator::BoundedOutOfOrderness, Operator::WatermarkMerge];
    for case in cases().into_iter().filter(|case| !cannot.contains(&case.operator)) {
        for at in 0..=case.input.len() {
            let mut case = case.clone();
            case.input.insert(at, json!("checkpoint_restore"));
            let run = case.run().unwrap();
            let (id, timeline) = (&case.id, run.timeline);
            assert_eq!(run.verdict, Verdict::AsExpected, "{id} with a restart at {at}\n{timeline}");
            assert!(timeline.events().contains(&Event::Restored));
        }
    }
}

#[test]
fn what_differs_is_told() {
    let mut case = cases().into_iter().find(|case| case.id == "late firings and late records").unwrap();
    let (right, wrong) = (json!(["a", 4, 0, 100]), json!(["a", 5, 0, 100]));
    let expected = case.expected.as_mut().unwrap();
    let place = expected.iter().position(|output| *output == Output::Out(right.clone())).unwrap();
    expected[place] = Output::Out(wrong);
    let run = case.run().unwrap();
    let Verdict::Different { missing, unexpected } = run.verdict else { panic!("{:?}", run.verdict) };
    assert_eq!(missing, [r#"{"out":["a",5,0,100]}"#]);
    assert_eq!(unexpected, [r#"{"out":["a",4,0,100]}"#]);
    assert!(run.timeline.events().contains(&Event::Watermark(118)));
    assert!(run.timeline.to_string().contains(r#"->  {"late":["a",8,40]}"#), "{}", run.timeline);
    case.expected = None;
    assert_eq!(case.run().unwrap().verdict, Verdict::NothingExpected);
}

/// Watermarks divide what is expected, and those of the input count once one is expected.
#[test]
fn the_order_counts_between_watermarks() {
    let verdict = |expected: Value| {
        let text = json!([{"id": "x", "operator": "window",
            "config": {"assigner": {"type": "tumble", "size": 10}, "function": "sum"},
            "input": [["a", 1, 1], ["b", 2, 2], ["a", 4, 11], {"watermark": 9}, {"watermark": 19}],
            "expected": expected}]);
        Case::parse(&text.to_string()).unwrap()[0].run().unwrap().verdict
    };
    let [a, b] = [json!({"out": ["a", 1, 0, 10]}), json!({"out": ["b", 2, 0, 10]})];
    let last = json!({"out": ["a", 4.0, 10, 20]});
    let (nine, end) = (json!({"watermark": 9}), json!({"watermark": 19}));
    for right in [json!([a, b, nine, last, end]), json!([b, a, nine, last, end]), json!([last, a, b])] {
        assert_eq!(verdict(right.clone()), Verdict::AsExpected, "{right}");
    }
    for wrong in
        [json!([a, b, nine, end, last]), json!([a, nine, b, last, end]), json!([a, b, nine, last]), json!([])]
    {
        assert!(matches!(verdict(wrong.clone()), Verdict::Different { .. }), "{wrong}");
    }
}
