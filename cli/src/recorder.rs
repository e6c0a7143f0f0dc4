//! Takes what a run reports: progress onto the screen, frames into the file, tensors and times where they are wanted.

use crate::error::{Failure, Result};
use crate::files::{VideoWriter, Written};
use crate::interrupt;
use crate::preview::Previews;
use crate::progress::{Progress, Stage, tuning_line};
use crate::tensors::Dump;
use crate::trace::Trace;
use engine::Frame;
use engine::pipeline::{Event, Observer};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Where everything that a run reports goes.
pub(crate) struct Recorder {
    progress: Progress,
    trace: Option<Trace>,
    dump: Option<Dump>,
    writer: Option<Box<dyn VideoWriter>>,
    previews: Option<Previews>,
    failure: Option<Failure>,
    last_event: Instant,
    writing: Duration,
}

impl Recorder {
    /// A recorder without a video yet.
    pub(crate) fn new(progress: Progress, trace: Option<Trace>, dump: Option<Dump>) -> Self {
        Self {
            progress,
            trace,
            dump,
            writer: None,
            previews: None,
            failure: None,
            last_event: Instant::now(),
            writing: Duration::ZERO,
        }
    }

    /// Says something on the way.
    pub(crate) fn note(&self, text: &str) {
        self.progress.note(text);
    }

    /// Frames go to this video from now on.
    pub(crate) fn write_to(&mut self, writer: Box<dyn VideoWriter>) {
        self.writer = Some(writer);
    }

    /// Previews go where these say.
    pub(crate) fn show(&mut self, previews: Previews) {
        self.previews = Some(previews);
    }

    /// How the video looks so far. As with frames, a file that cannot be written ends the run.
    fn preview(&mut self, step: usize, frames: &[Frame]) -> ControlFlow<()> {
        let Some(previews) = &mut self.previews else { return ControlFlow::Continue(()) };
        let written = previews.write(frames);
        self.span("preview");
        match written {
            Ok(Some(name)) => {
                self.note(&format!("`{name}` shows the video after step {step}, and is brought up to date"));
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(failure) => {
                self.failure = Some(failure);
                ControlFlow::Break(())
            }
        }
    }

    /// Completes all files; gives back what was written and how long the writing of it took.
    pub(crate) fn finish(mut self) -> Result<(Written, Duration, Progress)> {
        self.stopped()?;
        self.progress.clear();
        let Some(writer) = self.writer.take() else { return Err(Failure::system("no video was begun")) };
        let start = Instant::now();
        // The side files first: when the video is there, so is everything else.
        let dump = self.dump.take().map(Dump::finish).transpose()?;
        let trace = self.trace.take().map(Trace::finish).transpose()?;
        let mut written = writer.finish()?;
        written.notices.extend([dump, trace].into_iter().flatten().filter_map(|file| file.notice));
        Ok((written, self.writing + start.elapsed(), self.progress))
    }

    /// Why the run was made to stop, if it was; asked before the engine's own account of it.
    pub(crate) fn stopped(&mut self) -> Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        interrupt::check()
    }

    /// The next frame. A frame that cannot be written ends the run.
    fn frame(&mut self, frame: &Frame) -> ControlFlow<()> {
        self.span("decode");
        let Some(writer) = &mut self.writer else { return ControlFlow::Break(()) };
        let start = Instant::now();
        let written = writer.frame(frame);
        self.writing += start.elapsed();
        self.span("write");
        written.map_or_else(
            |failure| {
                self.failure = Some(failure);
                ControlFlow::Break(())
            },
            ControlFlow::Continue,
        )
    }

    /// Ends a span that began with the event before.
    fn span(&mut self, name: &str) {
        if let Some(trace) = &mut self.trace {
            trace.ended(name, self.last_event.elapsed());
        }
        self.last_event = Instant::now();
    }
}

