//! A comparison as a picture: how long results take, against how much is in them.
//!
//! Each row of the report is a mark: to the right the 99th percentile of the latency, with a line back to the
//! median; upward the share of records in the results. A policy that corrects is joined to its strategy's
//! first results by a dotted line: what it costs to be patient afterwards instead of before.
//!
//! Both axes are stretched where it matters. The share is drawn by what is missing from it, each tenth of
//! that as far from the last, so that 99.9 % and 99.99 % are as different as they are; rows without anything
//! missing lie on top, one above the other. Latencies are drawn by their logarithms, and evenly near 0, since
//! they can be negative where clocks are fast.
//!
//! The picture is SVG without a background, in colours of middle lightness that are readable on white and on
//! black.

use std::fmt::{Display, Write};

use super::report::{Latency, Report, Row};

const WIDTH: f64 = 980.0;
const LEFT: f64 = 104.0;
const RIGHT: f64 = 720.0;
const TOP: f64 = 84.0;

/// The height of what lies between the axis below and the rows without anything missing, and the least height
/// of the whole.
const MIDDLE: f64 = 340.0;
const LEAST_HEIGHT: f64 = 500.0;

/// How far rows without anything missing are from each other.
const LANE: f64 = 13.0;

/// Text and axes: as far from white as from black.
const INK: &str = "#7b8087";

impl Report {
    /// The report as a picture in SVG: latency against completeness.
    pub fn svg(&self) -> String {
        let axes = Axes::of(self);
        let marks = axes.marks(self);
        let mut out = String::new();
        head(&mut out, self, axes.bottom() + 72.0);
        axes.draw(&mut out);
        let strategies = strategies(self);
        let mut labels = Labels { taken: marks.iter().map(|mark| (mark.x, mark.y)).collect() };
        let each =
            || strategies.iter().zip(0..).map(|(strategy, n)| (*strategy, n, color(n, strategies.len())));
        let of = |strategy: &str| {
            marks.iter().filter(move |mark| mark.row.strategy == strategy).collect::<Vec<_>>()
        };
        each().for_each(|(strategy, _, color)| draw_strategy(&mut out, &of(strategy), &color));
        for (strategy, number, color) in each() {
            of(strategy)
                .first()
                .into_iter()
                .for_each(|mark| labels.draw(&mut out, number, mark.x, mark.y, &color));
        }
        legend(&mut out, self, &strategies, axes.bottom());
        out.push_str("</svg>\n");
        out
    }
}

/// The strategies in the order of the report.
fn strategies(report: &Report) -> Vec<&str> {
    let mut strategies: Vec<&str> = report.rows.iter().map(|row| row.strategy.as_str()).collect();
    strategies.dedup();
    strategies
}

/// One of so many hues, all of middle lightness.
fn color(number: usize, of: usize) -> String {
    // Neighbours in the list differ most if they are not neighbours on the circle.
    let step = if of > 4 { (of / 2 - 1) | 1 } else { 1 };
    let hue = (number * step % of.max(1)) as f64 * 360.0 / of.max(1) as f64 + 215.0;
    // Yellows and greens look lighter than blues at the same lightness.
    let is_bright = (45.0..190.0).contains(&(hue % 360.0));
    let (lightness, saturation) = (if is_bright { 0.40 } else { 0.54 }, 0.62);
    // From hue, saturation and lightness, as CSS has it.
    let channel = |n: f64| {
        let k = (n + hue / 30.0) % 12.0;
        let chroma: f64 = saturation * f64::min(lightness, 1.0 - lightness);
        let value = lightness - chroma * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", channel(0.0), channel(8.0), channel(4.0))
}

fn head(out: &mut String, report: &Report, height: f64) {
    let height = height.max(LEAST_HEIGHT);
    let Report { recording, records, windows, window, .. } = report;
    let about =
        format!("{recording}: {} records in {} windows of {window}", whole(*records), whole(*windows));
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"{INK}\">\n\
         <title>Latency against completeness</title>\n\
         <text x=\"{LEFT}\" y=\"34\" font-size=\"18\" font-weight=\"600\">Latency against completeness</text>\n\
         <text x=\"{LEFT}\" y=\"56\">{}</text>\n",
        escape(&about)
    );
}

