import { DatabaseError } from 'pg';
import { describe, expect, it } from 'vitest';

import { classifyPostgresError, sqlStateOf, toPostgresError } from '../../../src/backends/postgres-errors.ts';
import { RedoubtError } from '../../../src/core/errors.ts';

function fromServer(code: string, message = 'from the server'): DatabaseError {
  return Object.assign(new DatabaseError(message, 0, 'error'), { code, severity: 'ERROR' });
}

function fromNode(code: string, message = 'from node'): Error {
  return Object.assign(new Error(message), { code });
}

describe('classifyPostgresError', () => {
  it.each([
    ['57P01', 'lost'],
    ['57P02', 'lost'],
    ['57P03', 'lost'],
    ['08006', 'lost'],
    ['08P01', 'lost'],
    ['53300', 'lost'],
    ['28P01', 'refused'],
    ['28000', 'refused'],
    ['3D000', 'refused'],
    ['25006', 'writeRefused'],
    ['53100', 'writeRefused'],
    ['53200', 'writeRefused'],
    ['57014', 'timeout'],
    ['23505', 'application'],
    ['42P01', 'application'],
    ['40001', 'application'],
    ['22P02', 'application'],
  ] as const)('reads SQLSTATE %s as %s', (code, kind) => {
    expect(classifyPostgresError(fromServer(code))).toEqual({ kind, code });
  });

  it.each([
    ['ECONNREFUSED', 'lost'],
    ['ECONNRESET', 'lost'],
    ['EPIPE', 'lost'],
    ['ENOTFOUND', 'lost'],
    ['EAI_AGAIN', 'lost'],
    ['CERT_HAS_EXPIRED', 'refused'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'refused'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'refused'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'refused'],
  ] as const)("reads Node's %s as %s", (code, kind) => {
    expect(classifyPostgresError(fromNode(code))).toEqual({ kind, code });
  });

  it.each([
    ['The server does not support SSL connections', 'refused', 'TLS'],
    ['SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string', 'refused', 'SASL'],
    ['Connection terminated unexpectedly', 'lost', 'CONNECTION_CLOSED'],
    ['Client has encountered a connection error and is not queryable', 'lost', 'CONNECTION_CLOSED'],
    ['timeout exceeded when trying to connect', 'timeout', 'CONNECT_TIMEOUT'],
    ['Connection terminated due to connection timeout', 'timeout', 'CONNECT_TIMEOUT'],
  ] as const)("reads node-postgres' own %j as %s", (message, kind, code) => {
    expect(classifyPostgresError(new Error(message))).toEqual({ kind, code });
  });

  it('does not take EPIPE for a SQLSTATE although it has five capitals', () => {
    expect(sqlStateOf(fromNode('EPIPE'))).toBeUndefined();
  });

  it('does not hold a value that cannot be printed against PostgreSQL', () => {
    expect(classifyPostgresError(new TypeError('Converting circular structure to JSON')).kind).toBe('application');
  });

  it('reads our own errors by their code and reason', () => {
    expect(classifyPostgresError(new RedoubtError('ERR_DEADLINE'))).toEqual({ kind: 'timeout', code: 'TIMEOUT' });
    expect(classifyPostgresError(new RedoubtError('ERR_EMBEDDED_LOCKED'))).toEqual({
      kind: 'lost',
      code: 'ERR_EMBEDDED_LOCKED',
    });
    expect(classifyPostgresError(new RedoubtError('ERR_POSTGRES_UNAVAILABLE', { reason: 'READ_ONLY' }))).toEqual({
      kind: 'writeRefused',
      code: 'READ_ONLY',
    });
  });

  it('takes what is no error at all for a lost connection', () => {
    expect(classifyPostgresError(undefined)).toEqual({ kind: 'lost', code: 'UNKNOWN' });
  });
});

describe('toPostgresError', () => {
  it('keeps host, role and values of the driver out of the message and the details', () => {
    const secret = 'planted-9f2c';
    const driver = [
      fromNode('ECONNREFUSED', `connect ECONNREFUSED ${secret}:5432`),
      fromServer('28P01', `password authentication failed for user "${secret}"`),
      fromServer('23505', `Key (sid)=(${secret}) already exists`),
    ];
    for (const error of driver) {
      const ours = toPostgresError(error, true);
      expect(`${ours.message} ${JSON.stringify(ours.details)}`).not.toContain(secret);
      expect(ours.cause).toBe(error);
    }
  });

  it("gives the caller's mistake its own code, with the SQLSTATE", () => {
    const ours = toPostgresError(fromServer('23505'), true);
    expect(ours.code).toBe('ERR_POSTGRES_REPLY');
    expect(ours.details).toEqual({ reply: '23505' });
  });

  it('says that a statement which had left may have been executed', () => {
    expect(toPostgresError(fromNode('ECONNRESET'), true).details['executed']).toBe('unknown');
    expect(toPostgresError(fromNode('ECONNREFUSED'), false).details['executed']).toBe('no');
  });

  it("turns the server's statement timeout into a deadline", () => {
    expect(toPostgresError(fromServer('57014'), true).code).toBe('ERR_DEADLINE');
  });
});
