//! Measurements as a table and as JSON.

use crate::ui;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;
use workbench::{KernelTime, Measured, Peaks};

/// What was measured on a device.
#[derive(Debug)]
pub(crate) struct Report {
    /// Its name.
    pub(crate) device: String,
    /// What it does at most.
    pub(crate) peaks: Peaks,
    /// The kernels, or the stages of a model.
    pub(crate) stages: Vec<Stage>,
}

/// Measurements that belong together.
#[derive(Debug)]
pub(crate) struct Stage {
    /// What they are.
    pub(crate) title: String,
    /// One for each kernel.
    pub(crate) rows: Vec<Row>,
    /// Time of one run as the host sees it, for stages of a model.
    pub(crate) host: Option<Duration>,
}

/// One kernel.
#[derive(Debug)]
pub(crate) struct Row {
    /// The op and its sizes.
    pub(crate) name: String,
    /// What it took.
    pub(crate) kernel: KernelTime,
}

impl Row {
    /// A case: all of its launches in one row.
    pub(crate) fn of_case(name: String, measured: &Measured) -> Self {
        let slowest = measured.kernels.iter().max_by_key(|kernel| kernel.time);
        let kernel = KernelTime {
            op: slowest.map_or("", |kernel| kernel.op),
            shape: slowest.map_or_else(Vec::new, |kernel| kernel.shape.clone()),
            variant: slowest.map_or_else(String::new, |kernel| kernel.variant.clone()),
            launches: measured.kernels.iter().map(|kernel| kernel.launches).sum(),
            time: measured.total(),
            flops: measured.kernels.iter().map(|kernel| kernel.flops).sum(),
            bytes: measured.kernels.iter().map(|kernel| kernel.bytes).sum(),
        };
        Self { name, kernel }
    }

    /// The kernels of a program, slowest first.
    pub(crate) fn of_program(measured: &Measured) -> Vec<Self> {
        let row = |kernel: &KernelTime| Self {
            name: format!("{} {:?}", kernel.op, kernel.shape),
            kernel: kernel.clone(),
        };
        let mut rows: Vec<Self> = measured.kernels.iter().map(row).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.kernel.time));
        rows
    }

    fn cells(&self, peaks: Peaks) -> [String; 7] {
        let kernel = &self.kernel;
        [
            self.name.clone(),
            kernel.launches.to_string(),
            format!("{:.3}", millis(kernel.time)),
            format!("{:.4}", kernel.gflops() / 1e3),
            format!("{:.1}", kernel.gbytes()),
            format!("{:.0} %", 100.0 * kernel.share(peaks)),
            if kernel.variant.is_empty() { "-".to_owned() } else { kernel.variant.clone() },
        ]
    }

    fn json(&self, peaks: Peaks) -> Value {
        let kernel = &self.kernel;
        json!({
            "name": self.name, "op": kernel.op, "shape": kernel.shape, "variant": kernel.variant,
            "launches": kernel.launches, "ms": millis(kernel.time), "flops": kernel.flops, "bytes": kernel.bytes,
            "tflops_per_second": kernel.gflops() / 1e3, "gb_per_second": kernel.gbytes(),
            "share_of_peak": kernel.share(peaks),
        })
    }
}

impl Stage {
    fn device_time(&self) -> Duration {
        self.rows.iter().map(|row| row.kernel.time).sum()
    }
}

impl Report {
    /// A table for each stage.
    pub(crate) fn as_text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{}: at most {:.4} TFLOP/s by multiply-adds, {:.1} GB/s by a sum of vectors",
            self.device,
            self.peaks.gflops / 1e3,
            self.peaks.gbytes
        );
        for stage in &self.stages {
            let _ = writeln!(text, "\n{}", stage.title);
            let heads = ["kernel", "launches", "ms", "TFLOP/s", "GB/s", "of peak", "variant"];
            let mut rows = vec![heads.map(str::to_owned)];
            rows.extend(stage.rows.iter().map(|row| row.cells(self.peaks)));
            text.push_str(&ui::table(&rows));
            if let Some(host) = stage.host {
                let _ = writeln!(
                    text,
                    "{:.3} ms in kernels, {:.3} ms from the host's side",
                    millis(stage.device_time()),
                    millis(host)
                );
            }
        }
        text
    }

    /// The same as JSON.
    pub(crate) fn as_json(&self) -> String {
        let stage = |stage: &Stage| {
            let rows: Vec<Value> = stage.rows.iter().map(|row| row.json(self.peaks)).collect();
            json!({
                "title": stage.title, "kernels": rows,
                "kernels_ms": millis(stage.device_time()), "host_ms": stage.host.map(millis),
            })
        };
        let report = json!({
            "kinora": env!("CARGO_PKG_VERSION"),
            "device": self.device,
            "peak_tflops_per_second": self.peaks.gflops / 1e3,
            "peak_gb_per_second": self.peaks.gbytes,
            "stages": self.stages.iter().map(stage).collect::<Vec<_>>(),
        });
        format!("{report:#}\n")
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::workbench) fn report() -> Report {
        let kernel = |op, millis, flops, bytes| KernelTime {
            op,
            shape: vec![4, 8],
            variant: "matmul 8x4".to_owned(),
            launches: 2,
            time: Duration::from_millis(millis),
            flops,
            bytes,
        };
        let kernels = vec![kernel("norm", 1, 0, 5_000_000), kernel("matmul", 10, 500_000_000, 1_000_000)];
        let measured = Measured { wall: Duration::from_millis(12), device_timed: true, kernels };
        let rows = Row::of_program(&measured);
        let stage = Stage { title: "a step".to_owned(), rows, host: Some(measured.wall) };
        Report { device: "CPU".to_owned(), peaks: Peaks { gflops: 100.0, gbytes: 10.0 }, stages: vec![stage] }
    }

    #[test]
    fn the_slowest_kernel_comes_first_with_its_rates() {
        let text = report().as_text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("CPU: at most 0.1000 TFLOP/s"), "{text}");
        let cells: Vec<&str> = lines[4].split_whitespace().collect();
        assert_eq!(cells[..8], ["matmul", "[4,", "8]", "2", "10.000", "0.0500", "0.1", "50"], "{text}");
        assert!(lines[5].starts_with("norm") && lines[5].contains("50 %"), "{text}");
        assert_eq!(lines[6], "11.000 ms in kernels, 12.000 ms from the host's side");
    }

    #[test]
    fn json_holds_the_same() {
        let json: Value = serde_json::from_str(&report().as_json()).unwrap();
        assert_eq!(json["stages"][0]["kernels"][0]["op"], "matmul");
        assert_eq!(json["stages"][0]["kernels"][0]["share_of_peak"], 0.5);
        assert_eq!(json["stages"][0]["host_ms"], 12.0);
    }
}
