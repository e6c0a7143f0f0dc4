// A finished video.
import type { Format, Frame, Settings } from './types.js';

export class Video {
  readonly frames: readonly Frame[];
  readonly settings: Settings;
  /** The file, in the format that was asked for. */
  readonly blob: Blob;
  #encode: (format: Format) => Promise<Blob>;

  constructor(frames: readonly Frame[], settings: Settings, blob: Blob, encode: (format: Format) => Promise<Blob>) {
    this.frames = frames;
    this.settings = settings;
    this.blob = blob;
    this.#encode = encode;
  }

  /** The video in another format. */
  encode(format: Format): Promise<Blob> {
    return this.#encode(format);
  }
}
