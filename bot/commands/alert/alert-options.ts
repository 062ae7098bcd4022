// Values of the options of alerts: severities and conditions.

import { suggestName } from '../../../protocol/nearest.ts'
import { problem } from '../../../protocol/problems.ts'
import { CONDITIONS, SEVERITIES } from '../../alerts/conditions.ts'
import type { AlertSeverity } from '../../alerts/conditions.ts'

/** Parses a severity. Throws `invalid-input`. */
export function parseAlertSeverity(text: string): AlertSeverity {
  const found = SEVERITIES.find((severity) => severity === text.toLowerCase())
  if (!found) throw problem('invalid-input', `severity=${text} is not valid.`, { action: `Use one of: ${SEVERITIES.join(', ')}.` })
  return found
}

/** Parses the name of a condition of stores. Throws `invalid-input`. */
export function parseCondition(text: string): string {
  const names = CONDITIONS.filter(({ subject }) => subject !== 'zone').map(({ name }) => name)
  const found = names.find((name) => name === text.toLowerCase())
  if (found === undefined)
    throw problem('invalid-input', `There is no check "${text}"${suggestName(text, names, (name) => name)}`, { action: `Use one of: ${names.join(', ')}.` })
  return found
}
