import type { Request, Response } from 'express';
import { expect, it, vi } from 'vitest';

import { RedoubtError } from '../../../src/core/errors.ts';
import { type Logger, silentLogger } from '../../../src/observe/log.ts';
import { errorHandler } from '../../../src/server/errors.ts';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Record<string, unknown>;
  readonly destroyed: boolean;
}

function answer(error: unknown, log: Logger = silentLogger, headersSent = false): Answer {
  const headers: Record<string, string> = {};
  let text = '{}';
  let destroyed = false;
  const response = {
    statusCode: 200,
    headersSent,
    setHeader: (name: string, value: string) => (headers[name] = value),
    removeHeader: () => undefined,
    end: (body: string) => (text = body),
  };
  const request = { method: 'GET', socket: { destroy: () => (destroyed = true) } };
  errorHandler(log)(error, request as unknown as Request, response as unknown as Response, () => undefined);
  return { status: response.statusCode, headers, body: JSON.parse(text) as Record<string, unknown>, destroyed };
}

it('turns an error of ours into a problem with its status, code and Retry-After', () => {
  const { status, headers, body } = answer(new RedoubtError('ERR_JOBS_UNAVAILABLE', { retryAfterMs: 1200 }));
  expect(status).toBe(503);
  expect(headers).toMatchObject({ 'Content-Type': 'application/problem+json', 'Retry-After': '2' });
  expect(body).toMatchObject({
    type: 'about:blank',
    title: 'Service Unavailable',
    status: 503,
    code: 'ERR_JOBS_UNAVAILABLE',
  });
});

it('shows nothing of an error that is not ours, and logs it once', () => {
  const error = vi.fn<Logger['error']>();
  const { status, body } = answer(new Error('connect redis://user:planted@10.0.0.1'), { ...silentLogger, error });
  expect(status).toBe(500);
  expect(body['code']).toBe('ERR_INTERNAL');
  expect(JSON.stringify(body)).not.toContain('planted');
  expect(error).toHaveBeenCalledOnce();
  const facts = error.mock.calls[0]?.[0] as { trace: string[] };
  expect(facts.trace.join()).toContain('errors.test.ts');
  expect(facts.trace.join()).not.toContain('planted');
});

it('answers what parsers refuse with 400 or 413, without repeating what was sent', () => {
  const parse = Object.assign(new SyntaxError('Unexpected token planted'), {
    status: 400,
    type: 'entity.parse.failed',
  });
  const large = Object.assign(new Error('request entity too large'), { status: 413, type: 'entity.too.large' });
  expect(answer(parse)).toMatchObject({ status: 400, body: { code: 'ERR_REQUEST' } });
  expect(JSON.stringify(answer(parse).body)).not.toContain('planted');
  expect(answer(large)).toMatchObject({ status: 413, body: { code: 'ERR_BODY_TOO_LARGE' } });
  expect(answer(Object.assign(new URIError('x'), { status: 400 }))).toMatchObject({ status: 400 });
});

it('cuts an answer that had begun: half of one must not look whole', () => {
  expect(answer(new Error('late'), silentLogger, true).destroyed).toBe(true);
});
