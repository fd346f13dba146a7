/** `error`: nothing starts with it. `warning`: it runs, but hardly as it was meant. */
export type Severity = 'error' | 'warning';

interface CodeEntry {
  readonly severity: Severity;
  readonly doc: string;
}

const error = (doc: string): CodeEntry => ({ severity: 'error', doc });
const warning = (doc: string): CodeEntry => ({ severity: 'warning', doc });

/** Every kind of finding, with its severity and what it means for who reads a report. */
export const CODES = {
  config: error('A setting of the configuration is not allowed.'),
  extensions: error('The module of runtime.extensions cannot be loaded.'),
  'no-folder': error('The folder of machines does not exist.'),
  'not-json': error('The file cannot be read as JSON.'),
  'missing-machine': error('A machine that is to run has no file.'),
  'unknown-machine': error('The file is of a machine that nothing runs.'),
  'wrong-id': error('The id is not what the file is named.'),
  'duplicate-key': error('An object has a key twice; the first is silently lost.'),
  'unknown-key': error('XState silently ignores a misspelt key.'),
  'wrong-kind': error('The value is of the wrong kind.'),
  'wrong-name': error('The name of a state has a mark that targets cannot name.'),
  'missing-key': error('A key that must be there is not.'),
  'no-initial': error('A state with states does not say which comes first.'),
  'unknown-state': error('There is no such state here.'),
  'unknown-target': error('The transition leads to a state that does not exist.'),
  'unknown-guard': error('No guard has this name; XState ends the actor.'),
  'unknown-action': error('No action has this name; XState skips it in silence.'),
  'unknown-actor': error('No actor has this name; XState waits for it for ever.'),
  'unknown-delay': error('The configuration has no such delay; XState never takes the transition.'),
  'unknown-policy': error('The configuration has no such threshold.'),
  'unknown-event': error('Nobody sends this event.'),
  'unknown-tag': error('The tag means nothing to the runtime.'),
  'unknown-service': error('There is no such service.'),
  'unknown-backend': error('The service cannot use this backend.'),
  'unknown-parameter': error('The guard or action takes no such parameter.'),
  'unknown-value': error('The parameter does not allow this value.'),
  'missing-parameter': error('The guard or action needs a parameter.'),
  'no-backend': error('A service is given an empty list of backends.'),
  'no-floor': error('A state leaves a service without a backend that always works.'),
  'never-usable': error('No state is tagged usable, so the dependency would never be used.'),
  unreachable: error('No transition leads to the state.'),
  trap: error('No way leads from the state back to one that is tagged usable.'),
  'always-cycle': error('States follow each other by always without an end.'),
  'shared-service': error('Two machines name backends of the same service; only one of them would be heard.'),
  dies: error('A walk through the machine ended the machine itself.'),
  model: error('XState goes elsewhere than the graph of the file says.'),
  'undeclared-service': warning('No machine names a backend of the service, so it cannot be used.'),
  'never-fires': warning('The transition can never be taken.'),
  'never-left': warning('A usable state is left by nothing, whatever the dependency does.'),
  flapping: warning('A dependency is left and used again sooner than the dwell time.'),
  ambiguous: warning('Two transitions are due at the same moment; only the order in the file decides.'),
  'numeric-delay': warning('A number stands where a name of the configuration is meant.'),
} as const satisfies Record<string, CodeEntry>;

export type CheckCode = keyof typeof CODES;

/** One mistake in a definition; the file and the place in it are the caller's to add. */
export interface CheckFinding {
  readonly code: CheckCode;
  /** Place in the machine: `states.available.on.redis.lost`. */
  readonly path: string;
  /** What is wrong and, where that can be told, what would be right. */
  readonly message: string;
}
