// The worker: the only place that touches wasm. It does one thing after the other; only `cancel` is heard meanwhile.
import initialise, { Cancel, lastPanic } from '#bindings';
import { UnsupportedError, plainOf } from '../errors.js';
import type { PlainError } from '../errors.js';
import type { FromWorker, Generate, Open, ToWorker } from '../protocol.js';
import { PROTOCOL } from '../protocol.js';
import { encode } from './encode.js';
import { OpenModel, open } from './model.js';

const post = (message: FromWorker, transfer: Transferable[] = []) =>
  (self as unknown as DedicatedWorkerGlobalScope).postMessage(message, transfer);

let model: OpenModel | undefined;
let cancel: Cancel | undefined;
let last = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === 'cancel') {
    cancel?.cancel();
    return;
  }
  last = last.then(() => answer(data));
};

async function answer(message: Exclude<ToWorker, { type: 'cancel' }>): Promise<void> {
  try {
    if (message.type === 'open') await opened(message);
    else if (message.type === 'generate') await made(message);
    else if (message.type === 'encode') {
      const { job, frames, settings, record, format } = message;
      post({ type: 'encoded', job, blob: await encode(frames, settings, format, record) });
    } else {
      const resolved = ready().resolve(message.request);
      post({ type: 'resolved', job: message.job, ...resolved });
    }
  } catch (reason) {
    post({ type: 'failed', job: message.type === 'open' ? 0 : message.job, error: told(reason) });
  }
}

async function opened(message: Open): Promise<void> {
  if (message.version !== PROTOCOL) {
    throw new UnsupportedError('unsupported', 'the page and its worker are of different versions', {
      hint: 'Reload the page.',
    });
  }
  await initialise({ module_or_path: message.wasm });
  model = await open(message, post);
  post({ type: 'opened', version: PROTOCOL, facts: model.facts });
}

async function made(message: Generate): Promise<void> {
  cancel = new Cancel();
  try {
    const made = await ready().generate(message, cancel, post);
    post({ type: 'made', job: message.job, made });
  } finally {
    cancel.free();
    cancel = undefined;
  }
}

function ready(): OpenModel {
  if (model === undefined) throw new Error('no model is open');
  return model;
}

/** A trap says nothing; the panic before it does. */
function told(reason: unknown): PlainError {
  if (reason instanceof WebAssembly.RuntimeError) {
    return { code: 'internal', message: lastPanic() ?? `the engine stopped: ${reason.message}` };
  }
  return plainOf(reason);
}
