//! Scripts for a window operator: what comes in, and what is to come out at which point.

use highwater::harness::Driver;
use highwater::process::SideOutput;
use highwater::stream::{Chain, Stream};
use highwater::window::{Emission, Results, Uncorrected, Window, Windowed, WindowedStream};

/// A record: a key and a value.
pub(crate) type Pair = (String, i64);

/// A result as a line.
pub(crate) fn line(result: Windowed<String, impl ToString>) -> String {
    let Windowed { key, window, value } = result;
    match window {
        Window::GLOBAL => format!("{key} {} - -", value.to_string()),
        Window { start, end } => format!("{key} {} {start} {end}", value.to_string()),
    }
}

/// The sums of windows, and the late records, as lines.
pub(crate) fn sums<C, W, E>(windows: WindowedStream<String, Pair, C, W, E>) -> Stream<String>
where
    C: Chain<Out = (String, Pair)>,
    E: Emission,
    E::By<E::Trigger>: Uncorrected + Results<String, Pair, W>,
{
    let late = SideOutput::new();
    let results = windows.late_output(late).sum(|pair: Pair| pair.1);
    let late = results.side(&late).map(|(_, pair): (String, Pair)| pair);
    let late = late.map(|(key, value)| format!("late {key} {value}"));
    results.map(line).union(late)
}

/// Runs a script. An entry is a record `key value time` (`-` for no time), a watermark as Flink has it
/// `w time`, or a processing time `p time`. What comes out is told in order, with the watermarks between;
/// between two watermarks in order of keys, and for a key in the order in which it came.
pub(crate) fn run<C: Chain<Out = String>>(
    input: &str,
    build: impl FnOnce(Stream<Pair>) -> Stream<String, C>,
) -> Vec<String> {
    let mut driver = Driver::new(build).unwrap();
    let (mut told, mut open) = (Vec::new(), Vec::new());
    for entry in input.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
        let words: Vec<&str> = entry.split(' ').collect();
        let number = |at: usize| words[at].parse::<i64>().unwrap();
        match words[0] {
            "w" => driver.watermark(number(1).saturating_add(1)).unwrap(),
            "p" => driver.processing_time(number(1)).unwrap(),
            key => {
                let time = if words[2] == "-" { i64::MIN } else { number(2) };
                driver.push((key.to_owned(), number(1)), time).unwrap();
            }
        }
        open.extend(driver.take_output());
        if words[0] == "w" {
            told.append(&mut by_key(&mut open));
            told.push(entry.to_owned());
        }
    }
    driver.finish().unwrap();
    open.extend(driver.take_output());
    told.append(&mut by_key(&mut open));
    told
}

fn by_key(lines: &mut Vec<String>) -> Vec<String> {
    lines.sort_by_key(|line| line.split(' ').next().map(str::to_owned));
    std::mem::take(lines)
}

/// Runs a script and compares.
pub(crate) fn check<C: Chain<Out = String>>(
    input: &str,
    expected: &str,
    build: impl FnOnce(Stream<Pair>) -> Stream<String, C>,
) {
    let expected: Vec<&str> = expected.split(';').map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(run(input, build), expected);
}
