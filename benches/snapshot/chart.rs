//! Lines in an SVG file: what was measured, against what was varied.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// One line.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// What is varied.
pub(super) struct Axis {
    title: &'static str,
    /// True if equal distances are equal factors.
    is_log: bool,
    /// The names of the places 0, 1, 2, ..., if these are not numbers.
    names: Vec<&'static str>,
}

impl Axis {
    /// An axis of numbers, by their logarithms.
    pub(super) fn log10(title: &'static str) -> Axis {
        Axis { title, is_log: true, names: Vec::new() }
    }

    /// An axis of names.
    pub(super) fn named(title: &'static str, names: &[&'static str]) -> Axis {
        Axis { title, is_log: false, names: names.to_vec() }
    }

    fn place(&self, x: f64) -> f64 {
        if self.is_log { x.max(f64::MIN_POSITIVE).log10() } else { x }
    }

    fn label(&self, place: f64) -> String {
        match self.names.get(place.round() as usize) {
            Some(name) if (place - place.round()).abs() < 0.01 => (*name).to_owned(),
            _ if self.is_log => format!("{:.0}", 10f64.powf(place)),
            _ => String::new(),
        }
    }
}

/// A chart beside others.
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) x: Axis,
    pub(super) y: &'static str,
    pub(super) series: Vec<Series>,
}

/// Colours that are told apart by those who cannot tell red from green.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 86, 86),
];

/// Draws charts side by side.
pub(super) fn draw(path: &Path, panels: &[Panel]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (520 * panels.len() as u32, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, area) in panels.iter().zip(area.split_evenly((1, panels.len()))) {
        let places = panel.series.iter().flat_map(|series| &series.points);
        let (mut low, mut high, mut top) = (f64::INFINITY, f64::NEG_INFINITY, 0f64);
        for (x, y) in places {
            (low, high, top) = (low.min(panel.x.place(*x)), high.max(panel.x.place(*x)), top.max(*y));
        }
        let margin = 0.05 * (high - low).max(1.0);
        let mut chart = ChartBuilder::on(&area)
            .caption(panel.title, ("sans-serif", 16))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(58)
            .build_cartesian_2d(low - margin..high + margin, 0.0..1.15 * top.max(f64::MIN_POSITIVE))?;
        let label = |place: &f64| panel.x.label(*place);
        chart
            .configure_mesh()
            .x_desc(panel.x.title)
            .y_desc(panel.y)
            .x_label_formatter(&label)
            .x_labels(if panel.x.names.is_empty() { 5 } else { panel.x.names.len() })
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (series, colour) in panel.series.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<_> = series.points.iter().map(|(x, y)| (panel.x.place(*x), *y)).collect();
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            let legend = |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2));
            chart.draw_series(line)?.label(&series.name).legend(legend);
            chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(TRANSPARENT)
            .draw()?;
    }
    area.present()?;
    println!("drawn: {}", path.display());
    Ok(())
}
