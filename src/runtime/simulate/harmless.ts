import type { Extensions } from '../extensions.ts';

/**
 * A user's parts without their effects: a simulated outage must page nobody. Guards run as they are;
 * actions are noted; actors end at once, without an error.
 */
export function withoutEffects(extensions: Extensions, onAction: (name: string) => void): Extensions {
  const { guards, actions, actors, events } = extensions;
  return {
    ...(guards ? { guards } : {}),
    ...(events ? { events } : {}),
    actions: mapParts(actions, (name, part) => ({ ...part, run: () => onAction(name) })),
    actors: mapParts(actors, (_name, part) => ({ ...part, run: () => Promise.resolve() })),
  };
}

function mapParts<Part>(
  parts: Readonly<Record<string, Part>> | undefined,
  change: (name: string, part: Part) => Part,
): Readonly<Record<string, Part>> {
  return Object.fromEntries(Object.entries(parts ?? {}).map(([name, part]) => [name, change(name, part)]));
}
