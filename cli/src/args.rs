//! The command line.

mod refusal;
mod source;
mod video;

use crate::device::DeviceArg;
use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::compute::nn::Precision;
use engine::pipeline::DecoderKind;
use model_loader::Format;
use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use refusal::{Refusal, parse};
pub(crate) use source::{ModelArgs, PartArgs, is_embedded};
pub(crate) use video::VideoArgs;
#[cfg(test)]
pub(crate) use video::{FitArg, SchedulerArg};

/// Turns a text prompt into a video, on any GPU or on the CPU.
#[derive(Debug, Parser)]
#[command(name = "kinora", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a video of a prompt
    Generate(Box<GenerateArgs>),
    /// Download a model from the hub into the cache that Python's tools use, and print its folder
    Pull(PullArgs),
    /// List the devices that can compute
    Devices(DevicesArgs),
    /// Show what is in a model folder, or with which settings a video was made
    Inspect(InspectArgs),
    /// Write a part of a model as a GGUF file, quantised
    Convert(ConvertArgs),
    /// Show what is kept between runs, or remove it
    Cache(CacheArgs),
    /// Measure the kernels, or the stages of a model, on a device
    Bench(BenchArgs),
}

/// `kinora generate`.
#[derive(Clone, Debug, Args)]
pub(crate) struct GenerateArgs {
    /// What decides the video
    #[command(flatten)]
    pub(crate) video: VideoArgs,

    /// Where the model is
    #[command(flatten)]
    pub(crate) source: ModelArgs,

    /// Where to write: .mp4, .png (one numbered file per frame), .apng, .y4m, or `-` for Y4M to the standard output
    /// [default: an .mp4 named after prompt and seed, which replaces nothing]
    ///
    /// A file of that name is replaced. frame-%04d.png says where the number of a frame goes.
    ///
    /// Y4M has no field for the colour matrix. BT.601 in limited range is written: ffmpeg assumes it at every size,
    /// players up to 576 rows. For larger frames tell the player, as in `mpv --vf=format:colormatrix=bt.601 -`.
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) output: Option<OsString>,

    /// Write small frames as they are; else they are enlarged by a whole factor, to 256 pixels on the shorter side
    #[arg(long, help_heading = "Video")]
    pub(crate) native_size: bool,

    /// What makes the frames at the end: the model's autoencoder, or the tiny decoder of `--tiny-vae`, in a fraction of the time and
    /// memory and with less detail
    #[arg(long, value_enum, default_value = "full", value_name = "WHICH", help_heading = "Video")]
    pub(crate) decoder: DecoderArg,

    /// Show in this file how the video looks so far, anew every five steps: .apng, .mp4, .png or .y4m. It takes `--tiny-vae`
    ///
    /// A preview has half the width and height, and one frame where the video has four.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, help_heading = "Video")]
    pub(crate) preview: Option<OsString>,

    /// Where to compute: auto, cpu, gpu, gpu:N as `kinora devices` counts, or a part of a GPU's name
    #[arg(long, default_value = "auto", value_name = "DEVICE", help_heading = "Computing")]
    pub(crate) device: DeviceArg,

    /// Number format that activations are computed in
    #[arg(long, value_enum, default_value = "auto", value_name = "TYPE", help_heading = "Computing")]
    pub(crate) precision: PrecisionArg,

    /// Threads that compute on the CPU [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Computing")]
    pub(crate) threads: Option<u16>,

    /// Memory that each stage may take on the device, such as 8G or 900M: frames that would take more are decoded in
    /// overlapping tiles and blended [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = byte_count, allow_hyphen_values = true, help_heading = "Computing")]
    pub(crate) memory: Option<u64>,

    /// Encode the prompt anew, and do not keep what comes out; else the second run of a prompt loads no text encoder
    #[arg(long, help_heading = "Computing")]
    pub(crate) no_cache: bool,

    /// How kernels are chosen
    #[command(flatten)]
    pub(crate) tuning: TuneArgs,

    /// Write when each stage and each launch began and ended, for chrome://tracing and Perfetto
    #[arg(long, value_name = "FILE.json", help_heading = "Looking inside")]
    pub(crate) trace: Option<PathBuf>,

    /// Write the tensors between the stages
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Looking inside")]
    pub(crate) dump: Option<PathBuf>,

    /// Say nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// `kinora pull`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PullArgs {
    /// The model: OWNER/NAME as on the hub, with @REVISION for another branch, tag or commit than main
    ///
    /// HF_HOME and HF_HUB_CACHE say where the cache is, HF_TOKEN opens private models, HF_ENDPOINT names another hub, and
    /// HF_HUB_OFFLINE=1 forbids the network.
    #[arg(value_name = "OWNER/NAME")]
    pub(crate) model: String,

    /// Weights of this variant where there are some, such as fp16 [default: those without one]
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub(crate) variant: Option<String>,

    /// Only files of this name, `*` stands for any characters: for models that are single files; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) file: Vec<String>,

    /// Say nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Whether kernels are tried on the device before they are used.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct TuneArgs {
    /// Do not try kernels on the GPU, and do not use what earlier trials found
    #[arg(long, help_heading = "Computing")]
    pub(crate) no_tune: bool,

    /// Try kernels on software Vulkan too, which takes some minutes
    #[arg(long, conflicts_with = "no_tune", help_heading = "Computing")]
    pub(crate) tune: bool,
}

