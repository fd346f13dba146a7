import type { ErrorCode, RedoubtError } from './errors.ts';

/** The media type of `Problem`. */
export const PROBLEM_TYPE = 'application/problem+json';

/** An error as HTTP tells it (RFC 9457); `code` is what a program branches on. */
export interface Problem {
  /** Always `about:blank`: the title says no more than the status does. */
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  /** For people: what happened and what to do. */
  readonly detail: string;
}

/** Not by an import: node:http as an ES module brings HTTP/2 and fetch, 6 MB that a cache alone never uses. */
function titleOf(status: number): string {
  return process.getBuiltinModule('node:http').STATUS_CODES[status] ?? 'Error';
}

/** The problem of one of our own errors: its message and hint, never its cause. */
export function problemOf(error: RedoubtError, status: number = error.status): Problem {
  return {
    type: 'about:blank',
    title: titleOf(status),
    status,
    code: error.code,
    detail: `${error.message.replace(/[.\s]+$/, '')}. ${error.hint}`,
  };
}
