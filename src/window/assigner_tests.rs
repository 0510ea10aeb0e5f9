//! Which windows a record falls into, for all times there are, by their definition in arithmetic that is wide
//! enough.

use super::*;
use proptest::prelude::*;

fn windows(size: i64, slide: i64, offset: i64) -> Aligned {
    Aligned { size, slide, offset }
}

/// Any time at all, and more of those that lie where arithmetic ends, or where units are mistaken.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        2 => any::<i64>(),
        2 => (0..60i64).prop_map(|near| i64::MAX - near),
        2 => (0..60i64).prop_map(|near| i64::MIN + near),
        1 => -100..100i64,
        1 => (-60..60i64).prop_map(|near| (1 << 60) + near),
        1 => (-60..60i64).prop_map(|near| near - (1 << 60)),
        1 => (-60..60i64).prop_map(|near| 1_700_000_000_000_000_000 + near),
    ]
}

/// A size, a slide or an offset.
fn length() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1..30i64, 1 => 1..1_000_000_000_000i64, 1 => (1i64 << 50)..=MAX_SIZE]
}

/// Windows of which no time has very many.
fn some_windows() -> impl Strategy<Value = Aligned> {
    let settings = (length(), length(), prop_oneof![Just(0), length()]);
    let settings = settings.prop_filter("too many windows at once", |(size, slide, _)| size / slide < 50);
    settings.prop_map(|(size, slide, offset)| windows(size, slide, offset))
}

/// The windows that a time belongs to by their definition, one for each offset + n * slide, in arithmetic
/// that is wide enough.
fn containing(windows: &Aligned, time: i64) -> Vec<(i128, i128)> {
    let [size, slide, offset, time] = [windows.size, windows.slide, windows.offset, time].map(i128::from);
    let last = (time - offset).div_euclid(slide);
    let numbers = (0..).map(|back| last - back).map(|number| offset + number * slide);
    let mut found: Vec<_> =
        numbers.take_while(|start| time < start + size).map(|start| (start, start + size)).collect();
    found.reverse();
    found
}

fn saturated((start, end): (i128, i128)) -> Window {
    let limit = |time: i128| time.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
    Window { start: limit(start), end: limit(end) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn windows_are_those_of_the_definition_at_all_times(aligned in some_windows(), time in time(), watermark in time()) {
        let all = containing(&aligned, time);
        let exact: Vec<Window> = all.iter().copied().map(saturated).collect();
        prop_assert_eq!(aligned.of_timestamp(time), exact.clone());

        let slice = aligned.slice(time);
        // One that is not the first to end with time.
        let beyond = all.last().is_some_and(|(_, end)| end - i128::from(aligned.slide) >= i128::from(i64::MAX));
        prop_assert_eq!(slice.is_beyond(), beyond);
        prop_assert_eq!(aligned.check_time(time).is_err(), beyond);
        prop_assert_eq!(slice.is_gap(), all.is_empty());

        let stamp = Stamp { timestamp: time, watermark };
        let counts: Vec<&Window> = exact.iter().filter(|window| window.end > watermark).collect();
        let pane = slice.pane(&stamp, &aligned);
        prop_assert_eq!(pane.map(|pane| pane.first), counts.first().map(|window| window.end));
        prop_assert_eq!(pane.map(|pane| pane.last), counts.last().map(|window| window.end));
        prop_assert_eq!(slice.takes(&stamp) && !all.is_empty(), counts.len() == all.len() && !all.is_empty());
        // From the first end to the last by the slide, and each is that of its window.
        if !beyond && let Some(pane) = pane {
            let mut end = pane.first;
            for window in counts {
                prop_assert_eq!(window.end, end);
                prop_assert_eq!(aligned.ending_at(end), *window);
                end = aligned.next_end(end);
            }
        }
    }

    #[test]
    fn times_of_a_slice_have_the_same_windows(aligned in some_windows(), one in time(), other in -40..40i64) {
        let Some(other) = one.checked_add(other) else { return Ok(()) };
        let untimed = Stamp { timestamp: other, watermark: i64::MIN };
        let slice = aligned.slice(one);
        let itself = Stamp { timestamp: one, ..untimed };
        prop_assert!(slice.takes(&itself) || slice.is_gap());
        if slice.takes(&untimed) {
            prop_assert_eq!(containing(&aligned, one), containing(&aligned, other));
        }
    }
}

#[test]
fn windows_beyond_all_measure_are_refused() {
    assert!(Tumbling::of(Duration::ZERO).check().is_err());
    assert!(Tumbling::of(Duration::MAX).check().is_err());
}
