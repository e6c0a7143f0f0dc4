//! When each stage began and ended, in the trace format that chrome://tracing and Perfetto show.

use crate::error::Result;
use crate::files::staging::{Committed, Existing, StagedFile};
use engine::compute::run::Timing;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Spans of time on their way into a file.
#[derive(Debug)]
pub(crate) struct Trace {
    staged: StagedFile,
    start: Instant,
    spans: Vec<Value>,
    /// Where the next launch begins on the device's lane, in a row of launches.
    next_launch: Option<Duration>,
}

/// The lanes of the picture.
const STAGES: u32 = 1;
const LAUNCHES: u32 = 2;

impl Trace {
    /// Opens the file early, so that a wrong path costs no time. The clock starts now.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self {
            staged: StagedFile::create(path, Existing::Replace)?,
            start: Instant::now(),
            spans: Vec::new(),
            next_launch: None,
        })
    }

    /// Adds a stage, or a part of one, that has just ended.
    pub(crate) fn ended(&mut self, name: &str, duration: Duration) {
        self.next_launch = None;
        let end = self.start.elapsed();
        self.add(STAGES, name, end.saturating_sub(duration), duration, &Value::Null);
    }

    /// Adds a launch on the device. Launches are reported after they all have run: a row of them is laid out from
    /// `begin`, where the work before them ended, without the gaps between them.
    pub(crate) fn launch(&mut self, timing: &Timing, begin: Instant) {
        let begin = self.next_launch.unwrap_or_else(|| begin.saturating_duration_since(self.start));
        self.next_launch = Some(begin + timing.duration);
        let details = json!({
            "shape": timing.shape, "variant": timing.variant, "flops": timing.flops, "bytes": timing.bytes,
        });
        self.add(LAUNCHES, timing.op, begin, timing.duration, &details);
    }

    fn add(&mut self, lane: u32, name: &str, begin: Duration, duration: Duration, details: &Value) {
        self.spans.push(json!({
            "ph": "X", "pid": 1, "tid": lane, "name": name, "args": details,
            "ts": begin.as_secs_f64() * 1e6, "dur": duration.as_secs_f64() * 1e6,
        }));
    }

    /// Writes the file.
    pub(crate) fn finish(self) -> Result<Committed> {
        let name = |lane: u32, name: &str| json!({ "ph": "M", "pid": 1, "tid": lane, "name": "thread_name", "args": { "name": name } });
        let mut events = vec![name(STAGES, "stages"), name(LAUNCHES, "device")];
        events.extend(self.spans);
        let text = json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string();
        self.staged.file().write_all(text.as_bytes()).map_err(|e| self.staged.failure(&e))?;
        self.staged.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_in_microseconds_and_launches_in_a_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.json");
        let mut trace = Trace::create(&path).unwrap();
        let timing = Timing {
            op: "matmul",
            shape: vec![2, 3],
            variant: String::new(),
            flops: 12,
            bytes: 24,
            duration: Duration::from_millis(2),
        };
        let start = trace.start;
        trace.launch(&timing, start + Duration::from_millis(5));
        trace.launch(&timing, start + Duration::from_millis(5));
        trace.ended("decode", Duration::from_secs(9));
        trace.finish().unwrap();
        let read: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let span = |index: usize| &read["traceEvents"][index];
        assert_eq!((&span(2)["ts"], &span(2)["dur"]), (&json!(5000.0), &json!(2000.0)));
        assert_eq!(span(3)["ts"], 7000.0);
        assert_eq!(span(3)["args"]["flops"], 12);
        assert_eq!((&span(4)["ts"], &span(4)["name"]), (&json!(0.0), &json!("decode")));
    }
}
