import { pathToFileURL } from 'node:url';

import { CODES } from '../runtime/check/codes.ts';
import type { Finding } from '../runtime/finding.ts';

/**
 * Findings as SARIF 2.1.0 (OASIS, 2020), with the code of each as its rule.
 *
 * @param show - a file relative to the working directory, where it lies below it
 */
export function sarifOf(findings: readonly Finding[], version: string, show: (file: string) => string): object {
  const used = [...new Set(findings.map(({ code }) => code))].toSorted();
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'redoubt',
            version,
            rules: used.map((id) => ({
              id,
              shortDescription: { text: CODES[id].doc },
              defaultConfiguration: { level: CODES[id].severity },
            })),
          },
        },
        columnKind: 'utf16CodeUnits',
        results: findings.map((finding) => resultOf(finding, used.indexOf(finding.code), show)),
      },
    ],
  };
}

function resultOf(finding: Finding, ruleIndex: number, show: (file: string) => string): object {
  const { file, line, column, code, severity, path, message } = finding;
  const shown = show(file);
  const uri = shown.startsWith('/') ? pathToFileURL(shown).href : encodeURI(shown.replaceAll('\\', '/'));
  return {
    ruleId: code,
    ruleIndex,
    level: severity,
    message: { text: path ? `${path}: ${message}` : message },
    locations: [
      {
        // The environment is no file; its variable is the place.
        ...(file === 'environment'
          ? {}
          : { physicalLocation: { artifactLocation: { uri }, region: { startLine: line, startColumn: column } } }),
        logicalLocations: [{ fullyQualifiedName: path || code }],
      },
    ],
  };
}
