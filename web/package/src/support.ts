// What this browser can do, told without loading anything.

export interface Support {
  /** WebAssembly with vectors; without it nothing works. */
  wasm: boolean;
  /** A GPU for pages; without it the CPU computes. */
  gpu: boolean;
  /** An encoder for video; without it clips are animated PNGs. */
  video: boolean;
}

/** A module with one function that makes a vector. */
const VECTOR = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

export async function support(): Promise<Support> {
  const wasm = typeof WebAssembly === 'object' && WebAssembly.validate(VECTOR);
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return { wasm, gpu: adapter != null, video: typeof VideoEncoder === 'function' };
}
