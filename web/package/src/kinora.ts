// The face of the package: a model in a worker, and videos of prompts.
import { Connection, sent } from './connection.js';
import { DeviceLostError, InternalError, KinoraError, UnsupportedError } from './errors.js';
import type { Event, Made, SentModel, Snapshot } from './protocol.js';
import { PROTOCOL } from './protocol.js';
import { support } from './support.js';
import type { CreateOptions, Facts, Format, Frame, GenerateOptions, ModelSource, Settings, VideoRequest } from './types.js';
import { Video } from './video.js';

/** A model, open in a worker. It makes one video after the other. */
export class Kinora {
  #options: CreateOptions;
  #connection: Connection;
  #facts: Facts;
  #jobs = 0;
  #busy = false;

  private constructor(options: CreateOptions, connection: Connection, facts: Facts) {
    this.#options = options;
    this.#connection = connection;
    this.#facts = facts;
  }

  /** Brings a model and opens it. */
  static async create(options: CreateOptions): Promise<Kinora> {
    if (!(await support()).wasm) {
      throw new UnsupportedError('unsupported', 'this browser has no WebAssembly with vectors');
    }
    const { connection, facts } = await opened(options);
    return new Kinora(options, connection, facts);
  }

  /** What the model is and runs on. */
  get facts(): Facts {
    return this.#facts;
  }

  /** What a request becomes, and what should be known of it. */
  async resolve(request: VideoRequest): Promise<{ settings: Settings; notices: string[] }> {
    const job = ++this.#jobs;
    const connection = await this.#alive();
    const answer = await connection.ask(job, { type: 'resolve', job, request: sent(request) });
    if (answer.type !== 'resolved') throw unexpected(answer.type);
    return { settings: answer.settings, notices: answer.notices };
  }

  /** Makes a video. With a `signal`, an abort rejects with its reason. */
  async generate(options: GenerateOptions): Promise<Video> {
    if (this.#busy) throw new InternalError('internal', 'a video is being made', { hint: 'Wait for it, or abort it.' });
    this.#busy = true;
    try {
      return await this.#generate(options);
    } finally {
      this.#busy = false;
    }
  }

  /** Ends the worker and frees what it holds. */
  close(): void {
    this.#connection.end(new InternalError('internal', 'this Kinora was closed', { hint: 'Create another.' }));
  }

  async #generate(options: GenerateOptions): Promise<Video> {
    let snapshot: Snapshot | undefined;
    const attempt = async () => {
      const frames: Frame[] = [];
      const hear = (event: Event) => {
        if (event.type === 'snapshot') snapshot = event.snapshot;
        else if (event.type === 'frame') frames.push(event.frame);
        this.#tell(options, event, frames.length - 1);
      };
      const made = await this.#attempt(options, snapshot, hear);
      return new Video(frames, made.settings, made.blob, (format) => this.#encode(frames, made, format));
    };
    try {
      return await attempt();
    } catch (reason) {
      if (!(reason instanceof DeviceLostError)) throw reason;
      const step = snapshot?.step ?? 0;
      options.onNotice?.(`${reason.message}; going on from step ${step} in a new worker`);
      this.#connection.end(reason);
      return attempt();
    }
  }

  async #attempt(options: GenerateOptions, from: Snapshot | undefined, hear: (event: Event) => void) {
    const { signal } = options;
    signal?.throwIfAborted();
    const connection = await this.#alive();
    const job = ++this.#jobs;
    const abort = () => this.#abort(connection);
    connection.onEvent = hear;
    signal?.addEventListener('abort', abort);
    try {
      const request = { type: 'generate', job, request: sent(options), format: options.format ?? 'auto' } as const;
      const answer = await connection.ask(job, from === undefined ? request : { ...request, from });
      if (answer.type !== 'made') throw unexpected(answer.type);
      return answer.made;
    } catch (reason) {
      signal?.throwIfAborted();
      throw reason;
    } finally {
      signal?.removeEventListener('abort', abort);
      connection.onEvent = () => undefined;
    }
  }

  /** On a GPU the job ends after its next submission. The CPU hears nothing before it is done, so its worker is ended. */
  #abort(connection: Connection): void {
    if (this.#facts.device === 'gpu') connection.cancel();
    else connection.end(new InternalError('internal', 'aborted'));
  }

  async #encode(frames: readonly Frame[], { settings, record }: Made, format: Format): Promise<Blob> {
    const job = ++this.#jobs;
    const connection = await this.#alive();
    const answer = await connection.ask(job, { type: 'encode', job, frames, settings, record, format });
    if (answer.type !== 'encoded') throw unexpected(answer.type);
    return answer.blob;
  }

  /** The worker, or another in the place of one that has ended. */
  async #alive(): Promise<Connection> {
    if (this.#connection.hasEnded) {
      const { connection, facts } = await opened(this.#options);
      this.#connection = connection;
      this.#facts = facts;
    }
    return this.#connection;
  }

  #tell(options: GenerateOptions, event: Event, index: number): void {
    if (event.type === 'progress') options.onProgress?.(event.progress);
    else if (event.type === 'frame') options.onFrame?.(event.frame, index);
    else if (event.type === 'preview') options.onPreview?.(event.frames, event.step);
    else if (event.type === 'notice') options.onNotice?.(event.text);
  }
}

async function opened(options: CreateOptions): Promise<{ connection: Connection; facts: Facts }> {
  const { signal, assets } = options;
  signal?.throwIfAborted();
  const connection = new Connection(assets?.worker ?? new URL('./worker.js', import.meta.url));
  const abort = () => connection.end(new InternalError('internal', 'aborted'));
  signal?.addEventListener('abort', abort);
  connection.onEvent = (event) => {
    if (event.type === 'progress') options.onProgress?.(event.progress);
    else if (event.type === 'notice') options.onNotice?.(event.text);
  };
  try {
    const answer = await connection.ask(0, {
      type: 'open',
      version: PROTOCOL,
      wasm: new URL(assets?.wasm ?? new URL('./kinora.wasm', import.meta.url), location.href).href,
      model: sentModel(options.model),
      device: options.device ?? 'auto',
      precision: options.precision ?? 'f32',
    });
    if (answer.type !== 'opened') throw unexpected(answer.type);
    return { connection, facts: answer.facts };
  } catch (reason) {
    connection.end(reason instanceof KinoraError ? reason : new InternalError('internal', String(reason)));
    signal?.throwIfAborted();
    throw reason;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function sentModel(model: ModelSource): SentModel {
  if (typeof model === 'string' || model instanceof URL) return { url: new URL(model, location.href).href };
  return { files: model.map((file) => ({ path: file.webkitRelativePath || file.name, file })) };
}

function unexpected(type: string): InternalError {
  return new InternalError('internal', `the worker answered \`${type}\``);
}
