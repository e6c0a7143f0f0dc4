// Messages between a page and its worker. Both come from one build; the version finds out where a cache has mixed two.
import type { PlainError } from './errors.js';
import type { DeviceChoice, Facts, Format, Frame, Progress, Settings } from './types.js';

export const PROTOCOL = 1;

/** A model as it is sent. */
export type SentModel = { url: string } | { files: { path: string; file: File }[] };

/** A request as the engine reads it. */
export interface SentRequest {
  prompt: string;
  negativePrompt?: string;
  width?: number;
  height?: number;
  frames?: number;
  fps?: number;
  steps?: number;
  guidance?: number;
  seed: string;
}

/** Where a job goes on in another worker. */
export interface Snapshot {
  step: number;
  drawn: number;
  latents: Float32Array;
}

export interface Open {
  type: 'open';
  version: number;
  wasm: string;
  model: SentModel;
  device: DeviceChoice;
  precision: 'f32' | 'f16';
}

export interface Generate {
  type: 'generate';
  job: number;
  request: SentRequest;
  format: 'auto' | Format;
  from?: Snapshot;
}

export type ToWorker =
  | Open
  | Generate
  | { type: 'resolve'; job: number; request: SentRequest }
  | { type: 'encode'; job: number; frames: readonly Frame[]; settings: Settings; record: string; format: Format }
  | { type: 'cancel' };

export type Event =
  | { type: 'progress'; progress: Progress }
  | { type: 'notice'; text: string }
  | { type: 'snapshot'; snapshot: Snapshot }
  | { type: 'preview'; step: number; frames: Frame[] }
  | { type: 'frame'; frame: Frame };

export interface Made {
  settings: Settings;
  blob: Blob;
  /** How it was made, for files in other formats. */
  record: string;
}

export type FromWorker =
  | Event
  | { type: 'opened'; version: number; facts: Facts }
  | { type: 'resolved'; job: number; settings: Settings; notices: string[] }
  | { type: 'made'; job: number; made: Made }
  | { type: 'encoded'; job: number; blob: Blob }
  | { type: 'failed'; job: number; error: PlainError };
