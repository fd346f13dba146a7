import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { findOnPath } from '../../scripts/programs.ts';

/** Kept of what a server prints, for the message of a failure. */
const MAX_LOG_CHARS = 64 * 1024;

const alive = new Set<OwnedProcess>();
const folders = new Set<string>();
let watching = false;

/** How an owned process is spawned. */
export interface OwnedOptions extends SpawnOptions {
  /** Sent when this process ends without having stopped the child; default SIGKILL. */
  readonly exitSignal?: NodeJS.Signals;
}

/**
 * A child process that cannot outlive the test run: it is killed when this process exits, and on Linux
 * by the kernel even when this process is killed itself.
 */
export class OwnedProcess {
  readonly child: ChildProcess;
  readonly exitSignal: NodeJS.Signals;
  /** Settles with the exit code, or the signal that ended it; never rejects. */
  readonly exited: Promise<number | NodeJS.Signals>;
  #log = '';
  #ended = false;

  constructor(command: string, args: readonly string[], options: OwnedOptions = {}) {
    const { exitSignal = 'SIGKILL', ...rest } = options;
    this.exitSignal = exitSignal;
    // 'exit' handlers do not run in a worker that Vitest kills; the kernel's parent-death signal covers that.
    const setpriv = process.platform === 'linux' ? findOnPath(['setpriv']) : undefined;
    const line = setpriv ? [setpriv, '--pdeathsig', exitSignal.slice(3), command, ...args] : [command, ...args];
    this.child = spawn(line[0]!, line.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], ...rest });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-MAX_LOG_CHARS);
      });
    }
    alive.add(this);
    watchExit();
    this.exited = new Promise((resolve) => {
      const end = (result: number | NodeJS.Signals): void => {
        this.#ended = true;
        alive.delete(this);
        resolve(result);
      };
      this.child.once('exit', (code, signal) => end(signal ?? code ?? -1));
      this.child.once('error', (error) => {
        this.#log += `\n${error.message}`;
        end(-1);
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get running(): boolean {
    return !this.#ended;
  }

  /** The last 64 KiB of what it printed, both streams mixed. */
  get log(): string {
    return this.#log;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.child.kill(signal);
  }

  /** Sends `signal`, wakes it if it was stopped, and waits until it is gone; SIGKILL after `graceMs`. */
  async end(signal: NodeJS.Signals = 'SIGKILL', graceMs = 5_000): Promise<number | NodeJS.Signals> {
    this.signal(signal);
    this.signal('SIGCONT');
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs);
    const result = await this.exited;
    clearTimeout(timer);
    return result;
  }
}

/**
 * Polls `attempt` until it succeeds: the one way in which the kit waits for a server to come up.
 *
 * @throws {Error} with the server's own log when it exits first or `deadlineMs` pass
 */
export async function waitUntilUp(
  what: string,
  server: OwnedProcess,
  attempt: () => Promise<void>,
  deadlineMs: number,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  let last: unknown;
  while (server.running && performance.now() < end) {
    try {
      return await attempt();
    } catch (error) {
      last = error;
      await delay(10);
    }
  }
  const why = server.running ? `did not answer within ${deadlineMs} ms` : 'exited';
  throw new Error(`${what} ${why}\n${server.log.trimEnd()}`, { cause: last });
}

/** Stops processes and returns once the kernel has really stopped them, so that no answer slips out afterwards. */
export function freezeProcesses(pids: readonly number[]): void {
  signalProcesses(pids, 'SIGSTOP');
  waitForStates(pids, 'TZX');
}

/** Sends `signal` to each process that is still there. */
export function signalProcesses(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      // It ended between the listing and now, which is no worse than just after.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Has a folder removed when this process exits, in case its owner never gets to it. */
export function removeAtExit(folder: string): void {
  folders.add(folder);
  watchExit();
}

/** Removes a folder of the kit now. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  folders.delete(folder);
}

/** Blocks, for a second at most, until each process is in one of `states` of /proc; elsewhere than on Linux not at all. */
function waitForStates(pids: readonly number[], states: string): void {
  const end = performance.now() + 1_000;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (const pid of pids)
    while (!states.includes(stateOf(pid)) && performance.now() < end) Atomics.wait(pause, 0, 0, 1);
}

function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.charAt(stat.lastIndexOf(')') + 2);
  } catch {
    // Gone: there is nothing left to wait for.
    return 'X';
  }
}

function watchExit(): void {
  if (watching) return;
  watching = true;
  process.on('exit', () => {
    const dying = [...alive];
    for (const child of dying) {
      child.signal(child.exitSignal);
      child.signal('SIGCONT');
    }
    // A server that is still closing would write into the folder that is being removed.
    waitForStates(
      dying.map(({ pid }) => pid),
      'ZX',
    );
    for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
}