/// `kinora devices`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Show which kernels were tried on each GPU, and how they did
    #[arg(long)]
    pub(crate) tuning: bool,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `kinora convert`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A file of weights in any layout, or a model folder
    pub(crate) input: PathBuf,

    /// The GGUF file to write
    pub(crate) output: PathBuf,

    /// What matrices are stored in: f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_k to q6_k, iq4_nl
    ///
    /// What is small, no matrix, or used once and decides much stays in half or single precision.
    #[arg(long = "type", value_name = "TYPE", value_parser = gguf_format)]
    pub(crate) format: Format,

    /// Which part: transformer, text_encoder or vae [default: the only one in a file, the transformer of a folder]
    #[arg(long, value_name = "PART")]
    pub(crate) part: Option<String>,

    /// Say nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// `kinora cache`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CacheArgs {
    /// Remove it all: the next runs make it again
    #[arg(long)]
    pub(crate) clear: bool,
}

/// `kinora inspect`.
#[derive(Clone, Debug, Args)]
pub(crate) struct InspectArgs {
    /// A model folder, a file of weights, a model of the hub (OWNER/NAME), a video or picture that kinora wrote, or `default` for
    /// the model inside this program
    pub(crate) target: PathBuf,

    /// The parts of a model in files of their own
    #[command(flatten)]
    pub(crate) parts: PartArgs,

    /// The decoder to plan for
    #[arg(long, value_enum, default_value = "full", value_name = "WHICH")]
    pub(crate) decoder: DecoderArg,

    /// Show what each part of the model would run, in which order and memory
    #[arg(long)]
    pub(crate) plan: bool,

    /// Width of a frame to plan for [default: the model's]
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    pub(crate) width: Option<u32>,

    /// Height of a frame to plan for [default: the model's]
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    pub(crate) height: Option<u32>,

    /// Frames to plan for [default: the model's]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) frames: Option<u32>,

    /// Arithmetic to plan for
    #[arg(long, value_enum, default_value = "auto", value_name = "TYPE")]
    pub(crate) precision: PrecisionArg,

    /// Memory that each stage may take, such as 8G [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = byte_count, allow_hyphen_values = true)]
    pub(crate) memory: Option<u64>,

    /// Plan from the configs alone, as if all matrices were stored in this type, such as bf16, q8_0 or q4_k
    #[arg(long, value_name = "TYPE", requires = "plan", value_parser = format)]
    pub(crate) weights: Option<Format>,

    /// Device to plan for: auto, cpu, gpu, gpu:N or a part of a GPU's name
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub(crate) device: DeviceArg,
}

/// `kinora bench`.
#[derive(Clone, Debug, Args)]
pub(crate) struct BenchArgs {
    /// Only kernels whose name contains this
    #[arg(conflicts_with = "model")]
    pub(crate) filter: Option<String>,

    /// Measure a denoising step and the decoder of this model instead, with random weights: its configs are enough
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) model: Option<PathBuf>,

    /// Width of a frame [default: the model's]
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, requires = "model")]
    pub(crate) width: Option<u32>,

    /// Height of a frame [default: the model's]
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, requires = "model")]
    pub(crate) height: Option<u32>,

    /// Frames [default: the model's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "model")]
    pub(crate) frames: Option<u32>,

    /// Type of the random weights
    #[arg(long, value_enum, default_value = "bf16", value_name = "TYPE")]
    pub(crate) weights: WeightArg,

    /// Arithmetic of activations
    #[arg(long, value_enum, default_value = "auto", value_name = "TYPE")]
    pub(crate) precision: PrecisionArg,

    /// Where to compute: auto, cpu, gpu, gpu:N as `kinora devices` counts, or a part of a GPU's name
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub(crate) device: DeviceArg,

    /// Threads that compute on the CPU [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// How kernels are chosen
    #[command(flatten)]
    pub(crate) tuning: TuneArgs,

    /// Runs to take the median of, after one to warm up
    #[arg(long, default_value_t = 7, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) runs: u32,

    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Also draw a roofline plot
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) svg: Option<PathBuf>,

    /// What a compiler makes of the kernels
    #[command(flatten)]
    pub(crate) chip: ChipArgs,
}

/// `kinora bench --compile-for`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChipArgs {
    /// Run nothing: show what Mesa's compiler makes of the kernels for this AMD chip, which need not be here (Linux):
    /// polaris10, navi21, navi31, gfx1151
    ///
    /// In f32 and, where the chip has it, in f16. It takes the package mesa-vulkan-drivers.
    #[arg(long, value_name = "CHIP", help_heading = "Without the chip",
        conflicts_with_all = ["device", "precision", "threads", "tune", "no_tune", "runs", "svg"])]
    pub(crate) compile_for: Option<String>,

    /// All forms that the tuner may choose, not only the heuristics'
    #[arg(long, requires = "compile_for", help_heading = "Without the chip")]
    pub(crate) forms: bool,

    /// Ask for the subgroup size that a form is written for; wgpu does not, and takes what the driver prefers
    #[arg(long, requires = "compile_for", help_heading = "Without the chip")]
    pub(crate) required_lanes: bool,

    /// Write the machine code of each launch into this folder
    #[arg(long, value_name = "FOLDER", requires = "compile_for", help_heading = "Without the chip")]
    pub(crate) isa: Option<PathBuf>,
}

