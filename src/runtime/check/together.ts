import { SERVICES, type ServiceName } from '../../core/mode.ts';
import type { MachineDefinition } from '../types.ts';
import type { CheckFinding } from './codes.ts';
import { placeIn, walkStates } from './walk.ts';

/** A finding that concerns several machines, told at one of them. */
export interface SharedFinding extends CheckFinding {
  readonly machine: string;
}

/** What can be told only of all machines together: each service is one machine's, and one's alone. */
export function checkTogether(definitions: readonly MachineDefinition[]): readonly SharedFinding[] {
  return SERVICES.flatMap((service): SharedFinding[] => {
    const [owner, ...others] = definitions.flatMap((definition) => {
      const path = firstPlace(definition, service);
      return path === undefined ? [] : [{ machine: definition.id, path }];
    });
    if (!owner) {
      const [first] = definitions;
      const message = `no machine names a backend of ${service}, so it cannot be used; name one in "meta.backends"`;
      return first ? [{ code: 'undeclared-service', machine: first.id, path: '', message }] : [];
    }
    return others.map(({ machine, path }) => {
      const message = `the machine "${owner.machine}" names backends of ${service} too, and only it is heard; keep one of the two`;
      return { code: 'shared-service', machine, path, message };
    });
  });
}

function firstPlace(definition: MachineDefinition, service: ServiceName): string | undefined {
  const node = [...walkStates(definition)].find(({ state }) => state.meta?.backends?.[service] !== undefined);
  return node && placeIn(node, `meta.backends.${service}`);
}
