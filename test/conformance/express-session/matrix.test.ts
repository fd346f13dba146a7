import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Behaviour, Observation } from './behaviour.ts';
import { observe } from './bench.ts';
import { afterEnd } from './behaviours/after-end.ts';
import { answers } from './behaviours/answers.ts';
import { cookieChanges } from './behaviours/cookie-changes.ts';
import { cookies } from './behaviours/cookies.ts';
import { methods } from './behaviours/methods.ts';
import { mounting } from './behaviours/mounting.ts';
import { options } from './behaviours/options.ts';
import { signingIn } from './behaviours/signing-in.ts';
import { sockets } from './behaviours/sockets.ts';
import { store } from './behaviours/store.ts';
import { tabs } from './behaviours/tabs.ts';
import { values } from './behaviours/values.ts';
import { type Changes, changesOf } from './changes.ts';
import { CONTENDERS, type Contender, type ContenderName } from './contenders.ts';
import { DIFFERENCES } from './differences.ts';

const BEHAVIOURS: readonly Behaviour[] = [
  ...signingIn,
  ...options,
  ...cookies,
  ...cookieChanges,
  ...tabs,
  ...answers,
  ...afterEnd,
  ...values,
  ...mounting,
  ...methods,
  ...store,
  ...sockets,
];
const { MemoryStore: startReference, ...OTHERS } = CONTENDERS;
const reference = new Map<string, Observation>();

describe('MemoryStore, with which all others are compared', () => {
  it('shows what is recorded in reference.txt', async () => {
    await using contender = await startReference();
    for (const behaviour of BEHAVIOURS) reference.set(behaviour.name, await observe(contender, behaviour));
    const lines = [...reference].map(([name, seen]) => `${name}\n  ${JSON.stringify(seen)}\n`);
    await expect(lines.join('')).toMatchFileSnapshot('reference.txt');
  });
});

describe.each(Object.keys(OTHERS) as ContenderName[])('%s', (name) => {
  let contender: Contender;
  beforeAll(async () => {
    contender = await CONTENDERS[name]();
  });
  afterAll(() => contender[Symbol.asyncDispose]());

  it.each(BEHAVIOURS.map((behaviour) => [behaviour.name, behaviour] as const))('%s', async (_, behaviour) => {
    const seen = await observe(contender, behaviour);
    expect(changesOf(reference.get(behaviour.name), seen)).toEqual(listed(name, behaviour.name)[0] ?? {});
  });
});

describe('the table of differences', () => {
  it('says of each one what is seen instead, at most once for a contender', () => {
    const behaviours = BEHAVIOURS.map(({ name }) => name);
    const names = Object.keys(OTHERS) as ContenderName[];
    const found = names.flatMap((name) => behaviours.flatMap((behaviour) => listed(name, behaviour)));
    const all = DIFFERENCES.flatMap(({ contenders, seen }) =>
      Object.values(seen).flatMap((each) => contenders.map(() => each)),
    );
    // One that names no behaviour or contender is not found, and one that is found twice is one too many.
    expect(found.length).toBe(all.length);
    expect(names.every((name) => behaviours.every((behaviour) => listed(name, behaviour).length <= 1))).toBe(true);
    expect(all.filter((each) => Object.keys(each).length === 0)).toEqual([]);
    expect(new Set(behaviours).size).toBe(behaviours.length);
  });

  it('is the one of docs/compatibility.md', () => {
    const text = readFileSync(new URL('../../../docs/compatibility.md', import.meta.url), 'utf8');
    expect(DIFFERENCES.map(({ reason }) => reason).filter((reason) => !text.includes(reason))).toEqual([]);
  });
});

/** What is known to be otherwise. */
function listed(contender: ContenderName, behaviour: string): Changes[] {
  return DIFFERENCES.flatMap(({ contenders, seen }) => {
    const changes = seen[behaviour];
    return changes && contenders.includes(contender) ? [changes] : [];
  });
}
