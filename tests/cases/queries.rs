//! Cases that are written as queries: by hand, against a recomputation, and texts that are no queries.

use std::collections::{BTreeMap, BTreeSet};

use highwater::lab::case::{Case, Event, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

const CASES: &str = include_str!("queries.json");

/// Also with a restart before and after each step.
#[test]
fn all_come_out_as_expected() {
    for case in Case::parse(CASES).unwrap() {
        let steps = case.input.as_array().unwrap().clone();
        let restarts = (0..=steps.len()).map(Some).chain([None]);
        for restart in restarts {
            let mut steps = steps.clone();
            restart.into_iter().for_each(|at| steps.insert(at, json!({"checkpoint_restore": true})));
            let run = Case { input: steps.into(), ..case.clone() }.run().unwrap();
            let (id, timeline) = (&case.id, run.timeline);
            assert_eq!(run.verdict, Verdict::AsExpected, "{id} with a restart at {restart:?}\n{timeline}");
        }
    }
}

#[test]
fn late_rows_and_watermarks_are_told() {
    let case =
        Case::parse(CASES).unwrap().into_iter().find(|case| case.id.starts_with("a late row")).unwrap();
    let timeline = case.run().unwrap().timeline;
    let late: Vec<&Event> =
        timeline.events().iter().filter(|event| matches!(event, Event::Late(_))).collect();
    assert_eq!(late, [&Event::Late(json!(["a", 8, 5]))]);
    assert!(timeline.events().contains(&Event::Watermark(10)));
}

fn query(config: Value, input: Value) -> Case {
    serde_json::from_value(json!({"id": "q", "operator": "sql", "config": config, "input": input})).unwrap()
}

#[test]
fn what_is_not_understood_is_named() {
    let columns = json!(["who", "n", "t seconds"]);
    let wrong = [
        (
            "SELECT who FROM WINDOW(5 s) GROUP BY who, window",
            "\"WINDOW\" is not understood: there must be TUMBLE(size)",
        ),
        (
            "SELECT who FROM TUMBLE(5 parsecs) GROUP BY who, window",
            "\"parsecs\" is not understood: there must be a unit",
        ),
        ("SELECT who FROM TUMBLE(0 s) GROUP BY who, window", "positive"),
        ("SELECT who FROM CUMULATE(2 s, 5 s) GROUP BY who, window", "a multiple of it"),
        (
            "SELECT who FROM TUMBLE(5 s) GROUP BY whom, window",
            "\"whom\" is not understood: there must be a column, which are who, n, t",
        ),
        (
            "SELECT n FROM TUMBLE(5 s) GROUP BY who, window",
            "\"n\" is not understood: there must be a column of GROUP BY",
        ),
        ("SELECT MEDIAN(n) FROM TUMBLE(5 s) GROUP BY window", "\"(\" is not understood: there must be FROM"),
        ("SELECT SUM(*) FROM TUMBLE(5 s) GROUP BY window", "\"*\" is not understood"),
        (
            "SELECT who FROM TUMBLE(5 s) GROUP BY who",
            "the end is not understood: there must be the window in GROUP BY",
        ),
        ("SELECT who FROM TUMBLE(5 s) WHERE n ~ 1 GROUP BY who, window", "'~'"),
        ("SELECT who FROM TUMBLE(5 s) WHERE n LIKE 1 GROUP BY who, window", "\"LIKE\""),
        (
            "SELECT who FROM TUMBLE(5 s) GROUP BY who, window ORDER BY who",
            "\"ORDER\" is not understood: there must be the end",
        ),
        (
            "SELECT who FROM TUMBLE(5 s) GROUP BY CUBE(who, n, t), CUBE(who, n, t), CUBE(n), window",
            "grouping sets",
        ),
        (
            "SELECT who FROM TUMBLE(TABLE x, DESCRIPTOR(n), 5 s) GROUP BY who, window",
            "\"n\" is not understood: there must be the column with the time",
        ),
        (
            "sideways join of two TUMBLE(5 s) COUNT(*) aggregates on who and window",
            "\"sideways\" is not understood: there must be SELECT",
        ),
        ("join of two TUMBLE(5 s) COUNT(*) aggregates on who", "AND WINDOW"),
        ("join of two TUMBLE(5 s) aggregates on who and window", "an aggregate"),
    ];
    for (sql, told) in wrong {
        let error = query(json!({"sql": sql, "columns": columns}), json!([])).run().unwrap_err().to_string();
        assert!(error.contains(told), "{sql}: {error}");
    }
    let sum = "SELECT SUM(n) FROM TUMBLE(5 s) GROUP BY window";
    let wrong = [
        (json!({"sql": sum, "columns": columns}), json!([["a", "one", 1]]), "\"one\" is no number"),
        (json!({"sql": sum, "columns": columns}), json!([["a", 1]]), "2 values where there are 3 columns"),
        (json!({"sql": sum, "columns": columns}), json!([["a", 1, null]]), "the time null"),
        (json!({"sql": sum, "columns": columns}), json!([7]), "7 is no row"),
        (json!({"sql": sum, "columns": []}), json!([]), "no columns"),
        (json!({"sql": sum, "columns": ["n", "t seconds", "u ms"]}), json!([]), "second time"),
        (json!({"sql": sum, "columns": ["n money"]}), json!([]), "\"money\" is not understood"),
        (
            json!({"sql": sum, "columns": columns, "watermark": "t - 1 s, now and then"}),
            json!([]),
            "\"now\" is not understood: there must be AFTER",
        ),
        (
            json!({"sql": sum, "columns": columns, "watermark": "n - 1 s"}),
            json!([]),
            "the column with the time",
        ),
        (
            json!({"sql": sum, "columns": columns, "allowed_lateness": 5}),
            json!([]),
            "\"allowed_lateness\" is not understood",
        ),
        (
            json!({"sql": "join of two TUMBLE(5 s) COUNT(*) aggregates on who and window", "columns": columns, "left": "the best rows"}),
            json!([]),
            "\"best\" is not understood: there must be ROWS",
        ),
        (json!({"columns": columns}), json!([]), "\"sql\""),
    ];
    for (config, input, told) in wrong {
        let error = query(config.clone(), input).run().unwrap_err().to_string();
        assert!(error.contains(told), "{config}: {error}");
    }
}

/// A row: who, a number, and the time.
type Row = (Option<&'static str>, Option<i64>, i64);

/// The windows of a time: those of a step and a size, moved on.
#[derive(Clone, Copy, Debug)]
enum Windows {
    Hop(i64, i64, i64),
    Cumulate(i64, i64, i64),
}

impl Windows {
    fn of(self, time: i64) -> Vec<(i64, i64)> {
        // All there could be, one by one.
        let around = time - 100..=time;
        match self {
            Windows::Hop(slide, size, offset) => around
                .filter(|start| (start - offset).rem_euclid(slide) == 0 && start + size > time)
                .map(|start| (start, start + size))
                .collect(),
            Windows::Cumulate(step, size, offset) => around
                .filter(|start| (start - offset).rem_euclid(size) == 0 && start + size > time)
                .flat_map(|start| (1..=size / step).map(move |steps| (start, start + steps * step)))
                .filter(|window| window.1 > time)
                .collect(),
        }
    }

    fn sql(self) -> String {
        match self {
            Windows::Hop(slide, size, offset) => format!("HOP({slide} s, {size} s, {offset} s)"),
            Windows::Cumulate(step, size, offset) => format!("CUMULATE({step} s, {size} s, {offset} s)"),
        }
    }
}

type Groups = BTreeMap<(Option<&'static str>, i64, i64), Vec<Option<i64>>>;

/// What each group of a window has, by how far the watermark had come before each row.
fn groups(rows: &[Row], windows: Windows, delay: i64) -> Groups {
    let (mut groups, mut greatest) = (Groups::new(), None);
    for (who, n, time) in rows {
        for (start, end) in windows.of(*time) {
            // In milliseconds: the watermark has come to the last one of the window.
            if greatest.is_none_or(|greatest: i64| (greatest - delay) * 1_000 < end * 1_000 - 1) {
                groups.entry((*who, start, end)).or_default().push(*n);
            }
        }
        greatest = greatest.max(Some(*time));
    }
    groups
}

fn aggregates(numbers: &[Option<i64>]) -> [Value; 6] {
    let known: Vec<i64> = numbers.iter().copied().flatten().collect();
    let distinct: BTreeSet<i64> = known.iter().copied().collect();
    let sum = known.iter().copied().reduce(|a, b| a + b);
    let average = sum.map(|sum| sum / known.len() as i64);
    [
        json!(numbers.len()),
        json!(distinct.len()),
        json!(sum),
        json!(known.iter().min()),
        json!(known.iter().max()),
        json!(average),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let who = prop_oneof![Just(Some("a")), Just(Some("b")), Just(None)];
    prop::collection::vec((who, prop::option::weighted(0.7, -5..5i64), -20..60i64), 0..25)
}

fn any_windows() -> impl Strategy<Value = Windows> {
    prop_oneof![
        (1..8i64, 0..8i64, 0..5i64).prop_map(|(slide, more, offset)| Windows::Hop(
            slide,
            slide + more,
            offset
        )),
        (1..5i64, 1..5i64, 0..5i64).prop_map(|(step, steps, offset)| Windows::Cumulate(
            step,
            step * steps,
            offset
        )),
    ]
}

fn as_json(rows: &[Row]) -> Value {
    rows.iter().map(|(who, n, time)| json!([who, n, time])).collect()
}

/// What a text of the notation may be made of.
fn soup() -> impl Strategy<Value = String> {
    let words = "SELECT FROM TUMBLE HOP CUMULATE SESSION ( ) ( ) , , 5 s 10 ms INTERVAL '5' SECOND GROUP BY who window n t COUNT SUM ( * ) \
                 DISTINCT WHERE HAVING = < IS NOT NULL AND OR join of two left aggregates on - 99999999999999999999 0.5 ROLLUP CUBE SETS AS";
    let words: Vec<&str> = words.split_whitespace().collect();
    let soup = prop::collection::vec(prop::sample::select(words), 0..30).prop_map(|words| words.join(" "));
    let begins = prop_oneof![
        Just(""),
        Just("SELECT who, "),
        Just("SELECT COUNT(*) FROM TUMBLE("),
        Just("SELECT SUM(n) FROM HOP(1 s, 5 s) "),
        Just("SELECT n FROM TUMBLE(5 s) GROUP BY n, window "),
        Just("join of two TUMBLE("),
        Just("join of two TUMBLE(5 s) COUNT(*) aggregates on "),
    ];
    prop_oneof![(begins, soup).prop_map(|(begin, soup)| format!("{begin}{soup}")), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn as_recomputed(rows in rows(), windows in any_windows(), delay in 0..10i64) {
        let sql = format!(
            "SELECT who, window_start, window_end, COUNT(*), COUNT(DISTINCT n), SUM(n), MIN(n), MAX(n), AVG(n) FROM {} GROUP BY who, window",
            windows.sql()
        );
        let config = json!({
            "columns": ["who", "n", "t seconds"], "watermark": format!("t - {delay} s, after every row"), "sql": sql
        });
        let expected = groups(&rows, windows, delay).into_iter().map(|((who, start, end), numbers)| {
            Value::Array([json!(who), json!(start), json!(end)].into_iter().chain(aggregates(&numbers)).collect())
        });
        let case = Case { expected_unordered: Some(expected.collect()), ..query(config, as_json(&rows)) };
        let run = case.run().unwrap();
        prop_assert_eq!(run.verdict, Verdict::AsExpected, "{}", run.timeline);
    }

    #[test]
    fn joins_as_recomputed(rows in rows(), windows in any_windows(), delay in 0..10i64, nulls in any::<bool>(), kind in 0..6usize) {
        let (kinds, equal) = (["inner", "left", "right", "full outer", "semi", "anti"], if nulls { " IS NOT DISTINCT FROM" } else { "" });
        let sql = format!("{} join of two {} COUNT(*) aggregates on who{equal} and window", kinds[kind], windows.sql());
        let config = json!({
            "columns": ["who", "n", "t seconds"], "watermark": format!("t - {delay} s, after every row"), "sql": sql,
            "left": "the rows where n < 2 or n is null", "right": "the rows where n > -2"
        });
        // Rows that one side leaves out move event time all the same.
        let side = |is_in: fn(Option<i64>) -> bool| {
            let mut groups = groups(&rows, windows, delay);
            groups.values_mut().for_each(|numbers| numbers.retain(|n| is_in(*n)));
            groups.retain(|_, numbers| !numbers.is_empty());
            groups
        };
        let (left, right) = (side(|n| n.is_none_or(|n| n < 2)), side(|n| n.is_some_and(|n| n > -2)));
        let mut expected = Vec::new();
        let keys: BTreeSet<_> = left.keys().chain(right.keys()).collect();
        for key @ (who, start, end) in keys {
            let (l, r) = (left.get(key).map(Vec::len), right.get(key).map(Vec::len));
            let met = l.is_some() && r.is_some() && (nulls || who.is_some());
            let none = Value::Null;
            match kinds[kind] {
                "semi" if met => expected.push(json!([who, start, end, l])),
                "anti" if !met && l.is_some() => expected.push(json!([who, start, end, l])),
                "full outer" if met => expected.push(json!([who, start, end, who, start, end, l, r])),
                "inner" | "left" | "right" if met => expected.push(json!([who, start, end, l, r])),
                _ if met => {}
                "full outer" => {
                    expected.extend(l.map(|l| json!([who, start, end, none, none, none, l, none])));
                    expected.extend(r.map(|r| json!([none, none, none, who, start, end, none, r])));
                }
                "left" => expected.extend(l.map(|l| json!([who, start, end, l, none]))),
                "right" => expected.extend(r.map(|r| json!([none, start, end, none, r]))),
                _ => {}
            }
        }
        let case = Case { expected_unordered: Some(expected), ..query(config, as_json(&rows)) };
        let run = case.run().unwrap();
        prop_assert_eq!(run.verdict, Verdict::AsExpected, "{}", run.timeline);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever it is, it is a query or an error that names the case.
    #[test]
    fn no_text_brings_it_down(sql in soup(), other in soup(), place in 0..5usize) {
        let mut config = json!({"sql": "SELECT who FROM TUMBLE(5 s) GROUP BY who, window", "columns": ["who", "n", "t seconds"]});
        config["sql"] = json!(sql);
        match place {
            0 => config["columns"] = json!(["who", "n", other]),
            1 => config["watermark"] = json!(other),
            2 => config["left"] = json!(other),
            _ => {}
        }
        if let Err(error) = query(config, json!([["a", 1, 1]])).run() {
            prop_assert!(error.to_string().contains("case q"), "{}", error);
        }
    }
}
