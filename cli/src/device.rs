//! The value of `--device`.

use engine::pipeline::DeviceChoice;
use std::str::FromStr;

/// What the engine calls the CPU.
pub(crate) const CPU: &str = "CPU";

/// Where to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeviceArg {
    /// A real GPU if there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU: the best one, or the one of this number.
    Gpu(Option<usize>),
    /// The GPU with this in its name.
    Named(String),
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(None)),
            _ => match text.strip_prefix("gpu:") {
                Some(number) => number.parse().ok().map(|number| Self::Gpu(Some(number))),
                None if text.trim().is_empty() => None,
                None => Some(Self::Named(text.trim().to_owned())),
            }
            .ok_or_else(|| {
                "known are auto, cpu, gpu and, as `kinora devices` lists them, gpu:0, gpu:1, ... or a part of a name"
                    .into()
            }),
        }
    }
}

impl From<DeviceArg> for DeviceChoice {
    fn from(device: DeviceArg) -> Self {
        match device {
            DeviceArg::Auto => Self::Auto,
            DeviceArg::Cpu => Self::Cpu,
            DeviceArg::Gpu(number) => Self::Gpu(number),
            DeviceArg::Named(part) => Self::Named(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_they_are_listed() {
        assert_eq!("auto".parse(), Ok(DeviceArg::Auto));
        assert_eq!("cpu".parse(), Ok(DeviceArg::Cpu));
        assert_eq!("gpu".parse(), Ok(DeviceArg::Gpu(None)));
        assert_eq!("gpu:2".parse(), Ok(DeviceArg::Gpu(Some(2))));
        assert_eq!("RTX 40".parse(), Ok(DeviceArg::Named("RTX 40".into())));
        for wrong in ["", " ", "gpu:", "gpu:-1", "gpu:x"] {
            assert!(wrong.parse::<DeviceArg>().is_err(), "{wrong}");
        }
    }
}
