/** A change of a key: `apart` is not in Redis, `shared` is. */
export interface Change {
  readonly key: string;
  readonly version: string;
  readonly kind: ChangeKind;
}
export type ChangeKind = 'apart' | 'shared';

/** Every key may have changed, up to a version: too many to tell, or all of them cleared. */
export interface Everything {
  readonly kind: ChangeKind;
  readonly version: string;
  readonly cleared: boolean;
}

export interface BusListeners {
  /** @param sender - who has made the changes, and who is to bring those to Redis that it lacks */
  onChanges(changes: readonly Change[], sender: string): void;
  /** Any key may have changed, up to that version. */
  onAll(all: Everything): void;
  onGap(): void;
  /** An instance died while it was apart. */
  onDied(sender: string): void;
  /** Somebody else is apart now who was not before: it has not heard of the latest changes. */
  onApart(): void;
  /** Somebody is not apart any more: Redis has all that was heard of it, or is void as a whole. */
  onRejoined(): void;
  /** Everything that was published before this monotonic time has arrived. */
  onHeard(at: number): void;
}
