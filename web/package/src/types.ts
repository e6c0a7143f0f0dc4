// What a user of the package sees.

/** A model: the address of a folder with a `kinora-model.json`, or files that a person has picked. */
export type ModelSource = string | URL | readonly File[];

/** What to compute on. `auto`: the GPU if the browser gives one that is no software, else the CPU. */
export type DeviceChoice = 'auto' | 'gpu' | 'cpu';

/** Where the parts of this package lie, if not beside it. */
export interface Assets {
  worker?: string | URL;
  wasm?: string | URL;
}

export interface CreateOptions {
  model: ModelSource;
  device?: DeviceChoice;
  /** How activations are computed; `f16` needs a GPU that has it. */
  precision?: 'f32' | 'f16';
  onProgress?: (progress: Progress) => void;
  onNotice?: (text: string) => void;
  signal?: AbortSignal;
  assets?: Assets;
}

/** A video to be made. What is left out is as the model has it. */
export interface VideoRequest {
  prompt: string;
  negativePrompt?: string;
  width?: number;
  height?: number;
  frames?: number;
  fps?: number;
  steps?: number;
  guidance?: number;
  /** A whole number from 0 to 2^64 - 1; 0 if left out. */
  seed?: number | bigint | string;
}

export interface GenerateOptions extends VideoRequest {
  /** The format of `Video.blob`; MP4 where the browser can encode it, else APNG. */
  format?: 'auto' | Format;
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
  /** Hears of each frame as it is decoded. */
  onFrame?: (frame: Frame, index: number) => void;
  /** Hears how the video looks so far. */
  onPreview?: (frames: readonly Frame[], step: number) => void;
  onNotice?: (text: string) => void;
}

/** A video, an animated picture, or the first frame as a picture. */
export type Format = 'mp4' | 'apng' | 'png';

/** The settings that a request became. */
export interface Settings {
  prompt: string;
  negativePrompt: string;
  width: number;
  height: number;
  frames: number;
  fps: number;
  steps: number;
  guidance: number;
  seed: string;
}

/** What is being done: `done` of `total`, in bytes, kernels, steps or frames. */
export interface Progress {
  stage: 'downloading' | 'opening' | 'loading' | 'tuning' | 'compiling' | 'denoising' | 'decoding' | 'encoding';
  done: number;
  total: number;
  /** Until this stage is over, once it can be told. */
  secondsLeft?: number;
}

/** A picture: three bytes to each pixel, red, green and blue, row by row. */
export interface Frame {
  width: number;
  height: number;
  rgb: Uint8Array;
}

/** What a model is and runs on. */
export interface Facts {
  name: string;
  device: 'gpu' | 'cpu';
  deviceName: string;
  /** Frames are a multiple of this plus one. */
  frameStep: number;
  /** Sides are multiples of this. */
  sideStep: number;
  needsPicture: boolean;
  /** What the model makes of an empty request. */
  defaults: Settings;
}
