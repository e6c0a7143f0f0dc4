// How long a stage will still take, from what it has done so far.
import type { Progress } from '../types.js';

/** Follows one job from stage to stage. */
export class Pace {
  #stage: Progress['stage'] | undefined;
  #from = 0;
  #since = 0;

  /** A stage's progress with the time it will still take, once one part of it has been done. */
  at(stage: Progress['stage'], done: number, total: number, now = performance.now()): Progress {
    if (stage !== this.#stage) {
      this.#stage = stage;
      this.#from = done;
      this.#since = now;
    }
    const parts = done - this.#from;
    if (parts <= 0) return { stage, done, total };
    const each = (now - this.#since) / parts;
    return { stage, done, total, secondsLeft: (each * (total - done)) / 1000 };
  }
}