impl Observer for Recorder {
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Loading { done, total } => {
                self.progress.update(Stage::Loading, done, total);
                if done > 0 {
                    self.span("load");
                }
            }
            Event::Notice(text) => self.progress.note(text),
            Event::Tuning { done, total } => {
                if done == 0 {
                    self.progress.note(&tuning_line(total));
                }
                if done < total {
                    self.progress.update(Stage::Tuning, done as u64, total as u64);
                } else {
                    self.progress.clear();
                    self.span("tune");
                }
            }
            Event::Compiling { done, total } => {
                if done < total {
                    self.progress.update(Stage::Compiling, done as u64, total as u64);
                } else {
                    self.progress.clear();
                    self.span("compile");
                }
            }
            Event::Encoded => self.span("encode"),
            Event::Step { done, total } => {
                self.progress.update(Stage::Denoising, done as u64, total as u64);
                self.span(&if done == 0 { "plan".to_owned() } else { format!("step {done}") });
            }
            Event::Preview { step, frames } => self.preview(step, frames)?,
            Event::Decoding { done, total } => {
                self.progress.update(Stage::Decoding, done as u64, total as u64)
            }
            Event::Frame(frame) => self.frame(&frame)?,
            Event::Tensor { name, shape, data } => {
                if let Some(dump) = &mut self.dump {
                    dump.add(name, &shape, &data);
                }
            }
            Event::Timing(timing) => {
                if let Some(trace) = &mut self.trace {
                    trace.launch(timing, self.last_event);
                }
            }
            _ => {}
        }
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::open;
    use crate::output::Target;
    use encode::{Rate, VideoInfo};
    use engine::pipeline::TensorData;
    use std::path::Path;

    fn recorder(folder: &Path, frames: u32) -> Recorder {
        let target = Target::Apng(folder.join("a.apng"));
        let info =
            VideoInfo { width: 16, height: 16, rate: Rate::from_fps(8.0), frames, metadata: Vec::new() };
        let trace = Trace::create(&folder.join("t.json")).unwrap();
        let dump = Dump::create(&folder.join("d.safetensors")).unwrap();
        let mut recorder = Recorder::new(Progress::new(true), Some(trace), Some(dump));
        recorder.write_to(open(&target, info, true).unwrap());
        recorder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_run_leaves_all_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path(), 1);
        let tensor =
            Event::Tensor { name: "latents.step0", shape: vec![1], data: TensorData::F32(vec![1.0]) };
        for event in [
            Event::Loading { done: 0, total: 10 },
            Event::Loading { done: 10, total: 10 },
            Event::Tuning { done: 0, total: 1 },
            Event::Tuning { done: 1, total: 1 },
            Event::Encoded,
            Event::Notice("the prompt was cut"),
            Event::Step { done: 0, total: 1 },
            Event::Step { done: 1, total: 1 },
            tensor,
            Event::Decoding { done: 0, total: 1 },
            Event::Frame(Frame { width: 16, height: 16, rgb: vec![7; 768] }),
        ] {
            assert!(recorder.event(event).is_continue());
        }
        assert!(names(folder.path()).iter().all(|name| name.starts_with('.')));
        let (written, ..) = recorder.finish().unwrap();
        assert!(written.name.unwrap().ends_with("a.apng"));
        assert_eq!(names(folder.path()), ["a.apng", "d.safetensors", "t.json"]);
        let trace = std::fs::read_to_string(folder.path().join("t.json")).unwrap();
        for span in ["load", "tune", "encode", "plan", "step 1", "decode", "write"] {
            assert!(trace.contains(span), "{trace}");
        }
    }

    #[test]
    fn a_frame_that_cannot_be_written_stops_the_run_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path(), 1);
        assert!(recorder.event(Event::Frame(Frame { width: 1, height: 1, rgb: vec![0; 3] })).is_break());
        assert_eq!(recorder.stopped().unwrap_err().exit_code(), 2);
        drop(recorder);
        assert!(names(folder.path()).is_empty());
    }
}
