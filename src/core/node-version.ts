/**
 * Ends the start on a Node that is too old, in one sentence: imported first by the library's entry, before anything can
 * meet what that Node lacks.
 */
import { assertNode } from './peers.ts';

assertNode();
