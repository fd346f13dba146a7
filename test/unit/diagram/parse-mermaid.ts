/** What a state diagram says, its entities decoded. */
export interface MermaidDiagram {
  readonly title: string;
  /** By id. */
  readonly states: ReadonlyMap<string, { readonly name: string; readonly parent: string | undefined }>;
  /** Those from and to `[*]` left out. */
  readonly arrows: readonly { readonly from: string; readonly to: string; readonly lines: readonly string[] }[];
  readonly starts: readonly { readonly in: string | undefined; readonly to: string }[];
  readonly notes: ReadonlyMap<string, readonly string[]>;
}

// What our texts are made of; a colon, semicolon, quote, brace or per cent sign would end a token.
const TEXT = String.raw`(?:#\d+;|[^:;"{}%#<>\\\n])+`;
const LABEL = String.raw`${TEXT}(?:<br/>${TEXT})*`;
const ID = String.raw`s_\w+`;

/** Reads the part of Mermaid's grammar that is drawn reliably. @throws {Error} at the first line outside it */
export function parseMermaid(text: string): MermaidDiagram {
  const [, title = '', body = ''] = /^---\ntitle: (".*")\n---\nstateDiagram-v2\n([^]*)$/.exec(text) ?? fail(text);
  const states = new Map<string, { name: string; parent: string | undefined }>();
  const arrows: { from: string; to: string; lines: string[] }[] = [];
  const starts: { in: string | undefined; to: string }[] = [];
  const notes = new Map<string, string[]>();
  const open: string[] = [];
  let note: string[] | undefined;
  const known = (id = ''): string => (states.has(id) ? id : fail(`undeclared ${id}`));
  for (const line of body.split('\n').map((each) => each.trim())) {
    // A direction is obeyed wherever a line holds it.
    if (/direction\s+(TB|BT|LR|RL)/i.test(line)) fail(line);
    let found: RegExpExecArray | null;
    if (line === 'end note') note = note ? undefined : fail(line);
    else if (note) {
      if (!new RegExp(`^${TEXT}$`).test(line) || line.includes('end note')) fail(line);
      note.push(decode(line));
    } else if (line === '') continue;
    else if (line === '}') {
      if (open.pop() === undefined) fail(line);
    } else if ((found = new RegExp(`^state "(${TEXT})" as (${ID})( \\{)?$`).exec(line))) {
      if (states.has(found[2] ?? '')) fail(`twice: ${line}`);
      states.set(found[2] ?? '', { name: decode(found[1] ?? ''), parent: open.at(-1) });
      if (found[3]) open.push(found[2] ?? '');
    } else if ((found = new RegExp(`^\\[\\*\\] --> (${ID})$`).exec(line))) {
      starts.push({ in: open.at(-1), to: known(found[1]) });
    } else if ((found = new RegExp(`^(${ID}) --> \\[\\*\\]$`).exec(line))) known(found[1]);
    else if ((found = new RegExp(`^(${ID}) --> (${ID}) : (${LABEL})$`).exec(line))) {
      if (open.length > 0) fail(`an arrow inside a frame: ${line}`);
      const lines = (found[3] ?? '').split('<br/>').map(decode);
      arrows.push({ from: known(found[1]), to: known(found[2]), lines });
    } else if ((found = new RegExp(`^note right of (${ID})$`).exec(line))) {
      note = [];
      notes.set(known(found[1]), note);
    } else fail(line);
  }
  if (open.length > 0 || note) fail('something is not closed');
  return { title: JSON.parse(title) as string, states, arrows, starts, notes };
}

function decode(text: string): string {
  return text.replaceAll(/#(\d+);/g, (_entity, code: string) => String.fromCodePoint(Number(code)));
}

function fail(what: string): never {
  throw new Error(`no Mermaid: ${what}`);
}
