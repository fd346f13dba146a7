import { describe, expect, it } from 'vitest';

import { type Logger, silentLogger } from '../../../src/observe/log.ts';
import { ModeLog } from '../../../src/observe/mode-log.ts';
import { modeOf } from '../../support/service-rig.ts';

describe('the log of modes', () => {
  it('tells each move once, with what it means, and not that all is well from the start', () => {
    const lines: string[] = [];
    const log: Logger = {
      ...silentLogger,
      info: (_facts, text) => void lines.push(`info ${text}`),
      warn: (_facts, text) => void lines.push(`warn ${text}`),
    };
    const modes = new ModeLog(log);
    modes.tell(modeOf('sockets', ['redis', 'local']), undefined);
    modes.tell(modeOf('sockets', ['local']), 'Single-instance mode.');
    modes.tell(modeOf('sockets', ['local']), 'Single-instance mode; 3 were not sent.');
    modes.tell(modeOf('sockets', ['redis', 'local']), undefined);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^warn sockets: on local instead of redis\. .*Single-instance mode\.$/);
    expect(lines[1]).toBe('info sockets: back on redis');
  });

  it('tells at the start what is not as it should be', () => {
    const lines: string[] = [];
    const modes = new ModeLog({ ...silentLogger, warn: (_facts, text) => void lines.push(text) });
    modes.tell(modeOf('cache', ['memory']), undefined);
    expect(lines).toHaveLength(1);
  });
});
