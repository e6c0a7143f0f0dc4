//! Tiles of the autoencoders, decoded and encoded on the CPU and every adapter, blended, against diffusers' tiled runs.
#![expect(clippy::print_stdout, reason = "the distances are the result")]

use engine::{
    DType, Graph, State, TensorDesc,
    compute::executor::Executor,
    compute::nn::{ConvMemory, Precision},
    compute::op::OpError,
    compute::run::RunInput,
    compute::tiling::{Blender, Tile, TileAxis, Tiling},
    models::{
        DecoderOutput, LatentDecoder,
        cogvideox::{CogVideoXVaeDecoder, CogVideoXVaeEncoder},
        wan::{WanVaeDecoder, WanVaeEncoder},
    },
    pipeline::TensorData,
};
use kinora_tests::{
    Golden,
    backend::{Backend, compute},
    latents, relative_l2,
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::{
    Checkpoint,
    config::{CogVideoXVaeConfig, WanVaeConfig},
};
use std::sync::Arc;

const BOUND: f64 = 1e-4;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    let mut trials = Vec::new();
    for backend in Backend::all() {
        let mut add = |what: &str, check: fn(&mut Executor) -> Result<(), Failed>| {
            let (backend, name) = (Arc::clone(&backend), format!("{}/{what}", backend.name));
            trials.push(Trial::test(name, move || backend.with(check)));
        };
        add("decode/cogvideox", |executor| {
            let (weights, config) = cogvideox()?;
            decode(executor, "cogvideox", &CogVideoXVaeDecoder::load(&weights, &config)?, [5, 4])
        });
        add("encode/cogvideox", |executor| {
            let (weights, config) = cogvideox()?;
            let encoder = CogVideoXVaeEncoder::load(&weights, &config)?;
            // A sixth of 6 latents and a fifth of 5.
            let axis = |tile: usize| TileAxis {
                tile: 8 * tile,
                stride: 8 * (tile - 1),
                blend: 1,
                limit: tile - 1,
                unit: 1,
            };
            let tiling = Tiling { rows: axis(6), columns: axis(5) };
            encode(executor, "cogvideox", tiling, &encoder.chunk_lengths(16), &|first, size, memory| {
                encoder.chunk_graph(first, size, memory)
            })
        });
        for fixture in ["wan", "wan22-vae"] {
            let check: fn(&mut Executor) -> Result<(), Failed> = match fixture {
                "wan" => |executor| wan_decode(executor, "wan"),
                _ => |executor| wan_decode(executor, "wan22-vae"),
            };
            add(&format!("decode/{fixture}"), check);
        }
        add("encode/wan", |executor| {
            let (weights, config) = wan("wan")?;
            let encoder = WanVaeEncoder::load(&weights, &config)?;
            let axis = TileAxis { tile: 64, stride: 48, blend: 2, limit: 6, unit: 1 };
            let tiling = Tiling { rows: axis, columns: axis };
            encode(executor, "wan", tiling, &[1, 4, 4], &|first, [_, height, width], memory| {
                encoder.chunk_graph(first, height, width, memory)
            })
        });
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn cogvideox() -> Result<(Checkpoint, CogVideoXVaeConfig), Failed> {
    let model = Golden::open("cogvideox").model();
    Ok((Checkpoint::open(&model, "vae")?, CogVideoXVaeConfig::load(&model, "vae")?))
}

fn wan(fixture: &str) -> Result<(Checkpoint, WanVaeConfig), Failed> {
    let model = Golden::open(fixture).model();
    Ok((Checkpoint::open(&model, "vae")?, WanVaeConfig::load(&model, "vae")?))
}

fn wan_decode(executor: &mut Executor, fixture: &str) -> Result<(), Failed> {
    let (weights, config) = wan(fixture)?;
    decode(executor, fixture, &WanVaeDecoder::load(&weights, &config)?, [6, 6])
}

/// `[1, C, T, H, W]` as `[T, H, W, C]`.
fn recorded(key: &str) -> ([usize; 4], Vec<f32>) {
    Golden::open("tiled").channels_last(key)
}

/// A tile of `[T, H, W, C]`.
fn crop(values: &[f32], [t, h, w, c]: [usize; 4], tile: &Tile) -> ([usize; 4], Vec<f32>) {
    let lines = (0..t).flat_map(|frame| tile.rows.clone().map(move |y| (frame * h + y) * w));
    let part = lines.flat_map(|line| &values[(line + tile.columns.start) * c..(line + tile.columns.end) * c]);
    ([t, tile.rows.len(), tile.columns.len(), c], part.copied().collect())
}

fn floats(
    executor: &mut Executor,
    graph: Graph,
    inputs: &[RunInput<'_>],
    output: &str,
) -> Result<Vec<f32>, Failed> {
    match &compute(executor, graph, inputs)?[output].data {
        TensorData::F32(values) => Ok(values.clone()),
        _ => Err("no floats".into()),
    }
}

fn compare(what: &str, got: &[f32], want: &[f32]) -> Result<(), Failed> {
    let distance = relative_l2(got, want);
    println!("{what}: {distance:.1e} off");
    let within = distance <= BOUND; // false for NaN
    if within { Ok(()) } else { Err(format!("off by {distance:e}").into()) }
}

fn decode(
    executor: &mut Executor,
    fixture: &str,
    decoder: &dyn LatentDecoder,
    stride: [usize; 2],
) -> Result<(), Failed> {
    let golden = Golden::open("tiled");
    let &[_, c, f, height, width] = golden.shape(&format!("{fixture}.latents")) else {
        return Err("shape".into());
    };
    let whole_latents = golden.f32(&format!("{fixture}.latents"));
    let (whole, want) = recorded(&format!("{fixture}.video"));
    let tiling = decoder.tiling(stride);
    let scale = whole[2] / width;
    if !tiling.rows.is_seamless(scale) || !tiling.columns.is_seamless(scale) {
        return Err(format!("{tiling:?} has seams").into());
    }
    let tiles = tiling.tiles(height, width);
    if tiles.len() < 4 {
        return Err(format!("{} tiles prove little", tiles.len()).into());
    }
    let mut blender = Blender::new(tiling, whole);
    for tile in tiles {
        // Planes take the place of frames.
        let ([.., h, w, _], part) = crop(whole_latents, [c * f, height, width, 1], &tile);
        let state = State::new("latents", TensorDesc::new(&[c, f, h, w], DType::F32));
        pollster::block_on(executor.write_state(&state, &scaled(fixture, &part)?))?;
        let memory = ConvMemory::new(Precision::F32);
        let (mut start, mut video) = (0, Vec::new());
        for chunk in decoder.chunks(f, h, w, 1) {
            let graph = decoder.graph(&state, chunk, &memory, DecoderOutput::Tile, false)?;
            let frame = [u32::try_from(start)?];
            video.extend(floats(executor, graph, &[RunInput::u32("frame", &frame)], "video")?);
            start += chunk.latent_frames;
        }
        blender.add(tile.place, [whole[0], h * scale, w * scale, 3], video);
    }
    let mut got = blender.finish();
    if fixture.starts_with("wan") {
        got.iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
    }
    compare(fixture, &got, &want)
}

/// Decoders take latents as the transformer leaves them; the recorded ones are what they are scaled to.
fn scaled(fixture: &str, latents: &[f32]) -> Result<Vec<f32>, Failed> {
    Ok(match fixture {
        "cogvideox" => latents::scaled_cogvideox(latents, &cogvideox()?.1),
        _ => latents::scaled_wan(latents, &wan(fixture)?.1),
    })
}

type EncoderGraph<'a> = &'a dyn Fn(bool, [usize; 3], &ConvMemory) -> Result<Graph, OpError>;

fn encode(
    executor: &mut Executor,
    fixture: &str,
    tiling: Tiling,
    chunks: &[usize],
    graph: EncoderGraph<'_>,
) -> Result<(), Failed> {
    let (mut size, mut video) = recorded(&format!("{fixture}.video"));
    video.iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
    let (whole, want) = recorded(&format!("{fixture}.moments"));
    size[0] = chunks.iter().sum();
    let scale = size[2] / whole[2];
    let mut blender = Blender::new(tiling, whole);
    for tile in tiling.tiles(size[1], size[2]) {
        let ([_, h, w, _], part) = crop(&video, size, &tile);
        let memory = ConvMemory::new(Precision::F32);
        let (mut start, mut moments) = (0, Vec::new());
        for frames in chunks {
            let picture = h * w * 3;
            let inputs = [RunInput::f32("video", &part[start * picture..(start + frames) * picture])];
            let graph = graph(start == 0, [*frames, h, w], &memory)?;
            moments.extend(floats(executor, graph, &inputs, "moments")?);
            start += frames;
        }
        blender.add(tile.place, [whole[0], h / scale, w / scale, whole[3]], moments);
    }
    compare(fixture, &blender.finish(), &want)
}
