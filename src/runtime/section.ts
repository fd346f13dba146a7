import { type Config, type Group, SCHEMA, isLeaf } from '../config/schema.ts';
import type { DetectorPolicy } from './detector.ts';
import type { DocumentedNumber } from './documented.ts';

/** Guards' thresholds: the keys of `detect` that count consecutive probes. */
export const POLICY_NAMES = ['failuresToTrip', 'successesToRecover', 'slowProbesToTrip'] as const;
export type PolicyName = (typeof POLICY_NAMES)[number];

type Section = Pick<Config['redis'], 'probe' | 'detect' | 'delays' | 'holdDown'>;

/** The numbers of a machine: its own section, or Redis' for a machine that has none. */
export function sectionOf(config: Config, machine: string): Section {
  return machine === 'postgres' ? config.postgres : config.redis;
}

/** Named delays for `after`: the section's `delays` and the user's `runtime.delays`. */
export function delaysOf(config: Config, machine: string): Readonly<Record<string, DocumentedNumber>> {
  const section = machine === 'postgres' ? 'postgres' : 'redis';
  const own = Object.entries(sectionOf(config, machine).delays).map(([key, value]) => {
    const name = key.replace(/Ms$/, '');
    return [name, { doc: docOf(section, 'delays', name), value }] as const;
  });
  const users = Object.entries(config.runtime.delays).map(
    ([name, value]) => [name, { doc: `Of the configuration: runtime.delays.${name}.`, value }] as const,
  );
  return Object.fromEntries([...own, ...users]);
}

/** Thresholds for guards. */
export function policiesOf(config: Config, machine: string): Readonly<Record<PolicyName, DocumentedNumber>> {
  const { detect } = sectionOf(config, machine);
  const section = machine === 'postgres' ? 'postgres' : 'redis';
  const entries = POLICY_NAMES.map(
    (name) => [name, { doc: docOf(section, 'detect', name), value: detect[name] }] as const,
  );
  return Object.fromEntries(entries) as Record<PolicyName, DocumentedNumber>;
}

/** The detector's numbers. */
export function detectorPolicyOf(config: Config, machine: string): DetectorPolicy {
  const { probe, detect, holdDown } = sectionOf(config, machine);
  return {
    everyMs: probe.everyMs,
    backoff: { baseMs: probe.backoffBaseMs, maxMs: probe.backoffMaxMs },
    patientBackoff: {
      baseMs: probe.backoffMaxMs,
      maxMs: probe.refusedBackoffMaxMs,
      steady: probe.refusedBackoffAfter,
    },
    windowMs: detect.windowMs,
    minimumCalls: detect.minimumCalls,
    failureRatio: detect.failureRatio,
    slowCallMs: detect.slowCallMs,
    slowCallRatio: detect.slowCallRatio,
    loopLagMs: detect.loopLagMs,
    holdDown,
  };
}

function docOf(...path: readonly string[]): string {
  let node: Group = SCHEMA;
  for (const key of path.slice(0, -1)) node = node[key] as Group;
  const leaf = node[path.at(-1) ?? ''];
  return leaf && isLeaf(leaf) ? leaf.doc : '';
}
