/** All objects and arrays in a value, itself among them. */
export function objectsIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(objectsIn)];
}

/** Whether the whole has every key of the part, with the same value. */
export function contains(whole: unknown, part: unknown): boolean {
  if (typeof part !== 'object' || part === null || Array.isArray(part))
    return JSON.stringify(whole) === JSON.stringify(part);
  if (typeof whole !== 'object' || whole === null) return false;
  return Object.entries(part).every(([key, value]) => contains((whole as Record<string, unknown>)[key], value));
}

/** Whether the whole has every field of the part, with a value of the same type. */
export function hasFieldsOf(whole: unknown, part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return typeof whole === typeof part;
  if (typeof whole !== 'object' || whole === null) return false;
  return Object.entries(part).every(([key, value]) => hasFieldsOf((whole as Record<string, unknown>)[key], value));
}
