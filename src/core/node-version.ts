/**
 * Ends the start on a Node that is too old, in one sentence: imported first by every entry, before anything can meet
 * what that Node lacks.
 */
import { assertNode } from './peers.ts';

/** The same as `engines` in package.json, which npm only warns about. */
export const OLDEST_NODE = '22.18.0';

assertNode(process.versions.node, OLDEST_NODE);
