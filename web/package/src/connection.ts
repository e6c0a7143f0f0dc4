// One worker: questions and answers, and the events between them.
import { InternalError, errorOf } from './errors.js';
import type { Event, FromWorker, SentRequest, ToWorker } from './protocol.js';

type Answer = Exclude<FromWorker, Event | { type: 'failed' }>;

interface Waiting {
  answer: (answer: Answer) => void;
  fail: (reason: Error) => void;
}

/** The worker of a model. A worker that has crashed, or was ended, answers no more. */
export class Connection {
  #worker: Worker;
  #waiting = new Map<number, Waiting>();
  #ended: Error | undefined;
  /** Hears of what the worker reports on its way to an answer. */
  onEvent: (event: Event) => void = () => undefined;

  constructor(address: string | URL) {
    this.#worker = new Worker(address, { type: 'module', name: 'kinora' });
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#hear(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.end(new InternalError('internal', event.message || 'the worker could not be started'));
    };
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Sends a question; `job` is the number under which it is answered. */
  ask(job: number, message: ToWorker): Promise<Answer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((answer, fail) => {
      this.#waiting.set(job, { answer, fail });
      this.#worker.postMessage(message);
    });
  }

  cancel(): void {
    this.#worker.postMessage({ type: 'cancel' } satisfies ToWorker);
  }

  /** Ends the worker and everything that it does. */
  end(reason: Error): void {
    this.#ended ??= reason;
    this.#worker.terminate();
    for (const { fail } of this.#waiting.values()) fail(reason);
    this.#waiting.clear();
  }

  #hear(message: FromWorker): void {
    if (message.type === 'failed') {
      const error = errorOf(message.error);
      const waiting = this.#take(message.job);
      // A defect leaves wasm's memory in no state to go on.
      if (message.error.code === 'internal') this.end(error);
      waiting?.fail(error);
    } else if (message.type === 'opened') {
      this.#take(0)?.answer(message);
    } else if ('job' in message) {
      this.#take(message.job)?.answer(message);
    } else {
      this.onEvent(message);
    }
  }

  #take(job: number): Waiting | undefined {
    const waiting = this.#waiting.get(job);
    this.#waiting.delete(job);
    return waiting;
  }
}

/** A request without what no engine reads, its seed as text. */
export function sent(request: SentRequest | (Omit<SentRequest, 'seed'> & { seed?: number | bigint | string })): SentRequest {
  const { prompt, negativePrompt, width, height, frames, fps, steps, guidance, seed = 0 } = request;
  const given = { negativePrompt, width, height, frames, fps, steps, guidance };
  const some = Object.entries(given).filter(([, value]) => value !== undefined);
  return { prompt, seed: String(seed), ...Object.fromEntries(some) };
}
