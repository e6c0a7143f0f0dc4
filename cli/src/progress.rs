//! How far the run is: bars on a terminal, a line now and then elsewhere, nothing when asked to be quiet.

use crate::ui;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Away from a terminal, lines come no closer than this.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows the stages of a run.
pub(crate) struct Progress {
    show: Show,
    stage: Option<Stage>,
    bar: Option<ProgressBar>,
    last_line: Instant,
    stage_start: Instant,
    /// What was done when the stage was first heard of.
    done_before: u64,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Bars,
    Lines,
    Nothing,
}

/// The stages that take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Counted in bytes.
    Downloading,
    /// Reading weights; counted in bytes.
    Loading,
    /// Counted in shapes.
    Tuning,
    /// Counted in kernels.
    Compiling,
    /// Counted in values.
    Converting,
    /// Counted in steps.
    Denoising,
    /// Counted in frames.
    Decoding,
}

impl Progress {
    /// Chooses by what the standard error is connected to.
    pub(crate) fn new(quiet: bool) -> Self {
        let show = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, true) => Show::Bars,
            (false, false) => Show::Lines,
        };
        let now = Instant::now();
        Self { show, stage: None, bar: None, last_line: now, stage_start: now, done_before: 0 }
    }

    /// `done` of `total` of a stage is done.
    pub(crate) fn update(&mut self, stage: Stage, done: u64, total: u64) {
        if self.stage != Some(stage) {
            self.clear();
            self.stage = Some(stage);
            self.stage_start = Instant::now();
            self.done_before = done;
            if self.show == Show::Bars {
                let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
                bar.set_style(stage.style());
                bar.enable_steady_tick(Duration::from_millis(200));
                self.bar = Some(bar);
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        }
        if self.show == Show::Lines && done < total && self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            ui::note(&stage.line(self.done_before, done, total, self.stage_start.elapsed()));
        }
    }

    /// Says something without tearing a bar.
    pub(crate) fn note(&self, text: &str) {
        match (&self.bar, self.show) {
            (_, Show::Nothing) => {}
            (Some(bar), _) => bar.suspend(|| ui::note(text)),
            (None, _) => ui::note(text),
        }
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.stage = None;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Stage {
    fn style(self) -> ProgressStyle {
        let template = match self {
            Self::Downloading => {
                "downloading [{bar:32}] {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left"
            }
            Self::Loading => "  loading [{bar:32}] {decimal_bytes}/{decimal_total_bytes}",
            Self::Tuning => "   tuning [{bar:32}] shape {pos}/{len}",
            Self::Compiling => "compiling [{bar:32}] kernel {pos}/{len}",
            Self::Converting => "converting [{bar:32}] {percent} %, {eta} left",
            Self::Denoising => "denoising [{bar:32}] step {pos}/{len}, {rate}, {eta} left",
            Self::Decoding => " decoding [{bar:32}] frame {pos}/{len}",
        };
        // Plain characters and no colours: readable everywhere.
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ")
            .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // The trait gives no way to report that a terminal line could not be formatted.
                let _ = out.write_str(&rate(state.per_sec()));
            })
    }

    /// How far it is: from `before`, where it began, it has come to `done` in `elapsed`.
    fn line(self, before: u64, done: u64, total: u64, elapsed: Duration) -> String {
        let mut line = match self {
            Self::Downloading => format!("downloading: {} of {}", ui::bytes(done), ui::bytes(total)),
            Self::Loading => format!("loading: {} of {}", ui::bytes(done), ui::bytes(total)),
            Self::Tuning => format!("tuning: shape {done} of {total}"),
            Self::Compiling => format!("compiling kernels: {} of {total} left", total - done),
            Self::Converting => format!("converting: {} %", 100 * done / total.max(1)),
            Self::Denoising => format!("denoising: step {done} of {total}"),
            Self::Decoding => format!("decoding: frame {done} of {total}"),
        };
        if self == Self::Denoising && done > before {
            let each = elapsed.as_secs_f64() / f64::from(u32::try_from(done - before).unwrap_or(u32::MAX));
            let left = each * f64::from(u32::try_from(total - done).unwrap_or(u32::MAX));
            // Writing into a string cannot fail.
            let _ = write!(line, ", {}, {left:.0} s left", rate(1.0 / each));
        }
        line
    }
}

/// What is said when kernels are tried.
pub(crate) fn tuning_line(shapes: usize) -> String {
    let shapes = if shapes == 1 { "1 new shape".to_owned() } else { format!("{shapes} new shapes") };
    format!("tuning kernels for {shapes}; the result is kept (`--no-tune` leaves it out)")
}

/// Steps a second, or seconds a step when that is the larger number.
fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second <= 0.0 {
        "- it/s".into()
    } else if per_second >= 1.0 {
        format!("{per_second:.1} it/s")
    } else {
        format!("{:.1} s/it", 1.0 / per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_understood() {
        for stage in [
            Stage::Downloading,
            Stage::Loading,
            Stage::Tuning,
            Stage::Compiling,
            Stage::Denoising,
            Stage::Decoding,
        ] {
            let _ = stage.style();
        }
        assert!(tuning_line(1).starts_with("tuning kernels for 1 new shape;"));
        let line = Stage::Denoising.line(0, 6, 24, Duration::from_secs(3));
        assert_eq!(line, "denoising: step 6 of 24, 2.0 it/s, 9 s left");
        // Of a run that goes on from its sixth step only the steps since count.
        let line = Stage::Denoising.line(6, 6, 24, Duration::from_nanos(100));
        assert_eq!(line, "denoising: step 6 of 24");
        let line = Stage::Denoising.line(6, 9, 24, Duration::from_secs(3));
        assert_eq!(line, "denoising: step 9 of 24, 1.0 it/s, 15 s left");
    }

    #[test]
    fn slow_steps_are_counted_in_seconds() {
        assert_eq!(rate(0.25), "4.0 s/it");
        assert_eq!(rate(12.0), "12.0 it/s");
        assert_eq!(rate(0.0), "- it/s");
        assert_eq!(rate(f64::NAN), "- it/s");
    }
}
