/** A named part: what it does, and the parameters it takes. */
export interface Documented {
  readonly doc: string;
  /** Parameter name to the values allowed; an empty list allows anything. */
  readonly params?: Readonly<Record<string, readonly string[]>>;
  /** Parameters that must be given. */
  readonly required?: readonly string[];
}

/** A number of the configuration under the name that machine files use. */
export interface DocumentedNumber {
  readonly doc: string;
  readonly value: number;
}
