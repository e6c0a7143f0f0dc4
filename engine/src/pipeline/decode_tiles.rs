//! Latents to frames where whole frames would take too much memory: tile by tile, then blended.
use super::{
    EngineError, Event, TensorData,
    decode::{report_frame, to_u8},
    decode_plan::{ChunkPlans, Decoding},
    faults::{FaultyStage, Part},
    session::{Session, output},
    taps,
};
use crate::{
    executor::Program,
    graph::State,
    nn::ConvMemory,
    run::RunInput,
    target::clamp_u32,
    tiling::{Blender, Tile, Tiling},
};

/// How a picture is decoded in tiles.
pub(super) struct Tiles<'a> {
    pub(super) decoding: &'a Decoding<'a>,
    pub(super) tiling: Tiling,
    pub(super) chunk_budget: usize,
}

/// The programs that decode tiles of one size, one tile after the other.
struct TilePrograms {
    latents: State,
    memory: ConvMemory,
    /// With the latent frames of a chunk and the number of chunks.
    programs: Vec<(Program, usize, usize)>,
}

/// Decodes all chunks of a tile before the next tile, and blends: `[T, H, W, 3]`. Tiles of one size use the same programs.
pub(super) async fn decode_tiles(
    session: &mut Session<'_>,
    tiles: &Tiles<'_>,
    largest: ChunkPlans,
) -> Result<Vec<f32>, EngineError> {
    let Tiles { decoding, tiling, chunk_budget } = tiles;
    let [.., height, width] = session.latents.shape;
    let values = session.pipeline.executor.read_state(decoding.latents).await?;
    let tiles = tiling.tiles(height, width);
    let mut blender: Option<Blender> = None;
    let (mut done, mut largest) = (0, Some(largest));
    for size in tiling.sizes(height, width) {
        let plans = match largest.take_if(|largest| largest.latents.desc().shape[2..] == size) {
            Some(plans) => plans,
            None => decoding.tile(size, *chunk_budget)?,
        };
        let mut programs = prepare(session, plans).await?;
        for tile in tiles.iter().filter(|tile| tile.size() == size) {
            let part = crop(&values, session.latents.shape, tile);
            let (shape, video) = decode_tile(session, &mut programs, &part).await?;
            let whole = [shape[0], session.settings.height, session.settings.width, shape[3]];
            blender.get_or_insert_with(|| Blender::new(*tiling, whole)).add(tile.place, shape, video);
            done += 1;
            let total = session.settings.num_frames;
            session.report(Event::Decoding { done: total * done / tiles.len(), total })?;
        }
    }
    Ok(blender.map(Blender::finish).unwrap_or_default())
}

/// Makes all programs of a tile ready.
async fn prepare(session: &mut Session<'_>, plans: ChunkPlans) -> Result<TilePrograms, EngineError> {
    let ChunkPlans { latents, memory, runs } = plans;
    let mut programs = Vec::with_capacity(runs.len());
    for run in runs {
        let program = session.prepare_planned("decode", run.graph, run.plan).await?;
        programs.push((program, run.chunk.latent_frames, run.times));
    }
    Ok(TilePrograms { latents, memory, programs })
}

/// The frames of one tile, `[T, H, W, 3]`.
async fn decode_tile(
    session: &mut Session<'_>,
    tile: &mut TilePrograms,
    latents: &[f32],
) -> Result<([usize; 4], Vec<f32>), EngineError> {
    session.pipeline.executor.write_state(&tile.latents, latents).await?;
    // The tile before has left its last frames.
    for state in tile.memory.states() {
        session.pipeline.executor.write_state(&state, &[]).await?;
    }
    let (mut start, mut shape, mut video) = (session.latents.leading, [0; 4], Vec::new());
    for (program, latent_frames, times) in &mut tile.programs {
        for _ in 0..*times {
            let frame = [clamp_u32(start)];
            session.execute(program, &[RunInput::u32("frame", &frame)]).await?;
            let part = output(&session.pipeline.executor, program, "video").await?;
            session.check(FaultyStage::Frames, Part::Decoder(session.options.decoder), &part)?;
            video.extend_from_slice(&part);
            let output = program.output("video").map(|id| program.graph().desc(id).shape.clone());
            if let Some(&[t, h, w, c]) = output.as_deref() {
                shape = [shape[0] + t, h, w, c];
            }
            start += *latent_frames;
        }
    }
    Ok((shape, video))
}

/// Reports the blended video without the frames that are not its own.
pub(super) fn report_tiles(
    session: &mut Session<'_>,
    video: Vec<f32>,
    repeated: usize,
) -> Result<(), EngineError> {
    let (width, height) = (session.settings.width, session.settings.height);
    let size = 3 * width * height;
    let bytes: Vec<u8> = video.into_iter().map(to_u8).collect();
    for rgb in bytes.chunks_exact(size).skip(repeated + session.frames_done) {
        report_frame(session, rgb.to_vec())?;
    }
    if session.options.dump {
        let shape = vec![bytes.len() / size, height, width, 3];
        taps::report_data(session, "video.u8", shape, TensorData::U8(bytes))?;
    }
    Ok(())
}

/// The tile of the first sample of `[.., C, F, H, W]`.
fn crop(values: &[f32], [c, f, h, w]: [usize; 4], tile: &Tile) -> Vec<f32> {
    let planes = values[..c * f * h * w].chunks_exact(h * w);
    let lines = planes.flat_map(|plane| tile.rows.clone().map(move |y| &plane[y * w..(y + 1) * w]));
    lines.flat_map(|line| &line[tile.columns.clone()]).copied().collect()
}
