import { createRequire } from 'node:module';
import type { monitorEventLoopDelay } from 'node:perf_hooks';

import type * as prom from 'prom-client';
import type { Gauge, GaugeConfiguration, Registry } from 'prom-client';

import type { ServiceReport } from '../core/mode.ts';

/** What is read of a machine; the runtime's `Machine` fits. */
interface MeasuredMachine {
  readonly id: string;
  readonly state: string;
  readonly definition: StateTree;
}

interface StateTree {
  readonly states?: Readonly<Record<string, StateTree>>;
}

interface MeasuredService {
  readonly name: string;
  report(): ServiceReport;
}

export interface MetricsOptions {
  readonly machines: {
    readonly all: readonly MeasuredMachine[];
    on(
      event: 'transition',
      listener: (transition: { readonly machine: string; readonly from: string; readonly to: string }) => void,
    ): () => void;
  };
  readonly services: readonly MeasuredService[];
  readonly version: string;
  readonly revision: () => { readonly id: string; readonly refused: object | null };
}

// CommonJS, and loaded when it is first asked for: most libraries' users have metrics of their own, and it is a sixth of
// what a start loads.
const loadProm = (): typeof prom => createRequire(import.meta.url)('prom-client') as typeof prom;

/** Metrics that count from the start and cost next to nothing before they are read. */
export interface Metrics {
  /** Made at the first read. */
  readonly registry: Registry;
}

/**
 * Redoubt's metrics, read at each scrape from memory, on a registry of their own: two Redoubts in a
 * process never mix. Labels hold only names out of machine files and the code, so their number is
 * bounded and no value of a user's can become one.
 *
 * It listens to `machines` for as long as these live.
 */
export function createMetrics(options: MetricsOptions): Metrics {
  const transitions = new Map<string, Counted>();
  options.machines.on('transition', ({ machine, from, to }) => {
    const key = `${machine} ${from} ${to}`;
    const counted = transitions.get(key);
    if (counted) counted.times += 1;
    else transitions.set(key, { labels: { machine, from, to }, times: 1 });
  });
  let registry: Registry | undefined;
  return {
    get registry() {
      registry ??= createRegistry(options, transitions);
      return registry;
    },
  };
}

interface Counted {
  readonly labels: Readonly<Record<'machine' | 'from' | 'to', string>>;
  times: number;
}

function createRegistry(
  { machines, services, version, revision }: MetricsOptions,
  transitions: ReadonlyMap<string, Counted>,
): Registry {
  const { Counter } = loadProm();
  const registry = serviceRegistry(services);
  // oxlint-disable-next-line no-new -- it registers itself
  new Counter({
    name: 'redoubt_machine_transitions_total',
    help: 'Transitions of a machine.',
    labelNames: ['machine', 'from', 'to'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, times } of transitions.values()) this.inc(labels, times);
    },
  });
  addGauge(registry, {
    name: 'redoubt_machine_state',
    help: '1 for the state that a machine is in, 0 for its other ones.',
    labelNames: ['machine', 'state'],
    collect() {
      for (const { id, state, definition } of machines.all) {
        for (const leaf of leafStates(definition)) this.set({ machine: id, state: leaf }, leaf === state ? 1 : 0);
      }
    },
  });
  addGauge(registry, {
    name: 'redoubt_service_backend',
    help: '1 for the backend that a service uses; the one it prefers is shown with 0 while another is used.',
    labelNames: ['service', 'backend'],
    collect() {
      this.reset();
      for (const service of services) {
        const { backend, preferred } = service.report();
        this.set({ service: service.name, backend: preferred }, 0);
        this.set({ service: service.name, backend }, 1);
      }
    },
  });
  addGauge(registry, {
    name: 'redoubt_info',
    help: 'Always 1; the label says which version runs.',
    labelNames: ['version'],
  }).set({ version }, 1);
  addGauge(registry, {
    name: 'redoubt_revision_info',
    help: 'Always 1; the label says which revision of machines and thresholds runs.',
    labelNames: ['revision'],
    collect() {
      this.reset();
      this.set({ revision: revision().id }, 1);
    },
  });
  addGauge(registry, {
    name: 'redoubt_reload_refused',
    help: '1 while the last reload was refused and the revision before it goes on.',
    collect() {
      this.set(revision().refused ? 1 : 0);
    },
  });
  addProcessMetrics(registry);
  return registry;
}

/** Services name their counters only in their reports, which there are none of before the first mode. */
function serviceRegistry(services: readonly MeasuredService[]): Registry {
  class ServiceRegistry extends loadProm().Registry {
    /** Everything that reads a registry comes through here. */
    override getMetricsAsArray(): ReturnType<Registry['getMetricsAsArray']> {
      for (const service of services) {
        for (const counter of Object.keys(service.report().counters)) addCounter(this, service, counter);
      }
      return super.getMetricsAsArray();
    }
  }
  return new ServiceRegistry();
}

/** `loadFailures` of the cache becomes `redoubt_cache_load_failures`. */
function addCounter(registry: Registry, service: MeasuredService, counter: string): void {
  const name = `redoubt_${service.name}_${counter.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
  if (registry.getSingleMetric(name)) return;
  addGauge(registry, {
    name,
    help: `${counter} of ${service.name}, as /health reports it.`,
    collect() {
      this.set(service.report().counters[counter] ?? 0);
    },
  });
}

const LAG_RESOLUTION_MS = 10;
/** One for the process, which has one event loop; its timer keeps nothing open. */
let loopDelay: ReturnType<typeof monitorEventLoopDelay> | undefined;

/** Not collectDefaultMetrics(): it starts observers anew for each registry, and none can be stopped. */
function addProcessMetrics(registry: Registry): void {
  if (!loopDelay) {
    loopDelay = process.getBuiltinModule('node:perf_hooks').monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
    loopDelay.enable();
  }
  const delay = loopDelay;
  addGauge(registry, {
    name: 'redoubt_event_loop_lag_seconds',
    help: 'Delay of the event loop since the last scrape.',
    labelNames: ['quantile'],
    collect() {
      for (const quantile of [50, 99, 100]) {
        // Node records the whole time between two ticks of its timer, also when nothing is late.
        const lagMs = Math.max(0, delay.percentile(quantile) / 1e6 - LAG_RESOLUTION_MS);
        this.set({ quantile: String(quantile / 100) }, lagMs / 1000);
      }
      delay.reset();
    },
  });
  addGauge(registry, {
    name: 'redoubt_process_resident_memory_bytes',
    help: 'Memory of the process.',
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  addGauge(registry, {
    name: 'redoubt_process_cpu_seconds',
    help: 'CPU time of the process since its start, user and system.',
    collect() {
      const { user, system } = process.cpuUsage();
      this.set((user + system) / 1e6);
    },
  });
}

function addGauge<Label extends string>(registry: Registry, gauge: GaugeConfiguration<Label>): Gauge<Label> {
  const { Gauge: PromGauge } = loadProm();
  return new PromGauge({ ...gauge, registers: [registry] });
}

/** Dotted names of all states without states of their own. */
function leafStates(tree: StateTree, prefix = ''): string[] {
  return Object.entries(tree.states ?? {}).flatMap(([key, state]) =>
    state.states ? leafStates(state, `${prefix}${key}.`) : [prefix + key],
  );
}
