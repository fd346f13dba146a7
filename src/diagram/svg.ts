import type { MachineDefinition } from '../runtime/types.ts';
import { drawLayout } from './drawing.ts';
import { escapeXml } from './escape.ts';
import type { Numbers } from './label.ts';
import { layoutMachine } from './layout.ts';
import { FILE_STYLE } from './style.ts';

/**
 * A machine as an SVG file that needs nothing around it: its style is inside, light and dark by
 * the reader's preference, on a ground of its own, so that it can be read as an `<img>` on any page.
 *
 * @throws {RedoubtError} `ERR_MACHINE` when the layout fails or takes more than 10 s
 */
export async function toSvg(definition: MachineDefinition, numbers: Numbers): Promise<string> {
  const { id, description } = definition;
  const svg = drawLayout(await layoutMachine(definition, numbers), id, [
    `<title>State machine ${escapeXml(id)}</title>`,
    ...(description === undefined ? [] : [`<desc>${escapeXml(description)}</desc>`]),
    `<style>${FILE_STYLE}</style>`,
    '<rect class="page" width="100%" height="100%" rx="8"/>',
  ]);
  return `${svg}\n`;
}
