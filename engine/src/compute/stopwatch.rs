//! A monotonic clock: the system's, and in a browser the page's or the worker's.
use std::time::Duration;

/// Measures wall time. Browsers round it, some to whole milliseconds or more; zero says nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(clock::Moment);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(clock::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        clock::since(self.0)
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod clock {
    use std::time::{Duration, Instant};

    pub(super) type Moment = Instant;

    pub(super) fn now() -> Moment {
        Instant::now()
    }

    pub(super) fn since(moment: Moment) -> Duration {
        moment.elapsed()
    }
}

#[cfg(target_arch = "wasm32")]
mod clock {
    use std::time::Duration;
    use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

    /// Milliseconds since the page was opened; `None` where there is no `performance`.
    pub(super) type Moment = Option<f64>;

    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(catch, js_namespace = performance, js_name = now)]
        fn performance_now() -> Result<f64, JsValue>;
    }

    pub(super) fn now() -> Moment {
        performance_now().ok()
    }

    pub(super) fn since(moment: Moment) -> Duration {
        let milliseconds = moment.zip(now()).map_or(0.0, |(start, end)| end - start);
        Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or_default()
    }
}