/// A number with its thousands set apart.
fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text as it may stand in XML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // Not allowed in XML, not even escaped.
            '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.push('\u{fffd}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, content: impl Display) {
    let content = escape(&content.to_string());
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>");
}

fn line(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), style: &str) {
    let _ = writeln!(out, "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" fill=\"none\" {style}/>");
}

/// The latency that a row is drawn at: of the last statement where results are corrected.
fn latency(row: &Row) -> Latency {
    if is_corrected(row) { row.settled } else { row.first }
}

/// True if any result came before the end.
fn is_drawn(row: &Row) -> bool {
    latency(row).p50.is_some()
}

fn is_corrected(row: &Row) -> bool {
    row.policy.starts_with("correct")
}

struct Axes {
    /// Latencies are even within this, and by their logarithms beyond.
    unit: f64,
    /// The stretched latencies at the left and the right end.
    x: (f64, f64),
    /// The nines at the lower and the upper end.
    y: (f64, f64),
    /// How many rows have nothing missing.
    complete: usize,
}

/// Where a row is drawn.
struct Mark<'a> {
    row: &'a Row,
    /// The place of the median, and of the 99th percentile.
    median: f64,
    x: f64,
    y: f64,
}

/// How many nines a share has: 1 at 90 %, 2 at 99 %.
fn nines(share: f64) -> f64 {
    -(1.0 - share).max(1e-12).log10()
}

impl Axes {
    fn of(report: &Report) -> Axes {
        let drawn = report.rows.iter().flat_map(|row| [latency(row).p50, latency(row).p99]).flatten();
        let drawn: Vec<f64> = drawn.map(|millis| millis as f64).collect();
        let least = drawn.iter().copied().fold(f64::INFINITY, f64::min);
        let most = drawn.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (least, most) = if least <= most { (least, most) } else { (0.0, 1_000.0) };
        let unit = if least > 0.0 { least } else { (most.max(-least) / 100.0).max(10.0) };
        let stretch = |millis: f64| (millis / unit).asinh();
        let (from, to) = (stretch(least), stretch(most));
        let margin = ((to - from) * 0.08).max(0.2);
        let incomplete = report.rows.iter().map(|row| row.completeness).filter(|share| *share < 1.0);
        let (worst, best) =
            incomplete.map(nines).fold((f64::INFINITY, 0f64), |(worst, best), n| (worst.min(n), best.max(n)));
        let (worst, best) = if worst <= best { (worst, best) } else { (1.0, 2.0) };
        let complete = report.rows.iter().filter(|row| is_drawn(row) && row.completeness >= 1.0).count();
        Axes {
            unit,
            x: (from - margin, to + margin),
            y: (worst - 0.25, best.max(worst + 1.0) + 0.25),
            complete,
        }
    }

    fn x(&self, millis: f64) -> f64 {
        let share = ((millis / self.unit).asinh() - self.x.0) / (self.x.1 - self.x.0);
        LEFT + share * (RIGHT - LEFT)
    }

    /// Where the rows without anything missing begin.
    fn top(&self) -> f64 {
        TOP + (self.complete + 1) as f64 * LANE
    }

    fn bottom(&self) -> f64 {
        self.top() + MIDDLE
    }

    fn y(&self, share: f64) -> f64 {
        self.bottom() - (nines(share) - self.y.0) / (self.y.1 - self.y.0) * MIDDLE
    }

