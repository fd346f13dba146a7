import { describe, expect, it } from 'vitest';

import { createLogger } from '../../../src/observe/log.ts';
import { prettyLine } from '../../../src/observe/pretty.ts';

function output(facts: { readonly isTTY?: boolean; readonly colours?: boolean } = {}) {
  const lines: string[] = [];
  const { isTTY, colours = false } = facts;
  const write = (text: string): void => void lines.push(text);
  return { lines, target: { ...(isTTY === undefined ? {} : { isTTY }), hasColors: () => colours, write } };
}

const line = (facts: object): string =>
  JSON.stringify({ level: 40, time: new Date(2026, 0, 2, 3, 4, 5, 67).getTime(), name: 'redoubt', ...facts });

describe('the log', () => {
  it('is JSON where nobody looks on', () => {
    const { lines, target } = output();
    createLogger('info', target).warn({ machine: 'redis' }, 'redis is degraded');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 40, name: 'redoubt', machine: 'redis' });
    expect(lines).toHaveLength(1);
  });

  it('is for people on a terminal, without colours where it has none', () => {
    const { lines, target } = output({ isTTY: true });
    createLogger('info', target).child({ service: 'cache' }).warn({ to: 'memory' }, 'cache: on memory');
    expect(lines).toEqual([
      expect.stringMatching(/^\d\d:\d\d:\d\d\.\d{3} WARN  cache: on memory service=cache to=memory\n$/),
    ]);
  });

  it('has colours where the terminal has', () => {
    const { lines, target } = output({ isTTY: true, colours: true });
    createLogger('info', target).info({}, 'listening');
    expect(lines[0]).toContain('\u001B[32mINFO \u001B[39m listening');
  });

  it('keeps to its level', () => {
    const { lines, target } = output({ isTTY: true });
    const log = createLogger('warn', target);
    log.info({}, 'not said');
    log.error({}, 'said');
    expect(lines).toHaveLength(1);
  });
});

describe('prettyLine', () => {
  it('shows time, level, sentence and facts, an error by its parts', () => {
    const text = prettyLine(
      line({ msg: 'It broke', err: { name: 'E', code: 'X', cause: { name: 'y z' } }, n: [1] }),
      false,
    );
    expect(text).toBe('03:04:05.067 WARN  It broke err.name=E err.code=X err.cause.name="y z" n=[1]\n');
  });

  it('lets no text steer the terminal', () => {
    const text = prettyLine(line({ msg: 'a\u001B[2Jb', key: '\u001B]0;x\u0007' }), false);
    expect(text).not.toContain('\u001B');
    expect(text).not.toContain('\u0007');
  });

  it('gives back what is no line of the log', () => {
    expect(prettyLine('not JSON\n', true)).toBe('not JSON\n');
  });
});
