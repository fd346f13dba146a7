type Attributes = Readonly<Record<string, string>>;

/** What a graph says; labels are lines of text. */
export interface DotGraph {
  readonly name: string;
  readonly nodes: ReadonlyMap<string, Attributes>;
  readonly edges: readonly { readonly from: string; readonly to: string; readonly attributes: Attributes }[];
  /** Attributes by cluster. */
  readonly clusters: ReadonlyMap<string, Attributes>;
}

const TOKEN = /\s*(?:("(?:[^"\\\n]|\\[^\n])*")|(->|[{}[\]=,])|([A-Za-z_][\w]*|\d+(?:\.\d+)?))/y;

/** Reads the part of the dot language that we write. @throws {Error} at the first token outside it */
export function parseDot(text: string): DotGraph {
  const tokens = tokenize(text);
  const nodes = new Map<string, Attributes>();
  const edges: { from: string; to: string; attributes: Attributes }[] = [];
  const clusters = new Map<string, Attributes>();
  const next = (): string => tokens[0] ?? '';
  const take = (wanted?: string): string => {
    const token = tokens.shift() ?? '';
    if (wanted === undefined ? /^(->|[{}[\]=,]|)$/.test(token) : token !== wanted) fail(`${token}, not ${wanted}`);
    return token;
  };
  const attributes = (): Attributes => {
    const found: Record<string, string> = {};
    if (next() !== '[') return found;
    take('[');
    while (next() !== ']') {
      const name = take();
      take('=');
      found[name] = unquote(take());
      if (next() === ',') take(',');
    }
    take(']');
    return found;
  };
  const body = (cluster: string): void => {
    take('{');
    while (next() !== '}') {
      const token = take();
      if (token === 'subgraph') body(take());
      else if (token === 'graph') clusters.set(cluster, attributes());
      else if (token === 'node' || token === 'edge') attributes();
      else if (next() === '->') {
        take('->');
        edges.push({ from: unquote(token), to: unquote(take()), attributes: attributes() });
      } else if (nodes.has(unquote(token))) fail(`${token} twice`);
      else nodes.set(unquote(token), attributes());
    }
    take('}');
  };
  take('digraph');
  const name = unquote(take());
  body('');
  if (tokens.length > 0) fail(`${tokens[0]} behind the graph`);
  for (const { from, to } of edges) if (!nodes.has(from) || !nodes.has(to)) fail(`undeclared: ${from} -> ${to}`);
  return { name, nodes, edges, clusters };
}

/** The lines of a label, without what pads them. */
export function linesOf(attributes: Attributes | undefined): string[] {
  const lines = (attributes?.['label'] ?? '').split('\n').slice(0, -1);
  return lines.map((line) => line.trim().replaceAll(/\s+/g, ' '));
}

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text) ?? fail(text.slice(at, at + 60));
    tokens.push(match[1] ?? match[2] ?? match[3] ?? '');
  }
  return tokens;
}

function unquote(token: string): string {
  if (!token.startsWith('"')) return token;
  const signs = token.slice(1, -1).replaceAll(/\\(.)/g, (_whole, sign: string) => (sign === 'l' ? '\n' : sign));
  return signs.replaceAll('&amp;', '&');
}

function fail(what: string): never {
  throw new Error(`no dot: ${what}`);
}
