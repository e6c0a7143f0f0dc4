// A model in the engine, and what its jobs report.
import { Hasher, Model, ModelFiles, Resume } from '#bindings';
import type { Cancel } from '#bindings';
import { ModelError } from '../errors.js';
import type { Event, FromWorker, Generate, Made, Open, SentRequest } from '../protocol.js';
import type { Facts, Frame, Settings } from '../types.js';
import type { Arrived } from './download.js';
import { download } from './download.js';
import { encode } from './encode.js';
import { Pace } from './pace.js';

type Post = (message: FromWorker, transfer?: Transferable[]) => void;

/** What the engine reports; see `web/src/events.rs`. */
type EngineEvent =
  | { type: 'loading' | 'tuning' | 'compiling' | 'step' | 'decoding'; done: number; total: number }
  | { type: 'encoded' }
  | { type: 'notice'; text: string }
  | { type: 'snapshot'; step: number; drawn: number; latents: Float32Array }
  | { type: 'preview'; step: number; frames: Frame[] }
  | { type: 'frame'; frame: Frame };

/** Brings a model and opens it on a device. */
export async function open(message: Open, post: Post): Promise<OpenModel> {
  const pace = new Pace();
  const progress = (stage: 'downloading' | 'opening', done: number, total: number) =>
    post({ type: 'progress', progress: pace.at(stage, done, total) });
  const arrived = 'url' in message.model
    ? await download(message.model.url, digest, (done, total) => progress('downloading', done, total))
    : picked(message.model.files);
  progress('opening', 0, 1);
  const files = new ModelFiles();
  for (const { path, blob } of arrived.files) {
    files.add(path, new Uint8Array(await blob.arrayBuffer()));
  }
  const model = await Model.load(files, arrived.name, message.device, message.precision);
  progress('opening', 1, 1);
  return new OpenModel(model);
}

/** Files that a person picked: of one folder, whose own name is no part of the paths in it. */
function picked(files: readonly { path: string; file: File }[]): Arrived {
  const index = files.find(({ path }) => path.split('/').at(-1) === 'model_index.json');
  if (index === undefined) {
    throw new ModelError('model', 'there is no model_index.json among the files', {
      hint: 'Pick the folder of a model in the diffusers layout.',
    });
  }
  const root = index.path.slice(0, -'model_index.json'.length);
  const inside = files.filter(({ path }) => path.startsWith(root));
  return {
    name: root.split('/').at(-2) ?? 'picked files',
    files: inside.map(({ path, file }) => ({ path: path.slice(root.length), blob: file })),
  };
}

/** SHA-256 in hexadecimal digits. */
async function digest(file: Blob): Promise<string> {
  const hasher = new Hasher();
  const reader = file.stream().getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) hasher.update(part.value);
  return hasher.finish();
}

export class OpenModel {
  readonly facts: Facts;
  #model: Model;

  constructor(model: Model) {
    this.#model = model;
    const facts = model.facts() as Omit<Facts, 'defaults'>;
    this.facts = { ...facts, defaults: this.resolve({ prompt: '', seed: '0' }).settings };
  }

  resolve(request: SentRequest): { settings: Settings; notices: string[] } {
    const { settings, notices } = this.#model.resolve(JSON.stringify(request)) as { settings: string; notices: string[] };
    return { settings: JSON.parse(settings) as Settings, notices };
  }

  async generate(message: Generate, cancel: Cancel, post: Post): Promise<Made> {
    const { settings } = this.resolve(message.request);
    const { from } = message;
    const resume = from === undefined ? undefined : new Resume(from.step, from.drawn, from.latents);
    const frames: Frame[] = [];
    const pace = new Pace();
    const hear = (event: EngineEvent) => {
      if (event.type === 'frame') frames.push(event.frame);
      const told = eventOf(event, pace);
      if (told !== undefined) post(told);
    };
    await this.#model.generate(JSON.stringify(message.request), resume, cancel, hear);
    post({ type: 'progress', progress: pace.at('encoding', 0, 1) });
    const record = this.#model.record(JSON.stringify(message.request));
    const blob = await encode(frames, settings, message.format, record);
    post({ type: 'progress', progress: pace.at('encoding', 1, 1) });
    return { settings, blob, record };
  }
}

function eventOf(event: EngineEvent, pace: Pace): Event | undefined {
  switch (event.type) {
    case 'step':
      return { type: 'progress', progress: pace.at('denoising', event.done, event.total) };
    case 'loading':
    case 'tuning':
    case 'compiling':
    case 'decoding':
      return { type: 'progress', progress: pace.at(event.type, event.done, event.total) };
    case 'snapshot': {
      const { step, drawn, latents } = event;
      return { type: 'snapshot', snapshot: { step, drawn, latents } };
    }
    case 'encoded':
      return undefined;
    default:
      return event;
  }
}