    /// Where the rows are drawn, but for those of which nothing came before the end.
    fn marks<'a>(&self, report: &'a Report) -> Vec<Mark<'a>> {
        let mut lane = TOP;
        let mark = |row: &'a Row| {
            let (median, x) = (self.x(latency(row).p50? as f64), self.x(latency(row).p99? as f64));
            let y = if row.completeness < 1.0 {
                self.y(row.completeness)
            } else {
                lane += LANE;
                lane
            };
            Some(Mark { row, median, x, y })
        };
        report.rows.iter().filter_map(mark).collect()
    }

    fn draw(&self, out: &mut String) {
        let grid = format!("stroke=\"{INK}\" stroke-opacity=\"0.28\"");
        let (top, bottom) = (self.top(), self.bottom());
        for (place, millis) in self.ticks() {
            line(out, (place, TOP), (place, bottom), &grid);
            text(out, place, bottom + 20.0, "middle", show_time(millis));
        }
        if self.complete > 0 {
            let (width, height) = (RIGHT - LEFT, top - TOP);
            let _ = writeln!(
                out,
                "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\" fill=\"{INK}\" fill-opacity=\"0.1\"/>"
            );
            text(out, LEFT - 10.0, (TOP + top) / 2.0 + 4.5, "end", "100 %");
        }
        let shares =
            [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999, 0.999999];
        let shares = shares.into_iter().filter(|share| (self.y.0..=self.y.1).contains(&nines(*share)));
        let mut last = f64::INFINITY;
        for share in shares {
            let place = self.y(share);
            if last - place < 22.0 {
                continue;
            }
            last = place;
            line(out, (LEFT, place), (RIGHT, place), &grid);
            text(out, LEFT - 10.0, place + 4.5, "end", format_args!("{} %", percent(share)));
        }
        let axis = format!("stroke=\"{INK}\"");
        line(out, (LEFT, bottom), (RIGHT, bottom), &axis);
        line(out, (LEFT, TOP), (LEFT, bottom), &axis);
        let about =
            "from a window's end to its result, on the arrival clock: line from the median, mark at 99 %";
        text(out, (LEFT + RIGHT) / 2.0, bottom + 48.0, "middle", about);
        let middle = (top + bottom) / 2.0;
        let _ = writeln!(
            out,
            "<text transform=\"translate(22 {middle}) rotate(-90)\" text-anchor=\"middle\">share of the records that are in the results</text>"
        );
    }

    /// Round latencies, with their places, far enough from each other to be read.
    fn ticks(&self) -> Vec<(f64, i64)> {
        let decades = (0..13).map(|n| 10i64.pow(n));
        let round: Vec<i64> = decades.flat_map(|ten| [ten, 2 * ten, 5 * ten]).collect();
        let mut all: Vec<i64> = round.iter().flat_map(|n| [*n, -n]).chain([0]).collect();
        // Those to be preferred come first.
        all.sort_by_key(|n| (*n != 0, !is_power_of_ten(*n), *n));
        let mut ticks: Vec<(f64, i64)> = Vec::new();
        for millis in all {
            let place = self.x(millis as f64);
            let is_free = ticks.iter().all(|(other, _)| (other - place).abs() >= 58.0);
            if (LEFT..=RIGHT).contains(&place) && is_free {
                ticks.push((place, millis));
            }
        }
        ticks
    }
}

fn is_power_of_ten(number: i64) -> bool {
    let mut number = number.abs();
    while number >= 10 && number % 10 == 0 {
        number /= 10;
    }
    number == 1
}

fn show_time(millis: i64) -> String {
    let sign = if millis < 0 { "−" } else { "" };
    match millis.unsigned_abs() {
        0 => "0".to_owned(),
        millis if millis < 1_000 => format!("{sign}{millis} ms"),
        millis if millis < 100_000 => format!("{sign}{} s", millis as f64 / 1_000.0),
        millis => format!("{sign}{} s", millis / 1_000),
    }
}

