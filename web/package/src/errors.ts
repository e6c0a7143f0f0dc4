// Every error has a code, a message that says what is wrong, and a hint that says what to do.

export type ErrorCode =
  | 'unsupported'
  | 'download'
  | 'model'
  | 'settings'
  | 'memory'
  | 'no-device'
  | 'device'
  | 'device-lost'
  | 'broken'
  | 'encoding'
  | 'internal';

const HINTS: Record<ErrorCode, string> = {
  unsupported: 'Use a current version of Chrome, Edge, Firefox or Safari.',
  download: 'Check the connection and try again: what has arrived is kept.',
  model: 'Check that the files are complete and belong to one model.',
  settings: 'Change the setting and try again.',
  memory: 'Choose a smaller size, fewer frames, or a smaller model.',
  'no-device': 'Choose the CPU, or turn on hardware acceleration in the settings of the browser.',
  device: 'Update the browser and the driver of the graphics card, or choose the CPU.',
  'device-lost': 'Close other programs that use the graphics card and try again, or choose the CPU.',
  broken: 'Try another seed, or full precision; the files of the model may be damaged.',
  encoding: 'Choose another format.',
  internal: 'Reload the page. If it happens again, report it with this message.',
};

/** What every function of this package throws, but for an `AbortSignal`'s own reason. */
export class KinoraError extends Error {
  readonly code: ErrorCode;
  /** What to do. */
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint ?? HINTS[code];
  }
}

/** The browser lacks something that cannot be done without. */
export class UnsupportedError extends KinoraError {}
/** A file of the model did not arrive. */
export class DownloadError extends KinoraError {}
/** The files are no model, or a damaged or unknown one. */
export class ModelError extends KinoraError {}
/** The model cannot do what is asked for. */
export class SettingsError extends KinoraError {}
/** The device has too little memory. */
export class MemoryError extends KinoraError {}
/** There is no such device, or it refused work. */
export class DeviceError extends KinoraError {}
/** The GPU was lost, and so was the one that was opened in its place. */
export class DeviceLostError extends KinoraError {}
/** What came out cannot be right. */
export class BrokenResultError extends KinoraError {}
/** The browser could not make a file of the frames. */
export class EncodingError extends KinoraError {}
/** A defect of this package. */
export class InternalError extends KinoraError {}

const CLASSES: Record<ErrorCode, typeof KinoraError> = {
  unsupported: UnsupportedError,
  download: DownloadError,
  model: ModelError,
  settings: SettingsError,
  memory: MemoryError,
  'no-device': DeviceError,
  device: DeviceError,
  'device-lost': DeviceLostError,
  broken: BrokenResultError,
  encoding: EncodingError,
  internal: InternalError,
};

/** An error as it travels between threads. */
export interface PlainError {
  code: ErrorCode | 'cancelled';
  message: string;
  cause?: string;
}

/** The error of a code. */
export function errorOf(plain: PlainError): KinoraError {
  const code = plain.code === 'cancelled' ? 'internal' : plain.code;
  return new CLASSES[code](code, plain.message, plain.cause === undefined ? {} : { cause: plain.cause });
}

/** What was thrown, as it travels. What has no code of ours is a defect of ours. */
export function plainOf(reason: unknown): PlainError {
  if (reason instanceof Error) {
    const code = (reason as { code?: unknown }).code;
    const known = typeof code === 'string' && (code in CLASSES || code === 'cancelled');
    const plain: PlainError = { code: known ? (code as PlainError['code']) : 'internal', message: reason.message };
    return reason.cause === undefined ? plain : { ...plain, cause: String(reason.cause) };
  }
  return { code: 'internal', message: String(reason) };
}
