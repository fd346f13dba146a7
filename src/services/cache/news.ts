import type { Clock } from '../../core/clock.ts';
import type { BusListeners, Change, Everything } from '../../fleet/bus-news.ts';
import { Bus, type BusOptions } from '../../fleet/bus.ts';
import type { Coherence } from './coherence.ts';
import type { Standing } from './standing.ts';
import type { VersionClock } from './version.ts';

/** How long a change is remembered in case that somebody turns out to have lost Redis before it. */
const RECENT_MS = 2000;
const RECENT_MAX = 5000;

/** What news need of this instance. */
export interface NewsHost {
  readonly clock: Clock;
  readonly versions: VersionClock;
  readonly standing: Standing;
  /** Somebody has brought to Redis what it lacked of theirs. */
  readonly onRejoined: () => void;
}

/**
 * What this cache tells the others through PostgreSQL, and what it hears of them there (fleet/bus.ts).
 *
 * Whoever hears of a change that Redis lacks answers for the key until its author is back and has brought it there.
 * Where that takes longer, the change is carried there as a deletion of that version, so that the key can be cached
 * again; the author's own value of the same version still takes its place.
 */
export class News implements BusListeners {
  readonly bus: Bus;
  readonly #host: NewsHost;
  readonly #coherence: Coherence;
  /** Changes of the last moments, in two halves of which the older one is let go of. */
  #recent = new Map<string, string>();
  #before = new Map<string, string>();
  #turnedAt = 0;
  #recentLost = false;
  readonly #dead = new Set<string>();

  constructor(host: NewsHost, coherence: Coherence, options: Omit<BusOptions, 'listeners'>) {
    this.#host = host;
    this.#coherence = coherence;
    this.bus = new Bus({ ...options, listeners: this });
  }

  /** A change has reached Redis. */
  shared(key: string, version: string): void {
    if (this.bus.othersApart) return this.bus.tell({ key, version, kind: 'shared' });
    this.#turn();
    if (this.#recent.size < RECENT_MAX) this.#recent.set(key, version);
    else this.#recentLost = true;
  }

  /** A change that Redis has not. */
  apart(key: string, version: string): void {
    this.bus.setApart(true);
    this.bus.tell({ key, version, kind: 'apart' });
  }

  /** Everything has been cleared. */
  cleared(version: string, kind: Everything['kind']): void {
    if (kind === 'apart') this.bus.setApart(true);
    this.bus.tellAll({ kind, version, cleared: true });
  }

  /** The journal has overflowed: what has been let go of was told, and may still be on its way. */
  overflowed(version: string): void {
    this.bus.tellAll({ kind: 'apart', version, cleared: false });
  }

  /** A new epoch makes up for what the dead did not tell. */
  async bury(): Promise<void> {
    for (const sender of this.#dead) {
      await this.bus.bury(sender);
      this.#dead.delete(sender);
    }
  }

  onChanges(changes: readonly Change[], sender: string): void {
    for (const { key, version, kind } of changes) {
      this.#coherence.heard(key, version, kind === 'apart' ? sender : undefined);
    }
  }

  onRejoined(): void {
    this.#host.onRejoined();
  }

  onAll({ kind, version, cleared }: Everything): void {
    this.#coherence.heardAll(version, kind === 'apart', cleared);
  }

  onGap(): void {
    // With Redis in use, what was missed here was heard of there.
    if (this.#host.standing.isLocal) this.#coherence.forgetCopies('');
  }

  onDied(sender: string): void {
    if (this.#dead.has(sender)) return;
    this.#dead.add(sender);
    this.#coherence.heardAll('', true, false);
  }

  onApart(): void {
    this.#turn();
    if (this.#recentLost) this.bus.tellAll({ kind: 'shared', version: this.#host.versions.next(), cleared: false });
    for (const half of [this.#before, this.#recent]) {
      for (const [key, version] of half) this.bus.tell({ key, version, kind: 'shared' });
      half.clear();
    }
  }

  onHeard(at: number): void {
    const { standing } = this.#host;
    if (at > standing.heardAt) standing.heardAt = at;
  }

  #turn(): void {
    const now = this.#host.clock.now();
    if (now - this.#turnedAt < RECENT_MS) return;
    // Both halves are over when nothing has come for as long as two.
    this.#before = now - this.#turnedAt < 2 * RECENT_MS ? this.#recent : new Map();
    this.#recent = new Map();
    this.#turnedAt = now;
    this.#recentLost = false;
  }
}
