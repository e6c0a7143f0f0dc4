// Numbers in words.

/** Bytes in the unit that suits them. */
export function bytes(count: number): string {
  if (count < 1e3) return `${count} bytes`;
  const [unit, name] = count < 1e6 ? [1e3, 'kB'] : count < 1e9 ? [1e6, 'MB'] : [1e9, 'GB'];
  const number = count / unit;
  return `${number < 10 ? number.toFixed(1) : Math.round(number)} ${name}`;
}

/** A time that is left or was taken. */
export function time(seconds: number): string {
  if (seconds < 1) return 'less than a second';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} minutes`;
  return `${(seconds / 3600).toFixed(1)} hours`;
}
