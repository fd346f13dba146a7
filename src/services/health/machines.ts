import type { Machine, StateDefinition } from '../../runtime/types.ts';

/** Whether the machine's state is tagged `disabled`: its dependency is not configured, so nobody waits for it. */
export function isDisabled(machine: Machine): boolean {
  let node: StateDefinition | undefined = machine.definition;
  for (const key of machine.state.split('.')) {
    node = node?.states?.[key];
    if (node?.tags?.includes('disabled')) return true;
  }
  return false;
}

/** The machines of `ids` that are not usable; one that is disabled or does not exist is not waited for. */
export function notReady(machines: readonly Machine[], ids: readonly string[]): string[] {
  return machines
    .filter((machine) => ids.includes(machine.id) && machine.status !== 'up' && !isDisabled(machine))
    .map(({ id }) => id);
}
