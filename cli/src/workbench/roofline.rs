//! A roofline plot (Williams, Waterman and Patterson, doi:10.1145/1498765.1498785): rate over operations per byte.

use super::{Report, Row};
use crate::error::{Failure, Result};
use crate::files::staging::{Committed, Existing, StagedFile};
use plotters::prelude::*;
use std::io::Write;
use std::path::Path;

const SIZE: (u32, u32) = (960, 640);

/// Draws the report's kernels under the device's roof into `path`.
pub(crate) fn write(report: &Report, path: &Path) -> Result<Committed> {
    let staged = StagedFile::create(path, Existing::Replace)?;
    let svg = draw(report).map_err(|reason| Failure::system(format!("cannot draw the plot: {reason}")))?;
    staged.file().write_all(svg.as_bytes()).map_err(|e| staged.failure(&e))?;
    staged.commit()
}

/// Kernels that compute, as points (operations per byte, TFLOP/s).
fn points(report: &Report) -> Vec<(f64, f64, &Row)> {
    let rows = report.stages.iter().flat_map(|stage| &stage.rows);
    rows.filter(|row| row.kernel.flops > 0 && row.kernel.bytes > 0 && !row.kernel.time.is_zero())
        .map(|row| {
            #[expect(clippy::cast_precision_loss, reason = "a point in a picture")]
            let intensity = row.kernel.flops as f64 / row.kernel.bytes as f64;
            (intensity, row.kernel.gflops() / 1e3, row)
        })
        .collect()
}

fn draw(report: &Report) -> std::result::Result<String, String> {
    let points = points(report);
    let (roof, bandwidth) = (report.peaks.gflops / 1e3, report.peaks.gbytes / 1e3);
    let ridge = roof / bandwidth;
    let reach = |pick: fn(&(f64, f64, &Row)) -> f64| {
        let values = points.iter().map(pick);
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (left, right) = reach(|point| point.0);
    let (bottom, _) = reach(|point| point.1);
    let x = left.min(ridge) / 2.0..right.max(ridge) * 4.0;
    let y = bottom.min(roof / 10.0) / 2.0..roof * 2.0;

    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let text = |e: DrawingAreaErrorKind<_>| e.to_string();
        area.fill(&WHITE).map_err(text)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&report.device, ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(x.clone().log_scale(), y.log_scale())
            .map_err(text)?;
        chart.configure_mesh().x_desc("operations per byte").y_desc("TFLOP/s").draw().map_err(text)?;
        let line = [(x.start, x.start * bandwidth), (ridge, roof), (x.end, roof)];
        chart.draw_series(LineSeries::new(line, &BLACK)).map_err(text)?;
        let marks = points.iter().map(|(intensity, rate, row)| {
            EmptyElement::at((*intensity, *rate))
                + Circle::new((0, 0), 4, BLUE.filled())
                + Text::new(row.name.clone(), (7, -5), ("sans-serif", 11))
        });
        chart.draw_series(marks).map_err(text)?;
        area.present().map_err(text)?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn kernels_that_compute_are_in_the_picture() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roof.svg");
        write(&report(), &path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("matmul [4, 8]") && !svg.contains("norm [4, 8]"), "{svg}");
    }
}
