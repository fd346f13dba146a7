import { expect, it } from 'vitest';

import { decodeBody, encodeBody } from '../../../src/server/api/cached-body.ts';

it('gives a body back byte for byte, with its content type', () => {
  const body = Buffer.from([0, 255, 1, 128]);
  expect(decodeBody(encodeBody({ type: 'image/png', body }))).toEqual({ type: 'image/png', body });
});

it('keeps an empty body and a long content type apart from a missing one', () => {
  expect(decodeBody(encodeBody({ type: 'text/plain', body: Buffer.alloc(0) })).body).toHaveLength(0);
  const { type } = decodeBody(encodeBody({ type: `text/${'x'.repeat(300)}`, body: Buffer.from('a') }));
  expect(type).toBe('application/octet-stream');
});

it('answers what the library stored as JSON, and its Buffers as bytes', () => {
  expect(decodeBody({ a: 1 })).toEqual({ type: 'application/json', body: Buffer.from('{"a":1}') });
  expect(decodeBody(Buffer.from('abc'))).toEqual({ type: 'application/octet-stream', body: Buffer.from('abc') });
});
