import { type Place, nodeAt, placeOf, type ScannedSource } from '../core/positions.ts';
import { CODES, type CheckCode, type CheckFinding, type Severity } from './check/codes.ts';

/** One mistake in a file, as an editor or a CI job can show it. */
export interface Finding extends Place {
  readonly file: string;
  /** Stable, kebab-case: `unknown-target`. */
  readonly code: CheckCode;
  readonly severity: Severity;
  /** Place in the machine: `states.available.on.redis.lost`; empty for the whole file. */
  readonly path: string;
  /** What is wrong and, where that can be told, what would be right. */
  readonly message: string;
}

/** Findings about a name point at the name, though what stands behind it is an object. */
const OF_THE_KEY: ReadonlySet<CheckCode> = new Set(['unknown-key', 'unknown-parameter', 'numeric-delay', 'wrong-name']);

/** Adds to a finding where it stands in its file; the whole file where there is no text of it. */
export function locate(
  file: string,
  finding: CheckFinding,
  source?: { readonly text: string; readonly scanned: ScannedSource },
): Finding {
  const { code, path, message } = finding;
  const node = source && nodeAt(source.scanned.root, path);
  const offset = node && (node.isScalar && !OF_THE_KEY.has(code) ? node.value : node.key);
  const place = source && offset !== undefined ? placeOf(source.text, offset) : { line: 1, column: 1 };
  return { file, ...place, code, severity: CODES[code].severity, path, message };
}

/** `redis.machine.json:12:9: error [unknown-target] states.a.on.b.target: no state …`. */
export function formatFinding(finding: Finding, file = finding.file): string {
  const { line, column, severity, code, path, message } = finding;
  // The environment has variables, not lines.
  const place = file === 'environment' ? file : `${file}:${line}:${column}`;
  return `${place}: ${severity} [${code}] ${path ? `${path}: ` : ''}${message}`;
}

export function isError({ severity }: Finding): boolean {
  return severity === 'error';
}
