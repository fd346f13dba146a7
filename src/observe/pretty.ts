/** Names and colours of pino's levels. */
const LEVELS: Readonly<Record<number, readonly [name: string, colour: number]>> = {
  10: ['TRACE', 90],
  20: ['DEBUG', 90],
  30: ['INFO', 32],
  40: ['WARN', 33],
  50: ['ERROR', 31],
  60: ['FATAL', 31],
};

/** Said by the line itself, or the same in each. */
const LEFT_OUT = new Set(['level', 'time', 'name', 'msg']);

/**
 * One line of the log as a person reads it on a terminal: time, level, the sentence, and the facts behind it.
 *
 * @param json - a line of pino's; one that is none comes back as it is
 */
export function prettyLine(json: string, hasColours: boolean): string {
  let line: Record<string, unknown>;
  try {
    line = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return json;
  }
  const [name, colour] = LEVELS[Number(line['level'])] ?? ['', 0];
  const paint = (text: string, code: number): string => (hasColours ? `\u001B[${code}m${text}\u001B[39m` : text);
  const facts = Object.entries(line).flatMap(([key, value]) => (LEFT_OUT.has(key) ? [] : factsOf(key, value)));
  const tail = facts.length > 0 ? ` ${paint(facts.join(' '), 90)}` : '';
  return `${timeOf(line['time'])} ${paint(name.padEnd(5), colour)} ${printable(String(line['msg'] ?? ''))}${tail}\n`;
}

/** `key=value`, an object as one for each of its leaves: `err.code=ECONNREFUSED`. */
function factsOf(key: string, value: unknown): string[] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([inner, each]) => factsOf(`${key}.${inner}`, each));
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return [`${key}=${/^[^\s"=]+$/.test(text) ? printable(text) : JSON.stringify(text)}`];
}

/** Nothing in a text may steer the terminal. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return text.replaceAll(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/g, '?');
}

function timeOf(time: unknown): string {
  const at = new Date(Number(time));
  if (Number.isNaN(at.getTime())) return '--:--:--.---';
  const [hours, minutes, seconds] = [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => pad(part, 2));
  return `${hours}:${minutes}:${seconds}.${pad(at.getMilliseconds(), 3)}`;
}

function pad(value: number, length: number): string {
  return String(value).padStart(length, '0');
}
