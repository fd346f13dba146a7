import { RedoubtError } from '../core/errors.ts';

/** A JSON object out of a request body. @throws {RedoubtError} `ERR_REQUEST` for anything else */
export function requireObject(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw refuse('the body must be a JSON object, sent with Content-Type: application/json');
}

/**
 * A non-empty text of at most `maxLength` characters.
 *
 * @param name - how the caller knows it, for the error
 * @throws {RedoubtError} `ERR_REQUEST`
 */
export function requireText(value: unknown, name: string, maxLength: number): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= maxLength) return value;
  throw refuse(`${name} must be a text of 1 to ${maxLength} characters`);
}

/** `ERR_REQUEST` with a message for the caller; it must not repeat what was sent. */
export function refuse(message: string): RedoubtError {
  return new RedoubtError('ERR_REQUEST', { message });
}
