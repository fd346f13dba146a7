import { RedoubtError } from '../../core/errors.ts';

/**
 * Deeper than that, JSON.stringify comes near the end of the stack: Node 24 fails between 5,000 and 10,000 levels,
 * fewer where the caller is deep already.
 */
const MAX_DEPTH = 1000;

/** Of a path in a message; keys are the caller's, and may be long. */
const MAX_PATH = 200;

/** What JSON would change, and where: keys and indexes, innermost first. */
interface Flaw {
  readonly what: string;
  readonly keys: (string | number)[];
}

/** How much may still be looked at: whatever is in a value takes a byte of its JSON at least. */
interface Budget {
  left: number;
}

/**
 * Refuses what would not come back from JSON as it was. Two differences are let pass, since a reader does not meet
 * them: a property that is `undefined` is not there afterwards, and -0 is 0.
 *
 * @param maxBytes - `cache.maxValueBytes`
 * @throws {RedoubtError} `ERR_CACHE_VALUE` with `path` and `found`, never with what is there
 */
export function assertStorable(value: unknown, maxBytes: number): void {
  let flaw: Flaw | undefined;
  try {
    flaw = flawOf(value, 0, { left: maxBytes });
  } catch (error) {
    // A getter or a Proxy threw.
    throw new RedoubtError('ERR_CACHE_VALUE', { message: 'it cannot be read', found: typeof value }, { cause: error });
  }
  if (!flaw) return;
  if (flaw.what === TOO_DEEP) flaw = cycleIn(value) ?? flaw;
  const { what } = flaw;
  const path = pathOf(flaw);
  const why = NOT_FOR_JSON.has(what) ? '' : '; JSON would change it, the serializer of a namespace need not';
  const found = what.replace(/^is (?:an? )?/, '');
  throw new RedoubtError('ERR_CACHE_VALUE', { message: `${path} ${what}${why}`, path, found });
}

const TOO_DEEP = `is more than ${MAX_DEPTH} levels deep`;
const TOO_LARGE = 'is part of more than cache.maxValueBytes allows';
const CYCLE = 'leads back to what it is part of';
const PROTO = 'would change the prototype of what it is copied to';
const NOT_FOR_JSON: ReadonlySet<string> = new Set([TOO_DEEP, TOO_LARGE, CYCLE, PROTO]);

/** Recursive up to MAX_DEPTH; what holds no objects is looked at without a call for each of its values. */
function flawOf(value: unknown, depth: number, budget: Budget): Flaw | undefined {
  if (typeof value !== 'object' || value === null) return isPlain(value) ? undefined : flaw(nameOf(value));
  if (depth >= MAX_DEPTH) return flaw(TOO_DEEP);
  if (Array.isArray(value)) return flawOfArray(value, depth, budget);
  if (!isPlainObject(value)) return flaw(nameOf(value));
  // 2.5 times as fast as Object.keys; what is not the object's own is no flaw of it.
  for (const key in value) {
    budget.left -= 1;
    const inner = (value as Record<string, unknown>)[key];
    const found = isPlain(inner) || inner === undefined ? undefined : flawOf(inner, depth + 1, budget);
    if (found && Object.hasOwn(value, key)) return inside(found, key);
    if (key === '__proto__') return inside(flaw(PROTO), key);
  }
  return budget.left < 0 ? flaw(TOO_LARGE) : undefined;
}

function flawOfArray(values: readonly unknown[], depth: number, budget: Budget): Flaw | undefined {
  if (!isPlainArray(values)) return flaw(nameOf(values));
  budget.left -= values.length;
  if (budget.left < 0) return flaw(TOO_LARGE);
  for (let index = 0; index < values.length; index += 1) {
    const inner = values[index];
    if (isPlain(inner)) continue;
    const found = inner === undefined && !(index in values) ? flaw('is a hole') : flawOf(inner, depth + 1, budget);
    if (found) return inside(found, index);
  }
  return undefined;
}

/** What JSON carries as it is, and holds nothing else. */
function isPlain(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value === 'string' || typeof value === 'boolean' || value === null;
}

function isPlainObject(value: object): boolean {
  if ('toJSON' in value) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === Object.prototype || prototype === null) return true;
  // That of another realm (node:vm, and so Jest).
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}

function isPlainArray(value: readonly unknown[]): boolean {
  if ('toJSON' in value) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === Array.prototype || (Array.isArray(prototype) && Object.hasOwn(prototype, 'copyWithin'));
}

const flaw = (what: string): Flaw => ({ what, keys: [] });

function inside(found: Flaw, key: string | number): Flaw {
  found.keys.push(key);
  return found;
}

function nameOf(value: unknown): string {
  if (typeof value === 'number' || value === undefined) return `is ${value}`;
  if (typeof value === 'bigint') return 'is a BigInt';
  if (typeof value !== 'object' || value === null) return `is a ${typeof value}`;
  const prototype = Object.getPrototypeOf(value) as { readonly constructor?: unknown } | null;
  const name = typeof prototype?.constructor === 'function' ? prototype.constructor.name : '';
  if (name === 'Object' || name === 'Array' || prototype === null) return 'has a toJSON method';
  // What a bundler or a caller calls a class may be anything.
  return /^[A-Za-z_$][\w$]{0,59}$/.test(name) ? `is ${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}` : 'is an instance';
}

/** The first way that leads back to itself. Only looked for in what is too deep, so it need not be quick. */
function cycleIn(value: unknown): Flaw | undefined {
  const above: { readonly at: object; readonly keys: string[]; next: number }[] = [];
  const within = new Set<object>();
  const enter = (at: object): void => {
    above.push({ at, keys: Object.keys(at), next: 0 });
    within.add(at);
  };
  enter(value as object);
  for (let last = above.at(-1); last && above.length <= MAX_DEPTH; last = above.at(-1)) {
    const key = last.keys[last.next];
    last.next += 1;
    if (key === undefined) {
      within.delete(last.at);
      above.pop();
      continue;
    }
    const inner = (last.at as Record<string, unknown>)[key];
    if (typeof inner !== 'object' || inner === null) continue;
    if (within.has(inner))
      return { what: CYCLE, keys: above.map(({ at, keys, next }) => keyIn(at, keys[next - 1])).toReversed() };
    enter(inner);
  }
  return undefined;
}

const keyIn = (at: object, key = ''): string | number => (Array.isArray(at) ? Number(key) : key);

/** As it is written in code: `value.users[3].seen`. */
function pathOf({ keys }: Flaw): string {
  let path = 'value';
  for (const key of keys.toReversed()) {
    if (typeof key === 'number') path += `[${key}]`;
    else path += /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
    if (path.length > MAX_PATH) return `${path.slice(0, MAX_PATH)}…`;
  }
  return path;
}