/// Types that weights are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightArg {
    /// Single precision
    F32,
    /// Half precision
    F16,
    /// bfloat16
    Bf16,
}

/// What makes frames of latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecoderArg {
    /// The model's own autoencoder
    Full,
    /// The tiny decoder of `--tiny-vae`
    Tiny,
}

impl From<DecoderArg> for DecoderKind {
    fn from(decoder: DecoderArg) -> Self {
        match decoder {
            DecoderArg::Full => Self::Full,
            DecoderArg::Tiny => Self::Tiny,
        }
    }
}

/// Arithmetic of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArg {
    /// bf16 on a CPU with instructions for it, if the model's weights are of 16 bits; else f32, as with the default model, `--dump` and
    /// `--initial-latents`
    Auto,
    /// Single precision: the reference
    F32,
    /// Half precision where it is safe, sums in single; for GPUs that have it
    F16,
    /// bfloat16 operands, sums in single; for CPUs, fast on those with AMX or AVX-512 BF16
    Bf16,
}

impl PrecisionArg {
    /// What is asked for; none to choose what suits the device and the model. Some runs stay in f32 by themselves: those of the
    /// model inside this program, which is small and was looked at in f32, and those that are compared with a reference.
    pub(crate) fn asked(self, in_singles: bool) -> Option<Precision> {
        match self {
            Self::Auto if in_singles => Some(Precision::F32),
            Self::Auto => None,
            Self::F32 => Some(Precision::F32),
            Self::F16 => Some(Precision::F16),
            Self::Bf16 => Some(Precision::Bf16),
        }
    }
}

/// A format of weights by its name.
fn format(text: &str) -> Result<Format, String> {
    Format::by_name(text).ok_or_else(|| {
        let all: Vec<String> = Format::ALL.iter().map(|format| format.name().to_lowercase()).collect();
        format!("expected one of {}", all.join(", "))
    })
}

/// A format that GGUF files have.
fn gguf_format(text: &str) -> Result<Format, String> {
    let all: Vec<Format> = model_loader::gguf_formats().collect();
    Format::by_name(text).filter(|format| all.contains(format)).ok_or_else(|| {
        let names: Vec<String> = all.iter().map(|format| format.name().to_lowercase()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// A number of bytes, with `k`, `M`, `G` or `T` for powers of 1000 behind it.
fn byte_count(text: &str) -> Result<u64, String> {
    const UNITS: [(char, f64); 4] = [('k', 1e3), ('m', 1e6), ('g', 1e9), ('t', 1e12)];
    let lower = text.trim().to_lowercase();
    let digits = lower.trim_end_matches('b');
    let unit = UNITS.iter().find(|(letter, _)| digits.ends_with(*letter));
    let number = unit.map_or(digits, |_| &digits[..digits.len() - 1]);
    let bytes = number.trim().parse::<f64>().unwrap_or(f64::NAN) * unit.map_or(1.0, |(_, factor)| *factor);
    // False for what is not a number.
    if (1.0..=1e18).contains(&bytes) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        let bytes = bytes.round() as u64;
        return Ok(bytes);
    }
    Err("expected a number of bytes such as 8G, 900M or 500000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_in_powers_of_a_thousand() {
        for (text, bytes) in [
            ("8G", 8_000_000_000),
            ("1.5 gb", 1_500_000_000),
            ("900M", 900_000_000),
            ("64k", 64_000),
            ("7", 7),
        ] {
            assert_eq!(byte_count(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1G", "0", "8X", "nan", "inf", "1e30"] {
            assert!(byte_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn everything_has_a_flag() {
        let line = "kinora generate x -m m --transformer t --text-encoder e --vae v --tiny-vae y --decoder tiny --preview p.apng --tokenizer k --lora l:0.5 --lora l2 -o a.mp4 -i p.webp --image-fit crop --dynamic-guidance --width 32 --height 16 --frames 5 --fps 8 --native-size --steps 2 \
                    --guidance -1.5 --seed 18446744073709551615 --negative n --scheduler unipc --torch-noise \
                    --initial-latents l --memory 8G --device gpu:3 --threads 2 --no-cache --no-tune --precision f16 --trace t --dump d --quiet";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Generate(args) = cli.command else { panic!() };
        assert_eq!(args.device, DeviceArg::Gpu(Some(3)));
        assert_eq!((args.video.image_fit, args.video.dynamic_guidance), (FitArg::Crop, true));
        assert_eq!((args.video.seed, args.memory), (Some(u64::MAX), Some(8_000_000_000)));
        assert_eq!(args.video.guidance, Some(-1.5));
    }
}
