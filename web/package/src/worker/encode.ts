// Frames to a file, with the browser's encoder where it has one.
import { ApngFile, Form, Mp4File } from '#bindings';
import { EncodingError } from '../errors.js';
import type { Format, Frame, Settings } from '../types.js';

/** In the order in which they are tried: H.264 plays everywhere. */
const CODECS = ['avc1.640028', 'avc1.640033', 'avc1.42E01E', 'vp09.00.10.08', 'av01.0.04M.08'];
/** Bits to each pixel of each frame. */
const BITS = 0.35;
const KEY_EVERY = 48;

/** A file of all frames. `record` says how they were made and goes into the file. */
export async function encode(
  frames: readonly Frame[],
  settings: Settings,
  format: 'auto' | Format,
  record: string,
): Promise<Blob> {
  const [first] = frames;
  if (first === undefined) throw new EncodingError('encoding', 'there are no frames');
  const form = new Form(first.width, first.height, frames.length, settings.fps, record);
  try {
    if (format === 'png') return blob(form.png(first.rgb), 'image/png');
    const config = format === 'apng' ? undefined : await supported(form, settings.fps);
    if (config !== undefined) return blob(await mp4(frames, form, config, settings.fps), 'video/mp4');
    if (format === 'mp4') throw new EncodingError('encoding', 'this browser cannot encode MP4 videos');
    return blob(apng(frames, form), 'image/apng');
  } finally {
    form.free();
  }
}

function blob(bytes: Uint8Array, type: string): Blob {
  return new Blob([bytes as Uint8Array<ArrayBuffer>], { type });
}

function apng(frames: readonly Frame[], form: Form): Uint8Array {
  const file = new ApngFile(form);
  for (const frame of frames) file.add(frame.rgb);
  return file.finish();
}

/** What the browser's encoder takes for this video, if it takes anything. */
async function supported(form: Form, fps: number): Promise<VideoEncoderConfig | undefined> {
  if (typeof VideoEncoder !== 'function') return undefined;
  const { width, height } = form;
  const bitrate = Math.max(400_000, Math.round(width * height * fps * BITS));
  for (const codec of CODECS) {
    const avc = codec.startsWith('avc1') ? { avc: { format: 'avc' as const } } : {};
    const config = { codec, width, height, bitrate, framerate: fps, ...avc };
    const answer = await VideoEncoder.isConfigSupported(config).catch(() => undefined);
    if (answer?.supported) return config;
  }
  return undefined;
}

async function mp4(frames: readonly Frame[], form: Form, config: VideoEncoderConfig, fps: number): Promise<Uint8Array> {
  const file = new Mp4File(form);
  let failure: unknown;
  let isFirst = true;
  const encoder = new VideoEncoder({
    output(chunk, metadata) {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      const { codec, description } = metadata?.decoderConfig ?? {};
      try {
        file.add(data, chunk.type === 'key', isFirst ? (codec ?? config.codec) : undefined, bytesOf(description));
      } catch (reason) {
        failure ??= reason;
      }
      isFirst = false;
    },
    error: (reason) => (failure ??= reason),
  });
  encoder.configure(config);
  frames.forEach((frame, index) => {
    const picture = videoFrame(frame, form, index, fps);
    encoder.encode(picture, { keyFrame: index % KEY_EVERY === 0 });
    picture.close();
  });
  await encoder.flush().catch((reason: unknown) => (failure ??= reason));
  if (encoder.state !== 'closed') encoder.close();
  if (failure !== undefined) {
    throw new EncodingError('encoding', 'the browser could not encode the video', { cause: failure });
  }
  return file.finish();
}

/** Our own planes: a browser would take RGBA for full-range sRGB, and the file would look otherwise than the program's. */
function videoFrame(frame: Frame, form: Form, index: number, fps: number): VideoFrame {
  return new VideoFrame(form.planes(frame.rgb) as Uint8Array<ArrayBuffer>, {
    format: 'I420',
    codedWidth: form.width,
    codedHeight: form.height,
    timestamp: Math.round((index * 1e6) / fps),
    duration: Math.round(1e6 / fps),
    colorSpace: { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false },
  });
}

function bytesOf(description: AllowSharedBufferSource | undefined): Uint8Array | undefined {
  if (description === undefined) return undefined;
  if (ArrayBuffer.isView(description)) {
    return new Uint8Array(description.buffer, description.byteOffset, description.byteLength);
  }
  return new Uint8Array(description);
}
