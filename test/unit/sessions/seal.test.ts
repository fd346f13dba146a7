import { describe, expect, it } from 'vitest';

import { createSealer } from '../../../src/services/sessions/seal.ts';

const OLD = 'an old secret of more than thirty-two characters';
const NEW = 'a new secret of more than thirty-two characters';

describe('sealed sessions', () => {
  it('open for the session id they were sealed for, and for no other', () => {
    const sealer = createSealer([NEW]);
    const box = sealer.seal('alice', '{"user":"ann"}');
    expect(sealer.open('alice', box)).toBe('{"user":"ann"}');
    expect(sealer.open('mallory', box)).toBeUndefined();
  });

  it('open under every listed secret after a rotation, while the first one seals', () => {
    const box = createSealer([OLD]).seal('sid', 'text');
    const rotated = createSealer([NEW, OLD]);
    expect(rotated.open('sid', box)).toBe('text');
    expect(createSealer([OLD]).open('sid', rotated.seal('sid', 'text'))).toBeUndefined();
    expect(createSealer([NEW]).open('sid', rotated.seal('sid', 'text'))).toBe('text');
  });

  it('do not open when a single byte of them was changed', () => {
    const sealer = createSealer([NEW]);
    const [keyId = '', body = ''] = sealer.seal('sid', 'text').split('.');
    const bytes = Buffer.from(body, 'base64url');
    for (let at = 0; at < bytes.length; at += 1) {
      const altered = Buffer.from(bytes);
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect(sealer.open('sid', `${keyId}.${altered.toString('base64url')}`)).toBeUndefined();
    }
  });

  it('never fall back to reading what is not sealed', () => {
    const sealer = createSealer([NEW]);
    for (const box of ['', '{"user":"root"}', '.', 'abcdefgh.', 'abcdefgh.e30']) {
      expect(sealer.open('sid', box)).toBeUndefined();
    }
  });

  it('tell neither the content nor the secret', () => {
    const box = createSealer([NEW]).seal('sid', 'user=ann');
    expect(Buffer.from(box, 'base64url').toString('latin1')).not.toContain('ann');
    expect(box).not.toContain(NEW);
  });

  it('differ each time, since an initialisation vector is used once', () => {
    const sealer = createSealer([NEW]);
    expect(sealer.seal('sid', 'text')).not.toBe(sealer.seal('sid', 'text'));
  });
});
