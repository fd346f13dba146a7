import { RedoubtError } from '../../core/errors.ts';

/** One transition of a real run. */
export interface RecordedTransition {
  readonly machine: string;
  readonly from: string;
  readonly to: string;
  readonly event: string;
  /** The reason's code. */
  readonly code: string;
  /** Milliseconds since the start of the record. */
  readonly atMs: number;
}

interface Dated extends Omit<RecordedTransition, 'atMs'> {
  readonly at: number;
  readonly spentMs?: number;
}

/**
 * Reads what a real run left: the answer of `GET /health`, or the log of `redoubt serve` (JSON lines).
 * Of a log with several starts the last one counts.
 *
 * @param name - file or address, for the message
 * @returns in order of time; a record that begins at the start of the process begins at 0
 * @throws {RedoubtError} `ERR_SCRIPT` where it holds no transition
 */
export function readRecord(text: string, name: string): readonly RecordedTransition[] {
  const found = fromHealth(text) ?? fromLog(text);
  const transitions = found.flatMap((machine) => lastChain(machine)).toSorted((a, b) => a.at - b.at);
  const [first] = transitions;
  if (!first) {
    const message = `\n  ${name}: holds no transition; wanted is the answer of /health or a log of redoubt serve`;
    throw new RedoubtError('ERR_SCRIPT', { message, findings: 1 });
  }
  // A health report says how long the first state lasted; a log does not, so a moment before is taken.
  const startedAt = Math.min(...transitions.map(({ at, spentMs }) => at - (spentMs ?? 0)), first.at - LEAD_MS);
  return transitions.map(({ machine, from, to, event, code, at }) => ({
    machine,
    from,
    to,
    event,
    code,
    atMs: at - startedAt,
  }));
}

const LEAD_MS = 10;

function fromHealth(text: string): Dated[][] | undefined {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    // More than one JSON document: a log.
    return undefined;
  }
  const machines = (report as { machines?: Record<string, { transitions?: unknown }> } | null)?.machines;
  if (typeof machines !== 'object' || machines === null) return undefined;
  return Object.entries(machines).map(([machine, { transitions }]) =>
    (Array.isArray(transitions) ? transitions : []).flatMap((each: Record<string, unknown>): Dated[] => {
      const { from, to, event, reason, at, spentMs } = each;
      const code = (reason as { code?: unknown } | undefined)?.code;
      const dated = typeof at === 'number' ? at : Date.parse(String(at));
      if (!areTexts(from, to, event, code) || Number.isNaN(dated)) return [];
      const spent = typeof spentMs === 'number' ? { spentMs } : {};
      return [
        { machine, from: String(from), to: String(to), event: String(event), code: String(code), at: dated, ...spent },
      ];
    }),
  );
}

function fromLog(text: string): Dated[][] {
  const lines = text.split('\n').flatMap((line): Dated[] => {
    if (!line.startsWith('{')) return [];
    try {
      const { machine, from, to, event, reason, time } = JSON.parse(line) as Record<string, unknown>;
      if (!areTexts(machine, from, to, event, reason) || typeof time !== 'number') return [];
      const texts = { machine: String(machine), from: String(from), to: String(to), event: String(event) };
      return [{ ...texts, code: String(reason), at: time }];
    } catch {
      // A line cut short by the end of the file.
      return [];
    }
  });
  return [...Map.groupBy(lines, ({ machine }) => machine).values()];
}

/** From the last place on where each transition begins in the state in which the one before it ended. */
function lastChain(transitions: readonly Dated[]): readonly Dated[] {
  const breaks = transitions.findLastIndex((each, i) => i > 0 && each.from !== transitions[i - 1]?.to);
  return breaks < 0 ? transitions : transitions.slice(breaks);
}

function areTexts(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === 'string');
}
