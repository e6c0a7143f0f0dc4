//! What to do about an error of the engine's, in the words of the command line. A hint is given only where it would
//! change something.

use crate::args::PrecisionArg;
use crate::device::{CPU, DeviceArg};
use engine::compute::error::DeviceError;
use engine::pipeline::{Cause, EngineError};

/// What is known of a run when something goes wrong in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    is_on_cpu: bool,
    is_f16: bool,
}

/// The flags that the engine's settings are set with, by the engine's words.
const FLAGS: [(&str, &str); 7] = [
    ("width", "--width"),
    ("height", "--height"),
    ("number of frames", "--frames"),
    ("frame rate", "--fps"),
    ("number of steps", "--steps"),
    ("guidance scale", "--guidance"),
    ("precision", "--precision"),
];

/// What is wrong, with the flag that says so.
pub(crate) fn message(error: &EngineError) -> String {
    if let EngineError::Setting { what, got, expected } = error
        && let Some((_, flag)) = FLAGS.iter().find(|(name, _)| name == what)
    {
        return format!("{flag} is {got}, {expected}");
    }
    error.to_string()
}

impl Setup {
    /// What the command line says.
    pub(crate) fn asked(device: &DeviceArg, precision: PrecisionArg) -> Self {
        Self { is_on_cpu: *device == DeviceArg::Cpu, is_f16: precision == PrecisionArg::F16 }
    }

    /// The same once the device is open.
    pub(crate) fn opened(self, device_name: &str) -> Self {
        Self { is_on_cpu: device_name == CPU, ..self }
    }

    /// What helps against `error`.
    pub(crate) fn hint(self, error: &EngineError) -> Option<String> {
        let hint = match error {
            EngineError::Load(error) => return error.hint(),
            EngineError::Scheduler(error) => return error.hint(),
            EngineError::Broken { cause: Cause::Weights { .. }, .. } => {
                "download the file again, or convert it anew".to_owned()
            }
            EngineError::Memory { .. } => self.smaller("a larger `--memory`"),
            EngineError::Plan(_) | EngineError::Device(DeviceError::OutOfMemory { .. }) => self.smaller(
                // Memory of the CPU is taken anew from the system; the GPU's is all there is.
                if self.is_on_cpu { "" } else { "`--device cpu`" },
            ),
            EngineError::Device(DeviceError::NoAdapter(_)) => {
                "`kinora devices` lists the adapters; `--device cpu` needs none".to_owned()
            }
            EngineError::Device(DeviceError::Lost(_)) => {
                "the driver reset the GPU; run again, with fewer or smaller frames if it repeats".to_owned()
            }
            EngineError::Setting { what: "precision", .. } => "leave out `--precision`".to_owned(),
            EngineError::Device(DeviceError::Device { .. })
            | EngineError::Broken { cause: Cause::Overflow, .. }
                if self.is_f16 =>
            {
                "try `--precision f32`".to_owned()
            }
            EngineError::PictureUnused => "leave out `--image`, or choose an image-to-video model".to_owned(),
            EngineError::PictureMissing => "give the picture to start from with `--image FILE`".to_owned(),
            EngineError::NoTinyDecoder => {
                "name its file with `--tiny-vae FILE`: taew2_1.safetensors for Wan 2.1, taew2_2.safetensors for Wan 2.2's 5B".to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }

    /// What takes less memory, and one more way out if it is not empty.
    fn smaller(self, other: &str) -> String {
        let f16 = if self.is_on_cpu || self.is_f16 { "" } else { "`--precision f16`" };
        let ways: Vec<&str> =
            ["fewer or smaller frames", f16, other].into_iter().filter(|way| !way.is_empty()).collect();
        match ways.as_slice() {
            [one] => format!("try {one}"),
            [first, second] => format!("try {first}, or {second}"),
            _ => format!("try {}, or {}", ways[..ways.len() - 1].join(", "), ways[ways.len() - 1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::pipeline::{Fault, FaultyStage};

    fn overflow() -> EngineError {
        let stage = FaultyStage::Latents { step: 1, steps: 2 };
        EngineError::Broken { stage, fault: Fault::NotFinite, cause: Cause::Overflow }
    }

    fn setup(is_on_cpu: bool, is_f16: bool) -> Setup {
        Setup { is_on_cpu, is_f16 }
    }

    #[test]
    fn nothing_is_advised_that_is_so_already() {
        let errors = [
            EngineError::Memory { stage: "decode", needed: 2_000_000, budget: 1_000_000 },
            EngineError::Device(DeviceError::OutOfMemory { what: "a weight".into(), bytes: 1 }),
            EngineError::Device(DeviceError::Device { adapter: "a".into(), message: "no f16".into() }),
            overflow(),
            EngineError::Internal("x".into()),
        ];
        for error in &errors {
            for (is_on_cpu, is_f16) in [(false, false), (false, true), (true, false), (true, true)] {
                let hint = setup(is_on_cpu, is_f16).hint(error).unwrap_or_default();
                let told = |flag: &str| hint.contains(flag);
                assert!(!(is_on_cpu && told("--device cpu")), "{hint}");
                assert!(!((is_on_cpu || is_f16) && told("--precision f16")), "{hint}");
                assert!(is_f16 || !told("--precision f32"), "{hint}");
            }
        }
    }

    #[test]
    fn what_helps_is_advised() {
        let [budget, full, ..] = [
            EngineError::Memory { stage: "decode", needed: 2_000_000, budget: 1_000_000 },
            EngineError::Device(DeviceError::OutOfMemory { what: "a weight".into(), bytes: 1 }),
        ];
        let hint = |setup: Setup, error| setup.hint(error).unwrap();
        assert_eq!(
            hint(setup(false, false), &full),
            "try fewer or smaller frames, `--precision f16`, or `--device cpu`"
        );
        assert_eq!(hint(setup(false, true), &full), "try fewer or smaller frames, or `--device cpu`");
        assert_eq!(hint(setup(true, false), &full), "try fewer or smaller frames");
        assert_eq!(hint(setup(true, false), &budget), "try fewer or smaller frames, or a larger `--memory`");
        let overflow = overflow();
        assert_eq!(hint(setup(false, true), &overflow), "try `--precision f32`");
        assert_eq!(setup(false, false).hint(&overflow), None);
    }

    #[test]
    fn settings_go_by_their_flags() {
        let setting = |what| EngineError::Setting { what, got: "7".into(), expected: "must be 8".into() };
        assert_eq!(message(&setting("number of frames")), "--frames is 7, must be 8");
        assert_eq!(
            message(&setting("number of latent frames")),
            "the number of latent frames is 7, must be 8"
        );
    }

    #[test]
    fn the_device_is_known_once_it_is_open() {
        let asked = Setup::asked(&DeviceArg::Auto, PrecisionArg::F32);
        assert_eq!(asked, setup(false, false));
        assert_eq!(asked.opened("CPU"), setup(true, false));
        assert_eq!(Setup::asked(&DeviceArg::Cpu, PrecisionArg::F16), setup(true, true));
        assert_eq!(asked.opened("A Card (Vulkan)"), setup(false, false));
    }
}