/// A share in percent, with as many digits as it needs.
fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Draws the marks of a strategy, one for each of its rows.
fn draw_strategy(out: &mut String, marks: &[&Mark<'_>], color: &str) {
    let stroke = format!("stroke=\"{color}\" stroke-width=\"1.6\"");
    let base = marks.iter().find(|mark| !is_corrected(mark.row));
    for Mark { row, median, x, y } in marks {
        let _ = write!(out, "<g><title>{}</title>", escape(&describe(row)));
        if let (true, Some(base)) = (is_corrected(row), base) {
            let dotted = format!("{stroke} stroke-dasharray=\"1.5 4\" stroke-linecap=\"round\"");
            line(out, (base.x, base.y), (*x, *y), &dotted);
        }
        line(out, (*median, *y), (*x, *y), &stroke);
        line(out, (*median, y - 4.0), (*median, y + 4.0), &stroke);
        symbol(out, &row.policy, *x, *y, color);
        out.push_str("</g>\n");
    }
}

/// What a mark says when it is pointed at.
fn describe(row: &Row) -> String {
    let time = |millis: Option<i64>| millis.map_or("-".to_owned(), show_time);
    let latency = latency(row);
    format!(
        "{}, {}: median {}, 99 % within {}; {} % of the records, {} results wrong",
        row.strategy,
        row.policy,
        time(latency.p50),
        time(latency.p99),
        percent(row.completeness),
        row.wrong_results
    )
}

/// A disc for what is dropped, a ring for what is corrected, and a frame for what is put aside. Dropped and
/// put aside, records are missing from the same results, so that these two lie on each other: then the disc
/// is in the frame.
fn symbol(out: &mut String, policy: &str, x: f64, y: f64, color: &str) {
    let _ = match policy {
        "drop" => writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.4\" fill=\"{color}\"/>"),
        "side" => {
            let (x, y) = (x - 6.0, y - 6.0);
            let frame = format!("fill=\"none\" stroke-width=\"1.6\" stroke=\"{color}\"");
            writeln!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" {frame}/>")
        }
        _ => {
            let ring = "fill=\"none\" stroke-width=\"2.2\"";
            writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5.5\" {ring} stroke=\"{color}\"/>")
        }
    };
}

/// The numbers beside the marks, where they cover none.
struct Labels {
    taken: Vec<(f64, f64)>,
}

impl Labels {
    fn draw(&mut self, out: &mut String, number: usize, x: f64, y: f64, color: &str) {
        // Lines to the median go left, and those to corrected results up and right.
        let around = [(14.0, 9.0), (16.0, 0.0), (0.0, 18.0), (-14.0, 11.0), (-14.0, -11.0), (14.0, -11.0)];
        let further = around.map(|(dx, dy)| (dx * 1.9, dy * 1.9));
        let is_free = |(x, y): (f64, f64)| {
            self.taken.iter().all(|(ox, oy)| (ox - x).abs() > 12.0 || (oy - y).abs() > 11.0)
        };
        let places = around.into_iter().chain(further).map(|(dx, dy)| (x + dx, y + dy));
        let (x, y) = places.clone().find(|place| is_free(*place)).unwrap_or((x + 14.0, y - 9.0));
        self.taken.push((x, y));
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-weight=\"600\" fill=\"{color}\">{}</text>",
            y + 4.5,
            number + 1
        );
    }
}

/// What the colours, numbers and symbols stand for.
fn legend(out: &mut String, report: &Report, strategies: &[&str], bottom: f64) {
    let (x, mut y) = (RIGHT + 40.0, TOP + 8.0);
    let fits = ((bottom - TOP) / 22.0) as usize - 5;
    for (number, strategy) in strategies.iter().enumerate().take(fits) {
        let color = color(number, strategies.len());
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\" font-weight=\"600\" fill=\"{color}\">{}</text>",
            number + 1
        );
        let is_late = report.rows.iter().all(|row| row.strategy != *strategy || !is_drawn(row));
        let note = if is_late { " (nothing before the end)" } else { "" };
        text(out, x + 10.0, y, "start", format_args!("{strategy}{note}"));
        y += 22.0;
    }
    if strategies.len() > fits {
        text(out, x + 10.0, y, "start", format_args!("and {} more", strategies.len() - fits));
        y += 22.0;
    }
    y += 14.0;
    let mut policies: Vec<&str> = report.rows.iter().map(|row| row.policy.as_str()).collect();
    let mut known: Vec<&str> = Vec::new();
    policies.retain(|policy| {
        !known.contains(policy) && {
            known.push(policy);
            true
        }
    });
    for policy in policies {
        symbol(out, policy, x - 4.0, y - 4.5, INK);
        let about = if policy.starts_with("correct") { " (last statement)" } else { "" };
        text(out, x + 10.0, y, "start", format_args!("{policy}{about}"));
        y += 22.0;
    }
}
