import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';

/** Longest wait for an answer of a child, beyond its round. */
const ANSWER_MS = 60_000;

/** A child that answers each message with one. */
export class Child implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #name: string;
  /** What it said when it was ready. */
  readonly ready: Promise<unknown>;

  constructor(file: string, args: readonly string[]) {
    this.#name = `${file} ${args[0] ?? ''}`.trim();
    this.#child = fork(new URL(file, import.meta.url), args);
    this.ready = this.#answer(0);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** @param workMs - how long the work takes by itself */
  async ask<T>(order: object, workMs = 0): Promise<T> {
    const answer = this.#answer(workMs);
    this.#child.send(order);
    return (await answer) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    // It ends by itself then, so that a profile which NODE_OPTIONS asked for is written.
    this.#child.disconnect();
    await gone;
  }

  async #answer(workMs: number): Promise<unknown> {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(workMs + ANSWER_MS)]);
    try {
      const ended = once(this.#child, 'exit', { signal }).then(([code]) => {
        throw new Error(`${this.#name} has ended with ${code}`);
      });
      const [answer] = await Promise.race([once(this.#child, 'message', { signal }), ended]);
      return answer;
    } finally {
      over.abort();
    }
  }
}

/** Microseconds of CPU that a process and its children have had, children that have ended not counted. */
export function cpuMicros(pid: number): number {
  return [pid, ...childrenOf(pid)].reduce((sum, one) => sum + ownMicros(one), 0);
}

/** From now on, how much of the machine goes to others than `pids` and their children. */
export function startMachineWatch(pids: readonly number[]): { readonly othersShare: () => number } {
  const sum = (): number => pids.reduce((micros, pid) => micros + cpuMicros(pid), 0);
  const [before, ours] = [machineTicks(), sum()];
  return {
    othersShare: () => {
      const after = machineTicks();
      const busy = (after.busy - before.busy) * TICK_MICROS;
      return Math.max(0, (busy - (sum() - ours)) / ((after.all - before.all) * TICK_MICROS));
    },
  };
}

function machineTicks(): { readonly busy: number; readonly all: number } {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '';
  // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user already.
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const all = ticks.reduce((sum, one) => sum + one, 0);
  return { all, busy: all - (ticks[3] ?? 0) - (ticks[4] ?? 0) };
}

/** Clock ticks of 10 ms are all that Linux tells; rounds are long enough for that. */
const TICK_MICROS = 10_000;

function ownMicros(pid: number): number {
  // Behind the name, which may hold blanks: utime and stime are the 12th and 13th.
  const fields = statOf(pid)?.split(' ') ?? [];
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_MICROS;
}

function childrenOf(pid: number): number[] {
  const all = readdirSync('/proc').map(Number).filter(Number.isInteger);
  return all.filter((one) => statOf(one)?.split(' ')[1] === `${pid}`);
}

/** From the state on; `undefined` for a process that has ended meanwhile. */
function statOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2);
  } catch {
    return undefined;
  }
}
