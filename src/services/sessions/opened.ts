import { LRUCache } from 'lru-cache';

import type { Sealer } from './seal.ts';

/** Sessions whose content stays open, so long as nobody changes it; about a second of a busy server's. */
const OPENED_MAX = 2000;
/** Of their content and boxes together, in characters. */
const OPENED_SIZE = 8_000_000;

interface Opened {
  readonly box: string;
  readonly text: string;
}

/**
 * Remembers the content of the boxes that were opened or sealed last: a page loads its session a dozen times, and
 * to open it is half of what a read costs. It says nothing about whether a box is still the session's: that is
 * asked for each read, and another box is opened anew.
 */
export function rememberOpened(sealer: Sealer): Sealer {
  const opened = new LRUCache<string, Opened>({
    max: OPENED_MAX,
    maxSize: OPENED_SIZE,
    sizeCalculation: ({ box, text }) => box.length + text.length,
  });
  return {
    seal(sid, text) {
      const box = sealer.seal(sid, text);
      opened.set(sid, { box, text });
      return box;
    },
    open(sid, box) {
      const known = opened.get(sid);
      if (known?.box === box) return known.text;
      const text = sealer.open(sid, box);
      if (text !== undefined) opened.set(sid, { box, text });
      return text;
    },
    isCurrent: (box) => sealer.isCurrent(box),
  };
}
