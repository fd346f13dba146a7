/**
 * What the server's thread and the embedded database's worker say to each other.
 *
 * The worker says `ready` once, then answers each request by its id, one after another. `close` is
 * the last request: the worker closes the database and ends. A worker that ends in any other way
 * has crashed. Values travel as PostgreSQL's own text (or bytes), so that both sides of the seam
 * parse and print exactly as node-postgres does.
 */
export type WorkerRequest =
  | { readonly type: 'query'; readonly id: number; readonly text: string; readonly values: readonly RawValue[] }
  | { readonly type: 'close' };

export type WorkerReply =
  | { readonly type: 'ready' }
  | { readonly type: 'result'; readonly id: number; readonly result: RawResult }
  | { readonly type: 'error'; readonly id: number; readonly message: string; readonly fields: Record<string, unknown> };

export type RawValue = string | Uint8Array | null;

/** Rows as PostgreSQL sent them, in the order of `fields`. */
export interface RawResult {
  readonly fields: readonly { readonly name: string; readonly oid: number }[];
  readonly rows: readonly (readonly (string | null)[])[];
  readonly rowCount: number;
}

export interface WorkerStart {
  readonly dir: string;
}
