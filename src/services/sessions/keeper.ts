import type { Request } from 'express';
import type { Session, SessionData } from 'express-session';

import { type Print, printOf, unstorable } from './print.ts';
import type { SealedStore } from './store.ts';

export interface KeeperOptions {
  readonly store: SealedStore;
  readonly resave: boolean;
  readonly saveUninitialized: boolean;
  readonly unsetDestroys: boolean;
}

/** What becomes of a request's session at its end, by the rules of express-session. */
export class Keeper {
  readonly #req: Request;
  readonly #options: KeeperOptions;
  readonly #original: object;
  readonly #originalId: string;
  readonly #cameWithIt: boolean;
  #resaved = false;
  #prolonged = false;
  #destroyed = false;

  constructor(req: Request, options: KeeperOptions) {
    this.#req = req;
    this.#options = options;
    this.#original = req.session;
    this.#originalId = req.sessionID;
    this.#cameWithIt = options.store.printOf(req.session) !== undefined;
  }

  /**
   * Starts what must be done for the session as it is now.
   *
   * @param isError - whether the answer tells of an error by itself
   * @returns `undefined` where there is nothing to wait for
   * @throws {RedoubtError} `ERR_SESSION_VALUE`
   */
  keep(isError: boolean): Promise<void> | undefined {
    const current = this.#req.session as (Session & SessionData) | null | undefined;
    const work = current ? this.#save(current) : this.#end();
    const ending = current?.id === this.#originalId ? undefined : this.#ending(isError);
    if (ending === undefined || work === undefined) return ending ?? work;
    return Promise.all([ending, work]).then(() => undefined);
  }

  /** A handler may have ended or renewed it without waiting, or without a look at how that went. */
  #ending(isError: boolean): Promise<void> | undefined {
    const ending = this.#options.store.destroying(this.#originalId);
    return isError ? ending?.catch(() => undefined) : ending;
  }

  #save(current: Session & SessionData): Promise<void> | undefined {
    // Whatever an application has put there, express-session takes no other.
    if (typeof this.#req.sessionID !== 'string') return undefined;
    try {
      current.touch();
    } catch (error) {
      throw unstorable(error);
    }
    const { store } = this.#options;
    const print = printOf(current);
    if (current.id === this.#originalId) store.follow(current, this.#original);
    if (this.#mustSave(current, print)) return store.save(current.id, current, print);
    if (!this.#cameWithIt || current.id !== this.#originalId) return undefined;
    if (this.#prolonged && store.printOf(current)?.hasCookieOf(print)) return undefined;
    this.#prolonged = true;
    return store.prolong(current.id, current, print);
  }

  #mustSave(current: Session & SessionData, print: Print): boolean {
    const { store, resave, saveUninitialized } = this.#options;
    if (current.id !== this.#originalId || store.isSaving(current)) return true;
    const known = store.printOf(current);
    if (known && known.content !== print.content) return true;
    if (known && resave && !this.#resaved) return (this.#resaved = true);
    return known === undefined && (saveUninitialized || !print.isEmpty);
  }

  #end(): Promise<void> | undefined {
    const { store, unsetDestroys } = this.#options;
    const sid = this.#req.sessionID as string | undefined;
    if (!unsetDestroys || !sid || this.#destroyed) return undefined;
    this.#destroyed = true;
    return new Promise((resolve, reject) => {
      store.destroy(sid, (error) => (error ? reject(error as Error) : resolve()));
    });
  }
}
