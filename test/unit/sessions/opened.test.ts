import { describe, expect, it } from 'vitest';

import { rememberOpened } from '../../../src/services/sessions/opened.ts';
import { type Sealer, createSealer } from '../../../src/services/sessions/seal.ts';

/** A real sealer that counts what it opens. */
function start() {
  const sealer = createSealer(['a secret of more than thirty-two characters']);
  let openings = 0;
  const counted: Sealer = {
    ...sealer,
    open: (sid, box) => {
      openings += 1;
      return sealer.open(sid, box);
    },
  };
  return { sealer, remembering: rememberOpened(counted), openings: () => openings };
}

describe('sessions that stay open', () => {
  it('are opened once, and not at all by the process that sealed them', () => {
    const { sealer, remembering, openings } = start();
    const box = sealer.seal('ann', 'of another process');
    for (let i = 0; i < 3; i += 1) expect(remembering.open('ann', box)).toBe('of another process');
    expect(openings()).toBe(1);
    expect(remembering.open('bob', remembering.seal('bob', 'own'))).toBe('own');
    expect(openings()).toBe(1);
  });

  it('are opened anew when the box is another one, older or newer', () => {
    const { remembering } = start();
    const old = remembering.seal('ann', 'old');
    const recent = remembering.seal('ann', 'recent');
    expect([old, recent, old].map((box) => remembering.open('ann', box))).toEqual(['old', 'recent', 'old']);
  });

  it('stay shut for another session, and with a changed byte', () => {
    const { remembering } = start();
    const box = remembering.seal('ann', 'text');
    expect(remembering.open('mallory', box)).toBeUndefined();
    expect(remembering.open('ann', `${box.slice(0, -2)}${box.endsWith('AA') ? 'BB' : 'AA'}`)).toBeUndefined();
    expect(remembering.open('ann', box)).toBe('text');
  });

  it('are bounded by number and by size', () => {
    const { sealer, remembering, openings } = start();
    const boxes = Array.from({ length: 2001 }, (_, i) => sealer.seal(`${i}`, 'text'));
    for (const [i, box] of boxes.entries()) remembering.open(`${i}`, box);
    remembering.open('2000', boxes[2000]!);
    expect(openings()).toBe(2001);
    remembering.open('0', boxes[0]!);
    expect(openings()).toBe(2002);
    const large = sealer.seal('large', 'x'.repeat(8_000_000));
    remembering.open('large', large);
    remembering.open('large', large);
    expect(openings()).toBe(2004);
  });
});
